using System.Runtime.Intrinsics;
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
/// The active set may be all labels; if their logits do not fit the budget, labels go through phases 2-4 in chunks, after
/// a first pass for each row's partition function (the online softmax of Milakov and Gimelshein, 2018).
/// </summary>
internal sealed unsafe class TrainingCore : IDisposable
{
    private const int RowTile = 32;
    // Small enough that a phase's last tiles leave no thread idle for long, large enough for the matrix product.
    private const int LabelTile = 64;

    private readonly TrainerOptions _options;
    private readonly WorkerTeam _team;
    private readonly IRowSource _data;
    private readonly MiniBatch _batch;
    private readonly ActiveSet _active;
    private readonly Powers _powers1;
    private readonly Powers _powers2;
    private readonly AdamMatrix _embedding;
    private readonly AdamVector _embeddingBias;
    private readonly DenseLayer[] _dense;
    private readonly NativeArray<float>[] _hidden;
    private readonly NativeArray<float>[] _gradient;
    private readonly NativeArray<float> _packedHidden;
    private readonly NativeArray<float> _scratch;
    private readonly int _scratchStride;
    private readonly float[] _rowMax;
    private readonly double[] _rowSum;
    private readonly double[] _rowLoss;
    private readonly float[] _rowScale;
    private readonly int _chunkCapacity;
    private readonly NativeArray<float> _logits;
    private readonly NativeArray<float> _packedOutput;
    private readonly NativeArray<float> _offsets;
    private readonly NativeArray<float> _lossWeights;

    private readonly Action<int, int> _forwardRows;
    private readonly Action<int, int> _hiddenForwardRows;
    private readonly Action<int, int> _logitTile;
    private readonly Action<int, int> _rowStatistics;
    private readonly Action<int, int> _rowGradient;
    private readonly Action<int, int> _labelGradient;
    private readonly Action<int, int> _hiddenBackwardRows;
    private readonly Action<int, int> _hiddenNeuronGradient;
    private readonly Action<int, int> _featureGradient;

    // State of the step in flight, read by the phases.
    private int _steps;
    private AdamStep _step;
    private AdamStep _outputStep;
    private ulong _dropoutSeed;
    private float _hiddenDropout;
    private LikelyLabels? _tables;
    private int _chunkStart;
    private int _chunkCount;
    private int _logitStride;
    private int _layer;
    private bool _singlePass;

    internal TrainingCore(TrainerOptions options, IRowSource data, WorkerTeam team)
    {
        _options = options;
        _team = team;
        _data = data;
        _batch = new MiniBatch(data, options.BatchSize, team);
        _active = new ActiveSet(data.LabelCount, options.Mode == OutputMode.Sampled && options.NegativePower > 0
            ? new NegativeSampler(LabelFrequencies.Of(data).Counts, options.NegativePower, options.RandomNegatives) : null);
        ulong seed = Noise.Seed((ulong)options.Seed, 1, 0);
        IReadOnlyList<int> sizes = options.HiddenSizes;
        _embedding = new AdamMatrix(data.FeatureCount, sizes[0], options.InputMomentum, options.RowSecondMoments, RowTime.Own);
        _embedding.Randomize(1 / MathF.Sqrt(MeanSquaredNorm(data)), seed);
        _embeddingBias = new AdamVector(sizes[0], RowTime.Shared);
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
        _packedHidden = new NativeArray<float>(Gemm.PackedLength(options.BatchSize, widest));
        // Per worker: a packed tile of labels or hidden neurons, or packed gradients and a tile of weight gradients.
        _scratchStride = Math.Max(
            (int)Gemm.PackedLength(widest, LabelTile), (Gemm.TileRows * (options.BatchSize + widest)) + widest);
        _scratch = new NativeArray<float>((long)_scratchStride * team.Size);
        _rowMax = new float[options.BatchSize];
        _rowSum = new double[options.BatchSize];
        _rowLoss = new double[options.BatchSize];
        _rowScale = new float[options.BatchSize];

        _chunkCapacity = ChunkCapacity(options, data.LabelCount);
        int outputWidth = VectorMath.Pad(sizes[^1]);
        _logits = new NativeArray<float>((long)options.BatchSize * LogitStride(_chunkCapacity));
        _packedOutput = new NativeArray<float>(Gemm.PackedLength(_chunkCapacity, outputWidth));
        _offsets = new NativeArray<float>(LogitStride(_chunkCapacity));
        _lossWeights = new NativeArray<float>(LogitStride(_chunkCapacity));

        _forwardRows = ForwardRows;
        _hiddenForwardRows = HiddenForwardRows;
        _logitTile = LogitTile;
        _rowStatistics = RowStatistics;
        _rowGradient = RowGradient;
        _labelGradient = LabelGradient;
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

    /// <summary>Bytes that an instance for these options and sizes allocates.</summary>
    internal static long EstimateBytes(TrainerOptions options, long features, long labels)
    {
        IReadOnlyList<int> sizes = options.HiddenSizes;
        long bytes = AdamMatrix.Bytes(features, sizes[0], options.InputMomentum, options.RowSecondMoments) + (features * sizeof(int));
        for (int i = 0; i < sizes.Count; i++)
        {
            long outputs = i == sizes.Count - 1 ? labels : sizes[i + 1];
            bytes += AdamMatrix.Bytes(outputs, sizes[i], momentum: true, options.RowSecondMoments);
            bytes += 3L * options.BatchSize * VectorMath.Pad(sizes[i]) * sizeof(float);
        }
        long chunk = ChunkCapacity(options, (int)labels);
        bytes += (long)options.BatchSize * LogitStride((int)chunk) * sizeof(float);
        bytes += chunk * VectorMath.Pad(sizes[^1]) * sizeof(float);
        bytes += labels * VectorMath.Pad(sizes[^1]) * sizeof(float);
        return bytes + (labels * 4 * sizeof(int)) + LikelyLabels.Bytes(options, features);
    }

    /// <summary>One step on the given rows; returns the mean loss of a row.</summary>
    /// <param name="tables">Where the rows look up hard negatives, and where their best evaluated labels are remembered; may be null.</param>
    internal double Step(ReadOnlySpan<int> rows, ulong seed, float learningRate, LikelyLabels? tables)
    {
        _step = new AdamStep(learningRate, _options.Beta1, _options.Beta2, _options.Epsilon, _options.WeightDecay, ++_steps, _powers1, _powers2);
        _outputStep = _step with { LearningRate = learningRate * _options.OutputRateScale };
        _dropoutSeed = Noise.Mix(seed);
        _hiddenDropout = _options.HiddenDropout;
        _tables = _options.Mode == OutputMode.Sampled ? tables : null;
        Clock.Start();
        _batch.Load(_data, rows, _options.FeatureDropout, Noise.Mix(seed + 1), grouped: true);
        Clock.Mark(TrainingPhase.Load);
        int rowTiles = Tiles(rows.Length, RowTile);
        Forward(rowTiles);
        Clock.Mark(TrainingPhase.Forward);
        ChooseActive(seed + 2);
        Clock.Mark(TrainingPhase.Select);
        _layer = _hidden.Length - 1;
        OutputPass(rowTiles);
        BackwardPass(rowTiles);
        Clock.Mark(TrainingPhase.Features);
        double loss = 0;
        for (int i = 0; i < rows.Length; i++)
            loss += _rowLoss[i];
        return loss / rows.Length;
    }

    /// <summary>The last hidden vectors of up to a batch of rows, without dropout; valid until the next call or step.</summary>
    internal float* Forward(IRowSource data, ReadOnlySpan<int> rows, out int stride)
    {
        _hiddenDropout = 0;
        _batch.Load(data, rows, 0, 0, grouped: false);
        Forward(Tiles(rows.Length, RowTile));
        stride = Output.Matrix.Stride;
        return _hidden[^1].Items;
    }

    private void Forward(int rowTiles)
    {
        _team.Run(rowTiles, _forwardRows);
        for (_layer = 1; _layer < _hidden.Length; _layer++)
        {
            _dense[_layer - 1].Pack();
            _team.Run(rowTiles, _hiddenForwardRows);
        }
    }

    private void ChooseActive(ulong seed)
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
        _tables?.Choose(_batch, _active, _hidden[^1].Items, Output.Matrix.Stride);
        _active.Draw(_options.RandomNegatives, seed);
    }

    private void OutputPass(int rowTiles)
    {
        int total = _active.Count;
        PackHidden();
        bool single = total <= _chunkCapacity;
        for (int row = 0; row < _batch.Count; row++)
        {
            int labels = _batch.Labels(row).Length;
            _rowMax[row] = float.NegativeInfinity;
            _rowSum[row] = 0;
            _rowLoss[row] = 0;
            _rowScale[row] = _options.LabelCountPower == 0 ? 1 : MathF.Pow(labels, _options.LabelCountPower);
        }
        // The softmax needs each row's partition function before any gradient; sigmoids do not.
        if (!single && _options.Loss == OutputLoss.Softmax)
        {
            for (int start = 0; start < total; start += _chunkCapacity)
            {
                ComputeLogits(start, Math.Min(_chunkCapacity, total - start));
                _team.Run(rowTiles, _rowStatistics);
                Clock.Mark(TrainingPhase.Gradient);
            }
        }
        for (int start = 0; start < total; start += _chunkCapacity)
        {
            ComputeLogits(start, Math.Min(_chunkCapacity, total - start));
            _singlePass = single;
            _team.Run(rowTiles, _rowGradient);
            Clock.Mark(TrainingPhase.Gradient);
            _team.Run(Tiles(_chunkCount, LabelTile), _labelGradient);
            Clock.Mark(TrainingPhase.Labels);
        }
    }

    private void ComputeLogits(int start, int count)
    {
        _chunkStart = start;
        _chunkCount = count;
        _logitStride = LogitStride(count);
        bool softmax = _options.Loss == OutputLoss.Softmax;
        float* bias = Output.Bias.Weights;
        for (int j = 0; j < _logitStride; j++)
        {
            float weight = j < count ? _active.Weight(start + j) : 0;
            _lossWeights[j] = weight;
            _offsets[j] = weight == 0 ? float.NegativeInfinity
                : bias[_active.PinnedIds[start + j]] + (softmax && weight != 1 ? MathF.Log(weight) : 0);
        }
        _team.Run(Tiles(count, LabelTile), _logitTile);
        Clock.Mark(TrainingPhase.Logits);
    }

    private void BackwardPass(int rowTiles)
    {
        for (int layer = _hidden.Length - 1; layer > 0; layer--)
        {
            // dZ of this layer is in _gradient[layer]; the layer below gets dH before the weights change.
            _layer = layer;
            _team.Run(rowTiles, _hiddenBackwardRows);
            DenseLayer dense = _dense[layer - 1];
            _layer = layer - 1;
            PackHidden();
            _layer = layer;
            _team.Run(Tiles(dense.Matrix.Rows, Gemm.TileRows), _hiddenNeuronGradient);
        }
        _team.Run(MiniBatch.Groups, _featureGradient);
        int stride = _embedding.Stride;
        float* sum = Scratch(0);
        new Span<float>(sum, stride).Clear();
        for (int row = 0; row < _batch.Count; row++)
            VectorMath.AddScaled(sum, _gradient[0].Items + ((nint)row * stride), 1, stride);
        for (int i = 0; i < _embeddingBias.Length; i++)
            _embeddingBias.Update(i, sum[i], _step);
    }

    private void PackHidden()
    {
        int stride = VectorMath.Pad(_options.HiddenSizes[_layer]);
        Gemm.Pack(_hidden[_layer].Items, stride, null, 0, _batch.Count, _batch.Count, stride, _packedHidden.Items);
    }

    private void ForwardRows(int tile, int worker)
    {
        int stride = _embedding.Stride;
        int end = Math.Min((tile + 1) * RowTile, _batch.Count);
        for (int row = tile * RowTile; row < end; row++)
        {
            float* h = _hidden[0].Items + ((nint)row * stride);
            new ReadOnlySpan<float>(_embeddingBias.Weights, stride).CopyTo(new Span<float>(h, stride));
            ReadOnlySpan<int> features = _batch.Features(row);
            ReadOnlySpan<float> values = _batch.Values(row);
            for (int j = 0; j < features.Length; j++)
            {
                if (j + 3 < features.Length)
                    _embedding.Prefetch(features[j + 3]);
                VectorMath.AddScaled(h, _embedding.Row(features[j]), values[j], stride);
            }
            Activate(h, stride, 0, row);
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
            Activate(row, stride, _layer, first + i);
        }
    }

    /// <summary>ReLU and dropout in place: afterwards a hidden unit is positive exactly if it takes part.</summary>
    private void Activate(float* h, int stride, int layer, int row)
    {
        float dropout = _hiddenDropout;
        for (int i = 0; i < stride; i += VectorMath.Lanes)
            Vector512.Store(Vector512.Max(Vector512.Load(h + i), default), h + i);
        if (dropout == 0)
            return;
        ulong key = Noise.Mix(_dropoutSeed ^ ((ulong)row << 32) ^ ((ulong)layer << 24));
        uint threshold = (uint)(dropout * 4294967295.0);
        float scale = 1 / (1 - dropout);
        for (int i = 0; i < stride; i += 2)
        {
            ulong random = Noise.Mix(key + (ulong)i);
            h[i] = (uint)random < threshold ? 0 : h[i] * scale;
            h[i + 1] = (uint)(random >> 32) < threshold ? 0 : h[i + 1] * scale;
        }
    }

    /// <summary>Multiplies a gradient by the derivative of <see cref="Activate"/>.</summary>
    private void Deactivate(float* gradient, float* h, int stride)
    {
        Vector512<float> scale = Vector512.Create(1 / (1 - _options.HiddenDropout));
        for (int i = 0; i < stride; i += VectorMath.Lanes)
        {
            Vector512<float> on = Vector512.GreaterThan(Vector512.Load(h + i), default);
            Vector512.Store((Vector512.Load(gradient + i) * scale) & on, gradient + i);
        }
    }

    private void LogitTile(int tile, int worker)
    {
        AdamMatrix matrix = Output.Matrix;
        int stride = matrix.Stride;
        int first = tile * LabelTile;
        int count = Math.Min(LabelTile, _chunkCount - first);
        float* packed = Scratch(worker);
        fixed (int* ids = _active.PinnedIds)
        {
            Gemm.PackTransposed(matrix.Weights, stride, ids + _chunkStart + first, count, stride, packed);
            Gemm.Pack(matrix.Weights, stride, ids + _chunkStart, first, count, _chunkCount, stride, _packedOutput.Items);
        }
        Gemm.Multiply(
            _batch.Count, stride, Math.Min(Pad32(count), _logitStride - first), _hidden[^1].Items, stride, 1, packed,
            _logits.Items + first, _logitStride, accumulate: false);
    }

    private void RowStatistics(int tile, int worker)
    {
        int end = Math.Min((tile + 1) * RowTile, _batch.Count);
        for (int row = tile * RowTile; row < end; row++)
            Accumulate(row, _logits.Items + ((nint)row * _logitStride));
    }

    /// <summary>Adds offsets to a row of logits and the row to its running partition function and loss.</summary>
    private void Accumulate(int row, float* z)
    {
        float max = VectorMath.AddAndMax(z, _offsets.Items, _logitStride);
        float before = _rowMax[row];
        float shift = Math.Max(before, max);
        _rowSum[row] = (before == shift ? _rowSum[row] : _rowSum[row] * Math.Exp(before - shift)) + VectorMath.SumExp(z, shift, _logitStride);
        _rowMax[row] = shift;
        AddLabelLoss(row, z);
    }

    /// <summary>Adds the part of a row's loss that its own labels' logits contribute.</summary>
    private void AddLabelLoss(int row, float* z)
    {
        ReadOnlySpan<int> labels = _batch.Labels(row);
        foreach (int label in labels)
        {
            int slot = _active.SlotOf(label) - _chunkStart;
            if ((uint)slot < (uint)_chunkCount)
                _rowLoss[row] -= z[slot] / labels.Length;
        }
    }

    private void RowGradient(int tile, int worker)
    {
        int first = tile * RowTile;
        int end = Math.Min(first + RowTile, _batch.Count);
        for (int row = first; row < end; row++)
        {
            float* z = _logits.Items + ((nint)row * _logitStride);
            if (_options.Loss == OutputLoss.Softmax)
                SoftmaxGradient(row, z);
            else
                SigmoidGradient(row, z);
        }
        // dH of these rows, over the chunk's labels.
        int stride = Output.Matrix.Stride;
        float* gradient = _gradient[^1].Items + ((nint)first * stride);
        Gemm.Multiply(
            end - first, _chunkCount, stride, _logits.Items + ((nint)first * _logitStride), _logitStride, 1,
            _packedOutput.Items, gradient, stride, accumulate: _chunkStart > 0);
        if (_chunkStart + _chunkCount < _active.Count)
            return;
        for (int row = first; row < end; row++)
            Deactivate(_gradient[^1].Items + ((nint)row * stride), _hidden[^1].Items + ((nint)row * stride), stride);
    }

    private void SoftmaxGradient(int row, float* z)
    {
        float scale = _rowScale[row];
        if (_singlePass)
        {
            // One exponential serves the partition function and the probabilities.
            _rowMax[row] = VectorMath.AddAndMax(z, _offsets.Items, _logitStride);
            AddLabelLoss(row, z);
            Remember(row, z);
            _rowSum[row] = VectorMath.ExpAndSum(z, _rowMax[row], _logitStride);
            VectorMath.Scale(z, (float)(scale / _rowSum[row]), _logitStride);
        }
        else
        {
            VectorMath.AddAndMax(z, _offsets.Items, _logitStride);
            VectorMath.ScaledExp(z, _rowMax[row], (float)(scale / _rowSum[row]), _logitStride);
        }
        ReadOnlySpan<int> labels = _batch.Labels(row);
        float target = scale / labels.Length;
        foreach (int label in labels)
        {
            int slot = _active.SlotOf(label) - _chunkStart;
            if ((uint)slot < (uint)_chunkCount)
                z[slot] -= target;
        }
        if (_chunkStart + _chunkCount == _active.Count)
            _rowLoss[row] += _rowMax[row] + Math.Log(_rowSum[row]);
    }

    /// <summary>Tells the tables which evaluated labels the model ranks first for a row, unless labels come in chunks.</summary>
    private void Remember(int row, float* z)
    {
        if (_tables is null || _chunkCount < _active.Count)
            return;
        Span<int> best = stackalloc int[LikelyLabels.AnswersPerRow];
        Span<float> logits = stackalloc float[LikelyLabels.AnswersPerRow];
        best.Fill(-1);
        logits.Fill(float.NegativeInfinity);
        // Drawn labels carry the correction in their logits; it says nothing about rank.
        bool corrected = _options.Loss == OutputLoss.Softmax;
        int certain = _active.CertainCount;
        for (int j = 0; j < _chunkCount; j += VectorMath.Lanes)
        {
            // Whole vectors first: hardly any holds a label that enters the list. A correction is never negative.
            if (Vector512.GreaterThanAll(Vector512.Create(logits[^1]), Vector512.Load(z + j)))
                continue;
            for (int i = j; i < Math.Min(j + VectorMath.Lanes, _chunkCount); i++)
            {
                float logit = z[i];
                if (logit <= logits[^1])
                    continue;
                if (corrected && i >= certain)
                    logit -= MathF.Log(_lossWeights[i]);
                int at = logits.Length;
                for (; at > 0 && logit > logits[at - 1]; at--)
                {
                    if (at == logits.Length)
                        continue;
                    logits[at] = logits[at - 1];
                    best[at] = best[at - 1];
                }
                if (at == logits.Length)
                    continue;
                logits[at] = logit;
                best[at] = _active.PinnedIds[i];
            }
        }
        best.CopyTo(_tables.Answers(_batch.Row(row)));
    }

    private void SigmoidGradient(int row, float* z)
    {
        VectorMath.AddAndMax(z, _offsets.Items, _logitStride);
        Remember(row, z);
        float scale = _rowScale[row];
        foreach (int label in _batch.Labels(row))
        {
            int slot = _active.SlotOf(label) - _chunkStart;
            if ((uint)slot < (uint)_chunkCount)
                _rowLoss[row] -= z[slot];
        }
        _rowLoss[row] += VectorMath.Sigmoid(z, _lossWeights.Items, scale, _logitStride);
        foreach (int label in _batch.Labels(row))
        {
            int slot = _active.SlotOf(label) - _chunkStart;
            if ((uint)slot < (uint)_chunkCount)
                z[slot] -= scale;
        }
    }

    private void LabelGradient(int tile, int worker)
    {
        int end = Math.Min((tile + 1) * LabelTile, _chunkCount);
        for (int first = tile * LabelTile; first < end; first += Gemm.TileRows)
        {
            int count = Math.Min(Gemm.TileRows, end - first);
            ReadOnlySpan<int> ids = _active.PinnedIds.AsSpan(_chunkStart + first, count);
            UpdateNeurons(Output, _logits.Items + first, _logitStride, count, ids, _outputStep, worker);
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
        for (int row = first; row < first + count; row++)
            Deactivate(_gradient[_layer - 1].Items + ((nint)row * stride), _hidden[_layer - 1].Items + ((nint)row * stride), stride);
    }

    private void HiddenNeuronGradient(int tile, int worker)
    {
        DenseLayer layer = _dense[_layer - 1];
        int first = tile * Gemm.TileRows;
        int count = Math.Min(Gemm.TileRows, layer.Matrix.Rows - first);
        Span<int> ids = stackalloc int[Gemm.TileRows];
        for (int i = 0; i < count; i++)
            ids[i] = first + i;
        UpdateNeurons(layer, _gradient[_layer].Items + first, VectorMath.Pad(layer.Matrix.Rows), count, ids[..count], _step, worker);
    }

    /// <summary>
    /// Gradients of up to 8 neurons, dW = dZ^T H with dZ(row, i) = z[row * zStride + i], applied to the rows
    /// <paramref name="ids"/> of the layer.
    /// </summary>
    private void UpdateNeurons(DenseLayer layer, float* z, int zStride, int count, ReadOnlySpan<int> ids, in AdamStep step, int worker)
    {
        int stride = layer.Matrix.Stride;
        float* packed = Scratch(worker);
        float* gradient = packed + ((nint)Gemm.TileRows * _options.BatchSize);
        Vector256<float> sum = default;
        for (int row = 0; row < _batch.Count; row++)
        {
            Vector256<float> v = Vector256.Load(z + ((nint)row * zStride));
            Vector256.Store(v, packed + (row * Gemm.TileRows));
            sum += v;
        }
        Gemm.Multiply(Gemm.TileRows, _batch.Count, stride, packed, 1, Gemm.TileRows, _packedHidden.Items, gradient, stride, accumulate: false);
        for (int i = 0; i < count; i++)
        {
            layer.Matrix.Update(ids[i], gradient + (i * stride), step);
            layer.Bias.Update(ids[i], sum[i], step);
        }
    }

    private void FeatureGradient(int group, int worker)
    {
        int stride = _embedding.Stride;
        float* sum = Scratch(worker);
        float* gradient = _gradient[0].Items;
        MiniBatch.FeatureGroup features = _batch.Group(group, worker);
        for (int slot = 0; slot < features.Count; slot++)
        {
            if (slot + 1 < features.Count)
                _embedding.PrefetchState(features.Feature(slot + 1));
            new Span<float>(sum, stride).Clear();
            ReadOnlySpan<int> rows = features.RowsOf(slot);
            ReadOnlySpan<float> values = features.ValuesOf(slot);
            for (int i = 0; i < rows.Length; i++)
                VectorMath.AddScaled(sum, gradient + ((nint)rows[i] * stride), values[i], stride);
            _embedding.Update(features.Feature(slot), sum, _step);
        }
    }

    private float* Scratch(int worker) => _scratch.Items + ((nint)worker * _scratchStride);

    /// <summary>An empty network of this shape.</summary>
    internal Network CreateNetwork()
    {
        List<NetworkLayer> layers = [new NetworkLayer(_embedding.Rows, _embedding.Columns, Activation.Relu)];
        for (int i = 0; i < _dense.Length; i++)
        {
            Activation activation = i < _dense.Length - 1 ? Activation.Relu
                : _options.Loss == OutputLoss.Softmax ? Activation.Softmax : Activation.Sigmoid;
            layers.Add(new NetworkLayer(_dense[i].Matrix.Columns, _dense[i].Matrix.Rows, activation));
        }
        return new Network(layers);
    }

    internal void CopyTo(Network network)
    {
        _embedding.CopyTo(network.Layers[0].Weights);
        _embeddingBias.CopyTo(network.Layers[0].Bias);
        for (int i = 0; i < _dense.Length; i++)
        {
            _dense[i].Matrix.CopyTo(network.Layers[i + 1].Weights);
            _dense[i].Bias.CopyTo(network.Layers[i + 1].Bias);
        }
    }

    /// <summary>Whether all weights of matrices are numbers.</summary>
    internal bool IsFinite => _embedding.IsFinite && _dense.All(layer => layer.Matrix.IsFinite);

    /// <summary>The row of the last batch that most likely made its loss what it is, and why; numbers count training rows from 1.</summary>
    internal string DescribeWorstRow()
    {
        int worst = 0;
        for (int row = 0; row < _batch.Count; row++)
        {
            foreach (float value in _batch.Values(row))
            {
                if (!float.IsFinite(value))
                    return $"training row {_batch.Row(row) + 1} has the value {value}";
            }
            if (!double.IsFinite(_rowLoss[worst]))
                continue;
            if (!double.IsFinite(_rowLoss[row]) || _rowLoss[row] > _rowLoss[worst])
                worst = row;
        }
        return $"training row {_batch.Row(worst) + 1} has the largest loss, {_rowLoss[worst]:G4}";
    }

    /// <summary>Gives the optimizer's memory back; no step may follow.</summary>
    internal void ReleaseMoments()
    {
        _embedding.ReleaseMoments();
        foreach (DenseLayer layer in _dense)
            layer.Matrix.ReleaseMoments();
    }

    internal void CopyFrom(Network network)
    {
        _embedding.CopyFrom(network.Layers[0].Weights);
        _embeddingBias.CopyFrom(network.Layers[0].Bias);
        for (int i = 0; i < _dense.Length; i++)
        {
            _dense[i].Matrix.CopyFrom(network.Layers[i + 1].Weights);
            _dense[i].Bias.CopyFrom(network.Layers[i + 1].Bias);
        }
    }

    internal void Save(CheckpointWriter writer)
    {
        writer.Write(_steps);
        _embedding.Save(writer);
        _embeddingBias.Save(writer);
        foreach (DenseLayer layer in _dense)
        {
            layer.Matrix.Save(writer);
            layer.Bias.Save(writer);
        }
    }

    internal void Load(CheckpointReader reader)
    {
        _steps = reader.Read<int>();
        _embedding.Load(reader);
        _embeddingBias.Load(reader);
        foreach (DenseLayer layer in _dense)
        {
            layer.Matrix.Load(reader);
            layer.Bias.Load(reader);
        }
    }

    /// <summary>Labels whose logits one pass holds.</summary>
    private static int ChunkCapacity(TrainerOptions options, int labels)
    {
        long fit = options.LogitBytes / sizeof(float) / options.BatchSize;
        return (int)Math.Min(Math.Max(fit / LabelTile, 1) * LabelTile, labels);
    }

    /// <summary>Elements from one row of logits to the next; an odd number of cache lines, so that rows spread over cache sets.</summary>
    private static int LogitStride(int count) => (Tiles(count, 32) * 32) + 16;

    private static int Pad32(int count) => Tiles(count, 32) * 32;

    private static int Tiles(int count, int tile) => (count + tile - 1) / tile;

    /// <summary>Mean squared length of an input row (of a sample of them): the scale at which a first layer gives hidden values of variance 1.</summary>
    private static float MeanSquaredNorm(IRowSource data)
    {
        const int Sample = 1 << 17;
        using RowCursor cursor = data.CreateCursor();
        int rows = Math.Min(data.RowCount, Sample);
        double sum = 0;
        for (int i = 0; i < rows; i++)
        {
            cursor.MoveTo((int)((long)i * data.RowCount / rows));
            foreach (float value in cursor.Values)
                sum += value * value;
        }
        double mean = sum / Math.Max(1, rows);
        return mean > 0 ? (float)mean : 1;
    }

    public void Dispose()
    {
        _batch.Dispose();
        _embedding.Dispose();
        _embeddingBias.Dispose();
        foreach (DenseLayer layer in _dense)
            layer.Dispose();
        foreach (NativeArray<float> array in _hidden)
            array.Dispose();
        foreach (NativeArray<float> array in _gradient)
            array.Dispose();
        _packedHidden.Dispose();
        _scratch.Dispose();
        _logits.Dispose();
        _packedOutput.Dispose();
        _offsets.Dispose();
        _lossWeights.Dispose();
    }

    /// <summary>A fully connected layer under training; hidden ones also keep both packed forms of their weights.</summary>
    private sealed class DenseLayer(int outputs, int inputs, bool rowSecondMoments, RowTime time) : IDisposable
    {
        private NativeArray<float>? _forward;
        private NativeArray<float>? _backward;

        internal AdamMatrix Matrix { get; } = new(outputs, inputs, momentum: true, rowSecondMoments, time);

        internal AdamVector Bias { get; } = new(outputs, time);

        internal float* PackedForward => _forward!.Items;

        internal float* PackedBackward => _backward!.Items;

        internal void Pack()
        {
            _forward ??= new NativeArray<float>(Gemm.PackedLength(Matrix.Stride, Matrix.Rows));
            _backward ??= new NativeArray<float>(Gemm.PackedLength(Matrix.Rows, Matrix.Stride));
            Gemm.PackTransposed(Matrix.Weights, Matrix.Stride, null, Matrix.Rows, Matrix.Stride, _forward.Items);
            Gemm.Pack(Matrix.Weights, Matrix.Stride, null, 0, Matrix.Rows, Matrix.Rows, Matrix.Stride, _backward.Items);
        }

        public void Dispose()
        {
            Matrix.Dispose();
            Bias.Dispose();
            _forward?.Dispose();
            _backward?.Dispose();
        }
    }
}
