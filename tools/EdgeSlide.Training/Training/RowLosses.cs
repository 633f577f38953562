using System.Runtime.Intrinsics;

namespace EdgeSlide.Training.Training;

/// <summary>A run of the active set whose logits are in memory: its first slot, how many, and elements from one row of logits to the next.</summary>
internal readonly record struct LabelChunk(int Start, int Count, int Stride);

/// <summary>
/// From logits to losses and their gradients, row by row, over one chunk of the active set after the other. Different rows
/// may be worked on at the same time.
/// </summary>
internal sealed unsafe class RowLosses : IDisposable
{
    private readonly MiniBatch _batch;
    private readonly ActiveSet _active;
    private readonly bool _softmax;
    private readonly float _labelCountPower;
    private readonly float[] _max;
    private readonly double[] _sum;
    private readonly double[] _loss;
    private readonly float[] _scale;
    private readonly NativeArray<float> _offsets;
    private readonly NativeArray<float> _weights;
    private LabelChunk _chunk;
    private LikelyLabels? _tables;

    /// <param name="chunkStride">Elements of the longest row of logits.</param>
    internal RowLosses(TrainerOptions options, MiniBatch batch, ActiveSet active, int chunkStride)
    {
        _batch = batch;
        _active = active;
        _softmax = options.Loss == OutputLoss.Softmax;
        _labelCountPower = options.LabelCountPower;
        _max = new float[options.BatchSize];
        _sum = new double[options.BatchSize];
        _loss = new double[options.BatchSize];
        _scale = new float[options.BatchSize];
        _offsets = new NativeArray<float>(chunkStride);
        _weights = new NativeArray<float>(chunkStride);
    }

    /// <summary>A row's loss in the last step.</summary>
    internal double this[int row] => _loss[row];

    private bool ChunkIsLast => _chunk.Start + _chunk.Count == _active.Count;

    /// <summary>All active labels are in one chunk.</summary>
    private bool ChunkIsAll => _chunk.Count == _active.Count;

    /// <summary>Starts a step.</summary>
    /// <param name="tables">Where the rows' best evaluated labels are remembered; may be null.</param>
    internal void Begin(LikelyLabels? tables)
    {
        _tables = tables;
        for (int row = 0; row < _batch.Count; row++)
        {
            int labels = _batch.Labels(row).Length;
            _max[row] = float.NegativeInfinity;
            _sum[row] = 0;
            _loss[row] = 0;
            _scale[row] = _labelCountPower == 0 ? 1 : MathF.Pow(labels, _labelCountPower);
        }
    }

    /// <summary>Starts a chunk, whose offsets follow.</summary>
    internal void Begin(in LabelChunk chunk) => _chunk = chunk;

    /// <summary>
    /// Takes what is added to the logits of some columns of the chunk: the labels' biases and, for drawn ones under the softmax,
    /// the correction. Behind the last label no column counts.
    /// </summary>
    internal void SetOffsets(int first, int end, float* bias)
    {
        for (int j = first; j < end; j++)
        {
            float weight = j < _chunk.Count ? _active.Weight(_chunk.Start + j) : 0;
            _weights[j] = weight;
            _offsets[j] = weight == 0 ? float.NegativeInfinity
                : bias[_active.PinnedIds[_chunk.Start + j]] + (_softmax && weight != 1 ? MathF.Log(weight) : 0);
        }
    }

    /// <summary>Adds offsets to a row of logits and the row to its running partition function and loss.</summary>
    internal void Accumulate(int row, float* z)
    {
        float max = VectorMath.AddAndMax(z, _offsets.Items, _chunk.Stride);
        float before = _max[row];
        float shift = Math.Max(before, max);
        _sum[row] = (before == shift ? _sum[row] : _sum[row] * Math.Exp(before - shift)) + VectorMath.SumExp(z, shift, _chunk.Stride);
        _max[row] = shift;
        AddLabelLoss(row, z);
    }

    /// <summary>Turns a row of logits into the loss's gradient. A softmax over several chunks needs <see cref="Accumulate"/> over all of them before.</summary>
    internal void Differentiate(int row, float* z)
    {
        if (_softmax)
            DifferentiateSoftmax(row, z);
        else
            DifferentiateSigmoids(row, z);
    }

    public void Dispose()
    {
        _offsets.Dispose();
        _weights.Dispose();
    }

    private void DifferentiateSoftmax(int row, float* z)
    {
        float scale = _scale[row];
        if (ChunkIsAll)
        {
            // One exponential serves the partition function and the probabilities.
            _max[row] = VectorMath.AddAndMax(z, _offsets.Items, _chunk.Stride);
            AddLabelLoss(row, z);
            Remember(row, z);
            _sum[row] = VectorMath.ExpAndSum(z, _max[row], _chunk.Stride);
            VectorMath.Scale(z, (float)(scale / _sum[row]), _chunk.Stride);
        }
        else
        {
            VectorMath.AddAndMax(z, _offsets.Items, _chunk.Stride);
            VectorMath.ScaledExp(z, _max[row], (float)(scale / _sum[row]), _chunk.Stride);
        }
        SubtractFromLabels(row, z, scale / _batch.Labels(row).Length);
        if (ChunkIsLast)
            _loss[row] += _max[row] + Math.Log(_sum[row]);
    }

    private void DifferentiateSigmoids(int row, float* z)
    {
        VectorMath.AddAndMax(z, _offsets.Items, _chunk.Stride);
        Remember(row, z);
        float scale = _scale[row];
        foreach (int label in _batch.Labels(row))
        {
            int slot = _active.SlotOf(label) - _chunk.Start;
            if ((uint)slot < (uint)_chunk.Count)
                _loss[row] -= z[slot];
        }
        _loss[row] += VectorMath.Sigmoid(z, _weights.Items, scale, _chunk.Stride);
        SubtractFromLabels(row, z, scale);
    }

    private void SubtractFromLabels(int row, float* z, float target)
    {
        foreach (int label in _batch.Labels(row))
        {
            int slot = _active.SlotOf(label) - _chunk.Start;
            if ((uint)slot < (uint)_chunk.Count)
                z[slot] -= target;
        }
    }

    /// <summary>Adds the part of a row's loss that its own labels' logits contribute.</summary>
    private void AddLabelLoss(int row, float* z)
    {
        ReadOnlySpan<int> labels = _batch.Labels(row);
        foreach (int label in labels)
        {
            int slot = _active.SlotOf(label) - _chunk.Start;
            if ((uint)slot < (uint)_chunk.Count)
                _loss[row] -= z[slot] / labels.Length;
        }
    }

    /// <summary>Tells the tables which evaluated labels the model ranks first for a row, unless labels come in chunks.</summary>
    private void Remember(int row, float* z)
    {
        if (_tables is null || !ChunkIsAll)
            return;
        Span<int> best = stackalloc int[LikelyLabels.AnswersPerRow];
        Span<float> logits = stackalloc float[LikelyLabels.AnswersPerRow];
        best.Fill(-1);
        logits.Fill(float.NegativeInfinity);
        // Drawn labels carry the correction in their logits; it says nothing about rank.
        int certain = _active.CertainCount;
        for (int j = 0; j < _chunk.Count; j += VectorMath.Lanes)
        {
            // Whole vectors first: hardly any holds a label that enters the list. A correction is never negative.
            if (Vector512.GreaterThanAll(Vector512.Create(logits[^1]), Vector512.Load(z + j)))
                continue;
            for (int i = j; i < Math.Min(j + VectorMath.Lanes, _chunk.Count); i++)
            {
                float logit = z[i];
                if (logit <= logits[^1])
                    continue;
                if (_softmax && i >= certain)
                    logit -= MathF.Log(_weights[i]);
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
}
