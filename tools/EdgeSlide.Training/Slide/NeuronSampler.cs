using EdgeSlide.Training.Training;

namespace EdgeSlide.Training.Slide;

/// <summary>How active neurons are drawn from the opened buckets (SLIDE, Chen et al. 2020, section 3.1).</summary>
internal enum Sampling
{
    /// <summary>Tables in random order until there are enough neurons.</summary>
    Vanilla,

    /// <summary>The neurons in most of the opened buckets.</summary>
    TopK,

    /// <summary>All neurons in at least a given number of opened buckets, up to the budget.</summary>
    HardThreshold,
}

/// <summary>One thread's counters for choosing neurons of one layer.</summary>
internal sealed unsafe class NeuronSampler(int neurons, int tables)
{
    private readonly ushort[] _votes = new ushort[neurons];
    private readonly int[] _met = new int[neurons];
    private readonly int[] _order = new int[tables];
    private readonly int[] _histogram = new int[tables + 2];

    /// <summary>Bucket entries read by the last call: the cost of looking up.</summary>
    public long Lookups { get; private set; }

    /// <summary>
    /// Fills <paramref name="active"/> with <paramref name="forced"/> first, then with neurons of the buckets; returns
    /// how many. With <paramref name="fill"/>, random neurons make up for a shortfall.
    /// </summary>
    public int Choose(LshTables lsh, int* keys, Sampling sampling, int threshold, int budget, ReadOnlySpan<int> forced, bool fill, ulong seed, int* active)
    {
        int count = 0, met = 0;
        Lookups = 0;
        budget = Math.Min(budget, neurons);
        foreach (int id in forced)
        {
            if (_votes[id] == 0)
            {
                _votes[id] = ushort.MaxValue;
                _met[met++] = id;
                active[count++] = id;
            }
        }
        budget = Math.Max(budget, count);
        if (sampling == Sampling.Vanilla)
        {
            for (int t = 0; t < _order.Length; t++)
                _order[t] = t;
            Noise.Shuffle(_order, seed);
            for (int t = 0; t < _order.Length && count < budget; t++)
            {
                foreach (int id in lsh.Bucket(keys[_order[t]]))
                {
                    Lookups++;
                    if (_votes[id] != 0 || count == budget)
                        continue;
                    _votes[id] = 1;
                    _met[met++] = id;
                    active[count++] = id;
                }
            }
        }
        else
        {
            for (int t = 0; t < tables; t++)
            {
                ReadOnlySpan<int> bucket = lsh.Bucket(keys[t]);
                Lookups += bucket.Length;
                foreach (int id in bucket)
                {
                    if (_votes[id] == ushort.MaxValue)
                        continue;
                    if (_votes[id]++ == 0)
                        _met[met++] = id;
                }
            }
            int least = sampling == Sampling.HardThreshold ? threshold : 1, ties = int.MaxValue;
            if (sampling == Sampling.TopK)
                (least, ties) = Cut(met, budget - count);
            // Two passes: neurons above the cut first, then as many at the cut as there is room for.
            int atLeast = sampling == Sampling.TopK ? least + 1 : least;
            for (int i = 0; i < met && count < budget; i++)
            {
                int votes = _votes[_met[i]];
                if (votes != ushort.MaxValue && votes >= atLeast)
                    active[count++] = _met[i];
            }
            for (int i = 0; i < met && sampling == Sampling.TopK && count < budget && ties > 0; i++)
            {
                if (_votes[_met[i]] == least)
                    (active[count++], ties) = (_met[i], ties - 1);
            }
            for (int i = 0; i < met; i++)
                _votes[_met[i]] = 0;
            for (int i = 0; i < count; i++)
                _votes[active[i]] = 1;
            for (int i = 0; i < count; i++)
                _met[i] = active[i];
            met = count;
        }
        for (ulong draw = 0; fill && count < budget; draw++)
        {
            int id = Noise.Below(Noise.Mix(seed + 0x1000 + draw), neurons);
            if (_votes[id] != 0)
                continue;
            _votes[id] = 1;
            _met[met++] = id;
            active[count++] = id;
        }
        for (int i = 0; i < met; i++)
            _votes[_met[i]] = 0;
        return count;
    }

    /// <summary>The number of votes at which the best <paramref name="room"/> neurons end, and how many with it fit.</summary>
    private (int Votes, int Ties) Cut(int met, int room)
    {
        Array.Clear(_histogram);
        for (int i = 0; i < met; i++)
        {
            if (_votes[_met[i]] != ushort.MaxValue)
                _histogram[_votes[_met[i]]]++;
        }
        for (int votes = _histogram.Length - 1; votes > 0; votes--)
        {
            if (_histogram[votes] > room)
                return (votes, room);
            room -= _histogram[votes];
        }
        return (0, 0);
    }
}
