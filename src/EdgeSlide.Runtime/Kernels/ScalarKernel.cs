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

    public static void Dot4(sbyte* row0, sbyte* row1, sbyte* row2, sbyte* row3, sbyte* vector, bool nonNegative, int length, int* results)
    {
        results[0] = Dot(row0, vector, length);
        results[1] = Dot(row1, vector, length);
        results[2] = Dot(row2, vector, length);
        results[3] = Dot(row3, vector, length);
    }

    public static void DotRows(sbyte* rows, int count, sbyte* vector, bool nonNegative, int length, int* results) =>
        Kernel.DotRows<ScalarKernel>(rows, count, vector, nonNegative, length, results);

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

    public static int DotInt4(byte* row, sbyte* vector, int length)
    {
        int sum = 0;
        for (int i = 0; i < length; i++)
            sum += Stored(row, i) * vector[i];
        return sum;
    }

    public static void Dot4Int4(byte* row0, byte* row1, byte* row2, byte* row3, sbyte* vector, int length, int* results)
    {
        results[0] = DotInt4(row0, vector, length);
        results[1] = DotInt4(row1, vector, length);
        results[2] = DotInt4(row2, vector, length);
        results[3] = DotInt4(row3, vector, length);
    }

    public static void WeightedSumInt4(byte* rows, nint stride, int* ids, short* coefficients, int count, int* results, int length)
    {
        for (int j = 0; j < length; j++)
            results[j] = 0;
        for (int i = 0; i < count; i++)
        {
            byte* row = rows + ids[i] * stride;
            int coefficient = coefficients[i];
            for (int j = 0; j < length; j++)
                results[j] += coefficient * (Stored(row, j) - Int4.Zero);
        }
    }

    private static int Stored(byte* row, int i) => row[i / 64 * 32 + i % 32] >> (i % 64 / 32 * 4) & 15;
}
