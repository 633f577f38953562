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

    public static void Dot4(sbyte* row0, sbyte* row1, sbyte* row2, sbyte* row3, sbyte* vector, bool nonNegative, int length, int* results)
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

    public static void DotRows(sbyte* rows, int count, sbyte* vector, bool nonNegative, int length, int* results) =>
        Kernel.DotRows<Vector128Kernel>(rows, count, vector, nonNegative, length, results);

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

    public static int DotInt4(byte* row, sbyte* vector, int length)
    {
        Vector128<int> sum = Vector128<int>.Zero;
        for (int i = 0; i < length; i += i % 64 == 0 ? 16 : 48)
            sum += ProductsInt4(row + i / 64 * 32 + i % 32, vector + i);
        return Vector128.Sum(sum);
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
        // 16 bytes at a time are 16 outputs and the 16 that stand 32 further.
        for (int j = 0; j < length; j += j % 64 == 0 ? 16 : 48)
        {
            int at = j / 64 * 32 + j % 32;
            Vector128<int> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
            Vector128<int> sum4 = default, sum5 = default, sum6 = default, sum7 = default;
            for (int i = 0; i < count; i++)
            {
                (Vector128<byte> lower, Vector128<byte> upper) = Int4.Load128(rows + ids[i] * stride + at);
                Vector128<int> coefficient = Vector128.Create((int)coefficients[i]);
                AddProducts(lower.AsSByte(), coefficient, ref sum0, ref sum1, ref sum2, ref sum3);
                AddProducts(upper.AsSByte(), coefficient, ref sum4, ref sum5, ref sum6, ref sum7);
            }
            sum0.Store(results + j);
            sum1.Store(results + j + 4);
            sum2.Store(results + j + 8);
            sum3.Store(results + j + 12);
            sum4.Store(results + j + 32);
            sum5.Store(results + j + 36);
            sum6.Store(results + j + 40);
            sum7.Store(results + j + 44);
        }
    }

    private static void AddProducts(Vector128<sbyte> stored, Vector128<int> coefficient, ref Vector128<int> sum0, ref Vector128<int> sum1, ref Vector128<int> sum2, ref Vector128<int> sum3)
    {
        (Vector128<short> lower, Vector128<short> upper) = Vector128.Widen(stored - Vector128.Create((sbyte)Int4.Zero));
        (Vector128<int> w0, Vector128<int> w1) = Vector128.Widen(lower);
        (Vector128<int> w2, Vector128<int> w3) = Vector128.Widen(upper);
        sum0 += w0 * coefficient;
        sum1 += w1 * coefficient;
        sum2 += w2 * coefficient;
        sum3 += w3 * coefficient;
    }

    /// <summary>The weights of 16 bytes with the vector's elements from here on and 32 further.</summary>
    private static Vector128<int> ProductsInt4(byte* row, sbyte* vector)
    {
        (Vector128<byte> lower, Vector128<byte> upper) = Int4.Load128(row);
        return Products(lower.AsSByte(), Vector128.Load(vector)) + Products(upper.AsSByte(), Vector128.Load(vector + 32));
    }
}
