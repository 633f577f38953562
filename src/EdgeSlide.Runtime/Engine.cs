using EdgeSlide.Calibration;
using EdgeSlide.Features;
using EdgeSlide.Hashing;
using EdgeSlide.Kernels;
using EdgeSlide.Layers;
using EdgeSlide.Model;

namespace EdgeSlide;

/// <summary>The layers of a model, checked and ready; shared by all sessions.</summary>
internal sealed record NetworkLayout(SparseInputLayer? SparseInput, NeuronLayer[] Layers, int FeatureCount, OutputCalibration? Calibration, LabelMap? LabelMap)
{
    public NeuronLayer Output => Layers[^1];

    /// <summary>The widest vector between layers (the output layer's excluded), padded.</summary>
    public int MaxHiddenWidth { get; } = ModelFormat.RowStride(WidestHidden(SparseInput, Layers));

    private static int WidestHidden(SparseInputLayer? sparseInput, NeuronLayer[] layers)
    {
        int width = sparseInput?.Outputs ?? 0;
        foreach (NeuronLayer layer in layers)
            width = Math.Max(width, layer.Inputs);
        foreach (NeuronLayer hidden in layers[..^1])
            width = Math.Max(width, hidden.Outputs);
        return width;
    }
}

/// <summary>A session's working memory and the forward pass over it, independent of the kernel.</summary>
internal abstract unsafe class Engine : IDisposable
{
    public abstract string KernelName { get; }

    public FeatureVector Features { get; } = new();

    public PredictionCost Cost { get; set; }

    /// <summary>Where the next queries' time goes; null for no such record.</summary>
    public StageProfile? Profile { get; set; }

    /// <summary>Runs <see cref="Features"/> through the network; writes at most k best answers, best first.</summary>
    public abstract int Run(PredictionMode mode, bool probabilities, Span<Prediction> top);

    /// <summary>Copies the input of the output layer, as the last <see cref="Run"/> computed it.</summary>
    public abstract ReadOnlySpan<float> OutputLayerInput { get; }

    public abstract void Dispose();

    public static Engine Create(NetworkLayout layout, string kernel) => KernelSelector.Dispatch(kernel, new Factory(layout));

    private sealed class Factory(NetworkLayout layout) : IKernelVisitor<Engine>
    {
        public Engine Visit<TKernel>() where TKernel : struct, IKernel => new Engine<TKernel>(layout);
    }
}

/// <summary>The forward pass, compiled once per kernel so that the inner loops inline.</summary>
internal sealed unsafe class Engine<TKernel> : Engine where TKernel : struct, IKernel
{
    private const int Block = 256;

    private readonly NetworkLayout _layout;
    private readonly NativeBuffer<float> _current;
    private readonly NativeBuffer<float> _next;
    private readonly NativeBuffer<int> _sums;
    private readonly NativeBuffer<sbyte> _quantized;
    private readonly NativeBuffer<float> _logits = new(LayerSelector.MaxBudget + 1);
    private readonly NativeBuffer<float> _votes = new(LayerSelector.MaxBudget + 1);
    private readonly NativeBuffer<int> _candidates = new(LayerSelector.MaxBudget + 1);
    private readonly NativeBuffer<float> _sampled;
    private readonly Ballot?[] _ballots;
    private readonly bool _electsEarly;
    private long _multiplications;
    private long _bytes;

    public Engine(NetworkLayout layout)
    {
        _layout = layout;
        int width = Math.Max(layout.MaxHiddenWidth, SimHash.PaddedDimensions(layout.MaxHiddenWidth));
        _current = new NativeBuffer<float>(width);
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

    public override ReadOnlySpan<float> OutputLayerInput => _current.Span[.._layout.Output.Inputs];

    public override int Run(PredictionMode mode, bool probabilities, Span<Prediction> top)
    {
        _multiplications = _bytes = 0;
        Profile?.Begin();
        NeuronLayer output = _layout.Output;
        bool select = output.Selector is { } selector && (mode == PredictionMode.Lsh || (mode == PredictionMode.Auto && selector.Pays));

        // Everything whose address is known is asked for before anything is waited for; the output layer's vote needs only
        // the features, so it goes first and its neurons' rows travel while the hidden layers compute.
        if (select)
            _ballots[^1]!.PrefetchOffsets(Features);
        _layout.SparseInput?.PrefetchRows(Features);
        int candidates = -1;
        if (select)
        {
            _ballots[^1]!.PrefetchBuckets(Features);
            Vote(_ballots[^1]!);
            if (_electsEarly)
                candidates = Elect(_layout.Layers.Length - 1, Stage.Gather);
        }

        Input(mode);
        Profile?.Mark(Stage.InputLayer, _multiplications, _bytes, Features.Count);
        for (int i = 0; i < _layout.Layers.Length - 1; i++)
            Hidden(i, mode);
        if (_layout.Layers.Length > 1)
            Profile?.Mark(Stage.Hidden, _multiplications, _bytes, 0);

        if (select && candidates < 0)
        {
            VoteByHidden(_ballots[^1]!, FloatKernels.Quantize(_current.Pointer, _quantized.Pointer, output.Stride));
            candidates = Elect(_layout.Layers.Length - 1, Stage.Hashing);
        }
        int found = candidates > 0
            ? Selected(output, candidates, probabilities, top)
            : Dense(output, probabilities, top);
        Cost = new PredictionCost
        {
            Features = Features.Count,
            ActiveNeurons = candidates > 0 ? candidates : output.Outputs,
            Multiplications = _multiplications,
            BytesTouched = _bytes,
        };
        _layout.LabelMap?.Translate(top[..found]);
        return found;
    }

    public override void Dispose()
    {
        Features.Dispose();
        _current.Dispose();
        _next.Dispose();
        _sums.Dispose();
        _quantized.Dispose();
        _logits.Dispose();
        _votes.Dispose();
        _candidates.Dispose();
        _sampled.Dispose();
        foreach (Ballot? ballot in _ballots)
            ballot?.Dispose();
    }

    private void Vote(Ballot ballot)
    {
        ballot.Begin();
        ballot.VoteByFeatures(Features);
    }

    /// <summary>Lets the layer's input vote, as it is and as it was quantized.</summary>
    private void VoteByHidden(Ballot ballot, float scale)
    {
        ballot.VoteByHidden(_current.Pointer);
        ballot.VoteByCentroids<TKernel>(_quantized.Pointer, scale);
    }

    /// <summary>Ends a layer's vote and asks for the elected neurons' rows.</summary>
    /// <param name="layer">Whose neurons.</param>
    /// <param name="gathered">The stage that the votes belong to.</param>
    private int Elect(int layer, Stage gathered)
    {
        NeuronLayer neurons = _layout.Layers[layer];
        Ballot ballot = _ballots[layer]!;
        _multiplications += ballot.EntriesRead + ballot.HashOperations;
        _bytes += (long)ballot.EntriesRead * sizeof(uint) + (long)ballot.BucketsRead * sizeof(ulong) + ballot.HashBytes;
        Profile?.Mark(gathered, _multiplications, _bytes, 2 * ballot.BucketsRead);
        int count = ballot.Count(neurons.Selector!.Budget, _candidates.Pointer, _votes.Pointer);
        for (int i = 0; i < count; i++)
            neurons.PrefetchNeuron(_candidates.Pointer[i]);
        Profile?.Mark(Stage.Election, _multiplications, _bytes, 0);
        return count;
    }

    /// <summary>Fills the first vector: the sparse layer's output, or the dense input itself.</summary>
    private void Input(PredictionMode mode)
    {
        if (_layout.SparseInput is { } sparse)
        {
            sparse.Forward<TKernel>(Features, _sums.Pointer, _current.Pointer);
            _current.Span[sparse.Outputs..].Clear();
            Activate(sparse.Activation, sparse.Outputs);
            _multiplications += (long)Features.Count * sparse.Outputs;
            _bytes += Features.Count * sparse.BytesPerFeature;
            return;
        }
        _current.Span.Clear();
        for (int i = 0; i < Features.Count; i++)
            _current.Pointer[Features.Ids[i]] = Features.Values[i];
    }

    private void Hidden(int index, PredictionMode mode)
    {
        NeuronLayer layer = _layout.Layers[index];
        float* x = _current.Pointer, y = _next.Pointer;
        int candidates = 0;
        if (layer.Selector is { } selector && (mode == PredictionMode.Lsh || (mode == PredictionMode.Auto && selector.Pays)))
        {
            Vote(_ballots[index]!);
            if (selector.NeedsHidden)
                VoteByHidden(_ballots[index]!, FloatKernels.Quantize(x, _quantized.Pointer, layer.Stride));
            candidates = Elect(index, Stage.Hidden);
        }
        float scale = layer.Prepare(x, _quantized.Pointer);
        new Span<float>(y, _next.Length).Clear();
        if (candidates > 0)
        {
            layer.Logits<TKernel>(_quantized.Pointer, scale, _candidates.Pointer, candidates, _logits.Pointer);
            for (int i = 0; i < candidates; i++)
                y[_candidates.Pointer[i]] = _logits.Pointer[i];
        }
        else
        {
            layer.Logits<TKernel>(_quantized.Pointer, scale, 0, layer.Outputs, y);
        }
        int evaluated = candidates > 0 ? candidates : layer.Outputs;
        _multiplications += (long)evaluated * layer.Inputs;
        _bytes += evaluated * layer.BytesPerNeuron;
        new ReadOnlySpan<float>(y, _next.Length).CopyTo(_current.Span);
        Activate(layer.Activation, layer.Outputs);
    }

    private void Activate(LayerActivation activation, int width)
    {
        if (activation == LayerActivation.Relu)
            FloatKernels.Relu(_current.Pointer, ModelFormat.RowStride(width));
        else if (activation == LayerActivation.Sigmoid)
            FloatKernels.Sigmoid(_current.Pointer, width);
    }

    private int Selected(NeuronLayer output, int candidates, bool probabilities, Span<Prediction> top)
    {
        float scale = output.Prepare(_current.Pointer, _quantized.Pointer);
        float blend = output.Selector!.VoteBlend;
        float* logits = _logits.Pointer, scores = logits;
        output.Logits<TKernel>(_quantized.Pointer, scale, _candidates.Pointer, candidates, logits);
        _multiplications += (long)candidates * output.Inputs;
        _bytes += candidates * output.BytesPerNeuron;
        Profile?.Mark(Stage.DotProducts, _multiplications, _bytes, 2 * candidates);
        if (blend > 0f)
        {
            // The votes have done their work of election: their memory takes the scores.
            scores = _votes.Pointer;
            FloatKernels.AddLog2(logits, _votes.Pointer, blend, scores, candidates);
        }
        var best = new TopK(top);
        for (int i = 0; i < candidates; i++)
            best.Offer(_candidates.Pointer[i], logits[i], scores[i]);
        Profile?.Mark(Stage.TopK, _multiplications, _bytes, 0);
        if (probabilities && best.Count > 0)
        {
            float max = best.Max, temperature = 1f, sum;
            if (_layout.Calibration is { } calibration)
            {
                temperature = calibration.InverseTemperature;
                for (int i = 0; i < candidates; i++)
                    scores[i] *= temperature;
                max *= temperature;
                int samples = SampleRest(output, calibration, scale, candidates, ref max);
                sum = FloatKernels.SumOfExponentials(scores, candidates, max) + FloatKernels.SumOfExponentials(_sampled.Pointer, samples, max);
            }
            else
            {
                sum = FloatKernels.SumOfExponentials(scores, candidates, max);
            }
            best.SetProbabilities(output.Activation, temperature, max, 1f / sum, _layout.Calibration?.Lsh);
            Profile?.Mark(Stage.Probabilities, _multiplications, _bytes, 2 * (_layout.Calibration?.Neurons.Length ?? 0));
        }
        return best.Count;
    }

    /// <summary>The weighed logits of the sampled neurons; <paramref name="max"/> rises to the largest.</summary>
    private int SampleRest(NeuronLayer output, OutputCalibration calibration, float scale, int candidates, ref float max)
    {
        int samples = calibration.Neurons.Length;
        fixed (int* neurons = calibration.Neurons)
            output.Logits<TKernel>(_quantized.Pointer, scale, neurons, samples, _sampled.Pointer);
        // Candidates count themselves, so as samples they count nothing.
        for (int i = 0; i < candidates; i++)
        {
            int at = Array.BinarySearch(calibration.Neurons, _candidates.Pointer[i]);
            if (at >= 0)
                _sampled.Pointer[at] = -1e30f;
        }
        for (int i = 0; i < samples; i++)
        {
            _sampled.Pointer[i] = _sampled.Pointer[i] * calibration.InverseTemperature + calibration.LogWeights[i];
            max = MathF.Max(max, _sampled.Pointer[i]);
        }
        _multiplications += (long)samples * output.Inputs;
        _bytes += samples * output.BytesPerNeuron;
        return samples;
    }

    private int Dense(NeuronLayer output, bool probabilities, Span<Prediction> top)
    {
        float scale = output.Prepare(_current.Pointer, _quantized.Pointer);
        float* logits = _logits.Pointer;
        var best = new TopK(top);
        // The softmax's sum is kept relative to the largest logit so far, and rescaled when a larger one comes.
        float max = float.NegativeInfinity, sum = 0f;
        bool needSum = probabilities && output.Activation == LayerActivation.Softmax;
        for (int first = 0; first < output.Outputs; first += Block)
        {
            int count = Math.Min(Block, output.Outputs - first);
            output.Logits<TKernel>(_quantized.Pointer, scale, first, count, logits);
            _multiplications += (long)count * output.Inputs;
            _bytes += count * output.BytesPerNeuron;
            Profile?.Mark(Stage.DotProducts, _multiplications, _bytes, 2);
            best.OfferAll(first, logits, count);
            Profile?.Mark(Stage.TopK, _multiplications, _bytes, 0);
            if (needSum)
            {
                if (best.Max > max)
                {
                    sum *= StableMath.Exp(max - best.Max);
                    max = best.Max;
                }
                sum += FloatKernels.SumOfExponentials(logits, count, max);
                Profile?.Mark(Stage.Probabilities, _multiplications, _bytes, 0);
            }
        }
        if (probabilities && best.Count > 0)
            best.SetProbabilities(output.Activation, 1f, best.Max, 1f / sum, _layout.Calibration?.Dense);
        return best.Count;
    }
}
