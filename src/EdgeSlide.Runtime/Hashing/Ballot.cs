using System.Runtime.InteropServices;
using EdgeSlide.Features;
using EdgeSlide.Kernels;
using EdgeSlide.Model;

namespace EdgeSlide.Hashing;

/// <summary>
/// One session's votes on one layer. Every neuron has a slot; the touched ones are listed, so that clearing costs what
/// voting did. All memory is native and kept, so a warm ballot allocates nothing.
/// </summary>
internal sealed unsafe class Ballot : IDisposable
{
    private readonly LayerSelector _selector;
    private readonly NativeBuffer<float> _votes;
    private readonly NativeBuffer<float> _scratch;
    private readonly NativeBuffer<int> _keys;
    private readonly NativeBuffer<float> _voteValues;
    private uint* _touched;
    private ulong* _ranked;
    private int _capacity;
    private int _count;

    public Ballot(LayerSelector selector, int width, int inputs)
    {
        _selector = selector;
        _votes = new NativeBuffer<float>(width);
        _scratch = new NativeBuffer<float>(SimHash.PaddedDimensions(inputs));
        _keys = new NativeBuffer<int>(Math.Max(1, selector.MaxSimHashTables));
        _voteValues = new NativeBuffer<float>(selector.VoteValues.Length);
        selector.VoteValues.CopyTo(_voteValues.Span);
        Grow(1024);
    }

    ~Ballot() => Free();

    /// <summary>Bucket entries read for this query.</summary>
    public int EntriesRead { get; private set; }

    /// <summary>Buckets opened for this query.</summary>
    public int BucketsRead { get; private set; }

    /// <summary>Additions and multiplications spent on hashing for this query.</summary>
    public long HashOperations { get; private set; }

    /// <summary>Forgets the last query; its slots are already clear.</summary>
    public void Begin()
    {
        EntriesRead = BucketsRead = 0;
        HashOperations = 0;
    }

    /// <summary>Asks for the places of the features' buckets; called as early as the features are known.</summary>
    public void PrefetchOffsets(FeatureVector features)
    {
        foreach (ref readonly CandidateSource source in _selector.Sources.AsSpan())
        {
            if (source.Record.Kind != SourceKind.Features)
                continue;
            for (int i = 0; i < features.Count; i++)
                Prefetch.Line(source.Buckets.Offsets + features.Ids[i]);
        }
    }

    /// <summary>Asks for the features' buckets; called when their places have had time to arrive.</summary>
    public void PrefetchBuckets(FeatureVector features)
    {
        foreach (ref readonly CandidateSource source in _selector.Sources.AsSpan())
        {
            if (source.Record.Kind != SourceKind.Features)
                continue;
            for (int i = 0; i < features.Count; i++)
                Prefetch.Line(source.Buckets.Entries + source.Buckets.Offsets[features.Ids[i]]);
        }
    }

    /// <summary>Lets every feature's bucket vote, weighted by the magnitude of the feature's value.</summary>
    public void VoteByFeatures(FeatureVector features)
    {
        for (int s = 0; s < _selector.Sources.Length; s++)
        {
            ref readonly CandidateSource source = ref _selector.Sources[s];
            if (source.Record.Kind != SourceKind.Features)
                continue;
            for (int i = 0; i < features.Count; i++)
                VoteBucket(in source.Buckets, features.Ids[i], MathF.Abs(features.Values[i]), _voteValues.Pointer + s * 256);
        }
    }

    /// <summary>Lets the buckets of the layer's input vote. <paramref name="x"/> is zero-padded to a power of two.</summary>
    public void VoteByHidden(float* x)
    {
        for (int s = 0; s < _selector.Sources.Length; s++)
        {
            ref readonly CandidateSource source = ref _selector.Sources[s];
            if (source.Record.Kind != SourceKind.SimHash)
                continue;
            source.SimHash.Keys(x, _scratch.Pointer, _keys.Pointer);
            HashOperations += source.SimHash.Operations;
            int tables = source.SimHash.Tables;
            for (int t = 0; t < tables; t++)
                Prefetch.Line(source.Buckets.Offsets + _keys.Pointer[t]);
            for (int t = 0; t < tables; t++)
                Prefetch.Line(source.Buckets.Entries + source.Buckets.Offsets[_keys.Pointer[t]]);
            for (int t = 0; t < tables; t++)
                VoteBucket(in source.Buckets, _keys.Pointer[t], 1f, _voteValues.Pointer + s * 256);
        }
    }

    /// <summary>
    /// Ends the vote: writes the ids of the at most <paramref name="budget"/> neurons with most votes (the lower id where
    /// votes are equal) and their votes, in no particular order, and clears the slots.
    /// </summary>
    public int Count(int budget, int* ids, float* votes)
    {
        int count = _count;
        for (int i = 0; i < count; i++)
        {
            uint id = _touched[i];
            // Positive floats order like their bits; the inverted id breaks ties towards the lower one.
            _ranked[i] = (ulong)BitConverter.SingleToUInt32Bits(_votes.Pointer[id]) << 32 | ~id;
            _votes.Pointer[id] = 0f;
        }
        _count = 0;
        if (count > budget)
        {
            SelectLargest(_ranked, count, budget);
            count = budget;
        }
        for (int i = 0; i < count; i++)
        {
            ids[i] = (int)~(uint)_ranked[i];
            votes[i] = BitConverter.UInt32BitsToSingle((uint)(_ranked[i] >> 32));
        }
        return count;
    }

    public void Dispose()
    {
        Free();
        _votes.Dispose();
        _scratch.Dispose();
        _keys.Dispose();
        _voteValues.Dispose();
        GC.SuppressFinalize(this);
    }

    private void VoteBucket(in BucketTable buckets, int key, float weight, float* voteValues)
    {
        uint start = buckets.Offsets[key];
        int length = (int)(buckets.Offsets[key + 1] - start);
        BucketsRead++;
        if (length == 0 || !(weight > 0f))
            return;
        EntriesRead += length;
        if (_count + length > _capacity)
            Grow(Math.Max(2 * _capacity, _count + length));
        uint* entry = buckets.Entries + start;
        uint* end = entry + length;
        float* slots = _votes.Pointer;
        uint* touched = _touched;
        int count = _count;
        for (; entry < end; entry++)
        {
            uint id = *entry >> BucketTable.VoteBits;
            float vote = weight * voteValues[*entry & 0xFF];
            float before = slots[id];
            slots[id] = before + vote;
            // Listed without a branch: a slot that was not empty is overwritten by the next newcomer.
            touched[count] = id;
            count += before == 0f && vote > 0f ? 1 : 0;
        }
        _count = count;
    }

    /// <summary>Moves the <paramref name="wanted"/> largest of distinct items to the front (quickselect).</summary>
    private static void SelectLargest(ulong* items, int count, int wanted)
    {
        int low = 0, high = count - 1;
        while (low < high)
        {
            ulong pivot = Median(items[low], items[low + ((high - low) >> 1)], items[high]);
            int i = low, j = high;
            while (i <= j)
            {
                while (items[i] > pivot)
                    i++;
                while (items[j] < pivot)
                    j--;
                if (i <= j)
                {
                    (items[i], items[j]) = (items[j], items[i]);
                    i++;
                    j--;
                }
            }
            if (wanted - 1 <= j)
                high = j;
            else if (wanted - 1 >= i)
                low = i;
            else
                return;
        }
    }

    private static ulong Median(ulong a, ulong b, ulong c) => Math.Max(Math.Min(a, b), Math.Min(Math.Max(a, b), c));

    private void Grow(int capacity)
    {
        // One slot more than can be counted: the branch-free listing writes one past the last.
        _touched = (uint*)NativeMemory.Realloc(_touched, (nuint)(capacity + 1) * sizeof(uint));
        _ranked = (ulong*)NativeMemory.Realloc(_ranked, (nuint)(capacity + 1) * sizeof(ulong));
        _capacity = capacity;
    }

    private void Free()
    {
        NativeMemory.Free(_touched);
        NativeMemory.Free(_ranked);
        _touched = null;
        _ranked = null;
    }
}
