using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Networks;

namespace EdgeSlide.Training.Training;

/// <summary>
/// The network under training and one optimizer step on a mini-batch. A step is a few phases; within a phase threads take
/// tiles of rows or of labels that nobody else touches, and every sum runs in a fixed order, so that a result is bit-identical
/// for any number of threads:
/// <list type="number">
/// <item>rows: embeddings are added up, hidden layers follow; then the active set is chosen;</item>
/// <item>labels: logits of the active set, Z = H W_A^T [rows x active];</item>
/// <item>rows: Z becomes the loss's gradient dZ, and dH = dZ W_A;</item>
/// <item>labels: dW_A = dZ^T H, applied at once (no gradient matrix is kept);</item>
/// <item>features: the gradient of each distinct embedding is gathered and applied.</item>
/// </list>
/// <see cref="InputLayer"/> has the first and the last of them, <see cref="OutputPass"/> the others; here are the hidden
/// layers between, and the order.
/// </summary>
internal sealed unsafe class TrainingCore : IDisposable
{
    /// <summary>Rows that a thread takes at a time.</summary>
    internal const int RowTile = 32;

    private readonly TrainerOptions _options;
    private readonly WorkerTeam _team;
    private readonly IRowSource _data;
    private readonly MiniBatch _batch;
    private readonly ActiveSet _active;
    private readonly LshSampler? _lsh;
    private readonly Powers _powers1;
    private readonly Powers _powers2;
    private readonly InputLayer _input;
    private readonly DenseLayer[] _dense;
    private readonly NativeArray<float>[] _hidden;
    private readonly NativeArray<float>[] _gradient;
    private readonly NeuronGradients _neurons;
    private readonly OutputPass _output;

    private readonly Action<int, int> _forwardRows;
    private readonly Action<int, int> _hiddenForwardRows;
    private readonly Action<int, int> _hiddenBackwardRows;
    private readonly Action<int, int> _hiddenNeuronGradient;
    private readonly Action<int, int> _featureGradient;

    // State of the step in flight, read by the phases.
    private int _steps;
    private AdamStep _step;
    private HiddenActivation _activation;
    private int _layer;

    internal TrainingCore(TrainerOptions options, IRowSource data, WorkerTeam team)
    {
        _options = options;
        _team = team;
        _data = data;
        _batch = new MiniBatch(data, options.BatchSize, team);
        _lsh = options.LshNegatives > 0 ? new LshSampler(options, data.LabelCount, team) : null;
        _active = new ActiveSet(data.LabelCount, options.Mode == OutputMode.Sampled && options.NegativePower > 0
            ? new NegativeSampler(LabelFrequencies.Of(data).Counts, options.NegativePower, options.RandomNegatives) : null, _lsh);
        ulong seed = Noise.Seed((ulong)options.Seed, 1, 0);
        IReadOnlyList<int> sizes = options.HiddenSizes;
        _input = new InputLayer(options, data, seed);
        _powers1 = new Powers(options.Beta1);
        _powers2 = new Powers(options.Beta2);
        _dense = new DenseLayer[sizes.Count];
        _hidden = new NativeArray<float>[sizes.Count];
        _gradient = new NativeArray<float>[sizes.Count];
        int widest = 0;
        for (int i = 0; i < sizes.Count; i++)
        {
            bool output = i == sizes.Count - 1;
            int outputs = output ? data.LabelCount : sizes[i + 1];
            _dense[i] = new DenseLayer(outputs, sizes[i], options.RowSecondMoments, options.AgeMoments ? RowTime.Shared : RowTime.Own);
            _dense[i].Matrix.Randomize((output ? 0.5f : 1.4f) / MathF.Sqrt(sizes[i]), seed + (ulong)i + 1);
            int stride = VectorMath.Pad(sizes[i]);
            widest = Math.Max(widest, stride);
            _hidden[i] = new NativeArray<float>((long)options.BatchSize * stride);
            _gradient[i] = new NativeArray<float>((long)options.BatchSize * stride);
        }
        _neurons = new NeuronGradients(options.BatchSize, widest, OutputPass.LabelTile, team.Size);
        _output = new OutputPass(options, team, _batch, _active, Output, _neurons, _hidden[^1].Items, _gradient[^1].Items);

        _forwardRows = ForwardRows;
        _hiddenForwardRows = HiddenForwardRows;
        _hiddenBackwardRows = HiddenBackwardRows;
        _hiddenNeuronGradient = HiddenNeuronGradient;
        _featureGradient = FeatureGradient;
    }

    internal ActiveSet Active => _active;

    internal MiniBatch Batch => _batch;

    /// <summary>Where the time of steps goes.</summary>
    internal PhaseClock Clock { get; } = new();

    internal AdamMatrix OutputMatrix => Output.Matrix;

    internal float* OutputBias => Output.Bias.Weights;

    private DenseLayer Output => _dense[^1];

    /// <summary>Bytes that an instance for these options and sizes takes.</summary>
    /// <param name="active">Labels of an active set.</param>
    internal static long EstimateBytes(TrainerOptions options, long features, long labels, long active)
    {
        IReadOnlyList<int> sizes = options.HiddenSizes;
        long bytes = AdamMatrix.Bytes(features, sizes[0], options.InputMomentum, options.RowSecondMoments) + (features * sizeof(int));
        for (int i = 0; i < sizes.Count; i++)
        {
            long outputs = i == sizes.Count - 1 ? labels : sizes[i + 1];
            bytes += AdamMatrix.Bytes(outputs, sizes[i], momentum: true, options.RowSecondMoments);
            bytes += 3L * options.BatchSize * VectorMath.Pad(sizes[i]) * sizeof(float);
        }
        bytes += OutputPass.Bytes(options, (int)labels, active);
        bytes += labels * VectorMath.Pad(sizes[^1]) * sizeof(float);
        return bytes + (labels * 4 * sizeof(int)) + LshSampler.Bytes(options, labels);
    }

    /// <summary>One step on the given rows; returns the mean loss of a row.</summary>
    /// <param name="tables">Where the rows look up hard negatives, and where their best evaluated labels are remembered; may be null.</param>
    internal double Step(ReadOnlySpan<int> rows, ulong seed, float learningRate, LikelyLabels? tables)
    {
        _step = new AdamStep(learningRate, _options.Beta1, _options.Beta2, _options.Epsilon, _options.WeightDecay, ++_steps, _powers1, _powers2);
        _activation = new HiddenActivation(_options.Activation, _options.HiddenDropout, Noise.Mix(seed));
        if (_options.Mode != OutputMode.Sampled)
            tables = null;
        Clock.Start();
        _batch.Load(_data, rows, _options.FeatureDropout, Noise.Mix(seed + 1), grouped: true);
        Clock.Mark(TrainingPhase.Load);
        Forward(rows.Length);
        Clock.Mark(TrainingPhase.Forward);
        ChooseActive(seed + 2, tables);
        Clock.Mark(TrainingPhase.Select);
        _output.Run(_step with { LearningRate = learningRate * _options.OutputRateScale }, _activation, tables, Clock);
        Backward(rows.Length);
        Clock.Mark(TrainingPhase.Features);
        double loss = 0;
        for (int i = 0; i < rows.Length; i++)
            loss += _output.Losses[i];
        return loss / rows.Length;
    }

    /// <summary>The last hidden vectors of up to a batch of rows, without dropout; valid until the next call or step.</summary>
    internal float* Forward(IRowSource data, ReadOnlySpan<int> rows, out int stride)
    {
        _activation = new HiddenActivation(_options.Activation);
        _batch.Load(data, rows, 0, 0, grouped: false);
        Forward(rows.Length);
        stride = Output.Matrix.Stride;
        return _hidden[^1].Items;
    }

    /// <summary>Fills the tables that LSH negatives are drawn from with the present weights, if there are any.</summary>
    /// <param name="rows">Rows that training uses; a batch of them, evenly spread, is looked at.</param>
    internal void RebuildSampler(ReadOnlySpan<int> rows)
    {
        if (_lsh is null)
            return;
        int[] sample = new int[Math.Min(rows.Length, _options.BatchSize)];
        for (int i = 0; i < sample.Length; i++)
            sample[i] = rows[(int)((long)i * rows.Length / sample.Length)];
        float* vectors = Forward(_data, sample, out int stride);
        _lsh.Rebuild(Output.Matrix.Weights, Output.Bias.Weights, stride, vectors, sample.Length);
    }

    internal static int Tiles(int count, int tile) => (count + tile - 1) / tile;

    private void Forward(int rows)
    {
        _team.Run(Tiles(rows, RowTile), _forwardRows);
        for (_layer = 1; _layer < _hidden.Length; _layer++)
        {
            _dense[_layer - 1].Pack();
            _team.Run(Tiles(rows, RowTile), _hiddenForwardRows);
        }
    }

    private void ChooseActive(ulong seed, LikelyLabels? tables)
    {
        if (_options.Mode == OutputMode.Full)
        {
            if (!_active.IsComplete || _active.CertainCount != _active.Count)
            {
                _active.Clear();
                _active.SetAll();
            }
            return;
        }
        _active.Reset();
        for (int row = 0; row < _batch.Count; row++)
        {
            foreach (int label in _batch.Labels(row))
                _active.Add(label);
        }
        tables?.Choose(_batch, _active, _hidden[^1].Items, Output.Matrix.Stride);
        _lsh?.Probe(_hidden[^1].Items, Output.Matrix.Stride, _batch.Count);
        _active.Draw(_options.RandomNegatives, seed, _options.LshNegatives);
    }

    private void Backward(int rows)
    {
        for (_layer = _hidden.Length - 1; _layer > 0; _layer--)
        {
            // dZ of this layer is in _gradient[_layer]; the layer below gets dH before the weights change.
            _team.Run(Tiles(rows, RowTile), _hiddenBackwardRows);
            AdamMatrix matrix = _dense[_layer - 1].Matrix;
            _neurons.Pack(_hidden[_layer - 1].Items, matrix.Stride, rows);
            _team.Run(Tiles(matrix.Rows, Gemm.TileRows), _hiddenNeuronGradient);
        }
        _team.Run(MiniBatch.Groups, _featureGradient);
        _input.UpdateBias(rows, _gradient[0].Items, _step, _neurons.Scratch(0));
    }

    private void ForwardRows(int tile, int worker)
    {
        int stride = _input.Embedding.Stride;
        int end = Math.Min((tile + 1) * RowTile, _batch.Count);
        for (int row = tile * RowTile; row < end; row++)
        {
            float* h = _hidden[0].Items + ((nint)row * stride);
            _input.Forward(_batch, row, h);
            _activation.Forward(h, stride, 0, row);
        }
    }

    private void HiddenForwardRows(int tile, int worker)
    {
        DenseLayer layer = _dense[_layer - 1];
        int stride = VectorMath.Pad(layer.Matrix.Rows);
        int first = tile * RowTile;
        int count = Math.Min(RowTile, _batch.Count - first);
        float* h = _hidden[_layer].Items + ((nint)first * stride);
        float* below = _hidden[_layer - 1].Items + ((nint)first * layer.Matrix.Stride);
        Gemm.Multiply(count, layer.Matrix.Stride, layer.Matrix.Rows, below, layer.Matrix.Stride, 1, layer.PackedForward, h, stride, accumulate: false);
        for (int i = 0; i < count; i++)
        {
            float* row = h + ((nint)i * stride);
            VectorMath.AddScaled(row, layer.Bias.Weights, 1, stride);
            _activation.Forward(row, stride, _layer, first + i);
        }
    }

    private void HiddenBackwardRows(int tile, int worker)
    {
        DenseLayer layer = _dense[_layer - 1];
        int stride = layer.Matrix.Stride;
        int above = VectorMath.Pad(layer.Matrix.Rows);
        int first = tile * RowTile;
        int count = Math.Min(RowTile, _batch.Count - first);
        float* gradient = _gradient[_layer - 1].Items + ((nint)first * stride);
        Gemm.Multiply(
            count, layer.Matrix.Rows, stride, _gradient[_layer].Items + ((nint)first * above), above, 1,
            layer.PackedBackward, gradient, stride, accumulate: false);
        _activation.Backward(gradient, _hidden[_layer - 1].Items + ((nint)first * stride), count, stride);
    }

    private void HiddenNeuronGradient(int tile, int worker)
    {
        DenseLayer layer = _dense[_layer - 1];
        int first = tile * Gemm.TileRows;
        int count = Math.Min(Gemm.TileRows, layer.Matrix.Rows - first);
        Span<int> ids = stackalloc int[Gemm.TileRows];
        for (int i = 0; i < count; i++)
            ids[i] = first + i;
        _neurons.Update(layer, _gradient[_layer].Items + first, VectorMath.Pad(layer.Matrix.Rows), _batch.Count, ids[..count], _step, worker);
    }

    private void FeatureGradient(int group, int worker) =>
        _input.Update(_batch.Group(group, worker), _gradient[0].Items, _step, _neurons.Scratch(worker));

    /// <summary>An empty network of this shape.</summary>
    internal Network CreateNetwork()
    {
        List<NetworkLayer> layers = [new NetworkLayer(_input.Embedding.Rows, _input.Embedding.Columns, _options.Activation)];
        for (int i = 0; i < _dense.Length; i++)
        {
            Activation activation = i < _dense.Length - 1 ? _options.Activation
                : _options.Loss == OutputLoss.Softmax ? Activation.Softmax : Activation.Sigmoid;
            layers.Add(new NetworkLayer(_dense[i].Matrix.Columns, _dense[i].Matrix.Rows, activation));
        }
        return new Network(layers);
    }

    internal void CopyTo(Network network)
    {
        _input.Embedding.CopyTo(network.Layers[0].Weights);
        for (int i = 0; i < _dense.Length; i++)
            _dense[i].Matrix.CopyTo(network.Layers[i + 1].Weights);
        CopyBiases(network);
    }

    /// <summary>The trained network; gives all memory of weights and moments back, so that nothing else may follow.</summary>
    internal Network MoveToNetwork()
    {
        _output.Dispose();
        _neurons.Dispose();
        _input.Embedding.ReleaseMoments();
        foreach (DenseLayer layer in _dense)
            layer.Matrix.ReleaseMoments();
        Network network = CreateNetwork();
        _input.Embedding.MoveTo(network.Layers[0].Weights);
        for (int i = 0; i < _dense.Length; i++)
            _dense[i].Matrix.MoveTo(network.Layers[i + 1].Weights);
        CopyBiases(network);
        return network;
    }

    private void CopyBiases(Network network)
    {
        _input.Bias.CopyTo(network.Layers[0].Bias);
        for (int i = 0; i < _dense.Length; i++)
            _dense[i].Bias.CopyTo(network.Layers[i + 1].Bias);
    }

    /// <summary>Whether all weights of matrices are numbers.</summary>
    internal bool IsFinite => _input.Embedding.IsFinite && _dense.All(layer => layer.Matrix.IsFinite);

    /// <summary>The row of the last batch that most likely made its loss what it is, and why.</summary>
    internal string DescribeWorstRow()
    {
        int worst = 0;
        for (int row = 0; row < _batch.Count; row++)
        {
            foreach (float value in _batch.Values(row))
            {
                if (!float.IsFinite(value))
                    return $"{Name(row)} has the value {value}";
            }
            if (!double.IsFinite(_output.Losses[worst]))
                continue;
            if (!double.IsFinite(_output.Losses[row]) || _output.Losses[row] > _output.Losses[worst])
                worst = row;
        }
        return $"{Name(worst)} has the largest loss, {_output.Losses[worst]:G4}";

        string Name(int row) => $"training row {_data.RowPlace(_batch.Row(row)) ?? $"{_batch.Row(row) + 1}"}";
    }

    internal void CopyFrom(Network network)
    {
        _input.Embedding.CopyFrom(network.Layers[0].Weights);
        _input.Bias.CopyFrom(network.Layers[0].Bias);
        for (int i = 0; i < _dense.Length; i++)
        {
            _dense[i].Matrix.CopyFrom(network.Layers[i + 1].Weights);
            _dense[i].Bias.CopyFrom(network.Layers[i + 1].Bias);
        }
    }

    internal void Save(CheckpointWriter writer)
    {
        writer.Write(_steps);
        _input.Embedding.Save(writer);
        _input.Bias.Save(writer);
        foreach (DenseLayer layer in _dense)
        {
            layer.Matrix.Save(writer);
            layer.Bias.Save(writer);
        }
        _lsh?.Save(writer);
    }

    internal void Load(CheckpointReader reader)
    {
        _steps = reader.Read<int>();
        _input.Embedding.Load(reader);
        _input.Bias.Load(reader);
        foreach (DenseLayer layer in _dense)
        {
            layer.Matrix.Load(reader);
            layer.Bias.Load(reader);
        }
        _lsh?.Load(reader);
    }

    public void Dispose()
    {
        _batch.Dispose();
        _input.Dispose();
        foreach (DenseLayer layer in _dense)
            layer.Dispose();
        foreach (NativeArray<float> array in _hidden)
            array.Dispose();
        foreach (NativeArray<float> array in _gradient)
            array.Dispose();
        _neurons.Dispose();
        _output.Dispose();
        _lsh?.Dispose();
    }
}
