using EdgeSlide.Hashing;
using EdgeSlide.Kernels;
using EdgeSlide.Model;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Export;
using EdgeSlide.Training.Networks;

namespace EdgeSlide.Training.Tables;

/// <summary>
/// Builds the output layer's tables from what the trained network answers on the training rows: rows vote for their true
/// labels and the network's ten best.
/// </summary>
internal static class SelectorBuilder
{
    private const int HiddenChunk = 8192;

    public static ExportedSelector Build(Network network, Dataset train, SelectorOptions options, CancellationToken cancel = default)
    {
        options.Validate();
        int labels = network.OutputCount;
        using var scorer = new DenseScorer(network);
        WeightedRows votes = RowVotes.Collect(scorer, train, labels, options, cancel);
        cancel.ThrowIfCancellationRequested();

        var sources = new List<ExportedSource>();
        if (options.FeatureBuckets)
        {
            var keys = new WeightedRows(train.FeatureOffsets, train.FeatureIds, train.FeatureValues);
            FrozenBuckets buckets = TableBuilder.Build(keys, votes, train.FeatureCount, labels, options.BucketSize, cancel);
            sources.Add(new ExportedSource(new SourceRecord { Kind = SourceKind.Features, KeyCount = (uint)train.FeatureCount, Tables = 1, Weight = 1f }, buckets, null));
        }
        if (options.HiddenTables > 0)
            sources.Add(HiddenSource(network, scorer, train, votes, options, cancel));
        if (options.Centroids is { } centroids)
            sources.Add(CentroidTreeBuilder.Build(network, scorer, train, votes, centroids, options.Seed, cancel));
        if (options.LabelTree is { } labelTree)
            sources.Add(LabelTreeBuilder.Build(network, scorer, train, votes, labelTree, options, cancel));
        return new ExportedSelector(network.Layers.Count - 1, Math.Min(options.Budget ?? SelectorOptions.DefaultBudget, labels), options.VoteBlend ?? 0f, Pays: true, sources);
    }

    /// <summary>
    /// SimHash tables over the output layer's input, centred on its mean so that the sign bits are balanced.
    /// </summary>
    private static unsafe ExportedSource HiddenSource(Network network, DenseScorer scorer, Dataset train, WeightedRows votes, SelectorOptions options, CancellationToken cancel)
    {
        int width = network.Layers[^1].Inputs;
        int rounds = SimHash.RoundsFor(width, options.HiddenTables, options.HiddenBits);
        int dimensions = SimHash.PaddedDimensions(width);
        var chunk = new float[HiddenChunk * width];
        var mean = new double[width];
        ForEachChunk((first, count) =>
        {
            for (int i = 0; i < count * width; i++)
                mean[i % width] += chunk[i];
        });
        float[] planes = SimHash.CreatePlanes([.. mean.Select(m => (float)(m / Math.Max(1, train.RowCount)))], rounds, options.Seed);

        int tables = options.HiddenTables, bits = options.HiddenBits;
        var keyOffsets = new long[train.RowCount + 1];
        for (int row = 0; row < train.RowCount; row++)
            keyOffsets[row + 1] = keyOffsets[row] + tables;
        var keys = new int[keyOffsets[^1]];
        fixed (float* planePointer = planes)
        {
            var hash = new SimHash(width, tables, bits, rounds, new View<float>(planePointer, planes.Length));
            ForEachChunk((first, count) => Parallel.For(0, (count + 255) / 256, block =>
            {
                using var x = new NativeBuffer<float>(dimensions);
                using var scratch = new NativeBuffer<float>(dimensions);
                using var rowKeys = new NativeBuffer<int>(tables);
                for (int i = block * 256; i < Math.Min(count, (block + 1) * 256); i++)
                {
                    chunk.AsSpan(i * width, width).CopyTo(x.Span);
                    hash.Keys(x.Pointer, scratch.Pointer, rowKeys.Pointer);
                    rowKeys.Span.CopyTo(keys.AsSpan((first + i) * tables));
                }
            }));
        }
        var weights = new float[keys.Length];
        Array.Fill(weights, 1f);
        FrozenBuckets buckets = TableBuilder.Build(new WeightedRows(keyOffsets, keys, weights), votes, tables << bits, network.OutputCount, options.BucketSize, cancel);
        var record = new SourceRecord
        {
            Kind = SourceKind.SimHash,
            KeyCount = (uint)(tables << bits),
            Tables = (uint)tables,
            Bits = (uint)bits,
            Rounds = (uint)rounds,
            Weight = 1f,
        };
        return new ExportedSource(record, buckets, planes);

        void ForEachChunk(Action<int, int> use)
        {
            for (int first = 0; first < train.RowCount; first += HiddenChunk)
            {
                cancel.ThrowIfCancellationRequested();
                int count = Math.Min(HiddenChunk, train.RowCount - first);
                scorer.Hidden(train, first, count, chunk);
                use(first, count);
            }
        }
    }
}
