using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace EdgeSlide.Kernels;

/// <summary>
/// Rows of FP16 weights with FP32 vectors. Weights are widened by integer operations and one exact multiplication, so nothing
/// depends on a processor's own conversion. Sums run in eight lanes, as in <see cref="FloatKernels.SumOfExponentials"/>, and
/// multiplications are not fused with additions: all machines give the same bits. Lengths are multiples of 64.
/// </summary>
internal static unsafe class HalfRows
{
    /// <summary>2^112: from the exponent's place in an FP16 number, moved to its place in an FP32 number, to what it means.</summary>
    private const float Rebias = 5.192296858534828e33f;

    /// <summary>What is left of a pattern that was extended by its sign and shifted by 13: sign, exponent and fraction in their places.</summary>
    private const int SignAndMagnitude = unchecked((int)0x8FFFE000);

    /// <summary>Every pattern is a number; the exponent 31, for FP16 infinity, goes on as the others do.</summary>
    public static float Widen(ushort half) =>
        BitConverter.Int32BitsToSingle(BitConverter.SingleToInt32Bits(BitConverter.Int32BitsToSingle((half & 0x7FFF) << 13) * Rebias) | (half & 0x8000) << 16);

    /// <summary>Sum of row[i] * x[i].</summary>
    public static float Dot(ushort* row, float* x, int length)
    {
        if (Vector256.IsHardwareAccelerated)
        {
            Vector256<float> sum = Vector256<float>.Zero;
            for (int i = 0; i < length; i += 16)
                sum = AddProducts(sum, row + i, Vector256.Load(x + i), Vector256.Load(x + i + 8));
            return Fold(sum.GetLower(), sum.GetUpper());
        }
        Vector128<float> lower = Vector128<float>.Zero, upper = Vector128<float>.Zero;
        for (int i = 0; i < length; i += 8)
        {
            (Vector128<float> a, Vector128<float> b) = Widen(Vector128.Load(row + i));
            lower += a * Vector128.Load(x + i);
            upper += b * Vector128.Load(x + i + 4);
        }
        return Fold(lower, upper);
    }

    /// <summary>Four of <see cref="Dot"/> at once, to the same bits: their sums do not wait for each other.</summary>
    public static void Dot4(ushort* row0, ushort* row1, ushort* row2, ushort* row3, float* x, int length, float* results)
    {
        if (!Vector256.IsHardwareAccelerated)
        {
            results[0] = Dot(row0, x, length);
            results[1] = Dot(row1, x, length);
            results[2] = Dot(row2, x, length);
            results[3] = Dot(row3, x, length);
            return;
        }
        Vector256<float> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
        for (int i = 0; i < length; i += 16)
        {
            Vector256<float> lower = Vector256.Load(x + i), upper = Vector256.Load(x + i + 8);
            sum0 = AddProducts(sum0, row0 + i, lower, upper);
            sum1 = AddProducts(sum1, row1 + i, lower, upper);
            sum2 = AddProducts(sum2, row2 + i, lower, upper);
            sum3 = AddProducts(sum3, row3 + i, lower, upper);
        }
        results[0] = Fold(sum0.GetLower(), sum0.GetUpper());
        results[1] = Fold(sum1.GetLower(), sum1.GetUpper());
        results[2] = Fold(sum2.GetLower(), sum2.GetUpper());
        results[3] = Fold(sum3.GetLower(), sum3.GetUpper());
    }

    /// <summary>y[j] = y[j] + row[j] * factor.</summary>
    public static void AddRow(ushort* row, float factor, float* y, int length)
    {
        Vector128<float> scale = Vector128.Create(factor);
        for (int j = 0; j < length; j += 8)
        {
            (Vector128<float> a, Vector128<float> b) = Widen(Vector128.Load(row + j));
            (Vector128.Load(y + j) + a * scale).Store(y + j);
            (Vector128.Load(y + j + 4) + b * scale).Store(y + j + 4);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> AddProducts(Vector256<float> sum, ushort* row, Vector256<float> x0, Vector256<float> x1)
    {
        (Vector256<int> lower, Vector256<int> upper) = Vector256.Widen(Vector256.Load((short*)row));
        sum += Widen(lower) * x0;
        return sum + Widen(upper) * x1;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Widen(Vector256<int> half) => ((half << 13) & Vector256.Create(SignAndMagnitude)).AsSingle() * Vector256.Create(Rebias);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector128<float>, Vector128<float>) Widen(Vector128<ushort> half)
    {
        (Vector128<int> lower, Vector128<int> upper) = Vector128.Widen(half.AsInt16());
        return (Widen(lower), Widen(upper));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Widen(Vector128<int> half) => ((half << 13) & Vector128.Create(SignAndMagnitude)).AsSingle() * Vector128.Create(Rebias);

    private static float Fold(Vector128<float> lower, Vector128<float> upper) =>
        ((lower[0] + lower[1]) + (lower[2] + lower[3])) + ((upper[0] + upper[1]) + (upper[2] + upper[3]));
}
