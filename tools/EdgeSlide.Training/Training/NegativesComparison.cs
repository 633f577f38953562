using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Networks;

namespace EdgeSlide.Training.Training;

/// <summary>How negatives are drawn: so many by label frequency to a power, so many from LSH tables.</summary>
/// <param name="Ideal">
/// Instead of by frequency, draw by the root of the mean over the batch's rows of the squared probability that the network
/// gives the label: what makes the mean variance least, and needs all logits.
/// </param>
internal readonly record struct NegativesPlan(string Name, int Random, float Power, int Lsh, bool Ideal = false);

/// <summary>How far a plan's estimates are from the full softmax's values.</summary>
/// <param name="Labels">Mean size of the active set.</param>
/// <param name="Bias">Mean of Z'/Z - 1 over rows and repetitions.</param>
/// <param name="BiasError">Its standard error, from the means of repetitions.</param>
/// <param name="PartitionError">Root of the mean of (Z'/Z - 1)^2.</param>
/// <param name="LogError">Root of the mean of ln(Z'/Z)^2: the error of the loss.</param>
/// <param name="GradientError">Norm of the error of the hidden vectors' gradient, relative to the norm of that gradient.</param>
/// <param name="Cosine">Between that gradient and its estimate.</param>
internal readonly record struct NegativesFigures(
    double Labels, double Bias, double BiasError, double PartitionError, double LogError, double GradientError, double Cosine);

/// <summary>
/// Measures, over one network that stands still, how well plans of negatives estimate each row's partition function and the
/// gradient that reaches the hidden layer. Batches and active sets are those of training, without dropout.
/// </summary>
internal sealed unsafe class NegativesComparison : IDisposable
{
    private readonly TrainerOptions _options;
    private readonly IRowSource _rows;
    private readonly ReadOnlyMemory<int> _counts;
    private readonly WorkerTeam _team;
    private readonly TrainingCore _core;
    private readonly int _labels;
    private readonly int _stride;
    private readonly int _logitStride;
    private readonly int _capacity;
    private readonly NativeArray<float> _hidden;
    private readonly NativeArray<float> _exp; // [rows x labels] e to the logit, of the row's largest 1
    private readonly NativeArray<float> _exact; // [rows x stride] gradient
    private readonly NativeArray<float> _packed;

    /// <param name="options">Batch size, LSH bits and tables, seed, threads.</param>
    /// <param name="frequencies">Of the labels in the network's training rows.</param>
    internal NegativesComparison(TrainerOptions options, Network network, LabelFrequencies frequencies, IRowSource rows)
    {
        _rows = rows;
        _counts = frequencies.Counts.ToArray();
        _options = options with { HiddenSizes = [.. network.Layers.SkipLast(1).Select(layer => layer.Outputs)], Mode = OutputMode.Full, LshNegatives = 0 };
        _team = new WorkerTeam(options.Threads == 0 ? Environment.ProcessorCount : options.Threads);
        _core = new TrainingCore(_options, rows, _team);
        _core.CopyFrom(network);
        _labels = rows.LabelCount;
        _stride = _core.OutputMatrix.Stride;
        _logitStride = VectorMath.Pad(_labels);
        _capacity = options.BatchSize;
        _hidden = new NativeArray<float>((long)_capacity * _stride);
        _exp = new NativeArray<float>((long)_capacity * _logitStride);
        _exact = new NativeArray<float>((long)_capacity * _stride);
        _packed = new NativeArray<float>(Math.Max(Gemm.PackedLength(_stride, _labels), Gemm.PackedLength(_labels, _stride)));
    }

    /// <summary>The figures of each plan over the first rows, in whole batches as far as there are so many.</summary>
    internal NegativesFigures[] Run(IReadOnlyList<NegativesPlan> plans, int rows, int repetitions, CancellationToken cancel)
    {
        TrainerOptions lshOptions = _options with { Mode = OutputMode.Sampled, LshNegatives = 1 };
        using LshSampler lsh = new(lshOptions, _labels, _team);
        float* sample = _core.Forward(_rows, EvenlySpread(), out _);
        lsh.Rebuild(_core.OutputMatrix.Weights, _core.OutputBias, _stride, sample, Math.Min(_rows.RowCount, _capacity));
        Sums[] sums = [.. plans.Select(_ => new Sums(repetitions))];
        for (int first = 0; first < Math.Min(rows, _rows.RowCount); first += _capacity)
        {
            int[] batch = [.. Enumerable.Range(first, Math.Min(_capacity, _rows.RowCount - first))];
            Prepare(batch);
            lsh.Probe(_hidden.Items, _stride, batch.Length);
            for (int i = 0; i < plans.Count; i++)
            {
                NegativesPlan plan = plans[i];
                NegativeSampler? sampler = plan.Ideal ? new NegativeSampler(IdealCounts(batch), 1, plan.Random)
                    : plan.Power > 0 ? new NegativeSampler(_counts.Span, plan.Power, plan.Random) : null;
                ActiveSet active = new(_labels, sampler, lsh);
                for (int repetition = 0; repetition < repetitions; repetition++)
                {
                    cancel.ThrowIfCancellationRequested();
                    active.Reset();
                    foreach (int row in batch)
                    {
                        foreach (int label in _rows.RowLabels(row))
                            active.Add(label);
                    }
                    active.Draw(plan.Random, Noise.Seed((ulong)_options.Seed, 6, ((ulong)first << 20) + (ulong)repetition), plan.Lsh);
                    Measure(batch, active, sums[i], repetition);
                }
            }
        }
        return [.. sums.Select(sum => sum.Figures())];
    }

    public void Dispose()
    {
        _core.Dispose();
        _team.Dispose();
        _hidden.Dispose();
        _exp.Dispose();
        _exact.Dispose();
        _packed.Dispose();
    }

    private int[] EvenlySpread()
    {
        int count = Math.Min(_rows.RowCount, _capacity);
        return [.. Enumerable.Range(0, count).Select(i => (int)((long)i * _rows.RowCount / count))];
    }

    /// <summary>Exponentials of all logits of a batch, scaled to a sum of 1 a row, and the full softmax's gradient.</summary>
    private void Prepare(int[] batch)
    {
        new Span<float>(_core.Forward(_rows, batch, out _), batch.Length * _stride).CopyTo(_hidden.Span(0, batch.Length * _stride));
        AdamMatrix weights = _core.OutputMatrix;
        Gemm.PackTransposed(weights.Weights, _stride, null, _labels, _stride, _packed.Items);
        ForTiles(batch.Length, (first, count) => Gemm.Multiply(
            count, _stride, _labels, _hidden.Items + ((nint)first * _stride), _stride, 1, _packed.Items,
            _exp.Items + ((nint)first * _logitStride), _logitStride, accumulate: false));
        Gemm.Pack(weights.Weights, _stride, null, 0, _labels, _labels, _stride, _packed.Items);
        ForTiles(batch.Length, (first, count) =>
        {
            for (int row = first; row < first + count; row++)
            {
                Span<float> z = _exp.Span((long)row * _logitStride, _labels);
                float max = float.NegativeInfinity;
                for (int i = 0; i < z.Length; i++)
                    max = Math.Max(max, z[i] += _core.OutputBias[i]);
                double sum = 0;
                foreach (ref float logit in z)
                    sum += logit = MathF.Exp(logit - max);
                float scale = (float)(1 / sum);
                foreach (ref float share in z)
                    share *= scale;
            }
            Gemm.Multiply(
                count, _labels, _stride, _exp.Items + ((nint)first * _logitStride), _logitStride, 1, _packed.Items,
                _exact.Items + ((nint)first * _stride), _stride, accumulate: false);
            for (int row = first; row < first + count; row++)
                SubtractTargets(batch[row], _exact.Items + ((nint)row * _stride));
        });
    }

    private void Measure(int[] batch, ActiveSet active, Sums sums, int repetition)
    {
        float[] weights = [.. Enumerable.Range(0, active.Count).Select(active.Weight)];
        RowFigures[] rows = new RowFigures[batch.Length];
        ForTiles(batch.Length, (first, count) =>
        {
            float* gradient = stackalloc float[_stride];
            for (int row = first; row < first + count; row++)
            {
                new Span<float>(gradient, _stride).Clear();
                float* share = _exp.Items + ((nint)row * _logitStride);
                double estimate = 0;
                for (int slot = 0; slot < weights.Length; slot++)
                {
                    int label = active.PinnedIds[slot];
                    float term = weights[slot] * share[label];
                    estimate += term;
                    VectorMath.AddScaled(gradient, _core.OutputMatrix.Row(label), term, _stride);
                }
                VectorMath.Scale(gradient, (float)(1 / estimate), _stride);
                SubtractTargets(batch[row], gradient);
                float* exact = _exact.Items + ((nint)row * _stride);
                RowFigures figures = new() { Estimate = estimate, Exact = VectorMath.SumOfSquares(exact, _stride), Sampled = VectorMath.SumOfSquares(gradient, _stride) };
                VectorMath.AddScaled(gradient, exact, -1, _stride);
                figures.Error = VectorMath.SumOfSquares(gradient, _stride);
                rows[row] = figures;
            }
        });
        sums.Add(repetition, active.Count, rows);
    }

    private void SubtractTargets(int row, float* gradient)
    {
        ReadOnlySpan<int> labels = _rows.RowLabels(row);
        foreach (int label in labels)
            VectorMath.AddScaled(gradient, _core.OutputMatrix.Row(label), -1f / labels.Length, _stride);
    }

    /// <summary>Counts that a sampler with power 1 turns into the ideal distribution, up to its 1 for every label.</summary>
    private int[] IdealCounts(int[] batch)
    {
        double[] squares = new double[_labels];
        for (int row = 0; row < batch.Length; row++)
        {
            for (int label = 0; label < _labels; label++)
            {
                double share = _exp[((long)row * _logitStride) + label];
                squares[label] += share * share;
            }
        }
        foreach (int row in batch)
        {
            foreach (int label in _rows.RowLabels(row))
                squares[label] = 0;
        }
        double scale = 100.0 * _labels / squares.Sum(Math.Sqrt);
        return [.. squares.Select(square => (int)(Math.Sqrt(square) * scale))];
    }

    private delegate void TileBody(int first, int count);

    private void ForTiles(int rows, TileBody body) => _team.Run(
        TrainingCore.Tiles(rows, TrainingCore.RowTile),
        (tile, _) => body(tile * TrainingCore.RowTile, Math.Min(TrainingCore.RowTile, rows - (tile * TrainingCore.RowTile))));

    private struct RowFigures
    {
        internal double Estimate, Exact, Sampled, Error;
    }

    /// <summary>Sums over rows and repetitions; a batch's draws are shared by its rows, so only repetitions are independent.</summary>
    private sealed class Sums(int repetitions)
    {
        private readonly double[] _bias = new double[repetitions];
        private double _rows, _sets, _labels, _squares, _logs, _exact, _sampled, _error;

        internal void Add(int repetition, int labels, RowFigures[] rows)
        {
            _sets++;
            _labels += labels;
            _rows += rows.Length;
            foreach (RowFigures row in rows)
            {
                double difference = row.Estimate - 1, log = Math.Log(row.Estimate);
                _bias[repetition] += difference;
                _squares += difference * difference;
                _logs += log * log;
                _exact += row.Exact;
                _sampled += row.Sampled;
                _error += row.Error;
            }
        }

        internal NegativesFigures Figures()
        {
            double perRepetition = _rows / _bias.Length;
            double[] means = [.. _bias.Select(sum => sum / perRepetition)];
            double mean = means.Average();
            double variance = means.Sum(x => (x - mean) * (x - mean)) / Math.Max(1, means.Length - 1);
            return new NegativesFigures(
                _labels / _sets, mean, Math.Sqrt(variance / means.Length), Math.Sqrt(_squares / _rows), Math.Sqrt(_logs / _rows),
                Math.Sqrt(_error / _exact), (_exact + _sampled - _error) / (2 * Math.Sqrt(_exact * _sampled)));
        }
    }
}
