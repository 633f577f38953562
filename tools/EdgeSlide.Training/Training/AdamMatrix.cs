using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace EdgeSlide.Training.Training;

/// <summary>
/// A weight matrix [rows][stride] whose rows are updated only when they have a gradient, by Adam (Kingma and Ba, 2015) with
/// decoupled weight decay (Loshchilov and Hutter, 2019). <see cref="RowTime"/> says how time passes for a row.
/// The second moment is one number per row or per weight.
/// </summary>
internal sealed unsafe class AdamMatrix : IDisposable
{
    private readonly NativeArray<float> _weights;
    private readonly NativeArray<float>? _first;
    private readonly NativeArray<float> _second;
    private readonly NativeArray<int> _steps;
    private readonly bool _secondPerRow;
    private readonly RowTime _time;

    internal AdamMatrix(int rows, int columns, bool momentum, bool secondPerRow, RowTime time)
    {
        _time = time;
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
        RowMoments time = step.Touch(ref _steps[row], _time);
        float correction1 = _first is null ? 1 : time.Correction1;
        float keep = 1 - (step.LearningRate * step.WeightDecay);
        Vector512<float> vKeep = Vector512.Create(keep);
        if (!_secondPerRow)
        {
            UpdatePerWeight(row, w, gradient, time, correction1, vKeep, step);
            return;
        }
        float before = _second[row];
        float v = (time.Decay2 * before) + ((1 - step.Beta2) * VectorMath.SumOfSquares(gradient, Stride) / Columns);
        _second[row] = v;
        Vector512<float> rate = Vector512.Create(-step.LearningRate / (correction1 * (MathF.Sqrt(v / time.Correction2) + step.Epsilon)));
        if (_first is null)
        {
            for (int i = 0; i < Stride; i += VectorMath.Lanes)
                Vector512.Store(Vector512.FusedMultiplyAdd(Vector512.Load(gradient + i), rate, Vector512.Load(w + i) * vKeep), w + i);
            return;
        }
        float* m = _first.Items + ((nint)row * Stride);
        if (time.Missed > 0)
        {
            VectorMath.AddScaled(
                w, m, -step.LearningRate * time.Missed / (correction1 * (MathF.Sqrt(before / time.Correction2) + step.Epsilon)), Stride);
        }
        Vector512<float> decay1 = Vector512.Create(time.Decay1), fresh1 = Vector512.Create(1 - step.Beta1);
        for (int i = 0; i < Stride; i += VectorMath.Lanes)
        {
            Vector512<float> moment = (Vector512.Load(m + i) * decay1) + (Vector512.Load(gradient + i) * fresh1);
            Vector512.Store(moment, m + i);
            Vector512.Store(Vector512.FusedMultiplyAdd(moment, rate, Vector512.Load(w + i) * vKeep), w + i);
        }
    }

    private void UpdatePerWeight(
        int row, float* w, float* gradient, in RowMoments time, float correction1, Vector512<float> keep, in AdamStep step)
    {
        float* m = _first is null ? null : _first.Items + ((nint)row * Stride);
        float* v = _second.Items + ((nint)row * Stride);
        Vector512<float> decay1 = Vector512.Create(time.Decay1), fresh1 = Vector512.Create(1 - step.Beta1);
        Vector512<float> decay2 = Vector512.Create(time.Decay2), fresh2 = Vector512.Create(1 - step.Beta2);
        Vector512<float> rate = Vector512.Create(-step.LearningRate / correction1), missed = Vector512.Create(time.Missed) * rate;
        Vector512<float> scale2 = Vector512.Create(1 / time.Correction2), epsilon = Vector512.Create(step.Epsilon);
        for (int i = 0; i < Stride; i += VectorMath.Lanes)
        {
            Vector512<float> g = Vector512.Load(gradient + i);
            Vector512<float> moment = g, second = Vector512.Load(v + i), weight = Vector512.Load(w + i) * keep;
            if (m != null)
            {
                Vector512<float> old = Vector512.Load(m + i);
                if (time.Missed > 0)
                    weight += missed * old / (Vector512.Sqrt(second * scale2) + epsilon);
                moment = (old * decay1) + (g * fresh1);
                Vector512.Store(moment, m + i);
            }
            second = (second * decay2) + (g * g * fresh2);
            Vector512.Store(second, v + i);
            Vector512<float> delta = rate * moment / (Vector512.Sqrt(second * scale2) + epsilon);
            Vector512.Store(weight + delta, w + i);
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

    /// <summary>As <see cref="CopyTo"/>, giving the memory back on the way, so that weights are never held twice; none are left.</summary>
    internal void MoveTo(Span<float> weights)
    {
        // Many pages at a time, huge ones too.
        int rows = Math.Max(1, (8 << 20) / (Stride * sizeof(float)));
        for (int first = 0; first < Rows; first += rows)
        {
            int end = Math.Min(Rows, first + rows);
            for (int row = first; row < end; row++)
                new ReadOnlySpan<float>(Row(row), Columns).CopyTo(weights.Slice(row * Columns, Columns));
            _weights.Discard((long)first * Stride, (long)(end - first) * Stride);
        }
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
