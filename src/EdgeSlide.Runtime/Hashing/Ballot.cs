using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using EdgeSlide.Features;
using EdgeSlide.Kernels;
using EdgeSlide.Model;

namespace EdgeSlide.Hashing;

/// <summary>
/// One session's votes on one layer. The opened buckets are first decoded into one list, several entries at a time and without
/// a branch per bucket; then the list is added up, neuron by neuron, through a hash table with open addressing. The table is as
/// large as the query needs, so that it stays in the nearest cache however wide the layer is. All memory is native and kept, so
/// a warm ballot allocates nothing.
/// </summary>
internal sealed unsafe class Ballot : IDisposable
{
    private const int TreeKeys = CentroidTree.MaxLevels * CentroidTree.MaxBeam;
    private const int MinBits = 9;

    /// <summary>The places that a query names from here on, and those that a larger table names again, are still numbers.</summary>
    public const uint LastBase = uint.MaxValue - 2 * (uint)ModelFormat.MaxWidth;

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

    /// <summary>
    /// What is less than <see cref="_base"/> is left from earlier queries and counts as empty, so no query clears the slots. What
    /// is more names a neuron's place in the lists, _base + place.
    /// </summary>
    private uint* _slots;
    private uint _base;
    private int _slotBits;
    private int _bits = MinBits;

    /// <summary>The neurons with votes, in the order of their first ones, and the votes of each. Votes beyond the last are zero.</summary>
    private uint* _neurons;
    private float* _tally;
    private int* _survivors;
    private int _capacity;
    private int _count;

    /// <summary>The decoded entries of the opened buckets.</summary>
    private uint* _entryNeurons;
    private float* _entryVotes;
    private int _entryCapacity;

    /// <summary>A ballot without votes.</summary>
    /// <param name="selector">Whose buckets vote.</param>
    /// <param name="width">Neurons of the layer.</param>
    /// <param name="inputs">Inputs of the layer.</param>
    /// <param name="firstPlace">What the slots' numbers begin with, so that a test can begin close to their end.</param>
    public Ballot(LayerSelector selector, int width, int inputs, uint firstPlace = 1)
    {
        _base = firstPlace;
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

    /// <summary>Bytes of working memory, as far as queries have needed it until now.</summary>
    public long MemoryBytes => (1L << _slotBits) * sizeof(uint) + _capacity * 12L + _entryCapacity * 8L;

    /// <summary>Begins a query. Votes are left over only if the last one ended in an exception.</summary>
    public void Begin()
    {
        EntriesRead = BucketsRead = 0;
        HashOperations = HashBytes = 0;
        if (_count > 0)
            Forget();
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
            long entries = 0;
            for (int i = 0; i < features.Count; i++)
                entries += source.Buckets.Length(features.Ids[i]);
            Reserve(entries);
            uint* neurons = _entryNeurons;
            float* votes = _entryVotes;
            float scale = source.VoteScale;
            int at = 0, count = features.Count;
            for (int i = 0; i < count; i++)
                at = Open(in source.Buckets, features.Ids[i], MathF.Abs(features.Values[i]), scale, neurons, votes, at);
            Cast(count, at);
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
            int at = 0;
            for (int t = 0; t < tables; t++)
                at = Open(in source.Buckets, _keys.Pointer[t], 1f, source.VoteScale, _entryNeurons, _entryVotes, at);
            Cast(tables, at);
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
            int at = 0;
            for (int i = 0; i < count; i++)
                at = Open(in source.Buckets, _keys.Pointer[i], _keyWeights.Pointer[i], source.VoteScale, _entryNeurons, _entryVotes, at);
            Cast(count, at);
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
        int count = _count;
        // Positive floats order like their bits read as integers.
        int* tally = (int*)_tally;
        int threshold = count > budget ? TopVotes.Threshold(tally, count, budget, _survivors) : 0;
        int elected = TopVotes.Above(tally, _neurons, count, threshold, (int*)votes, (uint*)ids);
        if (elected < budget && elected < count)
            elected = BreakTies(threshold, count, elected, budget, ids, votes);
        Forget();
        return elected;
    }

    /// <summary>Fills the rest of the budget with the lowest ids among those whose votes equal the threshold.</summary>
    private int BreakTies(int threshold, int count, int elected, int budget, int* ids, float* votes)
    {
        // Ids turned round, so that the lowest are the largest and the same bisection finds them.
        int* tally = (int*)_tally;
        int tied = 0;
        for (int i = 0; i < count; i++)
        {
            if (tally[i] == threshold)
                tally[tied++] = ModelFormat.MaxWidth - (int)_neurons[i];
        }
        int limit = elected + tied > budget ? TopVotes.Threshold(tally, tied, budget - elected, _survivors) : 0;
        for (int i = 0; i < tied; i++)
        {
            if (tally[i] <= limit)
                continue;
            ids[elected] = ModelFormat.MaxWidth - tally[i];
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

    /// <summary>
    /// Writes a bucket's entries to the list of those that will vote, from place <paramref name="at"/> on; returns where it ends.
    /// There is room: <see cref="Reserve"/> counted them.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Open(in BucketTable buckets, int key, float weight, float scale, uint* neurons, float* votes, int at)
    {
        uint start = buckets.Offsets[key];
        int length = (int)(buckets.Offsets[key + 1] - start), end = at + length;
        if (start + (uint)length + BucketTable.Block > buckets.EntryCount)
        {
            buckets.DecodeOneByOne(key, weight, scale, neurons + at, votes + at);
            return end;
        }
        // An empty bucket reads what is surely near. What lies between a bucket's end and a whole block's is overwritten or ignored.
        uint* entry = buckets.Entries + (start & Any(length));
        do
        {
            BucketTable.DecodeBlock(entry, weight, scale, neurons + at, votes + at);
            entry += BucketTable.Block;
            at += BucketTable.Block;
        }
        while (at < end);
        return end;
    }

    /// <summary>Adds up the votes in the list, in its order.</summary>
    private void Cast(int buckets, int entries)
    {
        BucketsRead += buckets;
        EntriesRead += entries;
        uint* slots = _slots, neurons = _neurons, next = _entryNeurons;
        float* tally = _tally, votes = _entryVotes;
        uint scatter = _scatter, mask = (1u << _bits) - 1, first = _base, count = (uint)_count;
        int shift = 32 - _bits;
        for (uint* end = next + entries; next < end; next++, votes++)
        {
            float vote = *votes;
            if (!(vote > 0f))
                continue;
            uint neuron = *next;
            // A newcomer is listed last before it is looked for: then its empty slot and a known neuron's own look the same, and the
            // only branch is for strangers. The rest is arithmetic, for the compiler makes branches of choices in a loop.
            neurons[count] = neuron;
            uint at = (neuron * scatter) >> shift, slot = slots[at], newcomer = Below(slot, first), place = Choose(newcomer, count, slot - first);
            while (neurons[place] != neuron)
            {
                at = (at + 1) & mask;
                slot = slots[at];
                newcomer = Below(slot, first);
                place = Choose(newcomer, count, slot - first);
            }
            slots[at] = first + place;
            tally[place] += vote;
            count += newcomer;
        }
        _count = (int)count;
    }

    /// <summary>All bits if there are any entries, else none.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Any(int length) => (uint)(-length >> 31);

    /// <summary>1 if <paramref name="a"/> is less than <paramref name="b"/>, else 0.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Below(uint a, uint b) => (uint)(((ulong)a - b) >> 63);

    /// <summary><paramref name="yes"/> if the condition is 1, <paramref name="no"/> if it is 0.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Choose(uint condition, uint yes, uint no) => no ^ ((yes ^ no) & (0u - condition));

    /// <summary>Makes room for that many more entries; called before their buckets are opened.</summary>
    private void Reserve(long entries)
    {
        int neurons = (int)Math.Min(_count + entries, _width);
        int bits = Math.Max(MinBits, BitOperations.Log2((uint)neurons * Spread) + 1);
        if (neurons > _capacity)
            GrowLists(Math.Max(1024, (int)BitOperations.RoundUpToPowerOf2((uint)neurons)));
        if (entries > _entryCapacity)
            GrowEntries(Math.Max(1024, (int)BitOperations.RoundUpToPowerOf2((uint)entries)));
        if (bits <= _bits && _slotBits > 0)
            return;
        if (bits > _slotBits)
            AllocateSlots(bits);
        _bits = bits;
        if (_count > 0)
            ListAgain();
    }

    /// <summary>Enters this query's neurons in a table of another size.</summary>
    private void ListAgain()
    {
        Renew(_count);
        uint mask = (1u << _bits) - 1;
        for (int i = 0; i < _count; i++)
        {
            uint at = (_neurons[i] * _scatter) >> (32 - _bits);
            while (_slots[at] >= _base)
                at = (at + 1) & mask;
            _slots[at] = _base + (uint)i;
        }
    }

    private void Forget()
    {
        new Span<float>(_tally, _count).Clear();
        Renew(_count);
        _count = 0;
        _bits = Math.Min(MinBits, _slotBits);
    }

    /// <summary>Makes all slots count as empty, after up to <paramref name="used"/> places were named in them.</summary>
    private void Renew(int used)
    {
        _base += (uint)used;
        if (_base > LastBase)
        {
            NativeMemory.Clear(_slots, (nuint)sizeof(uint) << _slotBits);
            _base = 1;
        }
    }

    private void AllocateSlots(int bits)
    {
        NativeMemory.AlignedFree(_slots);
        _slots = null;
        nuint bytes = (nuint)sizeof(uint) << bits;
        _slots = (uint*)NativeMemory.AlignedAlloc(bytes, 64);
        NativeMemory.Clear(_slots, bytes);
        _slotBits = bits;
    }

    private void GrowLists(int capacity)
    {
        // Votes are listed one beyond the last, and counted and copied in whole vectors.
        int padded = capacity + TopVotes.Slack;
        _neurons = (uint*)NativeMemory.Realloc(_neurons, (nuint)padded * sizeof(uint));
        _tally = (float*)NativeMemory.Realloc(_tally, (nuint)padded * sizeof(float));
        _survivors = (int*)NativeMemory.Realloc(_survivors, (nuint)padded * sizeof(int));
        new Span<float>(_tally + _count, padded - _count).Clear();
        _capacity = capacity;
    }

    private void GrowEntries(int capacity)
    {
        int padded = capacity + BucketTable.Block;
        _entryNeurons = (uint*)NativeMemory.Realloc(_entryNeurons, (nuint)padded * sizeof(uint));
        _entryVotes = (float*)NativeMemory.Realloc(_entryVotes, (nuint)padded * sizeof(float));
        _entryCapacity = capacity;
    }

    private void Free()
    {
        NativeMemory.AlignedFree(_slots);
        NativeMemory.Free(_neurons);
        NativeMemory.Free(_tally);
        NativeMemory.Free(_survivors);
        NativeMemory.Free(_entryNeurons);
        NativeMemory.Free(_entryVotes);
        _slots = _neurons = _entryNeurons = null;
        _tally = _entryVotes = null;
        _survivors = null;
    }
}
