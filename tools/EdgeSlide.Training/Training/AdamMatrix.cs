using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace EdgeSlide.Training.Training;

/// <summary>Constants of one optimizer step.</summary>
internal readonly record struct AdamStep(float LearningRate, float Beta1, float Beta2, float Epsilon, float WeightDecay);

/// <summary>
/// A weight matrix [rows][stride] whose rows are updated only when they have a gradient, by Adam (Kingma and Ba, 2015) with
/// decoupled weight decay (Loshchilov and Hutter, 2019). Each row counts its own steps, so that bias correction is right for
/// a row that is touched for the first time late in training. The second moment is one number per row or per weight.
/// </summary>
internal sealed unsafe class AdamMatrix : IDisposable
{
    private readonly NativeArray<float> _weights;
    private readonly NativeArray<float>? _first;
    private readonly NativeArray<float> _second;
    private readonly NativeArray<int> _steps;
    private readonly bool _secondPerRow;

    internal AdamMatrix(int rows, int columns, bool momentum, bool secondPerRow)
    {
        Rows = rows;
        Columns = columns;
        Stride = VectorMath.Pad(columns);
        _secondPerRow = secondPerRow;
        _weights = new NativeArray<float>((long)rows * Stride);
        _first = momentum ? new NativeArray<float>((long)rows * Stride) : null;
        _second = new NativeArray<float>(secondPerRow ? rows : (long)rows * Stride);
        _steps = new NativeArray<int>(rows);
    }

    internal int Rows { get; }

    internal int Columns { get; }

    /// <summary>Columns padded to a multiple of 16; the padding is and stays 0.</summary>
    internal int Stride { get; }

    internal float* Weights => _weights.Items;

    internal static long Bytes(long rows, int columns, bool momentum, bool secondPerRow)
    {
        long matrix = rows * VectorMath.Pad(columns) * sizeof(float);
        return matrix + (momentum ? matrix : 0) + (secondPerRow ? rows * sizeof(float) : matrix) + (rows * sizeof(int));
    }

    internal float* Row(int row) => _weights.Items + ((nint)row * Stride);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Prefetch(int row)
    {
        if (System.Runtime.Intrinsics.X86.Sse.IsSupported)
        {
            float* weights = Row(row);
            for (int i = 0; i < Stride; i += Vector512<float>.Count)
                System.Runtime.Intrinsics.X86.Sse.Prefetch0(weights + i);
        }
    }

    /// <summary>Fetches what <see cref="Update"/> of a row needs.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void PrefetchState(int row)
    {
        if (!System.Runtime.Intrinsics.X86.Sse.IsSupported)
            return;
        Prefetch(row);
        for (int i = 0; i < Stride && _first is not null; i += Vector512<float>.Count)
            System.Runtime.Intrinsics.X86.Sse.Prefetch0(_first.Items + ((nint)row * Stride) + i);
        System.Runtime.Intrinsics.X86.Sse.Prefetch0(_second.Items + (_secondPerRow ? row : (nint)row * Stride));
        System.Runtime.Intrinsics.X86.Sse.Prefetch0(_steps.Items + row);
    }

    /// <summary>Normally distributed weights; rows are seeded one by one, so any order gives the same matrix.</summary>
    internal void Randomize(float deviation, ulong seed)
    {
        for (int row = 0; row < Rows; row++)
        {
            float* weights = Row(row);
            ulong key = Noise.Mix(seed ^ ((ulong)row << 20));
            for (int i = 0; i < Columns; i++)
                weights[i] = deviation * Noise.Normal(key + (ulong)i);
        }
    }

    /// <summary>One Adam step of one row with its gradient [Stride].</summary>
    internal void Update(int row, float* gradient, in AdamStep step)
    {
        float* w = Row(row);
        int t = ++_steps[row];
        float correction1 = _first is null ? 1 : 1 - MathF.Pow(step.Beta1, t);
        float correction2 = 1 - MathF.Pow(step.Beta2, t);
        float keep = 1 - (step.LearningRate * step.WeightDecay);
        Vector512<float> vKeep = Vector512.Create(keep);
        if (_secondPerRow)
        {
            float mean = VectorMath.SumOfSquares(gradient, Stride) / Columns;
            float v = (step.Beta2 * _second[row]) + ((1 - step.Beta2) * mean);
            _second[row] = v;
            float rate = step.LearningRate / (correction1 * (MathF.Sqrt(v / correction2) + step.Epsilon));
            Vector512<float> vRate = Vector512.Create(-rate);
            if (_first is null)
            {
                for (int i = 0; i < Stride; i += VectorMath.Lanes)
                {
                    Vector512<float> g = Vector512.Load(gradient + i);
                    Vector512.Store(Vector512.FusedMultiplyAdd(g, vRate, Vector512.Load(w + i) * vKeep), w + i);
                }
                return;
            }
            float* m = _first.Items + ((nint)row * Stride);
            Vector512<float> beta1 = Vector512.Create(step.Beta1), fresh1 = Vector512.Create(1 - step.Beta1);
            for (int i = 0; i < Stride; i += VectorMath.Lanes)
            {
                Vector512<float> moment = (Vector512.Load(m + i) * beta1) + (Vector512.Load(gradient + i) * fresh1);
                Vector512.Store(moment, m + i);
                Vector512.Store(Vector512.FusedMultiplyAdd(moment, vRate, Vector512.Load(w + i) * vKeep), w + i);
            }
            return;
        }
        UpdatePerWeight(row, w, gradient, correction1, correction2, vKeep, step);
    }

    private void UpdatePerWeight(
        int row, float* w, float* gradient, float correction1, float correction2, Vector512<float> keep, in AdamStep step)
    {
        float* m = _first is null ? null : _first.Items + ((nint)row * Stride);
        float* v = _second.Items + ((nint)row * Stride);
        Vector512<float> beta1 = Vector512.Create(step.Beta1), fresh1 = Vector512.Create(1 - step.Beta1);
        Vector512<float> beta2 = Vector512.Create(step.Beta2), fresh2 = Vector512.Create(1 - step.Beta2);
        Vector512<float> rate = Vector512.Create(-step.LearningRate / correction1);
        Vector512<float> scale2 = Vector512.Create(1 / correction2), epsilon = Vector512.Create(step.Epsilon);
        for (int i = 0; i < Stride; i += VectorMath.Lanes)
        {
            Vector512<float> g = Vector512.Load(gradient + i);
            Vector512<float> moment = g;
            if (m != null)
            {
                moment = (Vector512.Load(m + i) * beta1) + (g * fresh1);
                Vector512.Store(moment, m + i);
            }
            Vector512<float> second = (Vector512.Load(v + i) * beta2) + (g * g * fresh2);
            Vector512.Store(second, v + i);
            Vector512<float> delta = rate * moment / (Vector512.Sqrt(second * scale2) + epsilon);
            Vector512.Store((Vector512.Load(w + i) * keep) + delta, w + i);
        }
    }

    internal bool IsFinite => VectorMath.AllFinite(Weights, (long)Rows * Stride);

    /// <summary>Gives the moments' memory back; no update may follow.</summary>
    internal void ReleaseMoments()
    {
        _first?.Dispose();
        _second.Dispose();
    }

    /// <summary>Copies the weights without padding, row by row.</summary>
    internal void CopyTo(Span<float> weights)
    {
        for (int row = 0; row < Rows; row++)
            new ReadOnlySpan<float>(Row(row), Columns).CopyTo(weights.Slice(row * Columns, Columns));
    }

    internal void CopyFrom(ReadOnlySpan<float> weights)
    {
        for (int row = 0; row < Rows; row++)
            weights.Slice(row * Columns, Columns).CopyTo(new Span<float>(Row(row), Columns));
    }

    internal void Save(CheckpointWriter writer)
    {
        writer.Write(_weights);
        if (_first is not null)
            writer.Write(_first);
        writer.Write(_second);
        writer.Write(_steps);
    }

    internal void Load(CheckpointReader reader)
    {
        reader.Read(_weights);
        if (_first is not null)
            reader.Read(_first);
        reader.Read(_second);
        reader.Read(_steps);
    }

    public void Dispose()
    {
        _weights.Dispose();
        _first?.Dispose();
        _second.Dispose();
        _steps.Dispose();
    }
}

/// <summary>A vector of independently updated weights (biases), with Adam state per element.</summary>
internal sealed unsafe class AdamVector(int length) : IDisposable
{
    private readonly NativeArray<float> _weights = new(VectorMath.Pad(length));
    private readonly NativeArray<float> _first = new(length);
    private readonly NativeArray<float> _second = new(length);
    private readonly NativeArray<int> _steps = new(length);

    internal int Length { get; } = length;

    internal float* Weights => _weights.Items;

    internal void Update(int index, float gradient, in AdamStep step)
    {
        int t = ++_steps[index];
        float m = (step.Beta1 * _first[index]) + ((1 - step.Beta1) * gradient);
        float v = (step.Beta2 * _second[index]) + ((1 - step.Beta2) * gradient * gradient);
        _first[index] = m;
        _second[index] = v;
        m /= 1 - MathF.Pow(step.Beta1, t);
        v /= 1 - MathF.Pow(step.Beta2, t);
        _weights[index] -= step.LearningRate * m / (MathF.Sqrt(v) + step.Epsilon);
    }

    internal void CopyTo(Span<float> weights) => _weights.Span(0, Length).CopyTo(weights);

    internal void CopyFrom(ReadOnlySpan<float> weights) => weights.CopyTo(_weights.Span(0, Length));

    internal void Save(CheckpointWriter writer)
    {
        writer.Write(_weights);
        writer.Write(_first);
        writer.Write(_second);
        writer.Write(_steps);
    }

    internal void Load(CheckpointReader reader)
    {
        reader.Read(_weights);
        reader.Read(_first);
        reader.Read(_second);
        reader.Read(_steps);
    }

    public void Dispose()
    {
        _weights.Dispose();
        _first.Dispose();
        _second.Dispose();
        _steps.Dispose();
    }
}
