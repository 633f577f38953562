using System.Diagnostics;

namespace EdgeSlide;

/// <summary>The parts of a query, in the order in which they run. Turning input into features comes before them.</summary>
internal enum Stage
{
    /// <summary>Reading the buckets of the query's features and adding up votes; duplicates meet in their vote slots.</summary>
    Gather,

    /// <summary>The hash of a hidden vector and the votes of its buckets.</summary>
    Hashing,

    /// <summary>Choosing the neurons with most votes; their rows are asked for.</summary>
    Election,

    /// <summary>Adding up the input's rows.</summary>
    InputLayer,

    /// <summary>Further hidden layers.</summary>
    Hidden,

    /// <summary>Quantizing the hidden vector and the output neurons' dot products.</summary>
    DotProducts,

    /// <summary>Scores from logits and votes, and the best of them.</summary>
    TopK,

    /// <summary>Only where they are asked for.</summary>
    Probabilities,
}

/// <summary>
/// Time, multiplications and memory by stage. An engine that has one marks the end of each stage; what reading the clock
/// costs is measured once and left out.
/// </summary>
/// <param name="capacity">Queries that will be profiled at most.</param>
internal sealed class StageProfile(int capacity)
{
    public static readonly int Stages = Enum.GetValues<Stage>().Length;

    // [stage x capacity], so that medians can be taken: a mean would show what else the machine did meanwhile.
    private readonly long[] _ticks = new long[Stages * capacity];
    private readonly long[] _multiplications = new long[Stages];
    private readonly long[] _bytes = new long[Stages];
    private readonly long[] _places = new long[Stages];
    private readonly long _clock = ClockTicks();
    private long _last;
    private long _lastMultiplications;
    private long _lastBytes;
    private int _queries;

    /// <summary>Median over the queries.</summary>
    public double Nanoseconds(Stage stage)
    {
        long[] sorted = _ticks.AsSpan((int)stage * capacity, _queries).ToArray();
        Array.Sort(sorted);
        return sorted.Length == 0 ? 0 : sorted[sorted.Length / 2] * 1e9 / Stopwatch.Frequency;
    }

    public double Multiplications(Stage stage) => PerQuery(_multiplications, stage);

    /// <summary>Bytes of the model: whole rows and bucket entries.</summary>
    public double Bytes(Stage stage) => PerQuery(_bytes, stage);

    /// <summary>Places in the model that were read: rows, scales, bucket offsets and buckets. Each is a cache miss in the worst case.</summary>
    public double Places(Stage stage) => PerQuery(_places, stage);

    public void Begin()
    {
        _queries++;
        _lastMultiplications = _lastBytes = 0;
        _last = Stopwatch.GetTimestamp();
    }

    /// <summary>The work since the last mark belongs to this stage.</summary>
    /// <param name="stage">What has just ended.</param>
    /// <param name="multiplications">The query's total so far.</param>
    /// <param name="bytes">The query's total so far.</param>
    /// <param name="places">Places read since the last mark.</param>
    public void Mark(Stage stage, long multiplications, long bytes, int places)
    {
        long now = Stopwatch.GetTimestamp();
        _ticks[(int)stage * capacity + _queries - 1] += Math.Max(0, now - _last - _clock);
        _multiplications[(int)stage] += multiplications - _lastMultiplications;
        _bytes[(int)stage] += bytes - _lastBytes;
        _places[(int)stage] += places;
        (_lastMultiplications, _lastBytes) = (multiplications, bytes);
        _last = Stopwatch.GetTimestamp();
    }

    private double PerQuery(long[] sums, Stage stage) => _queries == 0 ? 0 : sums[(int)stage] / (double)_queries;

    private static long ClockTicks()
    {
        long least = long.MaxValue;
        for (int i = 0; i < 1000; i++)
        {
            long start = Stopwatch.GetTimestamp();
            least = Math.Min(least, Stopwatch.GetTimestamp() - start);
        }
        return least;
    }
}
