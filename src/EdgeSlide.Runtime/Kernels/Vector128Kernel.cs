using System.Runtime.Intrinsics;

namespace EdgeSlide.Kernels;

/// <summary>Portable 128-bit SIMD: widen to INT16, multiply, widen to INT32. Runs on anything with 128-bit vectors.</summary>
internal readonly unsafe struct Vector128Kernel : IKernel
{
    public static string Name => "vector128";

    public static bool IsSupported => Vector128.IsHardwareAccelerated;

    public static int Dot(sbyte* a, sbyte* b, int length)
    {
        Vector128<int> sum = Vector128<int>.Zero;
        for (int i = 0; i < length; i += 16)
            sum += Products(Vector128.Load(a + i), Vector128.Load(b + i));
        return Vector128.Sum(sum);
    }

    public static void Dot4(sbyte* row0, sbyte* row1, sbyte* row2, sbyte* row3, sbyte* vector, int length, int* results)
    {
        Vector128<int> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
        for (int i = 0; i < length; i += 16)
        {
            Vector128<sbyte> x = Vector128.Load(vector + i);
            sum0 += Products(Vector128.Load(row0 + i), x);
            sum1 += Products(Vector128.Load(row1 + i), x);
            sum2 += Products(Vector128.Load(row2 + i), x);
            sum3 += Products(Vector128.Load(row3 + i), x);
        }
        results[0] = Vector128.Sum(sum0);
        results[1] = Vector128.Sum(sum1);
        results[2] = Vector128.Sum(sum2);
        results[3] = Vector128.Sum(sum3);
    }

    public static void WeightedSum(sbyte* rows, nint stride, int* ids, short* coefficients, int count, int* results, int length)
    {
        // 16 outputs at a time stay in registers while all rows go by.
        for (int j = 0; j < length; j += 16)
        {
            Vector128<int> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
            for (int i = 0; i < count; i++)
            {
                Vector128<sbyte> weights = Vector128.Load(rows + ids[i] * stride + j);
                Vector128<int> coefficient = Vector128.Create((int)coefficients[i]);
                (Vector128<short> lower, Vector128<short> upper) = Vector128.Widen(weights);
                (Vector128<int> w0, Vector128<int> w1) = Vector128.Widen(lower);
                (Vector128<int> w2, Vector128<int> w3) = Vector128.Widen(upper);
                sum0 += w0 * coefficient;
                sum1 += w1 * coefficient;
                sum2 += w2 * coefficient;
                sum3 += w3 * coefficient;
            }
            sum0.Store(results + j);
            sum1.Store(results + j + 4);
            sum2.Store(results + j + 8);
            sum3.Store(results + j + 12);
        }
    }

    private static Vector128<int> Products(Vector128<sbyte> a, Vector128<sbyte> b)
    {
        // A product of two bytes fits INT16 (127 * 127), the sum of two products (32258) as well.
        Vector128<short> pairs = Vector128.WidenLower(a) * Vector128.WidenLower(b) + Vector128.WidenUpper(a) * Vector128.WidenUpper(b);
        return Vector128.WidenLower(pairs) + Vector128.WidenUpper(pairs);
    }
}
