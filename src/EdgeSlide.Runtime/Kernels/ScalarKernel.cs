namespace EdgeSlide.Kernels;

/// <summary>The reference that every other kernel must match bit for bit.</summary>
internal readonly unsafe struct ScalarKernel : IKernel
{
    public static string Name => "scalar";

    public static bool IsSupported => true;

    public static int Dot(sbyte* a, sbyte* b, int length)
    {
        int sum = 0;
        for (int i = 0; i < length; i++)
            sum += a[i] * b[i];
        return sum;
    }

    public static void Dot4(sbyte* rows, nint stride, sbyte* vector, int length, int* results)
    {
        for (int r = 0; r < 4; r++)
            results[r] = Dot(rows + r * stride, vector, length);
    }

    public static void WeightedSum(sbyte* rows, nint stride, int* ids, short* coefficients, int count, int* results, int length)
    {
        for (int j = 0; j < length; j++)
            results[j] = 0;
        for (int i = 0; i < count; i++)
        {
            sbyte* row = rows + ids[i] * stride;
            int coefficient = coefficients[i];
            for (int j = 0; j < length; j++)
                results[j] += coefficient * row[j];
        }
    }
}
