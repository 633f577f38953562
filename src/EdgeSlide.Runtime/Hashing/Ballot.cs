using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using EdgeSlide.Features;
using EdgeSlide.Kernels;
using EdgeSlide.Model;

namespace EdgeSlide.Hashing;

/// <summary>
/// One predictor's votes on one layer. The opened buckets are first decoded into one list, several entries at a time and without
/// a branch per bucket; then the list is added up, neuron by neuron, through a hash table with open addressing that holds neurons
/// and sums themselves, so that an entry costs a dozen instructions. The table is as large as the query needs, so that it stays in
/// the nearest cache however wide the layer is. All memory is native and kept, so a warm ballot allocates nothing.
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

    /// <summary>All of them are empty between queries: the end of a vote empties those that it filled.</summary>
    private Slot* _slots;
    private int _slotBits;
    private int _bits = MinBits;

    /// <summary>The decoded entries of all opened buckets: whom each votes for, with what, and in which slot its neuron is.</summary>
    private uint* _neurons;
    private float* _votes;
    private uint* _places;
    private int* _survivors;
    private int _capacity;

    private Opened* _opened;
    private int _openedCapacity;

    private int _count;

    /// <summary>A ballot without votes.</summary>
    /// <param name="selector">Whose buckets vote.</param>
    /// <param name="width">Neurons of the layer.</param>
    /// <param name="inputs">Inputs of the layer.</param>
    public Ballot(LayerSelector selector, int width, int inputs)
    {
        _selector = selector;
        _width = width;
        _scratch = new NativeBuffer<float>(SimHash.PaddedDimensions(inputs));
        _keys = new NativeBuffer<int>(Math.Max(TreeKeys, selector.MaxSimHashTables));
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

    /// <summary>Begins a query. Votes are left over only if the last one ended in an exception.</summary>
    public void Begin()
    {
        EntriesRead = BucketsRead = 0;
        HashOperations = HashBytes = 0;
        if (_count > 0)
            Clear();
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
            // The last entry too: a bucket may begin at the end of a line. An empty one asks for what is surely near.
            uint* offsets = source.Buckets.Offsets, entries = source.Buckets.Entries;
            for (int i = 0; i < features.Count; i++)
            {
                uint start = offsets[features.Ids[i]], end = offsets[features.Ids[i] + 1], any = Any((int)(end - start));
                Prefetch.Line(entries + (start & any));
                Prefetch.Line(entries + ((end - 1) & any));
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
            int count = features.Count;
            Opened* opened = RoomFor(count);
            int* ids = features.Ids;
            float* values = features.Values;
            uint* offsets = source.Buckets.Offsets;
            int full = 0;
            for (int i = 0; i < count; i++)
                full = Open(offsets, ids[i], MathF.Abs(values[i]), opened, full);
            Cast(in source, count, full);
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
            Opened* opened = RoomFor(tables);
            int full = 0;
            for (int t = 0; t < tables; t++)
                full = Open(source.Buckets.Offsets, _keys.Pointer[t], 1f, opened, full);
            for (int i = 0; i < full; i++)
                Prefetch.Line(source.Buckets.Entries + opened[i].Start);
            Cast(in source, tables, full);
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
            Opened* opened = RoomFor(count);
            int full = 0;
            for (int i = 0; i < count; i++)
                full = Open(source.Buckets.Offsets, _keys.Pointer[i], _keyWeights.Pointer[i], opened, full);
            for (int i = 0; i < full; i++)
                Prefetch.Line(source.Buckets.Entries + opened[i].Start);
            Cast(in source, count, full);
        }
    }

    /// <summary>
    /// Ends the vote: writes the ids of the at most <paramref name="budget"/> neurons with most votes (the lower id where
    /// votes are equal) and their votes, in no particular order, and forgets all votes.
    /// </summary>
    /// <param name="budget">At most so many.</param>
    /// <param name="ids">Room for the budget and <see cref="TopVotes.Slack"/> more.</param>
    /// <param name="votes">As much room.</param>
    public int Count(int budget, int* ids, float* votes)
    {
        int count = Collect();
        // Positive floats order like their bits read as integers.
        int* sums = (int*)_votes;
        int threshold = count > budget ? TopVotes.Threshold(sums, count, budget, _survivors) : 0;
        int elected = TopVotes.Above(sums, _neurons, count, threshold, (int*)votes, (uint*)ids);
        if (elected < budget && elected < count)
            elected = BreakTies(threshold, count, elected, budget, ids, votes);
        return elected;
    }

    /// <summary>Turns the list of entries into one of neurons with their sums, in the order of their first entries, and empties the slots.</summary>
    private int Collect()
    {
        Slot* slots = _slots;
        uint* neurons = _neurons, places = _places;
        int* sums = (int*)_votes;
        int count = _count, listed = 0;
        for (int i = 0; i < count; i++)
        {
            // Whoever comes again finds nothing left, and whoever has nothing is overwritten by the next: no branch to mispredict.
            Slot* slot = slots + places[i];
            uint neuron = slot->Neuron;
            int sum = BitConverter.SingleToInt32Bits(slot->Votes);
            *(ulong*)slot = Slot.Empty;
            neurons[listed] = neuron;
            sums[listed] = sum;
            listed += (int)((uint)-sum >> 31);
        }
        _count = 0;
        _bits = Math.Min(MinBits, _slotBits);
        return listed;
    }

    /// <summary>Fills the rest of the budget with the lowest ids among those whose votes equal the threshold.</summary>
    private int BreakTies(int threshold, int count, int elected, int budget, int* ids, float* votes)
    {
        // Ids turned round, so that the lowest are the largest and the same bisection finds them.
        int* sums = (int*)_votes;
        int tied = 0;
        for (int i = 0; i < count; i++)
        {
            if (sums[i] == threshold)
                sums[tied++] = ModelFormat.MaxWidth - (int)_neurons[i];
        }
        int limit = elected + tied > budget ? TopVotes.Threshold(sums, tied, budget - elected, _survivors) : 0;
        for (int i = 0; i < tied; i++)
        {
            if (sums[i] <= limit)
                continue;
            ids[elected] = ModelFormat.MaxWidth - sums[i];
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
        GC.SuppressFinalize(this);
    }

    /// <summary>Puts a bucket on the list of opened ones; an empty one is overwritten by the next, without a branch.</summary>
    /// <returns>How many are on the list now.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Open(uint* offsets, int key, float weight, Opened* opened, int full)
    {
        uint start = offsets[key];
        int length = (int)(offsets[key + 1] - start);
        opened[full].Start = start;
        opened[full].Length = length;
        opened[full].Weight = weight;
        return full + (int)((uint)-length >> 31);
    }

    /// <summary>Decodes the opened buckets that are not empty, and adds up their votes in that order.</summary>
    private void Cast(in CandidateSource source, int buckets, int full)
    {
        Opened* opened = _opened;
        long entries = 0;
        for (int i = 0; i < full; i++)
            entries += opened[i].Length;
        Reserve(entries);
        uint* neurons = _neurons;
        float* votes = _votes;
        float scale = source.VoteScale;
        // Buckets that end where the table does, or close to it, cannot be read in whole blocks.
        long whole = source.Buckets.EntryCount - BucketTable.Block;
        int at = _count;
        for (int i = 0; i < full; i++)
        {
            uint* entry = source.Buckets.Entries + opened[i].Start;
            int length = opened[i].Length, end = at + length;
            float weight = opened[i].Weight;
            if (opened[i].Start + (long)length > whole)
            {
                BucketTable.DecodeOneByOne(entry, length, weight, scale, neurons + at, votes + at);
            }
            else
            {
                // What lies between a bucket's end and a whole block's is overwritten or ignored.
                for (; at < end; at += BucketTable.Block, entry += BucketTable.Block)
                    BucketTable.DecodeBlock(entry, weight, scale, neurons + at, votes + at);
            }
            at = end;
        }
        BucketsRead += buckets;
        EntriesRead += at - _count;
        Add(_count, at);
        _count = at;
    }

    /// <summary>The list of opened buckets, with room for that many.</summary>
    private Opened* RoomFor(int buckets)
    {
        if (buckets > _openedCapacity)
        {
            _openedCapacity = Math.Max(64, (int)BitOperations.RoundUpToPowerOf2((uint)buckets));
            _opened = (Opened*)NativeMemory.Realloc(_opened, (nuint)_openedCapacity * (nuint)sizeof(Opened));
        }
        return _opened;
    }

    private void Add(int from, int end)
    {
        uint* neurons = _neurons, places = _places;
        float* votes = _votes;
        Slot* slots = _slots;
        ScatterOver(neurons, places, from, end);
        for (int i = from; i < end; i++)
        {
            uint neuron = neurons[i];
            Slot* slot = slots + places[i];
            // Positive only for another neuron: an empty slot's highest bit is set, and no neuron's is.
            if ((int)(slot->Neuron ^ neuron) > 0)
                slot = slots + (places[i] = Next(places[i], neuron));
            slot->Neuron = neuron;
            slot->Votes += votes[i];
        }
    }

    /// <summary>Writes each entry's first slot.</summary>
    private void ScatterOver(uint* neurons, uint* places, int from, int end)
    {
        int shift = 32 - _bits, i = from;
        if (Vector256.IsHardwareAccelerated)
        {
            Vector256<uint> scatter = Vector256.Create(_scatter);
            for (; i < end; i += 8)
                ((Vector256.Load(neurons + i) * scatter) >> shift).Store(places + i);
        }
        Vector128<uint> scatter128 = Vector128.Create(_scatter);
        for (; i < end; i += 4)
            ((Vector128.Load(neurons + i) * scatter128) >> shift).Store(places + i);
    }

    /// <summary>The slot of a neuron that finds another one in its first.</summary>
    private uint Next(uint at, uint neuron)
    {
        uint mask = (1u << _bits) - 1;
        do
            at = (at + 1) & mask;
        while ((int)(_slots[at].Neuron ^ neuron) > 0);
        return at;
    }

    /// <summary>All bits if there are any entries, else none.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Any(int length) => (uint)(-length >> 31);

    /// <summary>Makes room for that many more entries; called before their buckets are opened.</summary>
    private void Reserve(long entries)
    {
        long all = _count + entries;
        if (all > _capacity)
            Grow(Math.Max(1024, (int)BitOperations.RoundUpToPowerOf2((uint)all)));
        int bits = Math.Max(MinBits, BitOperations.Log2((uint)Math.Min(all, _width) * Spread) + 1);
        if (bits <= _bits && _slotBits > 0)
            return;
        if (bits > _slotBits)
        {
            Allocate(bits);
        }
        else
        {
            for (int i = 0; i < _count; i++)
                *(ulong*)(_slots + _places[i]) = Slot.Empty;
        }
        _bits = bits;
        Add(0, _count);
    }

    /// <summary>Forgets the votes of a query that ended early.</summary>
    private void Clear()
    {
        new Span<ulong>(_slots, 1 << _slotBits).Fill(Slot.Empty);
        _count = 0;
        _bits = Math.Min(MinBits, _slotBits);
    }

    private void Allocate(int bits)
    {
        NativeMemory.AlignedFree(_slots);
        _slots = null;
        _slots = (Slot*)NativeMemory.AlignedAlloc((nuint)sizeof(Slot) << bits, 64);
        new Span<ulong>(_slots, 1 << bits).Fill(Slot.Empty);
        _slotBits = bits;
    }

    private void Grow(int capacity)
    {
        // Entries are decoded, and sums counted and copied, in whole vectors.
        nuint bytes = (nuint)(capacity + Math.Max(BucketTable.Block, TopVotes.Slack)) * sizeof(uint);
        _neurons = (uint*)NativeMemory.Realloc(_neurons, bytes);
        _votes = (float*)NativeMemory.Realloc(_votes, bytes);
        _places = (uint*)NativeMemory.Realloc(_places, bytes);
        _survivors = (int*)NativeMemory.Realloc(_survivors, bytes);
        _capacity = capacity;
    }

    private void Free()
    {
        NativeMemory.AlignedFree(_slots);
        NativeMemory.Free(_neurons);
        NativeMemory.Free(_votes);
        NativeMemory.Free(_places);
        NativeMemory.Free(_survivors);
        NativeMemory.Free(_opened);
        _slots = null;
        _neurons = _places = null;
        _votes = null;
        _survivors = null;
        _opened = null;
    }

    /// <summary>A bucket that votes, and what its votes count.</summary>
    private struct Opened
    {
        public uint Start;
        public int Length;
        public float Weight;
    }

    /// <summary>A neuron and the sum of its votes.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Slot
    {
        public uint Neuron;
        public float Votes;

        /// <summary>No neuron and no votes, to be written in one piece (models are for little-endian machines only).</summary>
        public const ulong Empty = uint.MaxValue;
    }
}
