using EdgeSlide.Calibration;
using EdgeSlide.Features;
using EdgeSlide.Hashing;
using EdgeSlide.Kernels;
using EdgeSlide.Layers;
using EdgeSlide.Model;

namespace EdgeSlide;

/// <summary>A predictor's working memory and the forward pass over it, independent of the kernel.</summary>
internal abstract unsafe class Engine : IDisposable
{
    public abstract string KernelName { get; }

    public FeatureVector Features => Own.Features;

    public PredictionCost Cost
    {
        get => Own.Cost;
        set => Own.Cost = value;
    }

    /// <summary>Where the next queries' time goes; null for no such record.</summary>
    public StageProfile? Profile { get; set; }

    /// <summary>Runs <see cref="Features"/> through the network; writes at most k best answers, best first.</summary>
    public abstract int Run(PredictionMode mode, bool probabilities, Span<Prediction> top);

    /// <summary>Copies the input of the output layer, as the last <see cref="Run"/> computed it.</summary>
    public abstract ReadOnlySpan<float> OutputLayerInput { get; }

    /// <summary>The query that is answered by itself.</summary>
    protected abstract QueryState Own { get; }

    public abstract BatchState CreateBatch(int capacity);

    /// <summary>
    /// Runs the batch's first <paramref name="count"/> queries through the network, each to the same bits as by itself. Query
    /// i's answers begin at answers[i * k]; counts[i] says how many there are.
    /// </summary>
    public abstract void RunBatch(BatchState batch, int count, PredictionMode mode, bool probabilities, int k, Span<Prediction> answers, Span<int> counts);

    public abstract void Dispose();

    public static Engine Create(NetworkLayout layout, string kernel) => KernelSelector.Dispatch(kernel, new Factory(layout));

    private sealed class Factory(NetworkLayout layout) : IKernelVisitor<Engine>
    {
        public Engine Visit<TKernel>() where TKernel : struct, IKernel => new Engine<TKernel>(layout);
    }
}

/// <summary>The forward pass, compiled once per kernel so that the inner loops inline.</summary>
internal sealed unsafe partial class Engine<TKernel> : Engine where TKernel : struct, IKernel
{
    private const int Block = 256;

    private readonly NetworkLayout _layout;
    private readonly NativeBuffer<float> _next;
    private readonly NativeBuffer<int> _sums;
    private readonly NativeBuffer<sbyte> _quantized;
    private readonly NativeBuffer<float> _logits = new(LayerSelector.MaxBudget + 1);
    private readonly NativeBuffer<float> _sampled;
    private readonly Ballot?[] _ballots;
    private readonly bool _electsEarly;

    public Engine(NetworkLayout layout)
    {
        _layout = layout;
        int width = layout.VectorLength;
        Own = new QueryState(layout);
        _next = new NativeBuffer<float>(width);
        _sums = new NativeBuffer<int>(width);
        // Room for floats, which is what FP16 rows take.
        _quantized = new NativeBuffer<sbyte>(sizeof(float) * width);
        _sampled = new NativeBuffer<float>((layout.Calibration?.Neurons.Length ?? 0) + 1);
        _ballots = new Ballot?[layout.Layers.Length];
        for (int i = 0; i < _ballots.Length; i++)
        {
            if (layout.Layers[i].Selector is { } selector)
                _ballots[i] = new Ballot(selector, layout.Layers[i].Outputs, layout.Layers[i].Inputs);
        }
        // The elected wait in the one list of candidates, so no hidden layer may hold an election in between.
        _electsEarly = layout.Output.Selector is { NeedsHidden: false } && Array.TrueForAll(layout.Layers[..^1], l => l.Selector is null);
    }

    public override string KernelName => TKernel.Name;

    public override ReadOnlySpan<float> OutputLayerInput => Own.Vector.Span[.._layout.Output.Inputs];

    protected override QueryState Own { get; }

    public override int Run(PredictionMode mode, bool probabilities, Span<Prediction> top)
    {
        QueryState query = Own;
        query.Begin();
        Profile?.Begin();
        NeuronLayer output = _layout.Output;
        bool select = Selects(output, mode);

        // Everything whose address is known is asked for before anything is waited for; the output layer's vote needs only
        // the features, so it goes first and its neurons' rows travel while the hidden layers compute.
        if (select)
            _ballots[^1]!.PrefetchOffsets(query.Features);
        _layout.SparseInput?.PrefetchRows(query.Features);
        if (select)
        {
            _ballots[^1]!.PrefetchBuckets(query.Features);
            VoteByFeatures(query);
        }

        Forward(query, mode);
        if (select && query.Elected < 0)
            ElectByHidden(query);
        int found = query.Elected > 0
            ? Selected(query, probabilities, top)
            : Dense(query, probabilities, top);
        Count(query);
        _layout.LabelMap?.Translate(top[..found]);
        return found;
    }

    public override void Dispose()
    {
        Own.Dispose();
        _next.Dispose();
        _sums.Dispose();
        _quantized.Dispose();
        _logits.Dispose();
        _sampled.Dispose();
        foreach (Ballot? ballot in _ballots)
            ballot?.Dispose();
    }

    private static bool Selects(NeuronLayer layer, PredictionMode mode) =>
        layer.Selector is { } selector && (mode == PredictionMode.Lsh || (mode == PredictionMode.Auto && selector.Pays));

    /// <summary>Begins the output layer's vote; ends it too if no hidden vector has a say.</summary>
    private void VoteByFeatures(QueryState query)
    {
        Vote(_ballots[^1]!, query);
        if (_electsEarly)
            query.Elected = Elect(query, _layout.Layers.Length - 1, Stage.Gather);
    }

    /// <summary>Ends the output layer's vote with the votes of its input.</summary>
    private void ElectByHidden(QueryState query)
    {
        VoteByHidden(_ballots[^1]!, query, FloatKernels.Quantize(query.Vector.Pointer, _quantized.Pointer, _layout.Output.Stride));
        query.Elected = Elect(query, _layout.Layers.Length - 1, Stage.Hashing);
    }

    private static void Vote(Ballot ballot, QueryState query)
    {
        ballot.Begin();
        ballot.VoteByFeatures(query.Features);
    }

    /// <summary>Lets the layer's input vote, as it is and as it was quantized.</summary>
    private void VoteByHidden(Ballot ballot, QueryState query, float scale)
    {
        ballot.VoteByHidden(query.Vector.Pointer);
        ballot.VoteByCentroids<TKernel>(_quantized.Pointer, scale);
    }

    /// <summary>Ends a layer's vote and asks for the elected neurons' rows.</summary>
    /// <param name="query">Whose vote.</param>
    /// <param name="layer">Whose neurons.</param>
    /// <param name="gathered">The stage that the votes belong to.</param>
    private int Elect(QueryState query, int layer, Stage gathered)
    {
        NeuronLayer neurons = _layout.Layers[layer];
        Ballot ballot = _ballots[layer]!;
        query.Multiplications += ballot.EntriesRead + ballot.HashOperations;
        query.Bytes += (long)ballot.EntriesRead * sizeof(uint) + (long)ballot.BucketsRead * sizeof(ulong) + ballot.HashBytes;
        Profile?.Mark(gathered, query.Multiplications, query.Bytes, 2 * ballot.BucketsRead);
        int* candidates = query.Candidates.Pointer;
        int count = ballot.Count(neurons.Selector!.Budget, candidates, query.Votes.Pointer);
        for (int i = 0; i < count; i++)
            neurons.PrefetchNeuron(candidates[i]);
        Profile?.Mark(Stage.Election, query.Multiplications, query.Bytes, 0);
        return count;
    }

    /// <summary>Everything between the features and the output layer.</summary>
    private void Forward(QueryState query, PredictionMode mode)
    {
        Input(query);
        Profile?.Mark(Stage.InputLayer, query.Multiplications, query.Bytes, query.Features.Count);
        for (int i = 0; i < _layout.Layers.Length - 1; i++)
            Hidden(query, i, mode);
        if (_layout.Layers.Length > 1)
            Profile?.Mark(Stage.Hidden, query.Multiplications, query.Bytes, 0);
    }

    /// <summary>Fills the first vector: the sparse layer's output, or the dense input itself.</summary>
    private void Input(QueryState query)
    {
        FeatureVector features = query.Features;
        NativeBuffer<float> vector = query.Vector;
        if (_layout.SparseInput is { } sparse)
        {
            sparse.Forward<TKernel>(features, _sums.Pointer, vector.Pointer);
            vector.Span[sparse.Outputs..].Clear();
            Activate(vector, sparse.Activation, sparse.Outputs);
            query.Multiplications += (long)features.Count * sparse.Outputs;
            query.Bytes += features.Count * sparse.BytesPerFeature;
            return;
        }
        vector.Span.Clear();
        for (int i = 0; i < features.Count; i++)
            vector.Pointer[features.Ids[i]] = features.Values[i];
    }

    private void Hidden(QueryState query, int index, PredictionMode mode)
    {
        NeuronLayer layer = _layout.Layers[index];
        float* x = query.Vector.Pointer, y = _next.Pointer;
        int* candidates = query.Candidates.Pointer;
        int elected = 0;
        if (Selects(layer, mode))
        {
            Vote(_ballots[index]!, query);
            if (layer.Selector!.NeedsHidden)
                VoteByHidden(_ballots[index]!, query, FloatKernels.Quantize(x, _quantized.Pointer, layer.Stride));
            elected = Elect(query, index, Stage.Hidden);
        }
        float scale = layer.Prepare(x, _quantized.Pointer);
        _next.Span.Clear();
        if (elected > 0)
        {
            layer.Logits<TKernel>(_quantized.Pointer, scale, candidates, elected, _logits.Pointer);
            for (int i = 0; i < elected; i++)
                y[candidates[i]] = _logits.Pointer[i];
        }
        else
        {
            layer.Logits<TKernel>(_quantized.Pointer, scale, 0, layer.Outputs, y);
        }
        int evaluated = elected > 0 ? elected : layer.Outputs;
        query.Multiplications += (long)evaluated * layer.Inputs;
        query.Bytes += evaluated * layer.BytesPerNeuron;
        _next.Span.CopyTo(query.Vector.Span);
        Activate(query.Vector, layer.Activation, layer.Outputs);
    }

    private static void Activate(NativeBuffer<float> vector, LayerActivation activation, int width)
    {
        if (activation == LayerActivation.Relu)
            FloatKernels.Relu(vector.Pointer, ModelFormat.RowStride(width));
        else if (activation == LayerActivation.Sigmoid)
            FloatKernels.Sigmoid(vector.Pointer, width);
    }

    private int Selected(QueryState query, bool probabilities, Span<Prediction> top)
    {
        NeuronLayer output = _layout.Output;
        int candidates = query.Elected;
        int* neurons = query.Candidates.Pointer;
        float scale = output.Prepare(query.Vector.Pointer, _quantized.Pointer);
        float blend = output.Selector!.VoteBlend;
        float* logits = _logits.Pointer, scores = logits;
        output.Logits<TKernel>(_quantized.Pointer, scale, neurons, candidates, logits);
        query.Multiplications += (long)candidates * output.Inputs;
        query.Bytes += candidates * output.BytesPerNeuron;
        Profile?.Mark(Stage.DotProducts, query.Multiplications, query.Bytes, 2 * candidates);
        if (blend > 0f)
        {
            // The votes have done their work of election: their memory takes the scores.
            scores = query.Votes.Pointer;
            FloatKernels.AddLog2(logits, scores, blend, scores, candidates);
        }
        var best = new TopK(top);
        best.OfferAll(neurons, logits, scores, candidates);
        Profile?.Mark(Stage.TopK, query.Multiplications, query.Bytes, 0);
        if (probabilities && best.Count > 0)
        {
            float max = best.Max, temperature = 1f, sum;
            if (_layout.Calibration is { } calibration)
            {
                temperature = calibration.InverseTemperature;
                for (int i = 0; i < candidates; i++)
                    scores[i] *= temperature;
                max *= temperature;
                int samples = SampleRest(query, calibration, scale, ref max);
                sum = FloatKernels.SumOfExponentials(scores, candidates, max) + FloatKernels.SumOfExponentials(_sampled.Pointer, samples, max);
            }
            else
            {
                sum = FloatKernels.SumOfExponentials(scores, candidates, max);
            }
            best.SetProbabilities(output.Activation, temperature, max, 1f / sum, _layout.Calibration?.Lsh);
            Profile?.Mark(Stage.Probabilities, query.Multiplications, query.Bytes, 2 * (_layout.Calibration?.Neurons.Length ?? 0));
        }
        return best.Count;
    }

    /// <summary>The weighed logits of the sampled neurons; <paramref name="max"/> rises to the largest.</summary>
    private int SampleRest(QueryState query, OutputCalibration calibration, float scale, ref float max)
    {
        NeuronLayer output = _layout.Output;
        int samples = calibration.Neurons.Length;
        fixed (int* neurons = calibration.Neurons)
            output.Logits<TKernel>(_quantized.Pointer, scale, neurons, samples, _sampled.Pointer);
        // Candidates count themselves, so as samples they count nothing.
        for (int i = 0; i < query.Elected; i++)
        {
            int at = Array.BinarySearch(calibration.Neurons, query.Candidates.Pointer[i]);
            if (at >= 0)
                _sampled.Pointer[at] = -1e30f;
        }
        for (int i = 0; i < samples; i++)
        {
            _sampled.Pointer[i] = _sampled.Pointer[i] * calibration.InverseTemperature + calibration.LogWeights[i];
            max = MathF.Max(max, _sampled.Pointer[i]);
        }
        query.Multiplications += (long)samples * output.Inputs;
        query.Bytes += samples * output.BytesPerNeuron;
        return samples;
    }

    private int Dense(QueryState query, bool probabilities, Span<Prediction> top)
    {
        NeuronLayer output = _layout.Output;
        float scale = output.Prepare(query.Vector.Pointer, _quantized.Pointer);
        float* logits = _logits.Pointer;
        var best = new TopK(top);
        var sum = new RunningSum();
        bool needSum = probabilities && output.Activation == LayerActivation.Softmax;
        for (int first = 0; first < output.Outputs; first += Block)
        {
            int count = Math.Min(Block, output.Outputs - first);
            output.Logits<TKernel>(_quantized.Pointer, scale, first, count, logits);
            query.Multiplications += (long)count * output.Inputs;
            query.Bytes += count * output.BytesPerNeuron;
            Profile?.Mark(Stage.DotProducts, query.Multiplications, query.Bytes, 2);
            best.OfferAll(first, logits, count);
            Profile?.Mark(Stage.TopK, query.Multiplications, query.Bytes, 0);
            if (needSum)
            {
                sum.Add(logits, count, best.Max);
                Profile?.Mark(Stage.Probabilities, query.Multiplications, query.Bytes, 0);
            }
        }
        if (probabilities && best.Count > 0)
            best.SetProbabilities(output.Activation, 1f, best.Max, 1f / sum.Value, _layout.Calibration?.Dense);
        return best.Count;
    }

    /// <summary>Writes down what the answered query cost.</summary>
    private void Count(QueryState query) => query.Cost = new PredictionCost
    {
        Features = query.Features.Count,
        ActiveNeurons = query.Elected > 0 ? query.Elected : _layout.Output.Outputs,
        Multiplications = query.Multiplications,
        BytesTouched = query.Bytes,
    };
}
