using EdgeSlide.Hashing;
using EdgeSlide.Model;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Export;
using EdgeSlide.Training.Networks;
using EdgeSlide.Training.Selection;

namespace EdgeSlide.Training.Tables;

/// <summary>
/// Learns a tree whose nodes are trained to be found. Labels are shared out among the leaves by balanced k-means over the
/// mean hidden vector of the rows that vote for them; then the nodes of every level become a softmax classifier that sends a
/// hidden vector to the nodes which hold its labels (label trees with learned routing: Parabel, Prabhu et al. 2018; PLT,
/// Jasinska et al. 2016). A node is stored as a centroid tree's is, so a device follows either kind by the same rules.
/// </summary>
internal static class LabelTreeBuilder
{
    private const int KMeansRounds = 8;

    /// <summary>A part may hold this many times its even share.</summary>
    private const float Slack = 1.25f;

    /// <summary>Nodes of a level that a training row is filed under.</summary>
    public const int Filed = 4;

    /// <summary>Rows that the tree is learned from, at most.</summary>
    private const int MostRows = 1_000_000;

    /// <summary>Learns a tree and fills its nodes' buckets with the votes of the training rows that pass them.</summary>
    public static ExportedSource Build(Network network, DenseScorer scorer, Dataset train, WeightedRows votes, TreeShape shape, SelectorOptions options, CancellationToken cancel)
    {
        (byte[] section, SourceRecord query, int[] leaves) = Learn(network, scorer, train, votes, shape, options, cancel);
        // A label tree is sure of no single path, so rows are filed as queries look. Every label has a place in its own leaf.
        WeightedRows rows = CentroidTreeBuilder.File(section, query, scorer, train, network.Layers[^1].Inputs, Math.Min(Filed, shape.Beam), cancel).WithOnes(leaves);
        votes = votes.WithOnes([.. Enumerable.Range(0, leaves.Length)]);
        FrozenBuckets buckets = TableBuilder.Build(rows, votes, (int)query.KeyCount, network.OutputCount, shape.BucketSize, cancel);
        return new ExportedSource(query, buckets, null, section);
    }

    /// <summary>Learns a tree from the training rows, evenly spread ones if there are very many.</summary>
    private static (byte[] Section, SourceRecord Record, int[] Leaves) Learn(Network network, DenseScorer scorer, Dataset train, WeightedRows votes, TreeShape shape, SelectorOptions options, CancellationToken cancel)
    {
        int width = network.Layers[^1].Inputs, used = (int)Math.Min(Math.Min(MostRows, train.RowCount), int.MaxValue / 2L / width);
        if (used < train.RowCount)
        {
            int[] some = [.. Enumerable.Range(0, used).Select(i => (int)((long)i * train.RowCount / used))];
            (train, votes) = (train.Take(some), votes.Take(some));
        }
        var hidden = new float[used * width];
        scorer.Hidden(train, 0, used, hidden);
        return Learn(hidden, width, votes, network.Layers[^1].Weights, shape, options, cancel);
    }

    /// <param name="hidden">[rows x width] the output layer's inputs.</param>
    /// <param name="votes">What each row speaks for.</param>
    /// <param name="weights">[labels x width] the output layer's rows, for labels that no row votes for.</param>
    /// <returns>The HASH section, the record by which a query uses it, and the key of each label's own leaf.</returns>
    public static (byte[] Section, SourceRecord Record, int[] Leaves) Learn(float[] hidden, int width, WeightedRows votes, float[] weights, TreeShape shape, SelectorOptions options, CancellationToken cancel)
    {
        int branch = shape.Branch, levels = shape.Levels, labels = weights.Length / width;
        int nodes = CentroidTree.NodeCount(branch, levels);
        float[] places = Places(hidden, width, votes, weights, labels);
        var leaf = new int[labels];
        Split(places, width, [.. Enumerable.Range(0, labels)], branch, levels, 0, leaf, options.Seed, cancel);

        var rows = new float[nodes * width];
        var bias = new float[nodes];
        var router = new RouterTrainer(hidden, width, votes, options.Seed);
        int start = 0, count = 1;
        for (int level = 0; level < levels; level++)
        {
            count *= branch;
            int below = (int)Math.Pow(branch, levels - 1 - level);
            router.Train([.. leaf.Select(l => l / below)], count, options.RouterEpochs, rows.AsSpan(start * width, count * width), bias.AsSpan(start, count), cancel);
            start += count;
        }
        byte[] section = CentroidTreeBuilder.Section(rows, bias, width, sharpness: 1f);
        var record = new SourceRecord
        {
            Kind = SourceKind.Centroids,
            KeyCount = (uint)nodes,
            Tables = (uint)levels,
            Bits = (uint)branch,
            Rounds = (uint)shape.Beam,
            Weight = 1f,
        };
        return (section, record, [.. leaf.Select(l => nodes - count + l)]);
    }

    /// <summary>[labels x width] where a label's queries are: the weighted mean of their centred vectors, as a direction.</summary>
    private static float[] Places(float[] hidden, int width, WeightedRows votes, float[] weights, int labels)
    {
        var mean = new double[width];
        for (int i = 0; i < hidden.Length; i++)
            mean[i % width] += hidden[i] / (double)Math.Max(1, votes.RowCount);
        var places = new float[labels * width];
        var seen = new bool[labels];
        for (int row = 0; row < votes.RowCount; row++)
        {
            for (long v = votes.Offsets[row]; v < votes.Offsets[row + 1]; v++)
            {
                if (!(votes.Weights[v] > 0f))
                    continue;
                seen[votes.Ids[v]] = true;
                Span<float> place = places.AsSpan(votes.Ids[v] * width, width);
                for (int j = 0; j < width; j++)
                    place[j] += votes.Weights[v] * (hidden[row * width + j] - (float)mean[j]);
            }
        }
        for (int label = 0; label < labels; label++)
        {
            if (!seen[label])
                weights.AsSpan(label * width, width).CopyTo(places.AsSpan(label * width));
        }
        return places;
    }

    /// <summary>Shares out labels among a node's children, then theirs among their children.</summary>
    private static void Split(float[] places, int width, int[] labels, int branch, int levels, int node, int[] leaf, ulong seed, CancellationToken cancel)
    {
        cancel.ThrowIfCancellationRequested();
        if (levels == 0 || labels.Length == 0)
        {
            foreach (int label in labels)
                leaf[label] = node;
            return;
        }
        var own = new float[labels.Length * width];
        for (int i = 0; i < labels.Length; i++)
            places.AsSpan(labels[i] * width, width).CopyTo(own.AsSpan(i * width));
        int kept = Math.Min(branch, labels.Length);
        // Every part in order of preference, so that who finds a part full takes the next.
        (float[] centres, int[][] preference) = SphericalKMeans.Run(own, width, kept, kept, KMeansRounds, seed + (ulong)node, cancel);
        var room = new int[kept];
        Array.Fill(room, (int)Math.Ceiling(Slack * labels.Length / kept));
        var part = new int[labels.Length];
        float Fit(int i) => SphericalKMeans.Dot(own.AsSpan(i * width, width), centres.AsSpan(preference[i][0] * width, width))
            / MathF.Max(1e-12f, MathF.Sqrt(SphericalKMeans.Dot(own.AsSpan(i * width, width), own.AsSpan(i * width, width))));
        foreach (int i in Enumerable.Range(0, labels.Length).OrderByDescending(Fit).ThenBy(i => i))
        {
            part[i] = Array.Find(preference[i], p => room[p] > 0);
            room[part[i]]--;
        }
        for (int p = 0; p < branch; p++)
        {
            int child = p;
            Split(places, width, [.. labels.Where((_, i) => part[i] == child)], branch, levels - 1, node * branch + p, leaf, seed, cancel);
        }
    }
}
