using System.Diagnostics;
using EdgeSlide.Hashing;
using EdgeSlide.Kernels;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;

namespace EdgeSlide.Training.Tuning;

/// <summary>What a setting answered on the first so many rows, and what that cost.</summary>
internal sealed class Trial(int[]? point, TuningSetting? setting, long tableBytes, bool watchesTail)
{
    private readonly Dictionary<int, (int First, int FirstFive)> _sums = [];

    /// <summary>Null for dense answers.</summary>
    public int[]? Point => point;

    public TuningSetting? Setting => setting;

    /// <summary>Offsets, entries and hash parameters in the file.</summary>
    public long TableBytes => tableBytes;

    public int Rows { get; set; }

    /// <summary>[rows] 1 if the first answer is right, plus 2 for each right one of the first five.</summary>
    public byte[] Hits { get; private set; } = [];

    /// <summary>[rows] the first answer if it is right, else -1; empty where the tail is not watched.</summary>
    public int[] FirstHits { get; private set; } = [];

    public long Multiplications;
    public long Bytes;
    public long Neurons;

    /// <summary>Median of a query in nanoseconds; 0 where it was not measured.</summary>
    public double Nanoseconds { get; set; }

    public double P1(int rows) => Sums(rows).First / (double)rows;

    public double P5(int rows) => Sums(rows).FirstFive / (5.0 * rows);

    public double MeanMultiplications => Multiplications / (double)Rows;

    public double MeanBytes => Bytes / (double)Rows;

    public double MeanNeurons => Neurons / (double)Rows;

    public void Reserve(int rows)
    {
        byte[] hits = Hits;
        Array.Resize(ref hits, rows);
        Hits = hits;
        if (!watchesTail)
            return;
        int[] firsts = FirstHits;
        Array.Resize(ref firsts, rows);
        FirstHits = firsts;
    }

    private (int First, int FirstFive) Sums(int rows)
    {
        if (!_sums.TryGetValue(rows, out (int First, int FirstFive) sums))
        {
            foreach (byte hit in Hits.AsSpan(0, rows))
                sums = (sums.First + (hit & 1), sums.FirstFive + (hit >> 1));
            _sums.Add(rows, sums);
        }
        return sums;
    }
}

/// <summary>
/// Runs settings through the device's own engine over a fixed order of the validation rows. Rows that were run stay run:
/// trying a setting on more rows costs the new ones only.
/// </summary>
internal sealed class TuningEvaluator
{
    private const int Chunk = 256;
    private const long CachedTableBytes = 512L << 20;

    private readonly NetworkLayout _layout;
    private readonly IReadOnlyList<TuningSource> _sources;
    private readonly Dataset _data;
    private readonly int[] _order;
    private readonly float[]? _inversePropensity;
    private readonly double[] _bestTail;
    private readonly string _kernel = KernelSelector.Choose(Environment.GetEnvironmentVariable(KernelSelector.Variable));
    private readonly Dictionary<(int Source, int Cap, int MinVote), PrunedBuckets> _pruned = [];
    private readonly int _threads;
    private long _prunedBytes;

    /// <param name="rows">The most rows to use; those without labels count for nothing.</param>
    /// <param name="inversePropensity">[labels] null if the tail is not to be watched.</param>
    public TuningEvaluator(NetworkLayout layout, IReadOnlyList<TuningSource> sources, Dataset data, int rows, float[]? inversePropensity, ulong seed, int threads = 0)
    {
        _layout = layout;
        _sources = sources;
        _data = data;
        _threads = threads > 0 ? threads : Environment.ProcessorCount;
        _inversePropensity = inversePropensity;
        int[] order = [.. Enumerable.Range(0, data.RowCount).Where(row => data.RowLabels(row).Length > 0)];
        var random = new Xoshiro256(seed);
        for (int i = 0; i < order.Length - 1; i++)
        {
            int other = i + random.Below(order.Length - i);
            (order[i], order[other]) = (order[other], order[i]);
        }
        _order = order[..Math.Min(rows, order.Length)];
        _bestTail = new double[_order.Length];
        if (inversePropensity is not null)
        {
            for (int i = 0; i < _order.Length; i++)
            {
                foreach (int label in data.RowLabels(_order[i]))
                    _bestTail[i] = Math.Max(_bestTail[i], inversePropensity[label]);
            }
        }
    }

    public int RowCount => _order.Length;

    public bool WatchesTail => _inversePropensity is not null;

    public Trial NewTrial(int[]? point, TuningSetting? setting) => new(point, setting, setting is null ? 0 : TableBytes(setting), WatchesTail);

    /// <summary>Propensity-scored precision at 1 over the first rows.</summary>
    public double Psp1(Trial trial, int rows)
    {
        double sum = 0, best = 0;
        for (int i = 0; i < rows; i++)
        {
            sum += trial.FirstHits[i] >= 0 ? _inversePropensity![trial.FirstHits[i]] : 0;
            best += _bestTail[i];
        }
        return best == 0 ? 0 : sum / best;
    }

    /// <summary>Runs the rows that the trial has not seen yet, up to <paramref name="rows"/>.</summary>
    public void Extend(Trial trial, int rows, CancellationToken cancel)
    {
        int first = trial.Rows;
        if (rows <= first)
            return;
        NetworkLayout layout = LayoutOf(trial.Setting);
        trial.Reserve(rows);
        PredictionMode mode = trial.Setting is null ? PredictionMode.Dense : PredictionMode.Lsh;
        int k = Math.Min(5, layout.Output.Outputs);
        var options = new ParallelOptions { CancellationToken = cancel, MaxDegreeOfParallelism = _threads };
        Parallel.For(first / Chunk, (rows + Chunk - 1) / Chunk, options, () => new Worker(layout, _kernel, k), (chunk, _, worker) =>
        {
            for (int i = Math.Max(first, chunk * Chunk); i < Math.Min(rows, (chunk + 1) * Chunk); i++)
                worker.Run(_data, _order[i], mode, out trial.Hits[i], ref WatchesTail ? ref trial.FirstHits[i] : ref worker.Unwatched);
            return worker;
        }, worker =>
        {
            Interlocked.Add(ref trial.Multiplications, worker.Multiplications);
            Interlocked.Add(ref trial.Bytes, worker.Bytes);
            Interlocked.Add(ref trial.Neurons, worker.Neurons);
            worker.Dispose();
        });
        trial.Rows = rows;
    }

    /// <summary>Median times of several trials, in turns within one run on one thread.</summary>
    public void MeasureTimes(IReadOnlyList<Trial> trials, int queries, int rounds, CancellationToken cancel)
    {
        queries = Math.Min(queries, RowCount);
        int k = Math.Min(5, _layout.Output.Outputs);
        Worker[] workers = [.. trials.Select(t => new Worker(LayoutOf(t.Setting, keep: true), _kernel, k))];
        var times = new List<long>[trials.Count];
        for (int t = 0; t < times.Length; t++)
            times[t] = [];
        for (int round = -1; round < rounds; round++)
        {
            for (int t = 0; t < trials.Count; t++)
            {
                cancel.ThrowIfCancellationRequested();
                for (int i = 0; i < queries; i++)
                {
                    long ticks = workers[t].Time(_data, _order[i], trials[t].Setting is null ? PredictionMode.Dense : PredictionMode.Lsh);
                    if (round >= 0)
                        times[t].Add(ticks);
                }
            }
        }
        GC.KeepAlive(this);
        for (int t = 0; t < trials.Count; t++)
        {
            workers[t].Dispose();
            times[t].Sort();
            trials[t].Nanoseconds = times[t].Count == 0 ? 0 : times[t][times[t].Count / 2] * 1e9 / Stopwatch.Frequency;
        }
    }

    private long TableBytes(TuningSetting setting)
    {
        long bytes = 0;
        for (int s = 0; s < _sources.Count; s++)
        {
            if (setting.Sources[s].Cap > 0)
                bytes += _sources[s].HashBytes + Pruned(s, setting.Sources[s]).Bytes;
        }
        return bytes;
    }

    /// <summary>The network behind the setting's selector.</summary>
    /// <param name="keep">Keep all pruned buckets alive, because other layouts in use may hold them.</param>
    private NetworkLayout LayoutOf(TuningSetting? setting, bool keep = false)
    {
        if (setting is null)
            return _layout;
        if (!keep && _prunedBytes > CachedTableBytes)
        {
            _pruned.Clear();
            _prunedBytes = 0;
        }
        var used = new List<CandidateSource>();
        for (int s = 0; s < _sources.Count; s++)
        {
            if (setting.Sources[s].Cap > 0)
                used.Add(_sources[s].Candidates(setting.Sources[s], Pruned(s, setting.Sources[s])));
        }
        return _layout.WithSelector(LayerSelector.Of(setting.Budget, setting.VoteBlend, [.. used]));
    }

    private PrunedBuckets Pruned(int source, SourceSetting setting)
    {
        if (!_pruned.TryGetValue((source, setting.Cap, setting.MinVote), out PrunedBuckets? buckets))
        {
            buckets = _sources[source].Prune(setting.Cap, setting.MinVote);
            _pruned.Add((source, setting.Cap, setting.MinVote), buckets);
            _prunedBytes += buckets.Bytes;
        }
        return buckets;
    }

    /// <summary>One thread's engine and sums.</summary>
    private sealed class Worker(NetworkLayout layout, string kernel, int k) : IDisposable
    {
        private readonly Engine _engine = Engine.Create(layout, kernel);
        private readonly Prediction[] _top = new Prediction[k];

        public int Unwatched;

        public long Multiplications { get; private set; }

        public long Bytes { get; private set; }

        public long Neurons { get; private set; }

        public void Run(Dataset data, int row, PredictionMode mode, out byte hits, ref int firstHit)
        {
            int found = Answer(data, row, mode);
            ReadOnlySpan<int> labels = data.RowLabels(row);
            hits = 0;
            firstHit = -1;
            for (int i = 0; i < found; i++)
            {
                if (!labels.Contains(_top[i].Label))
                    continue;
                hits += 2;
                if (i == 0)
                {
                    hits++;
                    firstHit = _top[i].Label;
                }
            }
            Multiplications += _engine.Cost.Multiplications;
            Bytes += _engine.Cost.BytesTouched;
            Neurons += _engine.Cost.ActiveNeurons;
        }

        public long Time(Dataset data, int row, PredictionMode mode)
        {
            PredictorEvaluator.Load(data, row, _engine.Features);
            long start = Stopwatch.GetTimestamp();
            if (_engine.Features.Count > 0)
                _engine.Run(mode, probabilities: false, _top);
            return Stopwatch.GetTimestamp() - start;
        }

        public void Dispose() => _engine.Dispose();

        private int Answer(Dataset data, int row, PredictionMode mode)
        {
            PredictorEvaluator.Load(data, row, _engine.Features);
            if (_engine.Features.Count > 0)
                return _engine.Run(mode, probabilities: false, _top);
            _engine.Cost = default;
            return 0;
        }
    }
}
