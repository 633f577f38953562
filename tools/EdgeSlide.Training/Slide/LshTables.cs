using EdgeSlide.Training.Training;

namespace EdgeSlide.Training.Slide;

/// <summary>What a full bucket does with one more neuron.</summary>
internal enum BucketPolicy
{
    /// <summary>The oldest leaves.</summary>
    Fifo,

    /// <summary>Each neuron that ever came stays with the same probability (Vitter 1985).</summary>
    Reservoir,
}

/// <summary>L hash tables of 2^RangePow buckets of bounded size, with neurons by the K codes of each table.</summary>
internal sealed unsafe class LshTables : IDisposable
{
    private readonly NativeArray<int> _ids;
    private readonly NativeArray<int> _seen;
    private readonly BucketPolicy _policy;
    private readonly ulong _seed;
    private readonly bool _exact;
    private readonly int _codeBits;
    private ulong _draws;

    public LshTables(int k, int tables, int rangePow, int bucketSize, int codeBits, BucketPolicy policy, ulong seed)
    {
        (K, Tables, RangePow, BucketSize, _policy, _seed, _codeBits) = (k, tables, rangePow, bucketSize, policy, seed, codeBits);
        _exact = (long)k * codeBits <= rangePow;
        _ids = new NativeArray<int>(((long)tables << rangePow) * bucketSize);
        _seen = new NativeArray<int>((long)tables << rangePow);
    }

    public int K { get; }

    public int Tables { get; }

    public int RangePow { get; }

    public int BucketSize { get; }

    public void Clear()
    {
        _seen.Clear();
        _draws = 0;
    }

    /// <summary>The bucket in each table for K x L codes: the codes side by side where they fit, else hashed to fit.</summary>
    public void Keys(int* codes, int* keys)
    {
        for (int table = 0; table < Tables; table++)
        {
            ulong key = 0;
            for (int k = 0; k < K; k++)
            {
                uint code = (uint)codes[(table * K) + k];
                key = _exact ? (key << _codeBits) | code : Noise.Mix(key ^ code);
            }
            keys[table] = (table << RangePow) | (int)(key & ((1UL << RangePow) - 1));
        }
    }

    public void Add(int id, int* keys)
    {
        for (int table = 0; table < Tables; table++)
        {
            int key = keys[table], seen = _seen[key]++;
            int place = seen;
            if (seen >= BucketSize)
                place = _policy == BucketPolicy.Fifo ? seen % BucketSize : Noise.Below(Noise.Mix(_seed + _draws++), seen + 1);
            if (place < BucketSize)
                _ids[((long)key * BucketSize) + place] = id;
        }
    }

    public ReadOnlySpan<int> Bucket(int key) => new(_ids.Items + ((long)key * BucketSize), Math.Min(_seen[key], BucketSize));

    public void Dispose()
    {
        _ids.Dispose();
        _seen.Dispose();
    }
}
