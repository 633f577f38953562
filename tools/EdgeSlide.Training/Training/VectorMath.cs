using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace EdgeSlide.Training.Training;

/// <summary>Element-wise loops over rows whose length is a multiple of 16 (training pads every row to that).</summary>
internal static unsafe class VectorMath
{
    internal const int Lanes = 16;

    internal static int Pad(int length) => (length + Lanes - 1) / Lanes * Lanes;

    /// <summary>
    /// exp(x) by range reduction to |r| &lt;= ln(2)/2 and a polynomial of degree 6 (relative error below 3e-7). Below -87 the
    /// result is about 1e-38, not a subnormal number; above 88 it saturates.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector512<float> Exp(Vector512<float> x)
    {
        x = Vector512.Min(Vector512.Max(x, Vector512.Create(-87f)), Vector512.Create(88f));
        Vector512<float> n = Vector512.Floor(
            Vector512.FusedMultiplyAdd(x, Vector512.Create(1.44269504f), Vector512.Create(0.5f)));
        Vector512<float> r = Vector512.FusedMultiplyAdd(n, Vector512.Create(-0.693359375f), x);
        r = Vector512.FusedMultiplyAdd(n, Vector512.Create(2.12194440e-4f), r);
        Vector512<float> p = Vector512.Create(1.3981999e-3f);
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(8.3334519e-3f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(4.1665795e-2f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(0.16666665f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(0.5f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512<float>.One);
        p = Vector512.FusedMultiplyAdd(p, r, Vector512<float>.One);
        Vector512<int> exponent = (Vector512.ConvertToInt32(n) + Vector512.Create(127)) << 23;
        return p * exponent.AsSingle();
    }

    /// <summary>y += scale * x.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void AddScaled(float* y, float* x, float scale, int length)
    {
        Vector512<float> factor = Vector512.Create(scale);
        for (int i = 0; i < length; i += Lanes)
            Vector512.Store(Vector512.FusedMultiplyAdd(Vector512.Load(x + i), factor, Vector512.Load(y + i)), y + i);
    }

    /// <summary>Whether no element is infinite or not a number.</summary>
    internal static bool AllFinite(float* x, long length)
    {
        Vector512<float> sum = default;
        for (long i = 0; i < length; i += Lanes)
            sum += Vector512.Load(x + i) * 0f;
        return Vector512.Sum(sum) == 0;
    }

    internal static float SumOfSquares(float* x, int length)
    {
        Vector512<float> sum = default;
        for (int i = 0; i < length; i += Lanes)
        {
            Vector512<float> v = Vector512.Load(x + i);
            sum = Vector512.FusedMultiplyAdd(v, v, sum);
        }
        return Vector512.Sum(sum);
    }

    /// <summary>z += offset; returns the largest sum.</summary>
    internal static float AddAndMax(float* z, float* offset, int length)
    {
        Vector512<float> max = Vector512.Create(float.NegativeInfinity);
        for (int i = 0; i < length; i += Lanes)
        {
            Vector512<float> v = Vector512.Load(z + i) + Vector512.Load(offset + i);
            Vector512.Store(v, z + i);
            max = Vector512.Max(max, v);
        }
        float best = max[0];
        for (int i = 1; i < Lanes; i++)
            best = Math.Max(best, max[i]);
        return best;
    }

    /// <summary>Sum of exp(z - shift).</summary>
    internal static float SumExp(float* z, float shift, int length)
    {
        Vector512<float> sum = default;
        Vector512<float> minus = Vector512.Create(shift);
        for (int i = 0; i < length; i += Lanes)
            sum += Exp(Vector512.Load(z + i) - minus);
        return Vector512.Sum(sum);
    }

    /// <summary>z = exp(z - shift); returns the sum, the same as <see cref="SumExp"/>.</summary>
    internal static float ExpAndSum(float* z, float shift, int length)
    {
        Vector512<float> sum = default;
        Vector512<float> minus = Vector512.Create(shift);
        for (int i = 0; i < length; i += Lanes)
        {
            Vector512<float> e = Exp(Vector512.Load(z + i) - minus);
            Vector512.Store(e, z + i);
            sum += e;
        }
        return Vector512.Sum(sum);
    }

    /// <summary>z *= factor.</summary>
    internal static void Scale(float* z, float factor, int length)
    {
        Vector512<float> f = Vector512.Create(factor);
        for (int i = 0; i < length; i += Lanes)
            Vector512.Store(Vector512.Load(z + i) * f, z + i);
    }

    /// <summary>z = exp(z - shift) * scale.</summary>
    internal static void ScaledExp(float* z, float shift, float scale, int length)
    {
        Vector512<float> minus = Vector512.Create(shift);
        Vector512<float> factor = Vector512.Create(scale);
        for (int i = 0; i < length; i += Lanes)
            Vector512.Store(Exp(Vector512.Load(z + i) - minus) * factor, z + i);
    }

    /// <summary>
    /// Turns logits into sigmoid gradients: z = weight * sigmoid(z) * scale; returns the weighted sum of softplus(z), the loss
    /// of the negative class.
    /// </summary>
    internal static double Sigmoid(float* z, float* weight, float scale, int length)
    {
        double loss = 0;
        for (int i = 0; i < length; i++)
        {
            if (weight[i] == 0)
            {
                z[i] = 0;
                continue;
            }
            float e = MathF.Exp(-MathF.Abs(z[i]));
            loss += weight[i] * (Math.Max(z[i], 0) + MathF.Log(1 + e));
            float p = z[i] >= 0 ? 1 / (1 + e) : e / (1 + e);
            z[i] = weight[i] * p * scale;
        }
        return loss;
    }
}
