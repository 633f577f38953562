using EdgeSlide.Hashing;

namespace EdgeSlide.Training.Tables;

/// <summary>
/// Rows of (id, weight) pairs in compressed sparse row form: which keys a training row opens, or for which labels it votes.
/// </summary>
internal sealed record WeightedRows(long[] Offsets, int[] Ids, float[] Weights)
{
    public int RowCount => Offsets.Length - 1;

    /// <summary>Some of the rows, in the given order.</summary>
    public WeightedRows Take(IReadOnlyList<int> rows)
    {
        var offsets = new long[rows.Count + 1];
        for (int i = 0; i < rows.Count; i++)
            offsets[i + 1] = offsets[i] + Offsets[rows[i] + 1] - Offsets[rows[i]];
        var ids = new int[offsets[^1]];
        var weights = new float[offsets[^1]];
        for (int i = 0; i < rows.Count; i++)
        {
            Array.Copy(Ids, Offsets[rows[i]], ids, offsets[i], offsets[i + 1] - offsets[i]);
            Array.Copy(Weights, Offsets[rows[i]], weights, offsets[i], offsets[i + 1] - offsets[i]);
        }
        return new WeightedRows(offsets, ids, weights);
    }

    /// <summary>With one more row per id, which holds that id with the weight 1.</summary>
    public WeightedRows WithOnes(int[] ids)
    {
        long end = Offsets[^1];
        var ones = new float[ids.Length];
        Array.Fill(ones, 1f);
        return new WeightedRows([.. Offsets, .. ids.Select((_, i) => end + i + 1)], [.. Ids, .. ids], [.. Weights, .. ones]);
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

    public static FrozenBuckets Build(WeightedRows keys, WeightedRows votes, int keyCount, int labelCount, int cap, CancellationToken cancel = default)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(votes.RowCount, keys.RowCount, nameof(votes));
        (long[] starts, int[] rows, float[] weights) = Transpose(keys, keyCount);

        var lengths = new int[keyCount];
        var ids = new int[keyCount][];
        var sums = new float[keyCount][];
        var options = new ParallelOptions { CancellationToken = cancel };
        const int Chunk = 256;
        Parallel.For(0, (keyCount + Chunk - 1) / Chunk, options, () => new Tally(labelCount), (chunk, _, tally) =>
        {
            for (int key = chunk * Chunk; key < Math.Min(keyCount, (chunk + 1) * Chunk); key++)
            {
                for (long i = starts[key]; i < starts[key + 1]; i++)
                {
                    int row = rows[i];
                    for (long v = votes.Offsets[row]; v < votes.Offsets[row + 1]; v++)
                        tally.Add(votes.Ids[v], weights[i] * votes.Weights[v]);
                }
                (ids[key], sums[key]) = tally.TakeLargest(cap);
                lengths[key] = ids[key].Length;
            }
            return tally;
        }, _ => { });

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
        var keyWeights = new float[keyCount];
        for (int key = 0; key < keyCount; key++)
        {
            for (long i = starts[key]; i < starts[key + 1]; i++)
                keyWeights[key] += weights[i];
        }
        return new FrozenBuckets(offsets, entries, scale, keyWeights);
    }

    private static (long[] Starts, int[] Rows, float[] Weights) Transpose(WeightedRows keys, int keyCount)
    {
        var starts = new long[keyCount + 1];
        foreach (int key in keys.Ids)
            starts[key + 1]++;
        for (int key = 0; key < keyCount; key++)
            starts[key + 1] += starts[key];
        var next = (long[])starts.Clone();
        var rows = new int[keys.Ids.Length];
        var weights = new float[keys.Ids.Length];
        for (int row = 0; row < keys.RowCount; row++)
        {
            for (long i = keys.Offsets[row]; i < keys.Offsets[row + 1]; i++)
            {
                long slot = next[keys.Ids[i]]++;
                rows[slot] = row;
                weights[slot] = MathF.Abs(keys.Weights[i]);
            }
        }
        return (starts, rows, weights);
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
