using EdgeSlide.Kernels;
using EdgeSlide.Training.Data;

namespace EdgeSlide.Training.Scale;

/// <summary>
/// Feature ids whose frequencies follow Zipf's law as those of words without stop words do: the r-th most frequent one is
/// drawn with a probability proportional to 1 / (r + 10). Ids are shuffled, so that frequent features are no neighbours.
/// </summary>
internal sealed class ZipfFeatures
{
    private const int Flattening = 10;

    // Walker's alias method: one draw is one column, and that column's feature or its alias.
    private readonly uint[] _thresholds;
    private readonly int[] _aliases;
    private readonly int[] _ids;

    public ZipfFeatures(int count, Xoshiro256 random)
    {
        _ids = new int[count];
        for (int i = 0; i < count; i++)
            _ids[i] = i;
        random.Shuffle<int>(_ids);
        (Weights, Shares) = (new float[count], new float[count]);
        double total = 0;
        for (int rank = 0; rank < count; rank++)
        {
            total += 1.0 / (rank + Flattening);
            Shares[_ids[rank]] = 1f / (rank + Flattening);
            Weights[_ids[rank]] = 1f + StableMath.Log2((rank + Flattening) / (float)Flattening);
        }

        for (int id = 0; id < count; id++)
            Shares[id] /= (float)total;
        (_thresholds, _aliases) = (new uint[count], new int[count]);
        var share = new double[count];
        Stack<int> small = new(), large = new();
        for (int rank = 0; rank < count; rank++)
        {
            share[rank] = count / ((rank + Flattening) * total);
            (share[rank] < 1 ? small : large).Push(rank);
        }
        while (small.Count > 0 && large.Count > 0)
        {
            int less = small.Pop(), more = large.Pop();
            _thresholds[less] = (uint)(share[less] * uint.MaxValue);
            _aliases[less] = more;
            share[more] -= 1 - share[less];
            (share[more] < 1 ? small : large).Push(more);
        }
        foreach (int rank in small.Concat(large))
            (_thresholds[rank], _aliases[rank]) = (uint.MaxValue, rank);
    }

    /// <summary>By id: the logarithm of the feature's rarity, as an inverse document frequency.</summary>
    public float[] Weights { get; }

    /// <summary>By id: how likely one draw brings the feature.</summary>
    public float[] Shares { get; }

    public int Draw(Xoshiro256 random)
    {
        int column = random.Below(_ids.Length);
        return _ids[(uint)random.Next() <= _thresholds[column] ? column : _aliases[column]];
    }
}
