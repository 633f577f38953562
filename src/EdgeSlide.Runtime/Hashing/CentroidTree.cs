using EdgeSlide.Kernels;
using EdgeSlide.Layers;
using EdgeSlide.Model;

namespace EdgeSlide.Hashing;

/// <summary>
/// A tree of cluster centres over a layer's input, learned from training rows (hierarchical k-means, Nister and Stewenius
/// 2006). Every node is a bucket. A query descends along a beam of the nearest nodes and opens all nodes on its way, so
/// coarse buckets back the fine ones. A centre c is stored as a neuron with the bias -|c|^2 / 2: the neuron with the largest
/// value is the nearest centre, found by the same INT8 arithmetic as any layer's.
/// </summary>
internal sealed unsafe class CentroidTree
{
    public const int MaxLevels = 4;
    public const int MaxBranch = 64;
    public const int MaxBeam = 16;
    public const int MaxNodes = 1 << 20;

    /// <summary>The HASH section begins with the sharpness and zeros up to here.</summary>
    public const int HeaderSize = 64;

    private readonly NeuronLayer _nodes;

    /// <param name="section">The HASH section.</param>
    /// <param name="record">Tables are levels, bits the branching, rounds the beam.</param>
    /// <param name="inputs">Width of the vectors.</param>
    public CentroidTree(View<byte> section, in SourceRecord record, int inputs)
    {
        Levels = (int)record.Tables;
        Branch = (int)record.Bits;
        Beam = (int)record.Rounds;
        Inputs = inputs;
        int nodes = (int)record.KeyCount, stride = ModelFormat.RowStride(inputs);
        Sharpness = *(float*)section.Pointer;
        _nodes = new NeuronLayer(new View<byte>(section.Pointer + HeaderSize, (long)nodes * stride), Affine(section, nodes, stride),
            new LayerRecord { Inputs = (uint)inputs, Outputs = (uint)nodes, Stride = (uint)stride }, null);
        int dots = 0, beam = 1;
        for (int level = 0; level < Levels; level++)
        {
            dots += beam * Branch;
            beam = Math.Min(Beam, beam * Branch);
        }
        DotProducts = dots;
    }

    public int Levels { get; }

    public int Branch { get; }

    public int Beam { get; }

    public int Inputs { get; }

    /// <summary>How fast a node's share of a level's vote falls with its distance.</summary>
    public float Sharpness { get; }

    /// <summary>Centres that one query is compared with.</summary>
    public int DotProducts { get; }

    public long Operations => (long)DotProducts * Inputs;

    public long BytesRead => DotProducts * _nodes.BytesPerNeuron;

    /// <summary>branch + branch^2 + ... + branch^levels, or -1 if that is more than <see cref="MaxNodes"/>.</summary>
    public static int NodeCount(int branch, int levels)
    {
        long total = 0, width = 1;
        for (int level = 0; level < levels && total <= MaxNodes; level++)
        {
            width *= branch;
            total += width;
        }
        return total <= MaxNodes ? (int)total : -1;
    }

    public static long SectionLength(int inputs, int nodes) => HeaderSize + nodes * ((long)ModelFormat.RowStride(inputs) + sizeof(NeuronAffine));

    /// <summary>Null if the section's numbers are usable, else what is wrong.</summary>
    public static string? Problem(View<byte> section, int nodes, int inputs)
    {
        int stride = ModelFormat.RowStride(inputs);
        float sharpness = *(float*)section.Pointer;
        if (!(sharpness >= 0f && sharpness <= 1e10f))
            return "the sharpness is not a usable number";
        if (new ReadOnlySpan<byte>(section.Pointer + sizeof(float), HeaderSize - sizeof(float)).ContainsAnyExcept((byte)0))
            return "reserved bytes are not zero";
        if (NeuronLayer.AnyOutOfRange(Rows(section, nodes, stride)))
            return "a centre is outside -127..127";
        View<NeuronAffine> affine = Affine(section, nodes, stride);
        for (int i = 0; i < nodes; i++)
        {
            if (!(MathF.Abs(affine.Pointer[i].Scale) <= 1e10f && MathF.Abs(affine.Pointer[i].Bias) <= 1e10f))
                return $"centre {i} has no usable scale";
        }
        return null;
    }

    /// <summary>
    /// The nodes on the query's way, level by level and in each level the nearest first, with their shares of one vote per
    /// level. Returns their number, at most levels x beam.
    /// </summary>
    public int Keys<TKernel>(sbyte* x, float scale, int* keys, float* weights) where TKernel : struct, IKernel
    {
        float* scores = stackalloc float[MaxBranch];
        int* beam = stackalloc int[MaxBeam];
        int found = 0, open = 1, start = 0, width = Branch;
        beam[0] = 0;
        for (int level = 0; level < Levels; level++)
        {
            int* best = keys + found;
            float* values = weights + found;
            int kept = 0;
            for (int parent = 0; parent < open; parent++)
            {
                int first = start + beam[parent] * Branch;
                _nodes.Logits<TKernel>(x, scale, first, Branch, scores);
                for (int child = 0; child < Branch; child++)
                    Insert(first + child, scores[child], best, values, ref kept, Beam);
            }
            float nearest = values[0], total = 0f;
            for (int i = 0; i < kept; i++)
            {
                beam[i] = best[i] - start;
                values[i] = StableMath.Exp((values[i] - nearest) * Sharpness);
                total += values[i];
            }
            for (int i = 0; i < kept; i++)
                values[i] /= total;
            found += kept;
            open = kept;
            start += width;
            width *= Branch;
        }
        return found;
    }

    /// <summary>Keeps the largest scores, the lower node first among equals.</summary>
    private static void Insert(int node, float score, int* nodes, float* scores, ref int count, int limit)
    {
        if (count == limit && !Before(node, score, nodes[count - 1], scores[count - 1]))
            return;
        int at = count < limit ? count++ : count - 1;
        for (; at > 0 && Before(node, score, nodes[at - 1], scores[at - 1]); at--)
        {
            nodes[at] = nodes[at - 1];
            scores[at] = scores[at - 1];
        }
        nodes[at] = node;
        scores[at] = score;

        static bool Before(int a, float x, int b, float y) => x > y || (x == y && a < b);
    }

    private static View<sbyte> Rows(View<byte> section, int nodes, int stride) => new((sbyte*)(section.Pointer + HeaderSize), (long)nodes * stride);

    private static View<NeuronAffine> Affine(View<byte> section, int nodes, int stride) =>
        new((NeuronAffine*)(section.Pointer + HeaderSize + (long)nodes * stride), nodes);
}
