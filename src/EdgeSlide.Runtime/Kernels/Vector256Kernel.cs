using System.Runtime.Intrinsics;

namespace EdgeSlide.Kernels;

/// <summary>Portable 256-bit SIMD, as <see cref="Vector128Kernel"/> but twice as wide.</summary>
internal readonly unsafe struct Vector256Kernel : IKernel
{
    public static string Name => "vector256";

    public static bool IsSupported => Vector256.IsHardwareAccelerated;

    public static int Dot(sbyte* a, sbyte* b, int length)
    {
        Vector256<int> sum = Vector256<int>.Zero;
        for (int i = 0; i < length; i += 32)
            sum += Products(Vector256.Load(a + i), Vector256.Load(b + i));
        return Vector256.Sum(sum);
    }

    public static void Dot4(sbyte* row0, sbyte* row1, sbyte* row2, sbyte* row3, sbyte* vector, bool nonNegative, int length, int* results)
    {
        Vector256<int> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
        for (int i = 0; i < length; i += 32)
        {
            Vector256<sbyte> x = Vector256.Load(vector + i);
            sum0 += Products(Vector256.Load(row0 + i), x);
            sum1 += Products(Vector256.Load(row1 + i), x);
            sum2 += Products(Vector256.Load(row2 + i), x);
            sum3 += Products(Vector256.Load(row3 + i), x);
        }
        results[0] = Vector256.Sum(sum0);
        results[1] = Vector256.Sum(sum1);
        results[2] = Vector256.Sum(sum2);
        results[3] = Vector256.Sum(sum3);
    }

    public static void DotRows(sbyte* rows, int count, sbyte* vector, bool nonNegative, int length, int* results) =>
        Kernel.DotRows<Vector256Kernel>(rows, count, vector, nonNegative, length, results);

    public static void WeightedSum(sbyte* rows, nint stride, int* ids, short* coefficients, int count, int* results, int length)
    {
        // 32 outputs at a time stay in registers while all rows go by.
        for (int j = 0; j < length; j += 32)
        {
            Vector256<int> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
            for (int i = 0; i < count; i++)
            {
                Vector256<sbyte> weights = Vector256.Load(rows + ids[i] * stride + j);
                Vector256<int> coefficient = Vector256.Create((int)coefficients[i]);
                (Vector256<short> lower, Vector256<short> upper) = Vector256.Widen(weights);
                (Vector256<int> w0, Vector256<int> w1) = Vector256.Widen(lower);
                (Vector256<int> w2, Vector256<int> w3) = Vector256.Widen(upper);
                sum0 += w0 * coefficient;
                sum1 += w1 * coefficient;
                sum2 += w2 * coefficient;
                sum3 += w3 * coefficient;
            }
            sum0.Store(results + j);
            sum1.Store(results + j + 8);
            sum2.Store(results + j + 16);
            sum3.Store(results + j + 24);
        }
    }

    private static Vector256<int> Products(Vector256<sbyte> a, Vector256<sbyte> b)
    {
        // A product of two bytes fits INT16 (127 * 127), the sum of two products (32258) as well.
        Vector256<short> pairs = Vector256.WidenLower(a) * Vector256.WidenLower(b) + Vector256.WidenUpper(a) * Vector256.WidenUpper(b);
        return Vector256.WidenLower(pairs) + Vector256.WidenUpper(pairs);
    }

    public static int DotInt4(byte* row, sbyte* vector, int length)
    {
        Vector256<int> sum = Vector256<int>.Zero;
        for (int i = 0; i < length; i += 64)
        {
            (Vector256<byte> lower, Vector256<byte> upper) = Int4.Load256(row + i / 2);
            sum += Products(lower.AsSByte(), Vector256.Load(vector + i)) + Products(upper.AsSByte(), Vector256.Load(vector + i + 32));
        }
        return Vector256.Sum(sum);
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
        for (int j = 0; j < length; j += 64)
        {
            Vector256<int> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
            Vector256<int> sum4 = default, sum5 = default, sum6 = default, sum7 = default;
            for (int i = 0; i < count; i++)
            {
                (Vector256<byte> lower, Vector256<byte> upper) = Int4.Load256(rows + ids[i] * stride + j / 2);
                Vector256<int> coefficient = Vector256.Create((int)coefficients[i]);
                AddProducts(lower.AsSByte(), coefficient, ref sum0, ref sum1, ref sum2, ref sum3);
                AddProducts(upper.AsSByte(), coefficient, ref sum4, ref sum5, ref sum6, ref sum7);
            }
            sum0.Store(results + j);
            sum1.Store(results + j + 8);
            sum2.Store(results + j + 16);
            sum3.Store(results + j + 24);
            sum4.Store(results + j + 32);
            sum5.Store(results + j + 40);
            sum6.Store(results + j + 48);
            sum7.Store(results + j + 56);
        }
    }

    private static void AddProducts(Vector256<sbyte> stored, Vector256<int> coefficient, ref Vector256<int> sum0, ref Vector256<int> sum1, ref Vector256<int> sum2, ref Vector256<int> sum3)
    {
        (Vector256<short> lower, Vector256<short> upper) = Vector256.Widen(stored - Vector256.Create((sbyte)Int4.Zero));
        (Vector256<int> w0, Vector256<int> w1) = Vector256.Widen(lower);
        (Vector256<int> w2, Vector256<int> w3) = Vector256.Widen(upper);
        sum0 += w0 * coefficient;
        sum1 += w1 * coefficient;
        sum2 += w2 * coefficient;
        sum3 += w3 * coefficient;
    }
}
