using System.Diagnostics;
using System.Runtime.InteropServices;
using EdgeSlide.Features;

namespace EdgeSlide.Cli.Streaming;

/// <summary>What one example got in one mode.</summary>
internal struct ExampleResult
{
    public int Count;
    public PredictionCost Cost;
    public long Ticks;

    /// <summary>Of the first answer; NaN where it was not asked for.</summary>
    public float Probability;
}

/// <summary>Some consecutive examples, and the answers to them in each mode.</summary>
/// <param name="capacity">Examples that it holds at most.</param>
/// <param name="k">Answers per example.</param>
/// <param name="modes">In which examples are answered.</param>
internal sealed class ExampleBlock(int capacity, int k, PredictionMode[] modes)
{
    private readonly List<int> _ids = [];
    private readonly List<float> _values = [];
    private readonly List<int> _labels = [];
    private readonly (int Features, int Labels, bool Calibrates)[] _ends = new (int, int, bool)[capacity];
    private readonly Prediction[] _answers = new Prediction[modes.Length * capacity * k];
    private readonly ExampleResult[] _results = new ExampleResult[modes.Length * capacity];

    public int Count { get; private set; }

    public bool IsFull => Count == capacity;

    /// <summary>What ends the program before these examples are counted.</summary>
    public Exception? Failure { get; private set; }

    public void Clear()
    {
        _ids.Clear();
        _values.Clear();
        _labels.Clear();
        Count = 0;
        Failure = null;
    }

    /// <param name="features">The example.</param>
    /// <param name="labels">Its labels.</param>
    /// <param name="calibrates">True if the first answer's probability is wanted.</param>
    public void Add(FeatureVector features, List<int> labels, bool calibrates)
    {
        _ids.AddRange(features.IdSpan);
        _values.AddRange(features.ValueSpan);
        _labels.AddRange(labels);
        _ends[Count++] = (_ids.Count, _labels.Count, calibrates);
    }

    public ReadOnlySpan<int> Labels(int example)
    {
        int start = example == 0 ? 0 : _ends[example - 1].Labels;
        return CollectionsMarshal.AsSpan(_labels)[start.._ends[example].Labels];
    }

    public bool HasFeatures(int example) => _ends[example].Features > (example == 0 ? 0 : _ends[example - 1].Features);

    public ref readonly ExampleResult Result(int mode, int example) => ref _results[mode * capacity + example];

    public ReadOnlySpan<Prediction> Answers(int mode, int example) =>
        _answers.AsSpan((mode * capacity + example) * k, Result(mode, example).Count);

    /// <summary>Answers all examples in all modes, one by one, so that times are those of single queries; throws nothing.</summary>
    public void Answer(Predictor predictor)
    {
        try
        {
            for (int example = 0; example < Count; example++)
            {
                FeatureVector features = predictor.Engine.Features;
                features.Clear();
                for (int i = example == 0 ? 0 : _ends[example - 1].Features; i < _ends[example].Features; i++)
                    features.Add(_ids[i], _values[i]);
                for (int mode = 0; mode < modes.Length; mode++)
                    Answer(predictor, mode, example);
            }
        }
        catch (Exception e)
        {
            Failure = e;
        }
    }

    private void Answer(Predictor predictor, int mode, int example)
    {
        Span<Prediction> top = _answers.AsSpan((mode * capacity + example) * k, k);
        ref ExampleResult result = ref _results[mode * capacity + example];
        predictor.Mode = modes[mode];
        predictor.Probabilities = false;
        long start = Stopwatch.GetTimestamp();
        result.Count = predictor.Run(top);
        result.Ticks = Stopwatch.GetTimestamp() - start;
        result.Cost = predictor.Cost;
        result.Probability = float.NaN;
        if (!_ends[example].Calibrates)
            return;
        // Again, because probabilities cost what the figures above leave out.
        predictor.Probabilities = true;
        predictor.Run(top);
        result.Probability = top[0].Probability;
    }
}
