using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
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
    private const int TreeKeys = CentroidTree.MaxLevels * CentroidTree.MaxBeam;

    private readonly LayerSelector _selector;
    private readonly NativeBuffer<float> _votes;
    private readonly NativeBuffer<float> _scratch;
    private readonly NativeBuffer<int> _keys;
    private readonly NativeBuffer<float> _keyWeights = new(TreeKeys);
    private readonly NativeBuffer<float> _voteValues;
    private uint* _touched;
    private int* _tally;
    private int _capacity;
    private int _count;

    public Ballot(LayerSelector selector, int width, int inputs)
    {
        _selector = selector;
        _votes = new NativeBuffer<float>(width);
        _scratch = new NativeBuffer<float>(SimHash.PaddedDimensions(inputs));
        _keys = new NativeBuffer<int>(Math.Max(TreeKeys, selector.MaxSimHashTables));
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

    /// <summary>Bytes of hash parameters read for this query, where they are more than a few cache lines.</summary>
    public long HashBytes { get; private set; }

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
        // Positive floats order like their bits read as integers.
        for (int i = 0; i < count; i++)
        {
            float* slot = _votes.Pointer + _touched[i];
            _tally[i] = BitConverter.SingleToInt32Bits(*slot);
            *slot = 0f;
        }
        int threshold = count > budget ? Threshold(_tally, count, budget) : 0;
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

    /// <summary>
    /// The largest value that fewer than or exactly <paramref name="wanted"/> items exceed, by bisection: each step is one
    /// vectorized count, where a quickselect of a few hundred items loses its time to mispredicted branches.
    /// </summary>
    private static int Threshold(int* items, int count, int wanted)
    {
        int padded = (count + 7) & ~7;
        for (int i = count; i < padded; i++)
            items[i] = 0;
        (int low, int high) = Range(items, count);
        while (low < high)
        {
            int middle = low + ((high - low) >> 1);
            int above = CountAbove(items, padded, middle);
            if (above == wanted)
                return middle;
            if (above > wanted)
                low = middle + 1;
            else
                high = middle;
        }
        return low;
    }

    private static (int Low, int High) Range(int* items, int count)
    {
        Vector128<int> largest = Vector128<int>.Zero, smallest = Vector128.Create(int.MaxValue);
        int i = 0;
        for (; i + 4 <= count; i += 4)
        {
            Vector128<int> value = Vector128.Load(items + i);
            largest = Vector128.Max(largest, value);
            smallest = Vector128.Min(smallest, value);
        }
        int low = int.MaxValue, high = 0;
        for (int lane = 0; lane < 4; lane++)
        {
            high = Math.Max(high, largest[lane]);
            low = Math.Min(low, smallest[lane]);
        }
        for (; i < count; i++)
        {
            high = Math.Max(high, items[i]);
            low = Math.Min(low, items[i]);
        }
        return (low, high);
    }

    private static int CountAbove(int* items, int padded, int threshold)
    {
        if (Vector256.IsHardwareAccelerated)
        {
            Vector256<int> limit = Vector256.Create(threshold), negative = Vector256<int>.Zero;
            for (int i = 0; i < padded; i += 8)
                negative += Vector256.GreaterThan(Vector256.Load(items + i), limit);
            return -Vector256.Sum(negative);
        }
        Vector128<int> limit128 = Vector128.Create(threshold), negative128 = Vector128<int>.Zero;
        for (int i = 0; i < padded; i += 4)
            negative128 += Vector128.GreaterThan(Vector128.Load(items + i), limit128);
        return -Vector128.Sum(negative128);
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
        int limit = elected + tied > budget ? Threshold(_tally, tied, budget - elected) : 0;
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
        _votes.Dispose();
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

    private void Grow(int capacity)
    {
        // One slot more than can be counted: the branch-free listing writes one past the last.
        _touched = (uint*)NativeMemory.Realloc(_touched, (nuint)(capacity + 1) * sizeof(uint));
        _tally = (int*)NativeMemory.Realloc(_tally, (nuint)(capacity + 8) * sizeof(int));
        _capacity = capacity;
    }

    private void Free()
    {
        NativeMemory.Free(_touched);
        NativeMemory.Free(_tally);
        _touched = null;
        _tally = null;
    }
}
