namespace EdgeSlide.Training.Training;

/// <summary>A vector of independently updated weights (biases), with Adam state per element.</summary>
internal sealed unsafe class AdamVector(int length, RowTime time) : IDisposable
{
    private readonly NativeArray<float> _weights = new(VectorMath.Pad(length));
    private readonly NativeArray<float> _first = new(length);
    private readonly NativeArray<float> _second = new(length);
    private readonly NativeArray<int> _steps = new(length);

    internal int Length { get; } = length;

    internal float* Weights => _weights.Items;

    internal void Update(int index, float gradient, in AdamStep step)
    {
        RowMoments moments = step.Touch(ref _steps[index], time);
        float before = _second[index];
        if (moments.Missed > 0)
            _weights[index] -= step.LearningRate * moments.Missed * _first[index] / (moments.Correction1 * (MathF.Sqrt(before / moments.Correction2) + step.Epsilon));
        float m = (moments.Decay1 * _first[index]) + ((1 - step.Beta1) * gradient);
        float v = (moments.Decay2 * before) + ((1 - step.Beta2) * gradient * gradient);
        _first[index] = m;
        _second[index] = v;
        _weights[index] -= step.LearningRate * (m / moments.Correction1) / (MathF.Sqrt(v / moments.Correction2) + step.Epsilon);
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
