using System.Runtime.Intrinsics;

namespace EdgeSlide.Kernels;

/// <summary>
/// The few floating-point loops between the integer ones. Each output depends on one input by IEEE operations in a fixed
/// order (no fused multiply-add, no reordering), so all machines give the same bits; only <see cref="SumOfExponentials"/>
/// adds, always in eight interleaved lanes. Lengths are multiples of 64, those of <see cref="Dequantize"/> of 4.
/// </summary>
internal static unsafe class FloatKernels
{
    /// <summary>y[j] = sums[j] * scale + bias[j].</summary>
    public static void Dequantize(int* sums, float scale, float* bias, float* y, int length)
    {
        Vector128<float> factor = Vector128.Create(scale);
        for (int j = 0; j < length; j += 4)
            (Vector128.ConvertToSingle(Vector128.Load(sums + j)) * factor + Vector128.Load(bias + j)).Store(y + j);
    }

    public static void Relu(float* x, int length)
    {
        for (int j = 0; j < length; j += 4)
        {
            Vector128<float> value = Vector128.Load(x + j);
            Vector128.ConditionalSelect(Vector128.GreaterThan(value, Vector128<float>.Zero), value, Vector128<float>.Zero).Store(x + j);
        }
    }

    /// <summary>For any length.</summary>
    public static void Sigmoid(float* x, int length)
    {
        for (int j = 0; j < length; j++)
            x[j] = 1f / (1f + StableMath.Exp(-x[j]));
    }

    /// <summary>max |x[j]|, for any length; what is no number counts for nothing.</summary>
    public static float MaxMagnitude(float* x, int length)
    {
        Vector128<float> max = Vector128<float>.Zero;
        int j = 0;
        for (; j + 4 <= length; j += 4)
        {
            Vector128<float> magnitude = Vector128.Abs(Vector128.Load(x + j));
            max = Vector128.ConditionalSelect(Vector128.GreaterThan(magnitude, max), magnitude, max);
        }
        float largest = MathF.Max(MathF.Max(max.GetElement(0), max.GetElement(1)), MathF.Max(max.GetElement(2), max.GetElement(3)));
        for (; j < length; j++)
        {
            float magnitude = MathF.Abs(x[j]);
            largest = magnitude > largest ? magnitude : largest;
        }
        return largest;
    }

    /// <summary>
    /// Symmetric INT8 quantization: q = round-half-even(x * 127 / max|x|). Returns the scale, the value of one step; 0 for
    /// a vector of zeros.
    /// </summary>
    public static float Quantize(float* x, sbyte* quantized, int length)
    {
        float max = MaxMagnitude(x, length);
        if (!(max > 1e-30f))
        {
            new Span<sbyte>(quantized, length).Clear();
            return 0f;
        }
        float inverse = 127f / max;
        // Adding 1.5 * 2^23 rounds to the nearest even integer and leaves it in the low mantissa bits, on every machine.
        Vector128<float> factor = Vector128.Create(inverse), magic = Vector128.Create(12582912f);
        Vector128<int> offset = magic.AsInt32();
        for (int j = 0; j < length; j += 16)
        {
            Vector128<int> q0 = (Vector128.Load(x + j) * factor + magic).AsInt32() - offset;
            Vector128<int> q1 = (Vector128.Load(x + j + 4) * factor + magic).AsInt32() - offset;
            Vector128<int> q2 = (Vector128.Load(x + j + 8) * factor + magic).AsInt32() - offset;
            Vector128<int> q3 = (Vector128.Load(x + j + 12) * factor + magic).AsInt32() - offset;
            Vector128.Narrow(Vector128.Narrow(q0, q1), Vector128.Narrow(q2, q3)).Store(quantized + j);
        }
        return max / 127f;
    }

    /// <summary>
    /// q[j] = round-half-even(x[j] * factor), for any length and products within INT16; what is no number becomes 0. Room for up to
    /// seven more is read and written.
    /// </summary>
    public static void QuantizeToInt16(float* x, float factor, short* quantized, int length)
    {
        Vector128<float> scale = Vector128.Create(factor), magic = Vector128.Create(12582912f);
        for (int j = 0; j < length; j += 8)
        {
            Vector128<float> low = Vector128.Load(x + j) * scale, high = Vector128.Load(x + j + 4) * scale;
            Vector128<int> q0 = ((low & Vector128.Equals(low, low)) + magic).AsInt32() - magic.AsInt32();
            Vector128<int> q1 = ((high & Vector128.Equals(high, high)) + magic).AsInt32() - magic.AsInt32();
            Vector128.Narrow(q0, q1).Store(quantized + j);
        }
    }

    /// <summary>y[j] = x[j] + factor * log2(votes[j]) for positive votes, for any length: as <see cref="StableMath.Log2"/>, four at a time.</summary>
    public static void AddLog2(float* x, float* votes, float factor, float* y, int length)
    {
        int j = 0;
        for (; j + 4 <= length; j += 4)
            (Vector128.Load(x + j) + Vector128.Create(factor) * Log2(Vector128.Load(votes + j))).Store(y + j);
        for (; j < length; j++)
            y[j] = x[j] + factor * StableMath.Log2(votes[j]);
    }

    private static Vector128<float> Log2(Vector128<float> x)
    {
        Vector128<float> normal = Vector128.GreaterThanOrEqual(x, Vector128.Create(1.17549435e-38f));
        Vector128<int> bits = Vector128.ConditionalSelect(normal, x, x * Vector128.Create(8388608f)).AsInt32();
        Vector128<int> bias = Vector128.ConditionalSelect(normal.AsInt32(), Vector128.Create(127), Vector128.Create(150));
        Vector128<int> split = Vector128.Create(0x3F3504F3);
        Vector128<int> shifted = bits - split;
        Vector128<float> exponent = Vector128.ConvertToSingle((shifted >> 23) + Vector128.Create(127) - bias);
        Vector128<float> mantissa = ((shifted & Vector128.Create(0x007FFFFF)) + split).AsSingle();
        Vector128<float> t = (mantissa - Vector128<float>.One) / (mantissa + Vector128<float>.One);
        Vector128<float> t2 = t * t;
        Vector128<float> series = Vector128.Create(0.32059890f) + t2 * Vector128.Create(0.26230818f);
        series = Vector128.Create(0.41219859f) + t2 * series;
        series = Vector128.Create(0.57707802f) + t2 * series;
        series = Vector128.Create(0.96179669f) + t2 * series;
        series = Vector128.Create(2.88539008f) + t2 * series;
        return exponent + t * series;
    }

    /// <summary>sum of e^(x[j] - max), for any length; relative error below 1e-5.</summary>
    public static float SumOfExponentials(float* x, int length, float max)
    {
        Vector128<float> even = Vector128<float>.Zero, odd = Vector128<float>.Zero, shift = Vector128.Create(max);
        int j = 0;
        for (; j + 8 <= length; j += 8)
        {
            even += Exponentials(Vector128.Load(x + j) - shift);
            odd += Exponentials(Vector128.Load(x + j + 4) - shift);
        }
        float sum = Vector128.Sum(even) + Vector128.Sum(odd);
        for (; j < length; j++)
            sum += StableMath.Exp(x[j] - max);
        return sum;
    }

    /// <summary>As <see cref="StableMath.Exp"/> for arguments of at most 0.</summary>
    private static Vector128<float> Exponentials(Vector128<float> x)
    {
        Vector128<float> magic = Vector128.Create(12582912f);
        Vector128<float> inRange = Vector128.GreaterThan(x, Vector128.Create(-87f));
        Vector128<float> shifted = x * Vector128.Create(1.44269504f) + magic;
        Vector128<float> n = shifted - magic;
        Vector128<float> r = x - n * Vector128.Create(0.693359375f) - n * Vector128.Create(-2.12194440e-4f);
        Vector128<float> p = Vector128.Create(1.3888889e-3f);
        p = Vector128.Create(8.3333333e-3f) + r * p;
        p = Vector128.Create(4.1666667e-2f) + r * p;
        p = Vector128.Create(1.6666667e-1f) + r * p;
        p = Vector128.Create(0.5f) + r * p;
        p = Vector128<float>.One + r * p;
        p = Vector128<float>.One + r * p;
        Vector128<float> power = ((shifted.AsInt32() - magic.AsInt32() + Vector128.Create(127)) << 23).AsSingle();
        return (p * power) & inRange;
    }
}
