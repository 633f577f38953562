using System.Runtime.Intrinsics;
using EdgeSlide.Training.Networks;

namespace EdgeSlide.Training.Training;

/// <summary>The hidden layers' activation and dropout in one step.</summary>
/// <param name="Function">Rectified or as it is.</param>
/// <param name="Dropout">Share of hidden units left out.</param>
/// <param name="Seed">Of the step.</param>
internal readonly unsafe record struct HiddenActivation(Activation Function, float Dropout = 0, ulong Seed = 0)
{
    private bool IsLinear => Function == Activation.Identity;

    /// <summary>In place: afterwards a hidden unit that takes no part is 0, and of rectified ones none but these.</summary>
    internal void Forward(float* h, int stride, int layer, int row)
    {
        for (int i = 0; i < stride && !IsLinear; i += VectorMath.Lanes)
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
        if (IsLinear && Dropout == 0)
            return;
        Vector512<float> scale = Vector512.Create(1 / (1 - Dropout));
        for (nint i = 0; i < (nint)rows * stride; i += VectorMath.Lanes)
        {
            // What is left out is 0; rectified units are never below it.
            Vector512<float> on = ~Vector512.Equals(Vector512.Load(h + i), default);
            Vector512.Store((Vector512.Load(gradient + i) * scale) & on, gradient + i);
        }
    }
}
