using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;

namespace EdgeSlide.Kernels;

/// <summary>ARM with the dot product extension (Cortex-A76, A78AE): SDOT, 16 multiplications per instruction.</summary>
internal readonly unsafe struct SdotKernel : IKernel
{
    public static string Name => "sdot";

    public static bool IsSupported => Dp.IsSupported && AdvSimd.Arm64.IsSupported;

    public static int Dot(sbyte* a, sbyte* b, int length)
    {
        Vector128<int> sum0 = default, sum1 = default;
        for (int i = 0; i < length; i += 32)
        {
            sum0 = Dp.DotProduct(sum0, Vector128.Load(a + i), Vector128.Load(b + i));
            sum1 = Dp.DotProduct(sum1, Vector128.Load(a + i + 16), Vector128.Load(b + i + 16));
        }
        return AdvSimd.Arm64.AddAcross(sum0 + sum1).ToScalar();
    }

    public static void Dot4(sbyte* row0, sbyte* row1, sbyte* row2, sbyte* row3, sbyte* vector, bool nonNegative, int length, int* results)
    {
        Vector128<int> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
        for (int i = 0; i < length; i += 16)
        {
            Vector128<sbyte> x = Vector128.Load(vector + i);
            sum0 = Dp.DotProduct(sum0, Vector128.Load(row0 + i), x);
            sum1 = Dp.DotProduct(sum1, Vector128.Load(row1 + i), x);
            sum2 = Dp.DotProduct(sum2, Vector128.Load(row2 + i), x);
            sum3 = Dp.DotProduct(sum3, Vector128.Load(row3 + i), x);
        }
        NeonKernel.StoreSums(sum0, sum1, sum2, sum3, results);
    }

    public static void DotRows(sbyte* rows, int count, sbyte* vector, bool nonNegative, int length, int* results) =>
        Kernel.DotRows<SdotKernel>(rows, count, vector, nonNegative, length, results);

    public static void WeightedSum(sbyte* rows, nint stride, int* ids, short* coefficients, int count, int* results, int length) =>
        NeonKernel.WeightedSum(rows, stride, ids, coefficients, count, results, length);

    public static int DotInt4(byte* row, sbyte* vector, int length)
    {
        Vector128<int> sum0 = default, sum1 = default;
        for (int i = 0; i < length; i += 64)
        {
            sum0 = AddInt4(sum0, row + i / 2, vector + i);
            sum1 = AddInt4(sum1, row + i / 2 + 16, vector + i + 16);
        }
        return AdvSimd.Arm64.AddAcross(sum0 + sum1).ToScalar();
    }

    public static void Dot4Int4(byte* row0, byte* row1, byte* row2, byte* row3, sbyte* vector, int length, int* results)
    {
        Vector128<int> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
        for (int i = 0; i < length; i += i % 64 == 0 ? 16 : 48)
        {
            int at = i / 64 * 32 + i % 32;
            sum0 = AddInt4(sum0, row0 + at, vector + i);
            sum1 = AddInt4(sum1, row1 + at, vector + i);
            sum2 = AddInt4(sum2, row2 + at, vector + i);
            sum3 = AddInt4(sum3, row3 + at, vector + i);
        }
        NeonKernel.StoreSums(sum0, sum1, sum2, sum3, results);
    }

    public static void WeightedSumInt4(byte* rows, nint stride, int* ids, short* coefficients, int count, int* results, int length) =>
        NeonKernel.WeightedSumInt4(rows, stride, ids, coefficients, count, results, length);

    /// <summary>The weights of 16 bytes with the vector's elements from here on and 32 further.</summary>
    private static Vector128<int> AddInt4(Vector128<int> sum, byte* row, sbyte* vector)
    {
        (Vector128<byte> lower, Vector128<byte> upper) = Int4.Load128(row);
        return Dp.DotProduct(Dp.DotProduct(sum, lower.AsSByte(), Vector128.Load(vector)), upper.AsSByte(), Vector128.Load(vector + 32));
    }
}
