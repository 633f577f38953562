using EdgeSlide.Training.Data;

namespace EdgeSlide.Training.Training;

/// <summary>
/// The labels that one step evaluates, shared by all rows of the batch so that their logits are one matrix product.
/// The certain part C holds the true labels of the batch and what the tables name as likely for its rows; the rest is r
/// labels drawn uniformly without replacement from the N - |C| others. The drawn ones stand for all others: each counts
/// (N - |C|) / r times in the partition function, which is the log-Q correction (Bengio and Senecal, 2008) for this
/// sampling plan. With a <see cref="NegativeSampler"/> frequent labels are drawn more often and stand for fewer. Given C,
/// the estimate of every row's partition function is unbiased; labels of other rows of the batch are certain, so they serve
/// as negatives with weight 1. With an <see cref="LshSampler"/> independent draws by it follow. A label that one of the plans
/// names stands for 1 / (1 - the product of the plans' probabilities of missing it) labels, whichever plan named it, so the
/// estimate stays unbiased, and no label's weight gets larger.
/// </summary>
internal sealed class ActiveSet
{
    private readonly int[] _slots;
    private readonly int[] _ids;
    private readonly NegativeSampler? _sampler;
    private readonly LshSampler? _lsh;
    private int _lshDraws;

    /// <param name="sampler">null draws uniformly.</param>
    /// <param name="lsh">Draws further labels; may be null.</param>
    internal ActiveSet(int labels, NegativeSampler? sampler = null, LshSampler? lsh = null)
    {
        LabelCount = labels;
        _sampler = sampler;
        _lsh = lsh;
        _slots = new int[labels];
        _ids = GC.AllocateArray<int>(labels, pinned: true);
        Clear();
    }

    internal int LabelCount { get; }

    internal int Count { get; private set; }

    /// <summary>Number of ids at the front that were not drawn at random.</summary>
    internal int CertainCount { get; private set; }

    /// <summary>How many labels the label in a slot stands for: 1 if it was not drawn.</summary>
    internal float Weight(int slot)
    {
        if (slot < CertainCount)
            return 1;
        int label = _ids[slot];
        float weight = _sampler is null ? DrawnWeight : _sampler.Weight(label);
        if (_lshDraws == 0)
            return weight;
        double missed = (1 - (1.0 / weight)) * Math.Pow(1 - _lsh!.Probability(label), _lshDraws);
        return (float)(1 / (1 - missed));
    }

    /// <summary>How many labels each drawn label stands for, without a sampler.</summary>
    internal float DrawnWeight { get; private set; } = 1;

    internal ReadOnlySpan<int> Ids => _ids.AsSpan(0, Count);

    /// <summary>Pinned.</summary>
    internal int[] PinnedIds => _ids;

    internal bool IsComplete => Count == LabelCount;

    /// <summary>Position of a label in the set, or -1.</summary>
    internal int SlotOf(int label) => _slots[label];

    internal void Add(int label)
    {
        if (_slots[label] >= 0)
            return;
        _slots[label] = Count;
        _ids[Count++] = label;
    }

    internal void Clear()
    {
        Count = 0;
        CertainCount = 0;
        DrawnWeight = 1;
        Array.Fill(_slots, -1);
    }

    internal void SetAll()
    {
        for (int label = 0; label < LabelCount; label++)
        {
            _slots[label] = label;
            _ids[label] = label;
        }
        Count = CertainCount = LabelCount;
        DrawnWeight = 1;
    }

    /// <summary>Starts a new set.</summary>
    internal void Reset()
    {
        for (int i = 0; i < Count; i++)
            _slots[_ids[i]] = -1;
        Count = 0;
    }

    /// <summary>Ends the certain part and draws the rest.</summary>
    /// <param name="lshDraws">Further draws by the <see cref="LshSampler"/>, which has been told for what.</param>
    internal void Draw(int count, ulong seed, int lshDraws = 0)
    {
        CertainCount = Count;
        int others = LabelCount - Count;
        DrawnWeight = 1;
        _lshDraws = 0;
        // Rejection is slow when most labels are in; then all of them cost little more.
        if ((count + (long)lshDraws) * 4 >= others * 3L)
        {
            for (int label = 0; label < LabelCount; label++)
                Add(label);
            CertainCount = Count;
            return;
        }
        if (_sampler is not null)
        {
            for (int i = 0; i < count; i++)
                Add(_sampler.Draw(Noise.Mix(seed + (ulong)i)));
        }
        else
        {
            int end = Count + count;
            for (ulong i = 0; Count < end; i++)
                Add(Noise.Below(Noise.Mix(seed + i), LabelCount));
            DrawnWeight = (float)others / count;
        }
        _lshDraws = lshDraws;
        for (int i = 0; i < lshDraws; i++)
        {
            int label = _lsh!.Draw(Noise.Seed(seed, 1, (ulong)i));
            if (label >= 0)
                Add(label);
        }
    }
}
