using System.Runtime.Intrinsics;

namespace EdgeSlide.Training.Training;

/// <summary>ReLU and dropout of the hidden layers in one step.</summary>
/// <param name="Dropout">Share of hidden units left out.</param>
/// <param name="Seed">Of the step.</param>
internal readonly unsafe record struct Rectifier(float Dropout, ulong Seed)
{
    /// <summary>In place: afterwards a hidden unit is positive exactly if it takes part.</summary>
    internal void Forward(float* h, int stride, int layer, int row)
    {
        for (int i = 0; i < stride; i += VectorMath.Lanes)
            Vector512.Store(Vector512.Max(Vector512.Load(h + i), default), h + i);
        if (Dropout == 0)
            return;
        ulong key = Noise.Mix(Seed ^ ((ulong)row << 32) ^ ((ulong)layer << 24));
        uint threshold = (uint)(Dropout * 4294967295.0);
        float scale = 1 / (1 - Dropout);
        for (int i = 0; i < stride; i += 2)
        {
            ulong random = Noise.Mix(key + (ulong)i);
            h[i] = (uint)random < threshold ? 0 : h[i] * scale;
            h[i + 1] = (uint)(random >> 32) < threshold ? 0 : h[i + 1] * scale;
        }
    }

    /// <summary>Multiplies gradients of rows by the derivative of <see cref="Forward"/>, whose results are in <paramref name="h"/>.</summary>
    internal void Backward(float* gradient, float* h, int rows, int stride)
    {
        Vector512<float> scale = Vector512.Create(1 / (1 - Dropout));
        for (nint i = 0; i < (nint)rows * stride; i += VectorMath.Lanes)
        {
            Vector512<float> on = Vector512.GreaterThan(Vector512.Load(h + i), default);
            Vector512.Store((Vector512.Load(gradient + i) * scale) & on, gradient + i);
        }
    }
}
