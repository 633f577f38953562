using System.Numerics;
using System.Runtime.InteropServices;
using EdgeSlide.Features;
using EdgeSlide.Kernels;
using EdgeSlide.Model;

namespace EdgeSlide.Hashing;

/// <summary>
/// One session's votes on one layer: a hash table of the neurons that got any, with open addressing. It is as large as the
/// query needs, so that it stays in the nearest cache however wide the layer is. All memory is native and kept, so a warm
/// ballot allocates nothing.
/// </summary>
internal sealed unsafe class Ballot : IDisposable
{
    private const int TreeKeys = CentroidTree.MaxLevels * CentroidTree.MaxBeam;
    private const int MinBits = 9;

    /// <summary>Slots per neuron at least, so that few neurons meet in one.</summary>
    private const int Spread = 4;

    // The golden ratio's digits scatter neighbouring ids; the random rest keeps a file from choosing ids that all meet.
    private static readonly uint Scatter = 0x9E000001u | (uint)Random.Shared.Next(1 << 23) << 1;

    private readonly LayerSelector _selector;
    private readonly int _width;
    private readonly uint _scatter = Scatter;
    private readonly NativeBuffer<float> _scratch;
    private readonly NativeBuffer<int> _keys;
    private readonly NativeBuffer<float> _keyWeights = new(TreeKeys);
    private readonly NativeBuffer<float> _voteValues;

    /// <summary>Neuron + 1 in the high half, its votes in the low; 0 if empty, as all are between queries.</summary>
    private ulong* _slots;
    private int _slotBits;
    private int _bits = MinBits;

    /// <summary>The slots that are not empty, in the order of their first votes.</summary>
    private uint* _touched;
    private int* _tally;
    private int* _survivors;
    private int _capacity;
    private int _count;

    public Ballot(LayerSelector selector, int width, int inputs)
    {
        _selector = selector;
        _width = width;
        _scratch = new NativeBuffer<float>(SimHash.PaddedDimensions(inputs));
        _keys = new NativeBuffer<int>(Math.Max(TreeKeys, selector.MaxSimHashTables));
        _voteValues = new NativeBuffer<float>(selector.VoteValues.Length);
        selector.VoteValues.CopyTo(_voteValues.Span);
        Reserve(1);
    }

    ~Ballot() => Free();

    /// <summary>Bucket entries read for this query.</summary>
    public int EntriesRead { get; private set; }

    /// <summary>Buckets opened for this query.</summary>
    public int BucketsRead { get; private set; }

    /// <summary>Additions and multiplications spent on hashing for this query.</summary>
    public long HashOperations { get; private set; }

    /// <summary>Bytes of hash parameters read for this query, where they are more than a few cache lines.</summary>
    public long HashBytes { get; private set; }

    /// <summary>Bytes of working memory, as far as queries have needed it until now.</summary>
    public long MemoryBytes => (1L << _slotBits) * sizeof(ulong) + _capacity * 12L;

    /// <summary>Forgets the last query; its slots are already clear.</summary>
    public void Begin()
    {
        EntriesRead = BucketsRead = 0;
        HashOperations = HashBytes = 0;
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
            // The last entry too: a bucket may begin at the end of a line. An empty one asks for what the one before did.
            uint* offsets = source.Buckets.Offsets, entries = source.Buckets.Entries, last = entries;
            for (int i = 0; i < features.Count; i++)
            {
                uint start = offsets[features.Ids[i]], end = offsets[features.Ids[i] + 1];
                uint* first = end > start ? entries + start : last;
                last = end > start ? entries + end - 1 : last;
                Prefetch.Line(first);
                Prefetch.Line(last);
            }
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
            long entries = 0;
            for (int i = 0; i < features.Count; i++)
                entries += source.Buckets.Length(features.Ids[i]);
            Reserve(entries);
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
            long entries = 0;
            for (int t = 0; t < tables; t++)
                entries += source.Buckets.Length(_keys.Pointer[t]);
            Reserve(entries);
            for (int t = 0; t < tables; t++)
                VoteBucket(in source.Buckets, _keys.Pointer[t], 1f, _voteValues.Pointer + s * 256);
        }
    }

    /// <summary>Lets the nodes vote that the layer's input passes in each centroid tree, weighted by nearness.</summary>
    /// <param name="x">The quantized input, padded as the layer's rows are.</param>
    /// <param name="scale">What one step of it is worth.</param>
    public void VoteByCentroids<TKernel>(sbyte* x, float scale) where TKernel : struct, IKernel
    {
        for (int s = 0; s < _selector.Sources.Length; s++)
        {
            ref readonly CandidateSource source = ref _selector.Sources[s];
            if (source.Tree is not { } tree)
                continue;
            int count = tree.Keys<TKernel>(x, scale, _keys.Pointer, _keyWeights.Pointer);
            HashOperations += tree.Operations;
            HashBytes += tree.BytesRead;
            for (int i = 0; i < count; i++)
                Prefetch.Line(source.Buckets.Entries + source.Buckets.Offsets[_keys.Pointer[i]]);
            long entries = 0;
            for (int i = 0; i < count; i++)
                entries += source.Buckets.Length(_keys.Pointer[i]);
            Reserve(entries);
            for (int i = 0; i < count; i++)
                VoteBucket(in source.Buckets, _keys.Pointer[i], _keyWeights.Pointer[i], _voteValues.Pointer + s * 256);
        }
    }

    /// <summary>
    /// Ends the vote: writes the ids of the at most <paramref name="budget"/> neurons with most votes (the lower id where
    /// votes are equal) and their votes, in no particular order, and clears the slots.
    /// </summary>
    public int Count(int budget, int* ids, float* votes)
    {
        int count = _count;
        _count = 0;
        _bits = MinBits;
        // Positive floats order like their bits read as integers.
        for (int i = 0; i < count; i++)
        {
            ulong* slot = _slots + _touched[i];
            _tally[i] = (int)*slot;
            _touched[i] = (uint)(*slot >> 32) - 1;
            *slot = 0;
        }
        int threshold = count > budget ? TopVotes.Threshold(_tally, count, budget, _survivors) : 0;
        int elected = 0;
        for (int i = 0; i < count; i++)
        {
            // Written always, counted when above: no branch to mispredict. The buffers have a slot to spare.
            ids[elected] = (int)_touched[i];
            votes[elected] = BitConverter.Int32BitsToSingle(_tally[i]);
            elected += _tally[i] > threshold ? 1 : 0;
        }
        return elected == budget || count <= budget ? elected : BreakTies(threshold, count, elected, budget, ids, votes);
    }

    /// <summary>Fills the rest of the budget with the lowest ids among those whose votes equal the threshold.</summary>
    private int BreakTies(int threshold, int count, int elected, int budget, int* ids, float* votes)
    {
        // Ids turned round, so that the lowest are the largest and the same bisection finds them.
        int tied = 0;
        for (int i = 0; i < count; i++)
        {
            if (_tally[i] == threshold)
                _tally[tied++] = ModelFormat.MaxWidth - (int)_touched[i];
        }
        int limit = elected + tied > budget ? TopVotes.Threshold(_tally, tied, budget - elected, _survivors) : 0;
        for (int i = 0; i < tied; i++)
        {
            if (_tally[i] <= limit)
                continue;
            ids[elected] = ModelFormat.MaxWidth - _tally[i];
            votes[elected++] = BitConverter.Int32BitsToSingle(threshold);
        }
        return elected;
    }

    public void Dispose()
    {
        Free();
        _scratch.Dispose();
        _keys.Dispose();
        _keyWeights.Dispose();
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
        uint* entry = buckets.Entries + start;
        uint* end = entry + length;
        ulong* slots = _slots;
        uint* touched = _touched;
        uint scatter = _scatter, mask = (1u << _bits) - 1;
        int count = _count, shift = 32 - _bits;
        for (; entry < end; entry++)
        {
            float vote = weight * voteValues[*entry & 0xFF];
            if (!(vote > 0f))
                continue;
            uint name = (*entry >> BucketTable.VoteBits) + 1;
            uint at = (name * scatter) >> shift;
            ulong slot = slots[at];
            while (slot != 0 && (uint)(slot >> 32) != name)
            {
                at = (at + 1) & mask;
                slot = slots[at];
            }
            // An empty slot reads as no votes. Listed without a branch: what was there already is overwritten by the next newcomer.
            slots[at] = (ulong)name << 32 | BitConverter.SingleToUInt32Bits(BitConverter.UInt32BitsToSingle((uint)slot) + vote);
            touched[count] = at;
            count += slot == 0 ? 1 : 0;
        }
        _count = count;
    }

    /// <summary>Makes room for that many more votes; called before they are cast.</summary>
    private void Reserve(long entries)
    {
        int neurons = (int)Math.Min(_count + entries, _width);
        int bits = Math.Max(MinBits, BitOperations.Log2((uint)neurons * Spread) + 1);
        if (neurons > _capacity)
            GrowLists(Math.Max(1024, (int)BitOperations.RoundUpToPowerOf2((uint)neurons)));
        if (bits > _bits && _count > 0)
            Resize(bits);
        else if (bits > _slotBits)
            AllocateSlots(bits);
        _bits = Math.Max(bits, _bits);
    }

    /// <summary>Moves the votes of this query to a larger table.</summary>
    private void Resize(int bits)
    {
        for (int i = 0; i < _count; i++)
        {
            ulong* slot = _slots + _touched[i];
            _touched[i] = (uint)(*slot >> 32);
            _tally[i] = (int)*slot;
            *slot = 0;
        }
        if (bits > _slotBits)
            AllocateSlots(bits);
        uint mask = (1u << bits) - 1;
        for (int i = 0; i < _count; i++)
        {
            uint at = (_touched[i] * _scatter) >> (32 - bits);
            while (_slots[at] != 0)
                at = (at + 1) & mask;
            _slots[at] = (ulong)_touched[i] << 32 | (uint)_tally[i];
            _touched[i] = at;
        }
    }

    private void AllocateSlots(int bits)
    {
        NativeMemory.AlignedFree(_slots);
        _slots = null;
        nuint bytes = (nuint)sizeof(ulong) << bits;
        _slots = (ulong*)NativeMemory.AlignedAlloc(bytes, 64);
        NativeMemory.Clear(_slots, bytes);
        _slotBits = bits;
    }

    private void GrowLists(int capacity)
    {
        // One more than can be counted: the branch-free listing writes one past the last.
        _touched = (uint*)NativeMemory.Realloc(_touched, (nuint)(capacity + 1) * sizeof(uint));
        _tally = (int*)NativeMemory.Realloc(_tally, (nuint)(capacity + TopVotes.Slack) * sizeof(int));
        _survivors = (int*)NativeMemory.Realloc(_survivors, (nuint)(capacity + TopVotes.Slack) * sizeof(int));
        _capacity = capacity;
    }

    private void Free()
    {
        NativeMemory.AlignedFree(_slots);
        NativeMemory.Free(_touched);
        NativeMemory.Free(_tally);
        NativeMemory.Free(_survivors);
        _slots = null;
        _touched = null;
        _tally = _survivors = null;
    }
}
