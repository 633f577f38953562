using EdgeSlide.Hashing;
using EdgeSlide.Model;
using EdgeSlide.Training.Data;

namespace EdgeSlide.Training.Training;

/// <summary>
/// Hash tables of likely labels under training, keyed as the device's are: by input feature, or by SimHash of the last hidden
/// vector. A bucket holds the labels that its rows voted for: their true ones, and what the model last ranked first among
/// the labels evaluated for them. Rows of a batch look up hard negatives here.
/// They join the certain part of the batch's <see cref="ActiveSet"/> and count once in every row's partition function, without
/// the correction of drawn labels: given the certain part, the sum over it is exact for every row, whichever row named a
/// label, and the drawn labels stand for the rest alone. Tables lower the variance of that estimate; they add no bias.
/// </summary>
internal sealed unsafe class LikelyLabels : IDisposable
{
    /// <summary>Best evaluated labels remembered for a row.</summary>
    internal const int AnswersPerRow = 5;

    private const float TrueVote = 3;
    private const float AnswerVote = 1;

    /// <summary>Votes that a bucket is assumed to hold for nobody, so that rare keys speak softly.</summary>
    private const float Prior = 20;

    /// <summary>A bucket of a very common key is filled from this many of its rows, evenly spread.</summary>
    private const int RowsPerKey = 2048;

    private const int HiddenTables = 4;
    private const int HiddenBits = 11;
    private const int HiddenSample = 1 << 17;
    private const int KeyTile = 512;
    private const int RowTile = 32;

    private readonly TrainerOptions _options;
    private readonly IRowSource _data;
    private readonly WorkerTeam _team;
    private readonly int[] _rows;
    private readonly bool _hidden;
    private readonly int _keys;
    private readonly int _cap;
    private readonly int _perRow;
    private readonly NativeArray<int> _answers;
    private readonly NativeArray<int> _ids;
    private readonly NativeArray<float> _votes;
    private readonly NativeArray<float> _planes;
    private readonly long[] _rowsStart;
    private int[] _rowsOfKey = [];
    private readonly Tally[] _tallies;
    private readonly int[] _candidates;
    private readonly Action<int, int> _fillTile;
    private readonly Action<int, int> _chooseTile;
    private SimHash _hash;

    // State of the choice in flight.
    private MiniBatch? _batch;
    private float* _vectors;
    private int _stride;

    /// <param name="rows">The rows that training uses.</param>
    internal LikelyLabels(TrainerOptions options, IRowSource data, int[] rows, WorkerTeam team)
    {
        (_options, _data, _rows, _team) = (options, data, rows, team);
        _hidden = options.TableKeys == TableKeys.HiddenVector;
        _cap = options.TableBucketSize;
        _perRow = Math.Min(options.TableNegatives, data.LabelCount);
        _keys = _hidden ? HiddenTables << HiddenBits : data.FeatureCount;
        _answers = new NativeArray<int>((long)data.RowCount * AnswersPerRow);
        for (long i = 0; i < _answers.Length; i++)
            _answers[i] = -1;
        _ids = new NativeArray<int>((long)_keys * _cap);
        _votes = new NativeArray<float>((long)_keys * _cap);
        int width = options.HiddenSizes[^1];
        int rounds = SimHash.RoundsFor(width, HiddenTables, HiddenBits);
        _planes = new NativeArray<float>(_hidden ? SimHash.PlaneLength(width, rounds) : 0);
        _rowsStart = new long[_keys + 1];
        int padded = Math.Max(SimHash.PaddedDimensions(width), VectorMath.Pad(width));
        _tallies = [.. Enumerable.Range(0, team.Size).Select(_ => new Tally(data.LabelCount, padded))];
        _candidates = new int[options.BatchSize * _perRow];
        _fillTile = FillTile;
        _chooseTile = ChooseTile;
        if (_hidden)
            SetPlanes(new float[width]);
        else
            IndexFeatures();
    }

    /// <summary>Bytes for so many features, labels, rows, and features of all rows together.</summary>
    internal static long Bytes(TrainerOptions options, long features, long labels, long rows, long pairs)
    {
        if (options.TableNegatives == 0)
            return 0;
        bool hidden = options.TableKeys == TableKeys.HiddenVector;
        long keys = hidden ? HiddenTables << HiddenBits : features, listed = hidden ? HiddenTables * Math.Min(rows, HiddenSample) : pairs;
        long tallies = (options.Threads == 0 ? Environment.ProcessorCount : options.Threads) * labels * 2 * sizeof(int);
        return (keys * options.TableBucketSize * 2 * sizeof(int)) + (rows * AnswersPerRow * sizeof(int)) + (listed * sizeof(int)) + (keys * 2 * sizeof(long)) + tallies;
    }

    /// <summary>The remembered answers of a data row, best first; -1 where there is none.</summary>
    internal Span<int> Answers(int row) => _answers.Span((long)row * AnswersPerRow, AnswersPerRow);

    /// <summary>Fills all buckets anew from true labels and remembered answers.</summary>
    internal void Rebuild(TrainingCore core)
    {
        if (_hidden)
            IndexHidden(core);
        _team.Run((_keys + KeyTile - 1) / KeyTile, _fillTile);
    }

    /// <summary>Adds each row's likely labels to the active set; <paramref name="vectors"/> are the rows' last hidden vectors.</summary>
    internal void Choose(MiniBatch batch, ActiveSet active, float* vectors, int stride)
    {
        _batch = batch;
        _vectors = vectors;
        _stride = stride;
        _team.Run((batch.Count + RowTile - 1) / RowTile, _chooseTile);
        for (int i = 0; i < batch.Count * _perRow; i++)
        {
            if (_candidates[i] >= 0)
                active.Add(_candidates[i]);
        }
    }

    /// <summary>What <see cref="Choose"/> found for a row of the batch, best first; -1 fills up.</summary>
    internal ReadOnlySpan<int> Candidates(int row) => _candidates.AsSpan(row * _perRow, _perRow);

    private void ChooseTile(int tile, int worker)
    {
        Tally tally = _tallies[worker];
        int* keys = stackalloc int[HiddenTables];
        MiniBatch batch = _batch!;
        int end = Math.Min((tile + 1) * RowTile, batch.Count);
        for (int row = tile * RowTile; row < end; row++)
        {
            if (_hidden)
            {
                Hash(_vectors + ((nint)row * _stride), tally, keys);
                for (int table = 0; table < HiddenTables; table++)
                    Open(keys[table], 1, tally);
            }
            else
            {
                ReadOnlySpan<int> features = batch.Features(row);
                ReadOnlySpan<float> values = batch.Values(row);
                for (int i = 0; i < features.Length; i++)
                    Open(features[i], MathF.Abs(values[i]), tally);
            }
            // A row's own labels are no negatives.
            foreach (int label in batch.Labels(row))
                tally.Forget(label);
            tally.Take(_candidates.AsSpan(row * _perRow, _perRow), default);
        }
    }

    private void Open(int key, float weight, Tally tally)
    {
        int* ids = _ids.Items + ((nint)key * _cap);
        float* votes = _votes.Items + ((nint)key * _cap);
        for (int i = 0; i < _cap && votes[i] > 0; i++)
            tally.Add(ids[i], weight * votes[i]);
    }

    private void FillTile(int tile, int worker)
    {
        Tally tally = _tallies[worker];
        int end = Math.Min((tile + 1) * KeyTile, _keys);
        for (int key = tile * KeyTile; key < end; key++)
        {
            long count = _rowsStart[key + 1] - _rowsStart[key];
            long used = Math.Min(count, RowsPerKey);
            float total = Prior;
            for (long i = 0; i < used; i++)
            {
                int row = _rowsOfKey[_rowsStart[key] + (i * count / used)];
                foreach (int label in _data.RowLabels(row))
                    tally.Add(label, TrueVote);
                total += TrueVote * _data.RowLabels(row).Length;
                foreach (int label in Answers(row))
                {
                    if (label < 0)
                        break;
                    tally.Add(label, AnswerVote);
                    total += AnswerVote;
                }
            }
            Span<float> votes = _votes.Span((long)key * _cap, _cap);
            tally.Take(_ids.Span((long)key * _cap, _cap), votes);
            foreach (ref float vote in votes)
                vote /= total;
        }
    }

    private void IndexFeatures()
    {
        using RowCursor cursor = _data.CreateCursor();
        foreach (int row in _rows)
        {
            cursor.MoveTo(row);
            foreach (int feature in cursor.Ids)
                _rowsStart[feature + 1]++;
        }
        Transpose(_rows, row =>
        {
            cursor.MoveTo(row);
            return cursor.Ids;
        });
    }

    /// <summary>Hashes the hidden vectors of (a sample of) the rows with the present weights, centred on their mean.</summary>
    private void IndexHidden(TrainingCore core)
    {
        int count = Math.Min(_rows.Length, HiddenSample);
        int width = _options.HiddenSizes[^1];
        int[] sample = [.. Enumerable.Range(0, count).Select(i => _rows[(long)i * _rows.Length / count])];
        double[] mean = new double[width];
        ForEachVector(core, sample, (_, vector) =>
        {
            for (int i = 0; i < width; i++)
                mean[i] += ((float*)vector)[i];
        });
        SetPlanes([.. mean.Select(sum => (float)(sum / count))]);
        int[] keys = new int[count * HiddenTables];
        ForEachVector(core, sample, (at, vector) =>
        {
            fixed (int* to = &keys[at * HiddenTables])
                Hash((float*)vector, _tallies[0], to);
        });
        Array.Clear(_rowsStart);
        foreach (int key in keys)
            _rowsStart[key + 1]++;
        int next = 0;
        Transpose(sample, _ => keys.AsSpan(next++ * HiddenTables, HiddenTables));
    }

    private delegate ReadOnlySpan<int> KeysOfRow(int row);

    /// <summary>Turns counts in [key + 1] into starts, and lists the rows of every key in order.</summary>
    private void Transpose(int[] rows, KeysOfRow keysOf)
    {
        for (int key = 0; key < _keys; key++)
            _rowsStart[key + 1] += _rowsStart[key];
        _rowsOfKey = new int[_rowsStart[_keys]];
        long[] next = _rowsStart[..^1];
        foreach (int row in rows)
        {
            foreach (int key in keysOf(row))
                _rowsOfKey[next[key]++] = row;
        }
    }

    private void ForEachVector(TrainingCore core, int[] rows, Action<int, nint> use)
    {
        for (int first = 0; first < rows.Length; first += _options.BatchSize)
        {
            int count = Math.Min(_options.BatchSize, rows.Length - first);
            float* vectors = core.Forward(_data, rows.AsSpan(first, count), out int stride);
            for (int i = 0; i < count; i++)
                use(first + i, (nint)(vectors + ((nint)i * stride)));
        }
    }

    private void Hash(float* vector, Tally tally, int* keys)
    {
        int width = _options.HiddenSizes[^1];
        new ReadOnlySpan<float>(vector, width).CopyTo(tally.Vector.Span(0, width));
        _hash.Keys(tally.Vector.Items, tally.Scratch.Items, keys);
    }

    private void SetPlanes(float[] mean)
    {
        int rounds = SimHash.RoundsFor(mean.Length, HiddenTables, HiddenBits);
        float[] planes = SimHash.CreatePlanes(mean, rounds, Noise.Seed((ulong)_options.Seed, 4, 0));
        planes.CopyTo(_planes.Span(0, planes.Length));
        MakeHash();
    }

    private void MakeHash()
    {
        int width = _options.HiddenSizes[^1];
        int rounds = SimHash.RoundsFor(width, HiddenTables, HiddenBits);
        _hash = new SimHash(width, HiddenTables, HiddenBits, rounds, new View<float>(_planes.Items, (int)_planes.Length));
    }

    internal void Save(CheckpointWriter writer)
    {
        writer.Write(_answers);
        writer.Write(_ids);
        writer.Write(_votes);
        writer.Write(_planes);
    }

    internal void Load(CheckpointReader reader)
    {
        reader.Read(_answers);
        reader.Read(_ids);
        reader.Read(_votes);
        reader.Read(_planes);
    }

    public void Dispose()
    {
        _answers.Dispose();
        _ids.Dispose();
        _votes.Dispose();
        _planes.Dispose();
        foreach (Tally tally in _tallies)
            tally.Dispose();
    }

    /// <summary>One thread's sums over the labels, of which only touched ones are cleared, and its buffers for hashing.</summary>
    private sealed class Tally(int labels, int dimensions) : IDisposable
    {
        private readonly float[] _sums = new float[labels];
        private readonly int[] _touched = new int[labels];
        private int _count;

        internal NativeArray<float> Vector { get; } = new(dimensions);

        internal NativeArray<float> Scratch { get; } = new(dimensions);

        internal void Add(int label, float vote)
        {
            ref float sum = ref _sums[label];
            if (sum == 0)
                _touched[_count++] = label;
            // A sum of 0 means untouched, so a vote too small to count still does.
            sum += Math.Max(vote, 1e-30f);
        }

        internal void Forget(int label)
        {
            if (_sums[label] > 0)
                _sums[label] = -1;
        }

        /// <summary>Moves out the labels with the largest sums, the lower label first among equals; -1 and 0 fill up.</summary>
        internal void Take(Span<int> ids, Span<float> votes)
        {
            int size = 0;
            for (int i = 0; i < _count; i++)
            {
                int label = _touched[i];
                float sum = _sums[label];
                if (sum <= 0 || (size == ids.Length && !Before(label, sum, ids[^1])))
                    continue;
                int at = size < ids.Length ? size++ : size - 1;
                for (; at > 0 && Before(label, sum, ids[at - 1]); at--)
                    ids[at] = ids[at - 1];
                ids[at] = label;
            }
            ids[size..].Fill(-1);
            for (int i = 0; i < votes.Length; i++)
                votes[i] = i < size ? _sums[ids[i]] : 0;
            for (int i = 0; i < _count; i++)
                _sums[_touched[i]] = 0;
            _count = 0;
        }

        private bool Before(int label, float sum, int other) => sum > _sums[other] || (sum == _sums[other] && label < other);

        public void Dispose()
        {
            Vector.Dispose();
            Scratch.Dispose();
        }
    }
}

/// <summary>
/// When tables are rebuilt: before the first step, then at gaps that grow by a constant factor, because a network changes
/// fast at first and slowly later (the exponentially decaying schedule of SLIDE, Chen et al., 2020).
/// </summary>
internal readonly record struct RebuildSchedule(int FirstGap, double Growth)
{
    internal bool IsDue(long step)
    {
        double due = 0;
        double gap = Math.Max(1, FirstGap);
        while (Math.Ceiling(due) < step)
        {
            due += gap;
            gap *= Growth;
        }
        return Math.Ceiling(due) == step;
    }
}
