using EdgeSlide.Training.Training;

namespace EdgeSlide.Training.Slide;

/// <summary>One thread's counters for choosing neurons of one layer by votes, and for voting.</summary>
internal sealed unsafe class VoteSampler
{
    private const int Challenged = 4;

    private readonly float[] _sums, _sorted;
    private readonly int[] _met, _places;

    public VoteSampler(int neurons, int slots)
    {
        (_sums, _sorted, _places) = (new float[neurons], new float[neurons], new int[neurons]);
        _met = new int[neurons + slots];
        Array.Fill(_places, VoteTables.Empty);
    }

    /// <summary>Bucket entries read or written by the last call.</summary>
    public long Lookups { get; private set; }

    /// <summary>
    /// Writes the neurons with most votes in the opened buckets to <paramref name="chosen"/>, up to
    /// <paramref name="budget"/>; returns how many. Training leaves <paramref name="explore"/> places to neurons drawn at
    /// random, and fills up with them, so that no neuron stays unknown.
    /// </summary>
    public int Choose(VoteTables tables, int* keys, int budget, int explore, bool training, ulong seed, int* chosen)
    {
        int neurons = _sums.Length, met = 0, count = 0;
        Lookups = 0;
        for (int t = 0; t < tables.Keys.Tables; t++)
        {
            ReadOnlySpan<int> ids = tables.Ids(keys[t]);
            ReadOnlySpan<float> votes = tables.Votes(keys[t]);
            Lookups += ids.Length;
            for (int slot = 0; slot < ids.Length; slot++)
            {
                int id = ids[slot];
                if (id == VoteTables.Empty || votes[slot] <= 0)
                    continue;
                if (_sums[id] == 0)
                    _met[met++] = id;
                _sums[id] += votes[slot];
            }
        }
        int room = Math.Min(budget, neurons) - (training ? explore : 0);
        for (int i = 0; i < met; i++)
            _sorted[i] = _sums[_met[i]];
        (float cut, int ties) = Largest.Of(_sorted.AsSpan(0, met), room);
        for (int i = 0; i < met; i++)
        {
            float votes = _sums[_met[i]];
            _sums[_met[i]] = 0;
            if (votes > cut || (votes == cut && ties-- > 0))
                chosen[count++] = _met[i];
        }
        if (!training)
            return count;
        for (int i = 0; i < count; i++)
            _sums[chosen[i]] = 1;
        // A bounded number of draws: close to the end of a layer most of them are there already.
        int before = count;
        for (int draw = 0; count < Math.Min(budget, neurons) && draw < 4 * budget; draw++)
        {
            int id = Noise.Below(Noise.Mix(seed + (ulong)draw), neurons);
            if (_sums[id] != 0)
                continue;
            _sums[id] = 1;
            chosen[count++] = id;
        }
        Lookups += count - before;
        for (int i = 0; i < count; i++)
            _sums[chosen[i]] = 0;
        return count;
    }

    /// <summary>
    /// Fades the votes of the opened buckets and gives one to each winner. A winner without a place takes that of the
    /// weakest of a few random entries if its votes have faded below one.
    /// </summary>
    public void Vote(VoteTables tables, int* keys, int* winners, int count, ulong seed)
    {
        Lookups = 0;
        for (int t = 0; t < tables.Keys.Tables; t++)
        {
            Vote(tables.Ids(keys[t]), tables.Votes(keys[t]), tables.Decay, winners, count, Noise.Seed(seed, 16, (ulong)t));
            Lookups += tables.Slots + count;
        }
    }

    private void Vote(Span<int> ids, Span<float> votes, float decay, int* winners, int count, ulong seed)
    {
        // Another thread may change the bucket meanwhile, so what is marked is remembered, not read again.
        int met = 0;
        for (int slot = 0; slot < ids.Length; slot++)
        {
            votes[slot] *= decay;
            int id = ids[slot];
            if (id == VoteTables.Empty)
                continue;
            _places[id] = slot;
            _met[met++] = id;
        }
        for (int i = 0; i < count; i++)
        {
            int place = _places[winners[i]];
            if (place != VoteTables.Empty)
                votes[place] += 1;
            else
                Challenge(ids, votes, winners[i], Noise.Mix(seed + (ulong)i));
        }
        for (int i = 0; i < met; i++)
            _places[_met[i]] = VoteTables.Empty;
    }

    private void Challenge(Span<int> ids, Span<float> votes, int winner, ulong random)
    {
        int weakest = Noise.Below(random, ids.Length);
        for (int challenge = 1; challenge < Challenged; challenge++)
        {
            random = Noise.Mix(random);
            int slot = Noise.Below(random, ids.Length);
            if (votes[slot] < votes[weakest])
                weakest = slot;
        }
        if (votes[weakest] >= 1)
            return;
        if (ids[weakest] != VoteTables.Empty)
            _places[ids[weakest]] = VoteTables.Empty; // It may win, too, and has no place any more.
        (ids[weakest], votes[weakest]) = (winner, 1);
    }
}
