using EdgeSlide.Hashing;
using EdgeSlide.Training.Data;

namespace EdgeSlide.Training.Tables;

/// <summary>
/// Rows of (id, weight) pairs in compressed sparse row form: which keys a training row opens, or for which labels it votes.
/// </summary>
internal sealed record WeightedRows(Items<long> Offsets, Items<int> Ids, Items<float> Weights)
{
    public int RowCount => checked((int)(Offsets.Length - 1));

    public ReadOnlySpan<int> RowIds(int row) => Ids.List(Offsets, row);

    public ReadOnlySpan<float> RowWeights(int row) => Weights.List(Offsets, row);

    /// <summary>Some of the rows, in the given order.</summary>
    public WeightedRows Take(IReadOnlyList<int> rows)
    {
        var ids = new ListWriter<int>(Ids.Storage);
        ItemsWriter<float> weights = Ids.Storage.Create<float>();
        foreach (int row in rows)
        {
            ids.Append(RowIds(row));
            weights.Append(RowWeights(row));
        }
        (Items<long> offsets, Items<int> taken) = ids.ToItems();
        return new WeightedRows(offsets, taken, weights.ToItems());
    }

    /// <summary>With one more row per id, which holds that id with the weight 1.</summary>
    public WeightedRows WithOnes(int[] ids)
    {
        var all = new ListWriter<int>(Ids.Storage);
        ItemsWriter<float> weights = Ids.Storage.Create<float>();
        for (int row = 0; row < RowCount; row++)
        {
            all.Append(RowIds(row));
            weights.Append(RowWeights(row));
        }
        foreach (int id in ids)
        {
            all.Append([id]);
            weights.Append(1f);
        }
        (Items<long> offsets, Items<int> joined) = all.ToItems();
        return new WeightedRows(offsets, joined, weights.ToItems());
    }
}

/// <summary>Buckets ready to be stored: see BOFF and BENT in docs/model-format.md.</summary>
/// <param name="KeyWeights">[keys] with what weight the training rows opened each bucket, in sum; null if that is not known.</param>
internal sealed record FrozenBuckets(uint[] Offsets, uint[] Entries, float VoteScale, float[]? KeyWeights = null);

/// <summary>
/// Fills buckets with what the training rows that open them activate: every row adds its votes to each of its keys'
/// buckets, and a bucket keeps the labels with the largest sums. The stored vote is sum / (bucket total + prior), so that
/// rare keys speak softly.
/// </summary>
internal static class TableBuilder
{
    public const float Prior = 20f;

    private const long FewestPairs = 1 << 20, MostPairs = 64 << 20;

    /// <param name="keys">The keys that each row opens.</param>
    /// <param name="votes">The labels that each row votes for.</param>
    /// <param name="cap">The most labels in a bucket.</param>
    public static FrozenBuckets Build(WeightedRows keys, WeightedRows votes, int keyCount, int labelCount, int cap, CancellationToken cancel = default) =>
        Build(keys, votes, keyCount, labelCount, cap, PairsInMemory(), cancel);

    /// <param name="pairs">The most pairs of a key and a row to hold at once, unless one key has more; the buckets do not depend on it.</param>
    internal static FrozenBuckets Build(WeightedRows keys, WeightedRows votes, int keyCount, int labelCount, int cap, long pairs, CancellationToken cancel)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(votes.RowCount, keys.RowCount, nameof(votes));
        long[] starts = CountPairs(keys, keyCount);
        var lengths = new int[keyCount];
        var ids = new int[keyCount][];
        var sums = new float[keyCount][];
        var keyWeights = new float[keyCount];
        var transposed = new KeyRows(keys, starts, pairs);
        var options = new ParallelOptions { CancellationToken = cancel };
        const int Chunk = 256;
        for (int first = 0; first < keyCount;)
        {
            int end = transposed.Load(first);
            Parallel.For(0, (end - first + Chunk - 1) / Chunk, options, () => new Tally(labelCount), (chunk, _, tally) =>
            {
                for (int key = first + (chunk * Chunk); key < Math.Min(end, first + ((chunk + 1) * Chunk)); key++)
                {
                    ReadOnlySpan<int> rows = transposed.Rows(key);
                    ReadOnlySpan<float> weights = transposed.Weights(key);
                    for (int i = 0; i < rows.Length; i++)
                    {
                        ReadOnlySpan<int> labels = votes.RowIds(rows[i]);
                        ReadOnlySpan<float> strengths = votes.RowWeights(rows[i]);
                        for (int v = 0; v < labels.Length; v++)
                            tally.Add(labels[v], weights[i] * strengths[v]);
                        keyWeights[key] += weights[i];
                    }
                    (ids[key], sums[key]) = tally.TakeLargest(cap);
                    lengths[key] = ids[key].Length;
                }
                return tally;
            }, _ => { });
            first = end;
        }

        float scale = 1e-6f;
        foreach (float[] bucket in sums)
        {
            foreach (float vote in bucket)
                scale = MathF.Max(scale, vote);
        }
        var offsets = new uint[keyCount + 1];
        for (int key = 0; key < keyCount; key++)
            offsets[key + 1] = checked(offsets[key] + (uint)lengths[key]);
        var entries = new uint[offsets[keyCount]];
        for (int key = 0; key < keyCount; key++)
        {
            for (int i = 0; i < lengths[key]; i++)
                entries[offsets[key] + i] = BucketTable.Pack(ids[key][i], BucketTable.EncodeVote(sums[key][i], scale));
        }
        return new FrozenBuckets(offsets, entries, scale, keyWeights);
    }

    /// <summary>Pairs of a key and a row, 8 bytes each, that take a quarter of the memory there is, and at most half a gigabyte.</summary>
    private static long PairsInMemory() => Math.Clamp(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / (4 * 8), FewestPairs, MostPairs);

    /// <summary>[keys + 1] where each key's rows would start if those of all keys were put end to end.</summary>
    private static long[] CountPairs(WeightedRows keys, int keyCount)
    {
        var starts = new long[keyCount + 1];
        for (int row = 0; row < keys.RowCount; row++)
        {
            foreach (int key in keys.RowIds(row))
                starts[key + 1]++;
        }
        for (int key = 0; key < keyCount; key++)
            starts[key + 1] += starts[key];
        return starts;
    }

    /// <summary>The rows that open each of some neighbouring keys, in row order.</summary>
    private sealed class KeyRows
    {
        private readonly WeightedRows _keys;
        private readonly long[] _starts;
        private readonly long _pairs;
        private readonly long[] _next;
        private int[] _rows = [];
        private float[] _weights = [];
        private int _first;

        /// <param name="pairs">The most pairs to hold at once, unless one key has more.</param>
        public KeyRows(WeightedRows keys, long[] starts, long pairs)
        {
            (_keys, _starts, _pairs) = (keys, starts, pairs);
            _next = new long[starts.Length];
        }

        /// <summary>Loads as many keys as it may, beginning with the given one. Returns where it stopped.</summary>
        public int Load(int first)
        {
            int end = first + 1;
            while (end < _starts.Length - 1 && _starts[end + 1] - _starts[first] <= _pairs)
                end++;
            _first = first;
            int count = checked((int)(_starts[end] - _starts[first]));
            if (count > _rows.Length)
                (_rows, _weights) = (new int[count], new float[count]);
            for (int key = first; key < end; key++)
                _next[key] = _starts[key] - _starts[first];
            for (int row = 0; row < _keys.RowCount; row++)
            {
                ReadOnlySpan<int> ids = _keys.RowIds(row);
                ReadOnlySpan<float> weights = _keys.RowWeights(row);
                for (int i = 0; i < ids.Length; i++)
                {
                    if (ids[i] < first || ids[i] >= end)
                        continue;
                    long slot = _next[ids[i]]++;
                    _rows[slot] = row;
                    _weights[slot] = MathF.Abs(weights[i]);
                }
            }
            return end;
        }

        public ReadOnlySpan<int> Rows(int key) => _rows.AsSpan(Start(key), Count(key));

        public ReadOnlySpan<float> Weights(int key) => _weights.AsSpan(Start(key), Count(key));

        private int Start(int key) => (int)(_starts[key] - _starts[_first]);

        private int Count(int key) => (int)(_starts[key + 1] - _starts[key]);
    }

    /// <summary>One thread's sums over the labels; only touched slots are cleared.</summary>
    private sealed class Tally(int labelCount)
    {
        private readonly float[] _sums = new float[labelCount];
        private readonly List<int> _touched = [];

        public void Add(int label, float vote)
        {
            if (!(vote > 0f))
                return;
            if (_sums[label] == 0f)
                _touched.Add(label);
            _sums[label] += vote;
        }

        /// <summary>The labels with the largest sums, largest first, the lower id where sums are equal; then starts anew.</summary>
        public (int[] Ids, float[] Votes) TakeLargest(int cap)
        {
            double total = 0;
            int count = 0;
            var ids = new int[Math.Min(cap, _touched.Count)];
            foreach (int label in _touched)
            {
                total += _sums[label];
                // Sorted insertion: almost every label fails its first comparison. The tables must not depend on the
                // order in which threads met the labels, hence the ids break ties.
                int at = count < ids.Length ? count++ : ids.Length;
                if (at == ids.Length && !Before(label, ids[at - 1]))
                    continue;
                at = Math.Min(at, ids.Length - 1);
                for (; at > 0 && Before(label, ids[at - 1]); at--)
                    ids[at] = ids[at - 1];
                ids[at] = label;
            }
            var votes = new float[ids.Length];
            for (int i = 0; i < votes.Length; i++)
                votes[i] = (float)(_sums[ids[i]] / (total + Prior));
            foreach (int label in _touched)
                _sums[label] = 0f;
            _touched.Clear();
            return (ids, votes);
        }

        private bool Before(int a, int b) => _sums[a] > _sums[b] || (_sums[a] == _sums[b] && a < b);
    }
}
