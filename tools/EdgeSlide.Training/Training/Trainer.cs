using System.Diagnostics;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Networks;

namespace EdgeSlide.Training.Training;

/// <summary>
/// Trains a network on a data set: epochs, learning-rate schedule, validation with early stopping, checkpoints, progress.
/// A run's result is a function of its options and data alone: every random choice is drawn by (seed, epoch, batch), so a
/// resumed run continues bit for bit.
/// </summary>
public sealed class Trainer
{
    private const int CheckpointVersion = 2;

    private readonly TrainerOptions _options;
    private readonly Dataset _data;
    private readonly Dataset? _validation;
    private readonly int[] _rows;
    private readonly int _batches;
    private readonly List<ValidationResult> _history = [];
    private int _epoch;
    private int _batch;
    private int _bestEpoch;
    private double _bestMetric = double.NegativeInfinity;
    private double _loss;
    private double _highestEarlyLoss;
    private double _activeSum;
    private long _steps;

    /// <param name="options">See <see cref="TrainerOptions"/>.</param>
    /// <param name="data">Training rows; rows without labels are left out.</param>
    /// <param name="validation">Rows that choose the best epoch; null keeps the last.</param>
    public Trainer(TrainerOptions options, Dataset data, Dataset? validation = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(data);
        options.Validate();
        if (validation is not null && (validation.FeatureCount != data.FeatureCount || validation.LabelCount != data.LabelCount))
            throw new ArgumentException("training and validation rows have different numbers of features or labels", nameof(validation));
        _options = options;
        _data = data;
        _validation = validation;
        _rows = Enumerable.Range(0, data.RowCount).Where(row => data.RowLabels(row).Length > 0).ToArray();
        if (_rows.Length == 0)
            throw new ArgumentException("no training row has a label", nameof(data));
        _batches = (_rows.Length + options.BatchSize - 1) / options.BatchSize;
    }

    /// <summary>Bytes that training takes beyond the data itself, including the best epoch's copy of the network.</summary>
    public static long EstimateMemory(TrainerOptions options, long features, long labels)
    {
        ArgumentNullException.ThrowIfNull(options);
        long network = features * options.HiddenSizes[0];
        for (int i = 0; i < options.HiddenSizes.Count; i++)
            network += options.HiddenSizes[i] * (i + 1 < options.HiddenSizes.Count ? options.HiddenSizes[i + 1] : labels);
        return TrainingCore.EstimateBytes(options, features, labels) + (2 * network * sizeof(float));
    }

    /// <summary>
    /// Runs to the end, to early stopping or to cancellation, which finishes the running batch and saves a checkpoint.
    /// </summary>
    /// <exception cref="TrainingDivergedException">The loss is not a number or explodes; the message names the batch.</exception>
    public TrainingResult Run(IProgress<TrainingProgress>? progress = null, CancellationToken cancellation = default)
    {
        int threads = _options.Threads == 0 ? Environment.ProcessorCount : _options.Threads;
        using WorkerTeam team = new(threads);
        using TrainingCore core = new(_options, _data, team);
        using LikelyLabels? tables = _options.Mode == OutputMode.Sampled && _options.TableNegatives > 0
            ? new LikelyLabels(_options, _data, _rows, team) : null;
        RebuildSchedule rebuilds = new(
            _options.TableRebuildSteps > 0 ? _options.TableRebuildSteps : (_batches + 2) / 3, _options.TableRebuildGrowth);
        Network best = core.CreateNetwork();
        Network current = _validation is null ? best : core.CreateNetwork();
        _history.Clear();
        (_epoch, _batch, _bestEpoch, _bestMetric, _steps, _activeSum) = (0, 0, 0, double.NegativeInfinity, 0, 0);
        if (_options.Resume && _options.CheckpointPath is not null && File.Exists(_options.CheckpointPath))
            Load(core, tables, best);

        Stopwatch clock = Stopwatch.StartNew();
        long rowsDone = 0;
        TimeSpan lastReport = default;
        int[] order = new int[_rows.Length];
        bool cancelled = false;
        while (_epoch < _options.Epochs && !cancelled && !Stalled())
        {
            _rows.CopyTo(order, 0);
            Noise.Shuffle(order, Noise.Seed((ulong)_options.Seed, 2, (ulong)_epoch));
            TimeSpan epochStart = clock.Elapsed;
            double epochLoss = 0;
            int counted = 0;
            while (_batch < _batches)
            {
                if (cancellation.IsCancellationRequested)
                {
                    cancelled = true;
                    break;
                }
                int first = _batch * _options.BatchSize;
                ReadOnlySpan<int> rows = order.AsSpan(first, Math.Min(_options.BatchSize, order.Length - first));
                ulong seed = Noise.Seed((ulong)_options.Seed, 3, ((ulong)_epoch << 32) + (uint)_batch);
                if (tables is not null && rebuilds.IsDue(_steps))
                    tables.Rebuild(core);
                double loss = core.Step(rows, seed, LearningRate(), tables);
                Check(loss);
                epochLoss += loss;
                counted++;
                rowsDone += rows.Length;
                _activeSum += (double)core.Active.Count / _data.LabelCount;
                _steps++;
                _batch++;
                if (_options.CheckpointPath is not null && _options.CheckpointEvery > 0 && _batch % _options.CheckpointEvery == 0 && _batch < _batches)
                    Save(core, tables, best);
                if (progress is not null && clock.Elapsed - lastReport > TimeSpan.FromMilliseconds(200))
                {
                    lastReport = clock.Elapsed;
                    progress.Report(Progress(clock.Elapsed, rowsDone, null));
                }
            }
            if (cancelled)
                break;
            ValidationResult? result = EndEpoch(core, ref best, ref current, epochLoss / Math.Max(1, counted), clock.Elapsed - epochStart);
            progress?.Report(Progress(clock.Elapsed, rowsDone, result));
            _epoch++;
            _batch = 0;
            if (_options.CheckpointPath is not null)
                Save(core, tables, best);
        }
        if (cancelled && _options.CheckpointPath is not null)
            Save(core, tables, best);
        if (_bestEpoch == 0 || _validation is null)
            core.CopyTo(best);
        return new TrainingResult(best, _bestEpoch, [.. _history], clock.Elapsed, _activeSum / Math.Max(1, _steps), cancelled);
    }

    /// <summary>Validates; keeps the network if it is the best so far.</summary>
    private ValidationResult? EndEpoch(TrainingCore core, ref Network best, ref Network current, double loss, TimeSpan time)
    {
        if (_validation is null)
        {
            _bestEpoch = _epoch + 1;
            return null;
        }
        core.CopyTo(current);
        RankingMetrics metrics = new([1, 3, 5]);
        using (DenseScorer scorer = new(current, _options.Threads))
        {
            int rows = Math.Min(_validation.RowCount, _options.ValidationRows);
            metrics.Add(scorer.Score(_validation, 0, rows, 5), _validation);
        }
        ValidationResult result = new(
            _epoch + 1, time.TotalSeconds, loss, metrics.Precision(1), metrics.Precision(3), metrics.Precision(5), metrics.Ndcg(5));
        _history.Add(result);
        double metric = Metric(result);
        if (metric > _bestMetric)
        {
            (_bestMetric, _bestEpoch) = (metric, _epoch + 1);
            (best, current) = (current, best);
        }
        return result;
    }

    private double Metric(ValidationResult result) => _options.StoppingMetric switch
    {
        StoppingMetric.PrecisionAt1 => result.P1,
        StoppingMetric.PrecisionAt5 => result.P5,
        _ => (result.P1 + result.P5) / 2,
    };

    private bool Stalled() => _options.Patience > 0 && _bestEpoch > 0 && _epoch - _bestEpoch >= _options.Patience;

    private float LearningRate()
    {
        double total = (double)_options.Epochs * _batches;
        double step = ((double)_epoch * _batches) + _batch + 0.5;
        double warmUp = _options.WarmUp * total;
        if (step < warmUp)
            return (float)(_options.LearningRate * step / warmUp);
        double left = (total - step) / (total - warmUp);
        return (float)(_options.LearningRate * _options.Decay switch
        {
            LearningRateDecay.None => 1,
            LearningRateDecay.Linear => left,
            _ => 0.5 * (1 - Math.Cos(Math.PI * left)),
        });
    }

    /// <summary>Refuses a loss that is not a number, or ten times above anything seen in the first hundred batches.</summary>
    private void Check(double loss)
    {
        bool early = _steps < 100;
        if (early)
            _highestEarlyLoss = _steps == 0 ? loss : Math.Max(_highestEarlyLoss, loss);
        if (!double.IsFinite(loss) || (!early && loss > 10 * Math.Max(1, _highestEarlyLoss)))
        {
            throw new TrainingDivergedException(
                $"training diverged in epoch {_epoch + 1}, batch {_batch + 1} of {_batches}: loss {loss} (lower the learning rate, or check the input values)");
        }
        _loss = _steps == 0 ? loss : (0.98 * _loss) + (0.02 * loss);
    }

    private TrainingProgress Progress(TimeSpan elapsed, long rowsDone, ValidationResult? validation)
    {
        double rate = rowsDone / Math.Max(1e-9, elapsed.TotalSeconds);
        double left = ((double)(_options.Epochs - _epoch) * _rows.Length) - ((double)_batch * _options.BatchSize);
        return new TrainingProgress(
            _epoch + 1, _options.Epochs, _batch, _batches, _loss, rate, elapsed, TimeSpan.FromSeconds(Math.Max(0, left) / rate),
            _activeSum / Math.Max(1, _steps), validation);
    }

    private void Save(TrainingCore core, LikelyLabels? tables, Network best)
    {
        using CheckpointWriter writer = new(_options.CheckpointPath!);
        writer.Write(CheckpointVersion);
        writer.Write(Fingerprint());
        writer.Write(_epoch);
        writer.Write(_batch);
        writer.Write(_steps);
        writer.Write(_loss);
        writer.Write(_highestEarlyLoss);
        writer.Write(_activeSum);
        writer.Write(_bestEpoch);
        writer.Write(_bestMetric);
        writer.Write(_history.Count);
        foreach (ValidationResult r in _history)
        {
            writer.Write(r.Epoch);
            writer.Write<double>([r.Seconds, r.Loss, r.P1, r.P3, r.P5, r.Ndcg5]);
        }
        core.Save(writer);
        tables?.Save(writer);
        bool keepsBest = _validation is not null && _bestEpoch > 0;
        writer.Write(keepsBest);
        if (keepsBest)
        {
            foreach (NetworkLayer layer in best.Layers)
            {
                writer.Write<float>(layer.Weights);
                writer.Write<float>(layer.Bias);
            }
        }
        writer.Commit();
    }

    private void Load(TrainingCore core, LikelyLabels? tables, Network best)
    {
        using CheckpointReader reader = new(_options.CheckpointPath!);
        reader.Expect(CheckpointVersion, "version");
        reader.Expect(Fingerprint(), "fingerprint of data and options");
        _epoch = reader.Read<int>();
        _batch = reader.Read<int>();
        _steps = reader.Read<long>();
        _loss = reader.Read<double>();
        _highestEarlyLoss = reader.Read<double>();
        _activeSum = reader.Read<double>();
        _bestEpoch = reader.Read<int>();
        _bestMetric = reader.Read<double>();
        int epochs = reader.Read<int>();
        Span<double> r = stackalloc double[6];
        for (int i = 0; i < epochs; i++)
        {
            int epoch = reader.Read<int>();
            reader.Read(r);
            _history.Add(new ValidationResult(epoch, r[0], r[1], r[2], r[3], r[4], r[5]));
        }
        core.Load(reader);
        tables?.Load(reader);
        if (reader.Read<bool>())
        {
            foreach (NetworkLayer layer in best.Layers)
            {
                reader.Read<float>(layer.Weights);
                reader.Read<float>(layer.Bias);
            }
        }
        reader.End();
    }

    /// <summary>Differs if a checkpoint cannot continue as this run; limits such as threads and paths do not count.</summary>
    private ulong Fingerprint()
    {
        TrainerOptions o = _options with
        {
            Threads = 0, CheckpointPath = null, CheckpointEvery = 0, Resume = false, HiddenSizes = [], Patience = 0, ValidationRows = 1,
        };
        string text = $"{o} {string.Join(',', _options.HiddenSizes)} {_data.FeatureCount} {_data.LabelCount} {_data.FeatureIds.Length} {_data.LabelIds.Length} {_rows.Length}";
        ulong hash = 0;
        foreach (char c in text)
            hash = Noise.Mix(hash ^ c);
        return hash;
    }
}
