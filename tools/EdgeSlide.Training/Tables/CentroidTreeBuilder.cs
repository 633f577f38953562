using System.Runtime.InteropServices;
using EdgeSlide.Hashing;
using EdgeSlide.Kernels;
using EdgeSlide.Layers;
using EdgeSlide.Model;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Export;
using EdgeSlide.Training.Networks;
using EdgeSlide.Training.Quantization;
using EdgeSlide.Training.Selection;

namespace EdgeSlide.Training.Tables;

/// <summary>
/// Learns a tree of cluster centres over the output layer's inputs, by k-means in every node, and fills its nodes' buckets with
/// the votes of the training rows that pass them. The result does not depend on the number of threads.
/// </summary>
internal static class CentroidTreeBuilder
{
    private const int SampleRows = 120_000;
    private const int RootRounds = 8;
    private const int Rounds = 5;
    private const int Chunk = 8192;

    /// <summary>A node this many times the typical squared distance to the nearest centre farther away weighs 1/e^(1/0.3).</summary>
    private const float Temperature = 0.3f;

    public static ExportedSource Build(Network network, DenseScorer scorer, Dataset train, WeightedRows votes, TreeShape shape, ulong seed, CancellationToken cancel)
    {
        (byte[] section, SourceRecord query) = Learn(network, scorer, train, shape, seed, cancel);
        // A training row opens the nodes of its nearest path only; what lies beside it is the query's business.
        WeightedRows rows = File(section, query, scorer, train, network.Layers[^1].Inputs, filed: 1, cancel);
        FrozenBuckets buckets = TableBuilder.Build(rows, votes, (int)query.KeyCount, network.OutputCount, shape.BucketSize, cancel);
        return new ExportedSource(query, buckets, null, section);
    }

    /// <summary>The nodes that each training row opens, with its share of each.</summary>
    /// <param name="section">The tree.</param>
    /// <param name="query">How queries follow it.</param>
    /// <param name="width">Of the vectors.</param>
    /// <param name="filed">Nodes of a level that a row opens; where it is one, with a share of 1.</param>
    public static unsafe WeightedRows File(byte[] section, SourceRecord query, DenseScorer scorer, Dataset train, int width, int filed, CancellationToken cancel)
    {
        SourceRecord record = query with { Rounds = (uint)filed };
        int perRow = 0;
        for (int level = 0, open = 1; level < (int)query.Tables; level++)
            perRow += open = Math.Min(filed, open * (int)query.Bits);
        var offsets = new long[train.RowCount + 1];
        for (int row = 0; row < train.RowCount; row++)
            offsets[row + 1] = offsets[row] + perRow;
        var keys = new int[offsets[^1]];
        var shares = new float[keys.Length];
        fixed (byte* pointer = section)
        {
            var tree = new CentroidTree(new View<byte>(pointer, section.Length), in record, width);
            var hidden = new float[Chunk * width];
            for (int first = 0; first < train.RowCount; first += Chunk)
            {
                cancel.ThrowIfCancellationRequested();
                int start = first, count = Math.Min(Chunk, train.RowCount - first);
                scorer.Hidden(train, first, count, hidden);
                Parallel.For(0, (count + 255) / 256, block =>
                {
                    int stride = ModelFormat.RowStride(width);
                    using var x = new NativeBuffer<float>(stride);
                    using var q = new NativeBuffer<sbyte>(stride);
                    for (int i = block * 256; i < Math.Min(count, (block + 1) * 256); i++)
                    {
                        hidden.AsSpan(i * width, width).CopyTo(x.Span);
                        fixed (int* opened = &keys[(start + i) * (long)perRow])
                        {
                            fixed (float* weights = &shares[(start + i) * (long)perRow])
                                tree.Keys<Vector128Kernel>(q.Pointer, FloatKernels.Quantize(x.Pointer, q.Pointer, stride), opened, weights);
                        }
                    }
                });
            }
        }
        return new WeightedRows(offsets, keys, shares);
    }

    /// <summary>The tree alone: its HASH section, and the record by which a query uses it.</summary>
    public static (byte[] Section, SourceRecord Record) Learn(Network network, DenseScorer scorer, Dataset train, TreeShape shape, ulong seed, CancellationToken cancel)
    {
        int width = network.Layers[^1].Inputs;
        int nodes = CentroidTree.NodeCount(shape.Branch, shape.Levels);
        float[] sample = Sample(scorer, train, width, cancel);
        var centres = new float[nodes * width];
        int[] all = [.. Enumerable.Range(0, sample.Length / width)];
        if (all.Length > 0)
            Split(sample, width, centres, shape, seed, 0, 0, 0, all, cancel);
        var record = new SourceRecord
        {
            Kind = SourceKind.Centroids,
            KeyCount = (uint)nodes,
            Tables = (uint)shape.Levels,
            Bits = (uint)shape.Branch,
            Rounds = (uint)shape.Beam,
            Weight = 1f,
        };
        return (Section(centres, nodes, width, Sharpness(sample, width, centres, shape.Branch)), record);
    }

    /// <summary>Hidden vectors of evenly spread rows.</summary>
    private static float[] Sample(DenseScorer scorer, Dataset train, int width, CancellationToken cancel)
    {
        int wanted = Math.Min(SampleRows, train.RowCount), taken = 0;
        var sample = new float[wanted * width];
        var hidden = new float[Chunk * width];
        for (int first = 0; first < train.RowCount; first += Chunk)
        {
            cancel.ThrowIfCancellationRequested();
            int count = Math.Min(Chunk, train.RowCount - first);
            scorer.Hidden(train, first, count, hidden);
            for (int i = 0; i < count; i++)
            {
                if ((first + i + 1L) * wanted / train.RowCount > taken)
                    hidden.AsSpan(i * width, width).CopyTo(sample.AsSpan(taken++ * width));
            }
        }
        return sample;
    }

    /// <summary>K-means of one node's rows, then of its children's.</summary>
    private static void Split(float[] data, int width, float[] centres, TreeShape shape, ulong seed, int level, int levelStart, int node, int[] rows, CancellationToken cancel)
    {
        cancel.ThrowIfCancellationRequested();
        int branch = shape.Branch, first = levelStart + node * branch;
        Span<float> own = centres.AsSpan(first * width, branch * width);
        var random = new Xoshiro256(seed + (ulong)first);
        for (int c = 0; c < branch; c++)
            Row(random.Below(rows.Length)).CopyTo(own[(c * width)..]);
        var nearest = new int[rows.Length];
        for (int round = 0; round < (level == 0 ? RootRounds : Rounds); round++)
        {
            Assign();
            var sums = new double[branch * width];
            var counts = new int[branch];
            for (int i = 0; i < rows.Length; i++)
            {
                counts[nearest[i]]++;
                ReadOnlySpan<float> x = Row(i);
                Span<double> sum = sums.AsSpan(nearest[i] * width, width);
                for (int j = 0; j < x.Length; j++)
                    sum[j] += x[j];
            }
            own = centres.AsSpan(first * width, branch * width);
            for (int c = 0; c < branch; c++)
            {
                if (counts[c] == 0)
                    Row(random.Below(rows.Length)).CopyTo(own[(c * width)..]);
                for (int j = 0; j < width && counts[c] > 0; j++)
                    own[c * width + j] = (float)(sums[c * width + j] / counts[c]);
            }
        }
        if (level + 1 == shape.Levels)
            return;
        Assign();
        int below = levelStart + (int)Math.Pow(branch, level + 1);
        for (int c = 0; c < branch; c++)
        {
            int child = c;
            int[] inside = [.. rows.Where((_, i) => nearest[i] == child)];
            // A node that no row reaches keeps a centre at the origin below it, and empty buckets.
            if (inside.Length > 0)
                Split(data, width, centres, shape, seed, level + 1, below, node * branch + c, inside, cancel);
        }

        ReadOnlySpan<float> Row(int i) => data.AsSpan(rows[i] * width, width);

        void Assign()
        {
            var halves = new float[branch];
            for (int c = 0; c < branch; c++)
                halves[c] = SphericalKMeans.Dot(centres.AsSpan((first + c) * width, width), centres.AsSpan((first + c) * width, width)) / 2;
            Parallel.For(0, (rows.Length + 511) / 512, block =>
            {
                for (int i = block * 512; i < Math.Min(rows.Length, (block + 1) * 512); i++)
                {
                    float best = float.NegativeInfinity;
                    for (int c = 0; c < branch; c++)
                    {
                        float score = SphericalKMeans.Dot(Row(i), centres.AsSpan((first + c) * width, width)) - halves[c];
                        if (score > best)
                            (best, nearest[i]) = (score, c);
                    }
                }
            });
        }
    }

    /// <summary>The sharpness by which scores fall: scores are half squared distances.</summary>
    private static float Sharpness(float[] sample, int width, float[] centres, int branch)
    {
        double sum = 0;
        int rows = sample.Length / width, step = Math.Max(1, rows / 2000), used = 0;
        for (int row = 0; row < rows; row += step, used++)
        {
            ReadOnlySpan<float> x = sample.AsSpan(row * width, width);
            double best = double.PositiveInfinity;
            for (int c = 0; c < branch; c++)
            {
                double distance = 0;
                for (int j = 0; j < width; j++)
                    distance += Math.Pow(x[j] - centres[c * width + j], 2);
                best = Math.Min(best, distance);
            }
            sum += best;
        }
        return sum > 0 ? (float)Math.Min(1e10, 2 * used / (sum * Temperature)) : 1f;
    }

    private static byte[] Section(float[] centres, int nodes, int width, float sharpness)
    {
        var bias = new float[nodes];
        for (int n = 0; n < nodes; n++)
            bias[n] = -SphericalKMeans.Dot(centres.AsSpan(n * width, width), centres.AsSpan(n * width, width)) / 2;
        return Section(centres, bias, width, sharpness);
    }

    /// <summary>The HASH section of nodes with any rows and biases.</summary>
    public static byte[] Section(float[] nodes, float[] bias, int width, float sharpness)
    {
        QuantizedRows rows = Quantizer.Quantize(nodes, bias.Length, width);
        var section = new byte[CentroidTree.SectionLength(width, bias.Length)];
        MemoryMarshal.Write(section, sharpness);
        rows.Rows.CopyTo(section.AsSpan(CentroidTree.HeaderSize));
        Span<NeuronAffine> affine = MemoryMarshal.Cast<byte, NeuronAffine>(section.AsSpan(CentroidTree.HeaderSize + rows.Rows.Length));
        for (int n = 0; n < bias.Length; n++)
            affine[n] = new NeuronAffine { Scale = rows.Scales[n], Bias = bias[n] };
        return section;
    }
}
