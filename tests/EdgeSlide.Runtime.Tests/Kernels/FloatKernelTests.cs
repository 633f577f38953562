using EdgeSlide.Kernels;

namespace EdgeSlide.Runtime.Tests.Kernels;

/// <summary>The floating-point loops against double precision, and the vector forms against the scalar ones, bit for bit.</summary>
public sealed unsafe class FloatKernelTests
{
    [Fact]
    public void Exp_is_within_a_millionth_of_the_truth()
    {
        for (double x = -86.9; x < 88; x += 0.0137)
        {
            double expected = Math.Exp((float)x);
            Assert.InRange(Math.Abs(StableMath.Exp((float)x) - expected), 0, 1e-6 * expected);
        }
    }

    [Fact]
    public void Exp_ends_in_zero_below_and_saturates_above()
    {
        Assert.Equal(1f, StableMath.Exp(0f));
        Assert.Equal(0f, StableMath.Exp(-87.01f));
        Assert.Equal(0f, StableMath.Exp(float.NegativeInfinity));
        Assert.Equal(StableMath.Exp(88f), StableMath.Exp(1000f));
        Assert.Equal(StableMath.Exp(88f), StableMath.Exp(float.PositiveInfinity));
        Assert.True(float.IsFinite(StableMath.Exp(88f)));
    }

    [Fact]
    public void Log2_is_within_its_stated_error()
    {
        for (double e = -140; e < 127.9; e += 0.0173)
        {
            float x = (float)Math.Pow(2, e);
            double expected = Math.Log2(x);
            Assert.InRange(Math.Abs(StableMath.Log2(x) - expected), 0, Math.Max(1e-6 * Math.Abs(expected), 1e-7));
        }
        Assert.Equal(0f, StableMath.Log2(1f));
        Assert.Equal(10f, StableMath.Log2(1024f));
        Assert.Equal(-149f, StableMath.Log2(float.Epsilon));
    }

    [Fact]
    public void Log1P_is_within_a_millionth_of_the_truth_from_tiny_to_huge()
    {
        Assert.Equal(0f, StableMath.Log1P(0f));
        for (double e = -30; e < 60; e += 0.0311)
        {
            float x = (float)Math.Pow(2, e);
            double expected = Math.Log(1 + (double)x);
            // 1 + x loses x's last bits; that error, half an ulp of 1, is the floor.
            Assert.InRange(Math.Abs(StableMath.Log1P(x) - expected), 0, 1e-6 * expected + 1.3e-7);
        }
    }

    [Fact]
    public void Quantize_rounds_half_to_even()
    {
        // 127 makes the step 1, so that the halves are exact.
        float[] values = [127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f, 126.5f, -126.5f, 0.49999997f, -127, 3.5f, 100.25f, 100.75f, -0f, 0];
        sbyte[] expected = [127, 0, 2, 2, 0, -2, -2, 126, -126, 0, -127, 4, 100, 101, 0, 0];
        (sbyte[] quantized, float scale) = Quantize(values);
        Assert.Equal(expected, quantized[..values.Length]);
        Assert.Equal(1f, scale);
    }

    [Fact]
    public void Quantize_equals_the_definition_on_random_vectors()
    {
        var random = new Random(4);
        for (int round = 0; round < 300; round++)
        {
            double magnitude = Math.Pow(10, random.Next(-28, 30));
            float[] values = [.. Enumerable.Range(0, 64 * random.Next(1, 5)).Select(_ => (float)((random.NextDouble() - 0.5) * magnitude))];
            float max = values.Max(MathF.Abs);
            (sbyte[] quantized, float scale) = Quantize(values);
            Assert.Equal(max / 127f, scale);
            for (int i = 0; i < values.Length; i++)
            {
                Assert.Equal(MathF.Round(values[i] * (127f / max), MidpointRounding.ToEven), quantized[i]);
                Assert.InRange(Math.Abs((double)quantized[i] * scale - values[i]), 0, scale * 0.5001);
            }
            Assert.Contains(quantized, q => q is 127 or -127);
        }
    }

    [Theory]
    [InlineData(0f)]
    [InlineData(-1e-31f)]
    [InlineData(1e-31f)]
    public void Quantize_of_nothing_is_nothing_with_a_scale_of_zero(float value)
    {
        (sbyte[] quantized, float scale) = Quantize([.. Enumerable.Repeat(value, 128)]);
        Assert.Equal(0f, scale);
        Assert.All(quantized, q => Assert.Equal(0, q));
    }

    [Fact]
    public void The_largest_magnitude_is_found_in_every_lane()
    {
        using var x = new NativeBuffer<float>(64);
        for (int i = 0; i < 64; i++)
        {
            x.Span.Fill(-1f);
            x.Pointer[i] = -2f - i;
            Assert.Equal(2f + i, FloatKernels.MaxMagnitude(x.Pointer, 64));
        }
    }

    [Fact]
    public void Relu_keeps_what_is_above_zero_and_nothing_else()
    {
        using var x = new NativeBuffer<float>(64);
        float[] values = [-1, 0, -0f, 1, float.Epsilon, -float.Epsilon, float.MaxValue, float.MinValue, float.NaN, float.PositiveInfinity, float.NegativeInfinity];
        values.CopyTo(x.Span);
        FloatKernels.Relu(x.Pointer, 64);
        float[] expected = [0, 0, 0, 1, float.Epsilon, 0, float.MaxValue, 0, 0, float.PositiveInfinity, 0];
        Assert.Equal(expected.Select(BitConverter.SingleToInt32Bits), x.Span[..expected.Length].ToArray().Select(BitConverter.SingleToInt32Bits));
    }

    [Fact]
    public void Sigmoid_is_within_a_millionth_at_any_length()
    {
        for (int length = 0; length < 20; length++)
        {
            using var x = new NativeBuffer<float>(32);
            x.Span.Fill(7f);
            for (int i = 0; i < length; i++)
                x.Pointer[i] = (i - 9) * 4.3f;
            FloatKernels.Sigmoid(x.Pointer, length);
            for (int i = 0; i < length; i++)
                Assert.InRange(Math.Abs(x.Pointer[i] - 1 / (1 + Math.Exp(-(double)((i - 9) * 4.3f)))), 0, 1e-6);
            Assert.All(x.Span[length..].ToArray(), beyond => Assert.Equal(7f, beyond));
        }
    }

    [Fact]
    public void Dequantize_scales_and_adds_as_the_scalar_expression_does()
    {
        var random = new Random(5);
        using var sums = new NativeBuffer<int>(128);
        using var bias = new NativeBuffer<float>(128);
        using var y = new NativeBuffer<float>(128);
        for (int i = 0; i < 128; i++)
        {
            sums.Pointer[i] = random.Next(int.MinValue, int.MaxValue);
            bias.Pointer[i] = random.NextSingle() - 0.5f;
        }
        FloatKernels.Dequantize(sums.Pointer, 3.1e-7f, bias.Pointer, y.Pointer, 128);
        for (int i = 0; i < 128; i++)
            Assert.Equal(sums.Pointer[i] * 3.1e-7f + bias.Pointer[i], y.Pointer[i]);
    }

    [Fact]
    public void Adding_logarithms_gives_the_scalar_bits_at_any_length()
    {
        var random = new Random(6);
        for (int length = 0; length < 40; length++)
        {
            using var x = new NativeBuffer<float>(64);
            using var votes = new NativeBuffer<float>(64);
            using var y = new NativeBuffer<float>(64);
            for (int i = 0; i < length; i++)
            {
                x.Pointer[i] = random.NextSingle() * 20 - 10;
                votes.Pointer[i] = (float)Math.Pow(2, random.NextDouble() * 270 - 145);
            }
            y.Span.Fill(5f);
            FloatKernels.AddLog2(x.Pointer, votes.Pointer, 0.7f, y.Pointer, length);
            for (int i = 0; i < length; i++)
                Assert.Equal(x.Pointer[i] + 0.7f * StableMath.Log2(votes.Pointer[i]), y.Pointer[i]);
            Assert.Equal(5f, y.Pointer[length]);
        }
    }

    [Fact]
    public void A_sum_of_exponentials_is_within_its_stated_error_at_any_length()
    {
        var random = new Random(7);
        using var x = new NativeBuffer<float>(512);
        foreach (int length in Enumerable.Range(1, 40).Append(511))
        {
            for (int i = 0; i < length; i++)
                x.Pointer[i] = random.NextSingle() * 60 - 30;
            float max = x.Span[..length].ToArray().Max();
            double expected = x.Span[..length].ToArray().Sum(v => Math.Exp((double)v - max));
            Assert.InRange(Math.Abs(FloatKernels.SumOfExponentials(x.Pointer, length, max) - expected), 0, 1e-5 * expected);
        }
    }

    [Fact]
    public void The_vector_exponential_gives_the_scalar_bits()
    {
        using var x = new NativeBuffer<float>(8);
        for (double v = -90; v <= 0; v += 0.0211)
        {
            // Seven addends that are exactly zero leave the eighth alone.
            x.Span.Fill(float.NegativeInfinity);
            x.Pointer[3] = (float)v;
            Assert.Equal(StableMath.Exp((float)v), FloatKernels.SumOfExponentials(x.Pointer, 8, 0f));
        }
    }

    private static (sbyte[] Quantized, float Scale) Quantize(float[] values)
    {
        int padded = (values.Length + 63) & ~63;
        using var x = new NativeBuffer<float>(padded);
        using var q = new NativeBuffer<sbyte>(padded);
        values.CopyTo(x.Span);
        q.Span.Fill(99);
        float scale = FloatKernels.Quantize(x.Pointer, q.Pointer, padded);
        return (q.Span.ToArray(), scale);
    }
}
