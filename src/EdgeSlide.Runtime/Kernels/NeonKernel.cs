using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;

namespace EdgeSlide.Kernels;

/// <summary>ARM NEON without the dot product extension (Cortex-A53, A57, A72): SMULL, then pairwise accumulate (SADALP).</summary>
internal readonly unsafe struct NeonKernel : IKernel
{
    public static string Name => "neon";

    public static bool IsSupported => AdvSimd.Arm64.IsSupported;

    public static int Dot(sbyte* a, sbyte* b, int length)
    {
        Vector128<int> lower = default, upper = default;
        for (int i = 0; i < length; i += 16)
            Accumulate(Vector128.Load(a + i), Vector128.Load(b + i), ref lower, ref upper);
        return AdvSimd.Arm64.AddAcross(lower + upper).ToScalar();
    }

    public static void Dot4(sbyte* row0, sbyte* row1, sbyte* row2, sbyte* row3, sbyte* vector, bool nonNegative, int length, int* results)
    {
        Vector128<int> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
        for (int i = 0; i < length; i += 16)
        {
            Vector128<sbyte> x = Vector128.Load(vector + i);
            Accumulate(Vector128.Load(row0 + i), x, ref sum0, ref sum0);
            Accumulate(Vector128.Load(row1 + i), x, ref sum1, ref sum1);
            Accumulate(Vector128.Load(row2 + i), x, ref sum2, ref sum2);
            Accumulate(Vector128.Load(row3 + i), x, ref sum3, ref sum3);
        }
        StoreSums(sum0, sum1, sum2, sum3, results);
    }

    public static void DotRows(sbyte* rows, int count, sbyte* vector, bool nonNegative, int length, int* results) =>
        Kernel.DotRows<NeonKernel>(rows, count, vector, nonNegative, length, results);

    public static void WeightedSum(sbyte* rows, nint stride, int* ids, short* coefficients, int count, int* results, int length)
    {
        for (int j = 0; j < length; j += 32)
        {
            Vector128<int> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
            Vector128<int> sum4 = default, sum5 = default, sum6 = default, sum7 = default;
            for (int i = 0; i < count; i++)
            {
                sbyte* row = rows + ids[i] * stride + j;
                Vector128<short> coefficient = Vector128.Create(coefficients[i]);
                Vector128<sbyte> w = Vector128.Load(row);
                Vector128<short> w0 = AdvSimd.SignExtendWideningLower(w.GetLower());
                Vector128<short> w1 = AdvSimd.SignExtendWideningUpper(w);
                sum0 = AdvSimd.MultiplyWideningLowerAndAdd(sum0, w0.GetLower(), coefficient.GetLower());
                sum1 = AdvSimd.MultiplyWideningUpperAndAdd(sum1, w0, coefficient);
                sum2 = AdvSimd.MultiplyWideningLowerAndAdd(sum2, w1.GetLower(), coefficient.GetLower());
                sum3 = AdvSimd.MultiplyWideningUpperAndAdd(sum3, w1, coefficient);
                w = Vector128.Load(row + 16);
                w0 = AdvSimd.SignExtendWideningLower(w.GetLower());
                w1 = AdvSimd.SignExtendWideningUpper(w);
                sum4 = AdvSimd.MultiplyWideningLowerAndAdd(sum4, w0.GetLower(), coefficient.GetLower());
                sum5 = AdvSimd.MultiplyWideningUpperAndAdd(sum5, w0, coefficient);
                sum6 = AdvSimd.MultiplyWideningLowerAndAdd(sum6, w1.GetLower(), coefficient.GetLower());
                sum7 = AdvSimd.MultiplyWideningUpperAndAdd(sum7, w1, coefficient);
            }
            sum0.Store(results + j);
            sum1.Store(results + j + 4);
            sum2.Store(results + j + 8);
            sum3.Store(results + j + 12);
            sum4.Store(results + j + 16);
            sum5.Store(results + j + 20);
            sum6.Store(results + j + 24);
            sum7.Store(results + j + 28);
        }
    }

    public static int DotInt4(byte* row, sbyte* vector, int length)
    {
        Vector128<int> lower = default, upper = default;
        for (int i = 0; i < length; i += 64)
        {
            AccumulateInt4(row + i / 2, vector + i, ref lower, ref upper);
            AccumulateInt4(row + i / 2 + 16, vector + i + 16, ref lower, ref upper);
        }
        return AdvSimd.Arm64.AddAcross(lower + upper).ToScalar();
    }

    public static void Dot4Int4(byte* row0, byte* row1, byte* row2, byte* row3, sbyte* vector, int length, int* results)
    {
        Vector128<int> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
        for (int i = 0; i < length; i += i % 64 == 0 ? 16 : 48)
        {
            int at = i / 64 * 32 + i % 32;
            AccumulateInt4(row0 + at, vector + i, ref sum0, ref sum0);
            AccumulateInt4(row1 + at, vector + i, ref sum1, ref sum1);
            AccumulateInt4(row2 + at, vector + i, ref sum2, ref sum2);
            AccumulateInt4(row3 + at, vector + i, ref sum3, ref sum3);
        }
        StoreSums(sum0, sum1, sum2, sum3, results);
    }

    public static void WeightedSumInt4(byte* rows, nint stride, int* ids, short* coefficients, int count, int* results, int length)
    {
        Vector128<sbyte> zero = Vector128.Create((sbyte)Int4.Zero);
        // 16 bytes at a time are 16 outputs and the 16 that stand 32 further.
        for (int j = 0; j < length; j += j % 64 == 0 ? 16 : 48)
        {
            Vector128<int> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
            Vector128<int> sum4 = default, sum5 = default, sum6 = default, sum7 = default;
            int at = j / 64 * 32 + j % 32;
            for (int i = 0; i < count; i++)
            {
                (Vector128<byte> lower, Vector128<byte> upper) = Int4.Load128(rows + ids[i] * stride + at);
                Vector128<short> coefficient = Vector128.Create(coefficients[i]);
                Vector128<sbyte> w = lower.AsSByte() - zero;
                Vector128<short> w0 = AdvSimd.SignExtendWideningLower(w.GetLower());
                Vector128<short> w1 = AdvSimd.SignExtendWideningUpper(w);
                sum0 = AdvSimd.MultiplyWideningLowerAndAdd(sum0, w0.GetLower(), coefficient.GetLower());
                sum1 = AdvSimd.MultiplyWideningUpperAndAdd(sum1, w0, coefficient);
                sum2 = AdvSimd.MultiplyWideningLowerAndAdd(sum2, w1.GetLower(), coefficient.GetLower());
                sum3 = AdvSimd.MultiplyWideningUpperAndAdd(sum3, w1, coefficient);
                w = upper.AsSByte() - zero;
                w0 = AdvSimd.SignExtendWideningLower(w.GetLower());
                w1 = AdvSimd.SignExtendWideningUpper(w);
                sum4 = AdvSimd.MultiplyWideningLowerAndAdd(sum4, w0.GetLower(), coefficient.GetLower());
                sum5 = AdvSimd.MultiplyWideningUpperAndAdd(sum5, w0, coefficient);
                sum6 = AdvSimd.MultiplyWideningLowerAndAdd(sum6, w1.GetLower(), coefficient.GetLower());
                sum7 = AdvSimd.MultiplyWideningUpperAndAdd(sum7, w1, coefficient);
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

    /// <summary>Four vectors of four lanes to their four sums.</summary>
    internal static void StoreSums(Vector128<int> sum0, Vector128<int> sum1, Vector128<int> sum2, Vector128<int> sum3, int* results) =>
        AdvSimd.Arm64.AddPairwise(AdvSimd.Arm64.AddPairwise(sum0, sum1), AdvSimd.Arm64.AddPairwise(sum2, sum3)).Store(results);

    private static void Accumulate(Vector128<sbyte> a, Vector128<sbyte> b, ref Vector128<int> lower, ref Vector128<int> upper)
    {
        lower = AdvSimd.AddPairwiseWideningAndAdd(lower, AdvSimd.MultiplyWideningLower(a.GetLower(), b.GetLower()));
        upper = AdvSimd.AddPairwiseWideningAndAdd(upper, AdvSimd.MultiplyWideningUpper(a, b));
    }

    /// <summary>The weights of 16 bytes with the vector's elements from here on and 32 further.</summary>
    private static void AccumulateInt4(byte* row, sbyte* vector, ref Vector128<int> sum0, ref Vector128<int> sum1)
    {
        (Vector128<byte> lower, Vector128<byte> upper) = Int4.Load128(row);
        Accumulate(lower.AsSByte(), Vector128.Load(vector), ref sum0, ref sum1);
        Accumulate(upper.AsSByte(), Vector128.Load(vector + 32), ref sum0, ref sum1);
    }
}
