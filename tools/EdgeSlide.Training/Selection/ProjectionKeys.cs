using System.Numerics;
using EdgeSlide.Hashing;

namespace EdgeSlide.Training.Selection;

/// <summary>Projects a vector on K x L directions; the signs are hash bits, the magnitudes tell how sure they are.</summary>
internal interface IProjection
{
    long Bytes { get; }

    long Operations { get; }

    /// <summary>Writes one value per direction.</summary>
    void Project(QueryVector query, Span<float> values);
}

/// <summary>The device's SimHash directions: sign flips and Hadamard transforms of the mean-centred vector.</summary>
internal sealed unsafe class HadamardProjection : IProjection
{
    private readonly float[] _planes;
    private readonly int _width;
    private readonly int _dimensions;
    private readonly int _rounds;

    public HadamardProjection(float[] mean, int count, ulong seed)
    {
        _width = mean.Length;
        _dimensions = SimHash.PaddedDimensions(_width);
        _rounds = SimHash.RoundsFor(_width, count, 1);
        _planes = SimHash.CreatePlanes(mean, _rounds, seed);
    }

    public long Bytes => _planes.Length * sizeof(float);

    public long Operations => _rounds * (long)_dimensions * (2 * BitOperations.Log2((uint)_dimensions) + 2);

    public void Project(QueryVector query, Span<float> values)
    {
        float* x = stackalloc float[_dimensions];
        for (int round = 0; round < _rounds; round++)
        {
            int first = (1 + 2 * round) * _dimensions, second = first + _dimensions;
            for (int i = 0; i < _dimensions; i++)
                x[i] = (query.Hidden[i] - _planes[i]) * _planes[first + i];
            Hadamard.Transform(x, _dimensions);
            for (int i = 0; i < _dimensions; i++)
                x[i] *= _planes[second + i];
            Hadamard.Transform(x, _dimensions);
            int start = round * _dimensions, count = Math.Min(_dimensions, values.Length - start);
            new ReadOnlySpan<float>(x, count).CopyTo(values[start..]);
        }
    }
}

/// <summary>
/// SimHash keys of the hidden vector, with query-directed probing: beside its own bucket a query opens those that differ in
/// the bits it is least sure of, the likeliest first (Lv, Josephson, Wang, Charikar and Li 2007, "Multi-Probe LSH").
/// </summary>
internal sealed class ProjectionKeys(IProjection projection, int tables, int bits, int probes) : IKeyMaker
{
    public int KeyCount => tables << bits;

    public int MaxKeys => tables * probes;

    public long Bytes => projection.Bytes;

    public int Keys(QueryVector query, bool training, Span<int> keys, Span<float> weights, out long operations)
    {
        Span<float> values = tables * bits <= 2048 ? stackalloc float[tables * bits] : new float[tables * bits];
        projection.Project(query, values);
        operations = projection.Operations;
        int each = training ? 1 : probes, count = 0;
        for (int table = 0; table < tables; table++)
        {
            ReadOnlySpan<float> own = values.Slice(table * bits, bits);
            int code = 0;
            foreach (float value in own)
                code = code << 1 | (value > 0f ? 1 : 0);
            count += Probe(own, code, table << bits, keys.Slice(count, each), weights.Slice(count, each));
            if (each > 1)
                operations += bits * BitOperations.Log2((uint)bits * 2) + each * 4L;
        }
        return count;
    }

    /// <summary>The codes in ascending sum of squared margins of the flipped bits; a farther bucket speaks more softly.</summary>
    private static int Probe(ReadOnlySpan<float> values, int code, int offset, Span<int> keys, Span<float> weights)
    {
        keys[0] = offset | code;
        weights[0] = 1f;
        if (keys.Length == 1)
            return 1;
        int bits = values.Length;
        Span<float> margins = stackalloc float[bits];
        Span<int> order = stackalloc int[bits];
        float mean = 0f;
        for (int i = 0; i < bits; i++)
        {
            (margins[i], order[i]) = (values[i] * values[i], i);
            mean += margins[i] / bits;
        }
        margins.Sort(order);
        // Sets of flips as masks over the sorted margins. Each set has two successors, its last flip moved on or one more
        // flip added, and so every set is met once and after all cheaper ones.
        var queue = new PriorityQueue<(int Mask, int Last), float>();
        queue.Enqueue((1, 0), margins[0]);
        int count = 1;
        while (count < keys.Length && queue.TryDequeue(out (int Mask, int Last) set, out float cost))
        {
            int flipped = code;
            for (int i = 0; i <= set.Last; i++)
            {
                if ((set.Mask >> i & 1) != 0)
                    flipped ^= 1 << (bits - 1 - order[i]);
            }
            keys[count] = offset | flipped;
            weights[count++] = mean > 0f ? MathF.Exp(-cost / mean) : 1f;
            if (set.Last + 1 == bits)
                continue;
            int next = set.Last + 1;
            queue.Enqueue((set.Mask ^ 1 << set.Last | 1 << next, next), cost - margins[set.Last] + margins[next]);
            queue.Enqueue((set.Mask | 1 << next, next), cost + margins[next]);
        }
        return count;
    }
}
