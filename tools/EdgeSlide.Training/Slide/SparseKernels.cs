using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using EdgeSlide.Training.Training;

namespace EdgeSlide.Training.Slide;

/// <summary>Loops of one neuron over its active inputs; <c>ids</c> null means all inputs in order, padded to 16.</summary>
internal static unsafe class SparseKernels
{
    public static float Dot(float* row, int* ids, float* values, int count)
    {
        if (ids == null)
        {
            Vector512<float> sum = default;
            for (int i = 0; i < count; i += VectorMath.Lanes)
                sum = Vector512.FusedMultiplyAdd(Vector512.Load(row + i), Vector512.Load(values + i), sum);
            return Vector512.Sum(sum);
        }
        int at = 0;
        float total = 0;
        if (Avx2.IsSupported)
        {
            Vector256<float> sum = default;
            for (; at + 8 <= count; at += 8)
                sum += Avx2.GatherVector256(row, Vector256.Load(ids + at), sizeof(float)) * Vector256.Load(values + at);
            total = Vector256.Sum(sum);
        }
        for (; at < count; at++)
            total += row[ids[at]] * values[at];
        return total;
    }

    /// <summary>back += delta * row over the active inputs, before the row changes.</summary>
    public static void Backward(float* row, int* ids, int count, float delta, float* back)
    {
        if (ids == null)
        {
            VectorMath.AddScaled(back, row, delta, VectorMath.Pad(count));
            return;
        }
        int at = 0;
        if (Avx2.IsSupported)
        {
            Vector256<float> d = Vector256.Create(delta);
            for (; at + 8 <= count; at += 8)
                (Vector256.Load(back + at) + (d * Avx2.GatherVector256(row, Vector256.Load(ids + at), sizeof(float)))).Store(back + at);
        }
        for (; at < count; at++)
            back[at] += delta * row[ids[at]];
    }

    /// <summary>One optimizer step of the row with gradient delta * values on its active inputs.</summary>
    public static void Update(float* row, float* first, float* second, int* ids, float* values, int count, float delta, in SlideStep step)
    {
        if (!step.Adam)
        {
            float move = -step.Rate * delta;
            if (ids == null)
                VectorMath.AddScaled(row, values, move, VectorMath.Pad(count));
            for (int i = 0; ids != null && i < count; i++)
                row[ids[i]] += move * values[i];
            return;
        }
        if (ids != null)
        {
            int at = Avx2.IsSupported ? Gathered(row, first, second, ids, values, count, delta, step) : 0;
            for (; at < count; at++)
                Adam(ref row[ids[at]], ref first[ids[at]], ref second[ids[at]], delta * values[at], step);
            return;
        }
        Vector512<float> b1 = Vector512.Create(SlideStep.Beta1), b2 = Vector512.Create(SlideStep.Beta2), epsilon = Vector512.Create(SlideStep.Epsilon);
        Vector512<float> rate = Vector512.Create(step.Rate), d = Vector512.Create(delta);
        for (int i = 0; i < count; i += VectorMath.Lanes)
        {
            Vector512<float> g = d * Vector512.Load(values + i);
            Vector512<float> m = (Vector512.Load(first + i) * b1) + (g * (Vector512<float>.One - b1));
            Vector512<float> v = (Vector512.Load(second + i) * b2) + (g * g * (Vector512<float>.One - b2));
            m.Store(first + i);
            v.Store(second + i);
            (Vector512.Load(row + i) - (rate * m / (Vector512.Sqrt(v) + epsilon))).Store(row + i);
        }
    }

    /// <summary>Adam's step of 8 scattered weights at a time; returns how many it did.</summary>
    private static int Gathered(float* row, float* first, float* second, int* ids, float* values, int count, float delta, in SlideStep step)
    {
        Vector256<float> b1 = Vector256.Create(SlideStep.Beta1), b2 = Vector256.Create(SlideStep.Beta2), epsilon = Vector256.Create(SlideStep.Epsilon);
        Vector256<float> rate = Vector256.Create(step.Rate), d = Vector256.Create(delta), one = Vector256<float>.One;
        float* moved = stackalloc float[24];
        int at = 0;
        for (; at + 8 <= count; at += 8)
        {
            Vector256<int> places = Vector256.Load(ids + at);
            Vector256<float> g = d * Vector256.Load(values + at);
            Vector256<float> m = (Avx2.GatherVector256(first, places, sizeof(float)) * b1) + (g * (one - b1));
            Vector256<float> v = (Avx2.GatherVector256(second, places, sizeof(float)) * b2) + (g * g * (one - b2));
            Vector256<float> w = Avx2.GatherVector256(row, places, sizeof(float)) - (rate * m / (Vector256.Sqrt(v) + epsilon));
            m.Store(moved);
            v.Store(moved + 8);
            w.Store(moved + 16);
            for (int i = 0; i < 8; i++)
            {
                int place = ids[at + i];
                (first[place], second[place], row[place]) = (moved[i], moved[8 + i], moved[16 + i]);
            }
        }
        return at;
    }

    public static void Adam(ref float weight, ref float first, ref float second, float gradient, in SlideStep step)
    {
        first = (first * SlideStep.Beta1) + (gradient * (1 - SlideStep.Beta1));
        second = (second * SlideStep.Beta2) + (gradient * gradient * (1 - SlideStep.Beta2));
        weight -= step.Rate * first / (MathF.Sqrt(second) + SlideStep.Epsilon);
    }
}

/// <summary>Constants of the step of one row; the rate includes Adam's bias correction.</summary>
internal readonly record struct SlideStep(bool Adam, float Rate)
{
    public const float Beta1 = 0.9f, Beta2 = 0.999f, Epsilon = 1e-7f;
}
