using EdgeSlide.Training.Networks;
using EdgeSlide.Training.Training;

namespace EdgeSlide.Training.Slide;

/// <summary>Weights [outputs][inputs] with the optimizer's state, and the hash tables that find neurons for an input.</summary>
internal sealed unsafe class SlideLayer : IDisposable
{
    private const int RowsPerItem = 64;

    private readonly NativeArray<float> _weights, _first, _second;
    private readonly NativeArray<float> _bias, _biasFirst, _biasSecond;
    private readonly NativeArray<int>? _keys;
    private readonly SlideOptions _options;
    private readonly float[] _mean;
    private float _reach;

    public SlideLayer(int inputs, int outputs, int index, bool output, SlideOptions options)
    {
        (Inputs, Outputs, IsOutput, _options) = (inputs, outputs, output, options);
        Stride = VectorMath.Pad(inputs);
        Fraction = options.Fraction(index);
        // The output layer has no dropout: labels are answers, not units.
        Mode = Fraction >= 1 || (output && (options.Mode != ActiveMode.Lsh || outputs <= options.LeastOthers + 1)) ? ActiveMode.Dense : options.Mode;
        Budget = Mode == ActiveMode.Dense ? outputs : Math.Max(output ? options.LeastOthers + 1 : 1, (int)Math.Round(Fraction * outputs));
        Candidates = output ? Budget : Math.Min(outputs, Budget + (int)Math.Round(options.Spare * outputs));
        (_weights, _first, _second) = (new((long)outputs * Stride), new((long)outputs * Stride), new((long)outputs * Stride));
        (_bias, _biasFirst, _biasSecond) = (new(outputs), new(outputs), new(outputs));
        _mean = new float[inputs + 1];
        if (Mode is ActiveMode.Lsh or ActiveMode.Votes)
            Family = HashFamily.Create(options.Family, inputs + 2, options.K * options.L, Noise.Seed(options.Seed, 10, (ulong)index));
        if (Mode == ActiveMode.Votes)
            Votes = new VoteTables(new BucketKeys(options.K, options.L, options.RangePow, Family!.CodeBits), options.VoteSlots(outputs, Budget), (float)options.VoteDecay);
        if (Mode == ActiveMode.Lsh)
        {
            Tables = new LshTables(options.K, options.L, options.RangePow, options.BucketSize, Family!.CodeBits, options.Policy, Noise.Seed(options.Seed, 11, (ulong)index));
            _keys = new NativeArray<int>((long)outputs * options.L);
        }
    }

    public SlideOptions Options => _options;

    public int Inputs { get; }

    public int Outputs { get; }

    public int Stride { get; }

    public bool IsOutput { get; }

    public ActiveMode Mode { get; }

    public double Fraction { get; }

    /// <summary>The most neurons that a row activates; in training, a row of many labels more output neurons.</summary>
    public int Budget { get; }

    /// <summary>The most neurons that a hashed layer evaluates for a row, to activate the best.</summary>
    public int Candidates { get; }

    public HashFamily? Family { get; }

    /// <summary>Tables of the inputs, with neurons by activation.</summary>
    public VoteTables? Votes { get; }

    /// <summary>Tables of the neurons, by weight.</summary>
    public LshTables? Tables { get; }

    /// <summary>Adaptive dropout's b, steered so that the wanted share is kept.</summary>
    public float KeepBias { get; set; }

    public float* Row(int neuron) => _weights.Items + ((nint)neuron * Stride);

    public float* First(int neuron) => _first.Items + ((nint)neuron * Stride);

    public float* Second(int neuron) => _second.Items + ((nint)neuron * Stride);

    public ref float Bias(int neuron) => ref _bias[neuron];

    public ref float BiasFirst(int neuron) => ref _biasFirst[neuron];

    public ref float BiasSecond(int neuron) => ref _biasSecond[neuron];

    /// <summary>
    /// Normal weights whose variance fits the number of inputs that are usually active, and the mean square of what the
    /// active outputs pass on.
    /// </summary>
    public void Randomize(double activeInputs, ulong seed)
    {
        double passed = IsOutput ? 1 : Initialization.MeanSquare(Mode, Fraction);
        float deviation = (float)Math.Sqrt(1 / (passed * Math.Max(1, activeInputs)));
        for (int n = 0; n < Outputs; n++)
        {
            for (int i = 0; i < Inputs; i++)
                Row(n)[i] = deviation * Noise.Normal(Noise.Seed(seed, 12, ((ulong)n << 24) + (ulong)i));
        }
    }

    /// <summary>Hashes all neurons with their current weights and fills the tables anew; returns the arithmetic done.</summary>
    public long Rebuild(WorkerTeam team, SlideState[] states, int index)
    {
        if (Family is null || Tables is null)
            return 0;
        if (_options.Mips)
            Centre();
        team.Run((Outputs + RowsPerItem - 1) / RowsPerItem, (item, worker) =>
        {
            SlideState.LayerState state = states[worker].Layers[index];
            for (int n = item * RowsPerItem; n < Math.Min(Outputs, (item + 1) * RowsPerItem); n++)
            {
                float* row = Row(n);
                float squares = 0;
                for (int i = 0; i < Inputs; i++)
                {
                    float value = _options.Mips ? row[i] - _mean[i] : row[i];
                    state.Query[i] = value;
                    squares += value * value;
                }
                float bias = _options.Mips ? Bias(n) - _mean[Inputs] : Bias(n);
                state.Query[Inputs] = bias;
                squares += bias * bias;
                state.Query[Inputs + 1] = _options.Mips ? MathF.Sqrt(MathF.Max(0, (_reach * _reach) - squares)) : 0;
                Family.Hash(null, state.Query, Inputs + 2, state.Scratch, state.Codes);
                Tables!.Keys(state.Codes, _keys!.Items + ((nint)n * Tables.Tables));
            }
        });
        Tables!.Clear();
        for (int n = 0; n < Outputs; n++)
            Tables.Add(n, _keys!.Items + ((nint)n * Tables.Tables));
        return Outputs * (Family.Operations(Inputs + 2) + Tables.Tables + (_options.Mips ? 4L * Inputs : 0));
    }

    /// <summary>
    /// Centres the hashing of inputs on their mean since the last time. Their votes stay in the old buckets and fade
    /// there. Returns the arithmetic done.
    /// </summary>
    public long Centre(SlideState[] states, int index)
    {
        long rows = states.Sum(s => s.Layers[index].InputRows);
        if (Votes is null || rows == 0)
            return 0;
        var mean = new float[Inputs + 2];
        foreach (SlideState state in states)
        {
            for (int i = 0; i < Inputs; i++)
                mean[i] += (float)(state.Layers[index].InputSum[i] / rows);
            state.Layers[index].ForgetInputs();
        }
        Family!.Centre(mean);
        return Family.Operations(Inputs) + ((long)states.Length * Inputs);
    }

    /// <summary>Votes for the neurons that an input activated, and counts the input into their mean.</summary>
    public void Learn(SlideState.LayerState state, int* ids, float* values, int count, ulong seed)
    {
        if (Votes is null)
            return;
        for (int i = 0; i < count; i++)
            state.InputSum[ids == null ? i : ids[i]] += values[i];
        state.InputRows++;
        state.Voter!.Vote(Votes, state.Keys, state.Ids, state.Count, seed);
        state.Hashing += count + state.Voter.Lookups;
    }

    /// <summary>Finds the neurons that are worth evaluating for an input; returns how many. They are in the state's ids.</summary>
    public int Select(SlideState.LayerState state, int* ids, float* values, int count, ReadOnlySpan<int> labels, bool training, ulong noise)
    {
        if (Votes is not null)
        {
            Family!.Hash(ids, values, count, state.Scratch, state.Codes);
            Votes.Keys.Make(state.Codes, state.Keys);
            int explore = Candidates < Outputs ? (int)Math.Ceiling(_options.Explore * Candidates) : 0;
            int found = state.Voter!.Choose(Votes, state.Keys, Candidates, explore, training, noise, state.Ids);
            state.Hashing += Family.Operations(count) + Votes.Keys.Tables + state.Voter.Lookups;
            return found;
        }
        QueryKeys(state, ids, values, count);
        ReadOnlySpan<int> forced = IsOutput && training ? labels : [];
        int most = forced.IsEmpty ? Candidates : Math.Max(Candidates, forced.Length + _options.LeastOthers);
        int chosen = state.Sampler!.Choose(Tables!, state.Keys, _options.Sampling, _options.Threshold, most, forced, fill: training, noise, state.Ids);
        state.Hashing += state.Sampler.Lookups;
        return chosen;
    }

    /// <summary>Opens the buckets for an input. The coordinate 1 stands for the bias.</summary>
    private void QueryKeys(SlideState.LayerState state, int* ids, float* values, int count)
    {
        int n = count;
        for (int i = 0; i < count; i++)
        {
            state.QueryIds[i] = ids == null ? i : ids[i];
            state.Query[i] = values[i];
        }
        if (_options.Mips)
        {
            state.QueryIds[n] = Inputs;
            state.Query[n++] = 1;
        }
        Family!.Hash(state.QueryIds, state.Query, n, state.Scratch, state.Codes);
        Tables!.Keys(state.Codes, state.Keys);
        state.Hashing += Family.Operations(n) + Tables.Tables;
    }

    public void CopyTo(NetworkLayer layer, bool featureMajor)
    {
        for (int n = 0; n < Outputs; n++)
        {
            layer.Bias[n] = _bias[n];
            for (int i = 0; i < Inputs; i++)
                layer.Weights[featureMajor ? (i * Outputs) + n : (n * Inputs) + i] = Row(n)[i];
        }
    }

    public void CopyFrom(NetworkLayer layer, bool featureMajor)
    {
        for (int n = 0; n < Outputs; n++)
        {
            _bias[n] = layer.Bias[n];
            for (int i = 0; i < Inputs; i++)
                Row(n)[i] = layer.Weights[featureMajor ? (i * Outputs) + n : (n * Inputs) + i];
        }
    }

    public void Dispose()
    {
        foreach (NativeArray<float> array in new[] { _weights, _first, _second, _bias, _biasFirst, _biasSecond })
            array.Dispose();
        _keys?.Dispose();
        Tables?.Dispose();
        Votes?.Dispose();
    }

    /// <summary>The mean neuron, which moves all inner products of a query alike, and the largest distance from it.</summary>
    private void Centre()
    {
        Array.Clear(_mean);
        for (int n = 0; n < Outputs; n++)
        {
            float* row = Row(n);
            for (int i = 0; i < Inputs; i++)
                _mean[i] += row[i];
            _mean[Inputs] += _bias[n];
        }
        for (int i = 0; i <= Inputs; i++)
            _mean[i] /= Outputs;
        float most = 0;
        for (int n = 0; n < Outputs; n++)
        {
            float* row = Row(n);
            float squares = (_bias[n] - _mean[Inputs]) * (_bias[n] - _mean[Inputs]);
            for (int i = 0; i < Inputs; i++)
                squares += (row[i] - _mean[i]) * (row[i] - _mean[i]);
            most = Math.Max(most, squares);
        }
        _reach = MathF.Sqrt(most);
    }
}
