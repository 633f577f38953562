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
    private readonly BucketKeys _keys;
    private ulong _draws;

    public LshTables(int k, int tables, int rangePow, int bucketSize, int codeBits, BucketPolicy policy, ulong seed)
    {
        (BucketSize, _policy, _seed) = (bucketSize, policy, seed);
        _keys = new BucketKeys(k, tables, rangePow, codeBits);
        _ids = new NativeArray<int>(_keys.Count * bucketSize);
        _seen = new NativeArray<int>(_keys.Count);
    }

    public int Tables => _keys.Tables;

    public int BucketSize { get; }

    public void Clear()
    {
        _seen.Clear();
        _draws = 0;
    }

    public void Keys(int* codes, int* keys) => _keys.Make(codes, keys);

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
