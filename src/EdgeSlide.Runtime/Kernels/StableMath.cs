using System.Runtime.CompilerServices;

namespace EdgeSlide.Kernels;

/// <summary>
/// Elementary functions that give the same bits on every machine: built from IEEE additions, multiplications and divisions
/// in a fixed order, never from the platform's math library and never with fused multiply-add.
/// </summary>
internal static class StableMath
{
    /// <summary>log2(x) for finite x &gt; 0, relative error below 1e-6 away from x = 1, absolute below 1e-7 near it.</summary>
    public static float Log2(float x)
    {
        int bits = BitConverter.SingleToInt32Bits(x);
        int exponentBias = 127;
        if (bits < 1 << 23)
        {
            // Subnormal: scale into the normal range first.
            bits = BitConverter.SingleToInt32Bits(x * 8388608f);
            exponentBias += 23;
        }
        // Split so that the mantissa lies in [sqrt(1/2), sqrt(2)).
        int shifted = bits - 0x3F3504F3;
        int exponent = (shifted >> 23) + 127 - exponentBias;
        float mantissa = BitConverter.Int32BitsToSingle((shifted & 0x007FFFFF) + 0x3F3504F3);
        float t = (mantissa - 1f) / (mantissa + 1f);
        float t2 = t * t;
        float series = 0.32059890f + t2 * 0.26230818f;
        series = 0.41219859f + t2 * series;
        series = 0.57707802f + t2 * series;
        series = 0.96179669f + t2 * series;
        series = 2.88539008f + t2 * series;
        return exponent + t * series;
    }

    /// <summary>ln(1 + x) for x &gt;= 0.</summary>
    public static float Log1P(float x) => x < 1e-4f ? x - 0.5f * x * x : Log2(1f + x) * 0.69314718f;

    /// <summary>e^x, flushed to 0 below -87 and saturated above 88; relative error below 1e-6.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Exp(float x)
    {
        if (x < -87f)
            return 0f;
        if (x > 88f)
            x = 88f;
        float n = MathF.Round(x * 1.44269504f);
        float r = x - n * 0.693359375f;
        r -= n * -2.12194440e-4f;
        float p = 1.3888889e-3f;
        p = 8.3333333e-3f + r * p;
        p = 4.1666667e-2f + r * p;
        p = 1.6666667e-1f + r * p;
        p = 0.5f + r * p;
        p = 1f + r * p;
        p = 1f + r * p;
        return p * BitConverter.Int32BitsToSingle(((int)n + 127) << 23);
    }
}
