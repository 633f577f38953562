namespace EdgeSlide.Training.Training;

/// <summary>
/// The output layer's part of a step, phases 2 to 4 of <see cref="TrainingCore"/>. The active set may be all labels; if their
/// logits do not fit the budget, labels go through the phases in chunks, after a first pass for each row's partition function
/// (the online softmax of Milakov and Gimelshein, 2018).
/// </summary>
internal sealed unsafe class OutputPass : IDisposable
{
    /// <summary>Small enough that a phase's last tiles leave no thread idle for long, large enough for the matrix product.</summary>
    internal const int LabelTile = 64;

    private const int RowTile = TrainingCore.RowTile;

    private readonly WorkerTeam _team;
    private readonly MiniBatch _batch;
    private readonly ActiveSet _active;
    private readonly DenseLayer _layer;
    private readonly NeuronGradients _neurons;
    private readonly float* _hidden;
    private readonly float* _gradient;
    private readonly bool _softmax;
    private readonly int _chunkCapacity;
    private readonly NativeArray<float> _logits;
    private readonly NativeArray<float> _packedLabels;

    private readonly Action<int, int> _logitTile;
    private readonly Action<int, int> _rowStatistics;
    private readonly Action<int, int> _rowGradient;
    private readonly Action<int, int> _labelGradient;

    // State of the step in flight, read by the phases.
    private LabelChunk _chunk;
    private AdamStep _step;
    private HiddenActivation _activation;

    /// <param name="hidden">[rows x stride] the layer's input.</param>
    /// <param name="gradient">[rows x stride] receives the loss's gradient before the activation below the layer.</param>
    internal OutputPass(
        TrainerOptions options, WorkerTeam team, MiniBatch batch, ActiveSet active, DenseLayer layer, NeuronGradients neurons, float* hidden, float* gradient)
    {
        _team = team;
        _batch = batch;
        _active = active;
        _layer = layer;
        _neurons = neurons;
        _hidden = hidden;
        _gradient = gradient;
        _softmax = options.Loss == OutputLoss.Softmax;
        _chunkCapacity = ChunkCapacity(options, layer.Matrix.Rows);
        int chunkStride = LogitStride(_chunkCapacity);
        Losses = new RowLosses(options, batch, active, chunkStride);
        _logits = new NativeArray<float>((long)options.BatchSize * chunkStride);
        _packedLabels = new NativeArray<float>(Gemm.PackedLength(_chunkCapacity, layer.Matrix.Stride));
        _logitTile = LogitTile;
        _rowStatistics = RowStatistics;
        _rowGradient = RowGradient;
        _labelGradient = LabelGradient;
    }

    internal RowLosses Losses { get; }

    /// <summary>Bytes that an instance for these options and so many labels takes, if active sets have so many.</summary>
    internal static long Bytes(TrainerOptions options, int labels, long active)
    {
        int chunk = (int)Math.Min(ChunkCapacity(options, labels), active);
        return ((long)options.BatchSize * LogitStride(chunk) + (long)chunk * VectorMath.Pad(options.HiddenSizes[^1])) * sizeof(float);
    }

    /// <summary>Losses of the batch, the gradient of its hidden vectors, and the update of the active labels.</summary>
    /// <param name="tables">Where the rows' best evaluated labels are remembered; may be null.</param>
    internal void Run(in AdamStep step, HiddenActivation activation, LikelyLabels? tables, PhaseClock clock)
    {
        _step = step;
        _activation = activation;
        int total = _active.Count, rowTiles = TrainingCore.Tiles(_batch.Count, RowTile);
        _neurons.Pack(_hidden, _layer.Matrix.Stride, _batch.Count);
        Losses.Begin(tables);
        // Rows without labels, and no negatives: what the step before has left is no gradient.
        if (total == 0)
            new Span<float>(_gradient, _batch.Count * _layer.Matrix.Stride).Clear();
        // The softmax needs each row's partition function before any gradient; sigmoids do not.
        if (total > _chunkCapacity && _softmax)
        {
            for (int start = 0; start < total; start += _chunkCapacity)
            {
                ComputeLogits(start, Math.Min(_chunkCapacity, total - start), clock);
                _team.Run(rowTiles, _rowStatistics);
                clock.Mark(TrainingPhase.Gradient);
            }
        }
        for (int start = 0; start < total; start += _chunkCapacity)
        {
            ComputeLogits(start, Math.Min(_chunkCapacity, total - start), clock);
            _team.Run(rowTiles, _rowGradient);
            clock.Mark(TrainingPhase.Gradient);
            _team.Run(TrainingCore.Tiles(_chunk.Count, LabelTile), _labelGradient);
            clock.Mark(TrainingPhase.Labels);
        }
    }

    public void Dispose()
    {
        Losses.Dispose();
        _logits.Dispose();
        _packedLabels.Dispose();
    }

    private void ComputeLogits(int start, int count, PhaseClock clock)
    {
        _chunk = new LabelChunk(start, count, LogitStride(count));
        Losses.Begin(_chunk);
        _team.Run(TrainingCore.Tiles(count, LabelTile), _logitTile);
        clock.Mark(TrainingPhase.Logits);
    }

    private void LogitTile(int tile, int worker)
    {
        AdamMatrix matrix = _layer.Matrix;
        int stride = matrix.Stride;
        int first = tile * LabelTile;
        int count = Math.Min(LabelTile, _chunk.Count - first);
        Losses.SetOffsets(first, first + count == _chunk.Count ? _chunk.Stride : first + count, _layer.Bias.Weights);
        float* packed = _neurons.Scratch(worker);
        fixed (int* ids = _active.PinnedIds)
        {
            Gemm.PackTransposed(matrix.Weights, stride, ids + _chunk.Start + first, count, stride, packed);
            Gemm.Pack(matrix.Weights, stride, ids + _chunk.Start, first, count, _chunk.Count, stride, _packedLabels.Items);
        }
        Gemm.Multiply(
            _batch.Count, stride, Math.Min(WholePanels(count), _chunk.Stride - first), _hidden, stride, 1, packed,
            _logits.Items + first, _chunk.Stride, accumulate: false);
    }

    private void RowStatistics(int tile, int worker)
    {
        int end = Math.Min((tile + 1) * RowTile, _batch.Count);
        for (int row = tile * RowTile; row < end; row++)
            Losses.Accumulate(row, Logits(row));
    }

    private void RowGradient(int tile, int worker)
    {
        int first = tile * RowTile;
        int count = Math.Min(RowTile, _batch.Count - first);
        for (int row = first; row < first + count; row++)
            Losses.Differentiate(row, Logits(row));
        // dH of these rows, over the chunk's labels.
        int stride = _layer.Matrix.Stride;
        float* gradient = _gradient + ((nint)first * stride);
        Gemm.Multiply(
            count, _chunk.Count, stride, Logits(first), _chunk.Stride, 1, _packedLabels.Items, gradient, stride, accumulate: _chunk.Start > 0);
        if (_chunk.Start + _chunk.Count == _active.Count)
            _activation.Backward(gradient, _hidden + ((nint)first * stride), count, stride);
    }

    private void LabelGradient(int tile, int worker)
    {
        int end = Math.Min((tile + 1) * LabelTile, _chunk.Count);
        for (int first = tile * LabelTile; first < end; first += Gemm.TileRows)
        {
            int count = Math.Min(Gemm.TileRows, end - first);
            ReadOnlySpan<int> ids = _active.PinnedIds.AsSpan(_chunk.Start + first, count);
            _neurons.Update(_layer, _logits.Items + first, _chunk.Stride, _batch.Count, ids, _step, worker);
        }
    }

    private float* Logits(int row) => _logits.Items + ((nint)row * _chunk.Stride);

    /// <summary>Labels whose logits one pass holds.</summary>
    private static int ChunkCapacity(TrainerOptions options, int labels)
    {
        long fit = options.LogitBytes / sizeof(float) / options.BatchSize;
        return (int)Math.Min(Math.Max(fit / LabelTile, 1) * LabelTile, labels);
    }

    /// <summary>Elements from one row of logits to the next; an odd number of cache lines, so that rows spread over cache sets.</summary>
    private static int LogitStride(int count) => WholePanels(count) + 16;

    private static int WholePanels(int count) => TrainingCore.Tiles(count, Gemm.TileColumns) * Gemm.TileColumns;
}
