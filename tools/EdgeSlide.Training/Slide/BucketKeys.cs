using EdgeSlide.Training.Training;

namespace EdgeSlide.Training.Slide;

/// <summary>Puts the K codes of each of L tables together to the number of a bucket of that table.</summary>
internal sealed unsafe class BucketKeys(int k, int tables, int rangePow, int codeBits)
{
    private readonly bool _exact = (long)k * codeBits <= rangePow;

    public int K { get; } = k;

    public int Tables { get; } = tables;

    public int RangePow { get; } = rangePow;

    /// <summary>Buckets of all tables.</summary>
    public long Count => (long)Tables << RangePow;

    /// <summary>The bucket in each table for K x L codes: the codes side by side where they fit, else hashed to fit.</summary>
    public void Make(int* codes, int* keys)
    {
        for (int table = 0; table < Tables; table++)
        {
            ulong key = 0;
            for (int k = 0; k < K; k++)
            {
                uint code = (uint)codes[(table * K) + k];
                key = _exact ? (key << codeBits) | code : Noise.Mix(key ^ code);
            }
            keys[table] = (table << RangePow) | (int)(key & ((1UL << RangePow) - 1));
        }
    }
}
