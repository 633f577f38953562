using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace EdgeSlide.Kernels;

/// <summary>AVX-VNNI: as <see cref="Avx2Kernel"/>, with multiply, widen and accumulate in one instruction (vpdpbusd).</summary>
internal readonly unsafe struct AvxVnniKernel : IKernel
{
    public static string Name => "avxvnni";

    public static bool IsSupported => AvxVnni.IsSupported;

    public static int Dot(sbyte* a, sbyte* b, int length)
    {
        Vector256<int> sum = Vector256<int>.Zero;
        for (int i = 0; i < length; i += 32)
        {
            Vector256<sbyte> x = Vector256.Load(a + i);
            sum = AvxVnni.MultiplyWideningAndAdd(sum, Avx2.Abs(x), Avx2.Sign(Vector256.Load(b + i), x));
        }
        return Vector256.Sum(sum);
    }

    public static void Dot4(sbyte* row0, sbyte* row1, sbyte* row2, sbyte* row3, sbyte* vector, bool nonNegative, int length, int* results)
    {
        Vector256<int> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
        if (nonNegative)
        {
            for (int i = 0; i < length; i += 32)
            {
                Vector256<byte> x = Vector256.Load((byte*)vector + i);
                sum0 = AvxVnni.MultiplyWideningAndAdd(sum0, x, Vector256.Load(row0 + i));
                sum1 = AvxVnni.MultiplyWideningAndAdd(sum1, x, Vector256.Load(row1 + i));
                sum2 = AvxVnni.MultiplyWideningAndAdd(sum2, x, Vector256.Load(row2 + i));
                sum3 = AvxVnni.MultiplyWideningAndAdd(sum3, x, Vector256.Load(row3 + i));
            }
            Avx2Kernel.StoreSums(sum0, sum1, sum2, sum3, results);
            return;
        }
        for (int i = 0; i < length; i += 32)
        {
            Vector256<sbyte> x = Vector256.Load(vector + i);
            Vector256<byte> magnitude = Avx2.Abs(x);
            sum0 = AvxVnni.MultiplyWideningAndAdd(sum0, magnitude, Avx2.Sign(Vector256.Load(row0 + i), x));
            sum1 = AvxVnni.MultiplyWideningAndAdd(sum1, magnitude, Avx2.Sign(Vector256.Load(row1 + i), x));
            sum2 = AvxVnni.MultiplyWideningAndAdd(sum2, magnitude, Avx2.Sign(Vector256.Load(row2 + i), x));
            sum3 = AvxVnni.MultiplyWideningAndAdd(sum3, magnitude, Avx2.Sign(Vector256.Load(row3 + i), x));
        }
        Avx2Kernel.StoreSums(sum0, sum1, sum2, sum3, results);
    }

    public static void DotRows(sbyte* rows, int count, sbyte* vector, bool nonNegative, int length, int* results) =>
        Kernel.DotRows<AvxVnniKernel>(rows, count, vector, nonNegative, length, results);

    public static int Lanes => Avx2Kernel.Lanes;

    public static void Dot4Lanes(sbyte* row0, sbyte* row1, sbyte* row2, sbyte* row3, sbyte* vectors, bool nonNegative, int length, int* results)
    {
        Vector256<int> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
        if (nonNegative)
        {
            for (int i = 0; i < length; i += 4)
            {
                Vector256<byte> x = Vector256.Load((byte*)vectors + 8 * i);
                sum0 = AvxVnni.MultiplyWideningAndAdd(sum0, x, Avx2Kernel.Broadcast(row0 + i));
                sum1 = AvxVnni.MultiplyWideningAndAdd(sum1, x, Avx2Kernel.Broadcast(row1 + i));
                sum2 = AvxVnni.MultiplyWideningAndAdd(sum2, x, Avx2Kernel.Broadcast(row2 + i));
                sum3 = AvxVnni.MultiplyWideningAndAdd(sum3, x, Avx2Kernel.Broadcast(row3 + i));
            }
        }
        else
        {
            for (int i = 0; i < length; i += 4)
            {
                Vector256<sbyte> x = Vector256.Load(vectors + 8 * i);
                Vector256<byte> magnitude = Avx2.Abs(x);
                sum0 = AvxVnni.MultiplyWideningAndAdd(sum0, magnitude, Avx2.Sign(Avx2Kernel.Broadcast(row0 + i), x));
                sum1 = AvxVnni.MultiplyWideningAndAdd(sum1, magnitude, Avx2.Sign(Avx2Kernel.Broadcast(row1 + i), x));
                sum2 = AvxVnni.MultiplyWideningAndAdd(sum2, magnitude, Avx2.Sign(Avx2Kernel.Broadcast(row2 + i), x));
                sum3 = AvxVnni.MultiplyWideningAndAdd(sum3, magnitude, Avx2.Sign(Avx2Kernel.Broadcast(row3 + i), x));
            }
        }
        Avx2Kernel.StoreLanes(sum0, sum1, sum2, sum3, results);
    }

    public static void WeightedSum(sbyte* rows, nint stride, int* ids, short* coefficients, int count, int* results, int length) =>
        Avx2Kernel.WeightedSum(rows, stride, ids, coefficients, count, results, length);

    public static int DotInt4(byte* row, sbyte* vector, int length)
    {
        Vector256<int> sum = Vector256<int>.Zero;
        for (int i = 0; i < length; i += 64)
            sum = AddInt4(sum, row + i / 2, Vector256.Load(vector + i), Vector256.Load(vector + i + 32));
        return Vector256.Sum(sum);
    }

    public static void Dot4Int4(byte* row0, byte* row1, byte* row2, byte* row3, sbyte* vector, int length, int* results)
    {
        Vector256<int> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
        for (int i = 0; i < length; i += 64)
        {
            Vector256<sbyte> lower = Vector256.Load(vector + i), upper = Vector256.Load(vector + i + 32);
            sum0 = AddInt4(sum0, row0 + i / 2, lower, upper);
            sum1 = AddInt4(sum1, row1 + i / 2, lower, upper);
            sum2 = AddInt4(sum2, row2 + i / 2, lower, upper);
            sum3 = AddInt4(sum3, row3 + i / 2, lower, upper);
        }
        Avx2Kernel.StoreSums(sum0, sum1, sum2, sum3, results);
    }

    public static void WeightedSumInt4(byte* rows, nint stride, int* ids, short* coefficients, int count, int* results, int length) =>
        Avx2Kernel.WeightedSumInt4(rows, stride, ids, coefficients, count, results, length);

    private static Vector256<int> AddInt4(Vector256<int> sum, byte* row, Vector256<sbyte> lower, Vector256<sbyte> upper)
    {
        (Vector256<byte> a, Vector256<byte> b) = Int4.Load256(row);
        return AvxVnni.MultiplyWideningAndAdd(AvxVnni.MultiplyWideningAndAdd(sum, a, lower), b, upper);
    }
}
