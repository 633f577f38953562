using EdgeSlide.Hashing;
using EdgeSlide.Training.Tables;

namespace EdgeSlide.Training.Selection;

/// <summary>How a query finds the buckets that it opens.</summary>
internal interface IKeyMaker
{
    int KeyCount { get; }

    /// <summary>The most keys of one query.</summary>
    int MaxKeys { get; }

    /// <summary>Bytes of hash parameters.</summary>
    long Bytes { get; }

    /// <summary>Writes the keys and their weights, and returns how many.</summary>
    /// <param name="query">Whose.</param>
    /// <param name="training">True for the keys under which a training row is filed, which may be fewer than those that a query opens.</param>
    int Keys(QueryVector query, bool training, Span<int> keys, Span<float> weights, out long operations);
}

/// <summary>Buckets filled with what the training rows that open them activate.</summary>
internal sealed class KeyedBuckets : ICandidateSource
{
    private readonly IKeyMaker _keys;
    private readonly FrozenBuckets _buckets;
    private readonly float[] _values = new float[256];

    public KeyedBuckets(IKeyMaker keys, FrozenBuckets buckets)
    {
        (_keys, _buckets) = (keys, buckets);
        BucketTable.DecodeVotes(buckets.VoteScale, _values);
    }

    public long Bytes => _keys.Bytes + sizeof(uint) * ((long)_buckets.Offsets.Length + _buckets.Entries.Length);

    /// <summary>Files every training row under its keys and keeps the <paramref name="entries"/> labels with most votes of each bucket.</summary>
    /// <param name="homes">[labels] a key whose bucket each label is in whatever the rows say; null for none.</param>
    public static KeyedBuckets Fill(IKeyMaker keys, TrainingEvidence evidence, WeightedRows votes, int entries, int[]? homes = null)
    {
        WeightedRows rowKeys = TrainingKeys(keys, evidence);
        if (homes is not null)
            (rowKeys, votes) = (rowKeys.WithOnes(homes), votes.WithOnes([.. Enumerable.Range(0, homes.Length)]));
        return new KeyedBuckets(keys, TableBuilder.Build(rowKeys, votes, keys.KeyCount, evidence.Neurons, entries, evidence.Cancel));
    }

    public void Vote(QueryVector query, VoteTally tally, float weight)
    {
        Span<int> keys = _keys.MaxKeys <= 1024 ? stackalloc int[_keys.MaxKeys] : new int[_keys.MaxKeys];
        Span<float> weights = _keys.MaxKeys <= 1024 ? stackalloc float[_keys.MaxKeys] : new float[_keys.MaxKeys];
        int count = _keys.Keys(query, training: false, keys, weights, out long operations);
        for (int i = 0; i < count; i++)
        {
            uint start = _buckets.Offsets[keys[i]], end = _buckets.Offsets[keys[i] + 1];
            operations += end - start;
            for (uint at = start; at < end; at++)
                tally.Add((int)(_buckets.Entries[at] >> BucketTable.VoteBits), weights[i] * (weight * _values[_buckets.Entries[at] & 0xFF]));
        }
        tally.Operations += operations;
    }

    private static WeightedRows TrainingKeys(IKeyMaker maker, TrainingEvidence evidence)
    {
        const int Block = 1024;
        int rows = evidence.Rows.RowCount, width = evidence.Width;
        float[] hidden = evidence.Hidden;
        int blocks = (rows + Block - 1) / Block;
        var found = new List<(int Key, float Weight)>[blocks];
        var counts = new int[rows];
        Parallel.For(0, blocks, new ParallelOptions { CancellationToken = evidence.Cancel }, block =>
        {
            using var query = new QueryVector(width);
            var keys = new int[maker.MaxKeys];
            var weights = new float[maker.MaxKeys];
            var list = found[block] = [];
            for (int row = block * Block; row < Math.Min(rows, (block + 1) * Block); row++)
            {
                query.Load(evidence.Rows, row, hidden.AsSpan(row * width, width));
                counts[row] = maker.Keys(query, training: true, keys, weights, out _);
                for (int i = 0; i < counts[row]; i++)
                    list.Add((keys[i], weights[i]));
            }
        });
        var offsets = new long[rows + 1];
        for (int row = 0; row < rows; row++)
            offsets[row + 1] = offsets[row] + counts[row];
        return new WeightedRows(offsets, [.. found.SelectMany(l => l).Select(k => k.Key)], [.. found.SelectMany(l => l).Select(k => k.Weight)]);
    }
}
