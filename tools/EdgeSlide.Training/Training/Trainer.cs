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
    private const int CheckpointVersion = 6;

    private readonly TrainerOptions _options;
    private readonly IRowSource _data;
    private readonly IRowSource? _validation;
    private readonly int[] _rows;
    private readonly int _batches;
    private RunState _state = new();
    private ulong? _fingerprint;

    /// <param name="options">See <see cref="TrainerOptions"/>.</param>
    /// <param name="data">Training rows; rows without labels are left out.</param>
    /// <param name="validation">Rows that choose the best epoch, unless the last is wanted; null keeps the last.</param>
    public Trainer(TrainerOptions options, IRowSource data, IRowSource? validation = null)
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
            throw new InvalidDataException("no training row has a label");
        RequireSizes(options, data.FeatureCount, data.LabelCount);
        _batches = (_rows.Length + options.BatchSize - 1) / options.BatchSize;
    }

    /// <summary>A trained layer's weights are one array.</summary>
    private static void RequireSizes(TrainerOptions options, long features, long labels)
    {
        long[] sizes = [features, .. options.HiddenSizes, labels];
        for (int i = 1; i < sizes.Length; i++)
        {
            if (sizes[i - 1] * sizes[i] > Array.MaxLength)
                throw new ArgumentException($"a layer of {sizes[i - 1]:N0} by {sizes[i]:N0} has more than {Array.MaxLength:N0} weights; use fewer features (--min-count, --hash-buckets) or narrower hidden layers");
        }
    }

    /// <summary>Bytes that training takes beyond the data itself, including the best epoch's copy of the network, if one is kept, and the order of rows.</summary>
    /// <param name="options">What is trained, and how.</param>
    /// <param name="features">Input features.</param>
    /// <param name="labels">Labels.</param>
    /// <param name="rows">Training rows.</param>
    /// <param name="pairs">Features of all rows together.</param>
    /// <param name="labelPairs">Labels of all rows together; 0 if that is not known, and then any batch may have all labels.</param>
    public static long EstimateMemory(TrainerOptions options, long features, long labels, long rows = 0, long pairs = 0, long labelPairs = 0)
    {
        ArgumentNullException.ThrowIfNull(options);
        long network = features * options.HiddenSizes[0];
        for (int i = 0; i < options.HiddenSizes.Count; i++)
            network += options.HiddenSizes[i] * (i + 1 < options.HiddenSizes.Count ? options.HiddenSizes[i + 1] : labels);
        // Of the buffers for logits only what active sets need is ever touched, and takes memory.
        double ofRow = rows == 0 || labelPairs == 0 ? labels : ((double)labelPairs / rows) + options.TableNegatives;
        long active = options.Mode == OutputMode.Full ? labels
            : (long)Math.Min(labels, (ofRow * options.BatchSize) + options.RandomNegatives + options.LshNegatives);
        return TrainingCore.EstimateBytes(options, features, labels, active) + LikelyLabels.Bytes(options, features, labels, rows, pairs)
            + (options.KeepLast ? 0 : network * sizeof(float)) + (2 * rows * sizeof(int));
    }

    /// <summary>
    /// Runs to the end, to early stopping or to cancellation, which finishes the running batch and saves a checkpoint.
    /// </summary>
    /// <exception cref="TrainingDivergedException">The loss is not a number or explodes; the message names the batch.</exception>
    public TrainingResult Run(IProgress<TrainingProgress>? progress = null, CancellationToken cancellation = default)
    {
        using WorkerTeam team = new(_options.Threads == 0 ? Environment.ProcessorCount : _options.Threads);
        using TrainingCore core = new(_options, _data, team);
        using LikelyLabels? tables = _options.Mode == OutputMode.Sampled && _options.TableNegatives > 0
            ? new LikelyLabels(_options, _data, _rows, team) : null;
        using ReadAhead ahead = new(_data, _options.BatchSize);
        using CoreScorer? scorer = _validation is null ? null : new CoreScorer(core, _options, team);
        RebuildSchedule rebuilds = new(
            _options.TableRebuildSteps > 0 ? _options.TableRebuildSteps : (_batches + 2) / 3, _options.TableRebuildGrowth);
        _state = new RunState();
        Network? best = null;
        bool resumed = _options.Resume && _options.CheckpointPath is not null && File.Exists(_options.CheckpointPath);
        if (resumed)
            best = Load(core, tables);
        using TrainingLog? log = _options.LogPath is null ? null : new TrainingLog(_options.LogPath, resumed ? _state.Steps : -1);

        if (resumed)
            progress?.Report(Progress(TimeSpan.Zero, 0, null) with { Resumed = true });
        Stopwatch clock = Stopwatch.StartNew();
        long rowsBefore = _state.Rows;
        TimeSpan lastReport = default;
        int[] order = new int[_rows.Length];
        bool cancelled = false;
        while (_state.Epoch < _options.Epochs && !cancelled && !Stalled())
        {
            _rows.CopyTo(order, 0);
            Noise.Shuffle(order, Noise.Seed((ulong)_options.Seed, 2, (ulong)_state.Epoch));
            TimeSpan epochStart = clock.Elapsed;
            double epochLoss = 0;
            int counted = 0;
            while (_state.Batch < _batches && !(cancelled = cancellation.IsCancellationRequested))
            {
                int first = _state.Batch * _options.BatchSize;
                ReadOnlySpan<int> rows = order.AsSpan(first, Math.Min(_options.BatchSize, order.Length - first));
                ulong seed = Noise.Seed((ulong)_options.Seed, 3, ((ulong)_state.Epoch << 32) + (uint)_state.Batch);
                if (rebuilds.IsDue(_state.Steps))
                {
                    core.Clock.Start();
                    tables?.Rebuild(core);
                    core.RebuildSampler(_rows);
                    core.Clock.Mark(TrainingPhase.Tables);
                }
                int next = first + rows.Length;
                core.Clock.Start();
                ahead.Begin(order.AsSpan(next, Math.Min(_options.BatchSize, order.Length - next)));
                core.Clock.Mark(TrainingPhase.Load);
                double loss = core.Step(rows, seed, LearningRate(), tables);
                Check(loss, core);
                epochLoss += loss;
                counted++;
                _state.Count(rows.Length, (double)core.Active.Count / _data.LabelCount);
                bool midEpoch = _state.Batch < _batches;
                if (midEpoch && scorer is not null && IsDue(_options.EvaluateEvery))
                    log?.Write(Line(core, Evaluate(scorer, core, loss, clock.Elapsed - epochStart)));
                if (midEpoch && _options.CheckpointPath is not null && IsDue(_options.CheckpointEvery))
                    Save(core, tables, best);
                if (progress is not null && clock.Elapsed - lastReport > TimeSpan.FromMilliseconds(200))
                {
                    lastReport = clock.Elapsed;
                    progress.Report(Progress(clock.Elapsed, _state.Rows - rowsBefore, null));
                }
            }
            if (cancelled)
                break;
            ValidationResult? result = scorer is null ? null : Evaluate(scorer, core, epochLoss / Math.Max(1, counted), clock.Elapsed - epochStart);
            log?.Write(Line(core, result));
            EndEpoch(core, result, ref best);
            progress?.Report(Progress(clock.Elapsed, _state.Rows - rowsBefore, result));
            _state.Epoch++;
            _state.Batch = 0;
            if (_options.CheckpointPath is not null)
                Save(core, tables, best);
        }
        if (cancelled && _options.CheckpointPath is not null)
            Save(core, tables, best);
        return new TrainingResult(
            Finish(core, best, cancelled), _state.BestEpoch, [.. _state.History], clock.Elapsed, _state.ActiveSum / Math.Max(1, _state.Steps), cancelled);
    }

    private bool IsDue(int every) => every > 0 && _state.Batch % every == 0;

    private ValidationResult Evaluate(CoreScorer scorer, TrainingCore core, double loss, TimeSpan time)
    {
        core.Clock.Start();
        RankingMetrics metrics = scorer.Score(_validation!, Math.Min(_validation!.RowCount, _options.ValidationRows));
        core.Clock.Mark(TrainingPhase.Evaluate);
        return new ValidationResult(
            _state.Epoch + 1, time.TotalSeconds, loss, metrics.Precision(1), metrics.Precision(3), metrics.Precision(5), metrics.Ndcg(5));
    }

    /// <summary>Keeps the network if it is the best so far, or the last is wanted. After the last epoch it is still in the core, and needs no copy.</summary>
    private void EndEpoch(TrainingCore core, ValidationResult? result, ref Network? best)
    {
        if (result is not null)
        {
            _state.History.Add(result);
            double metric = Metric(result);
            if (metric <= _state.BestMetric && !_options.KeepLast)
                return;
            _state.BestMetric = metric;
        }
        _state.BestEpoch = _state.Epoch + 1;
        if (result is null || _options.KeepLast || _state.BestEpoch == _options.Epochs)
            best = null;
        else
            core.CopyTo(best ??= core.CreateNetwork());
    }

    /// <summary>The best epoch's network; without validation, or if no epoch ended, the present one.</summary>
    private Network Finish(TrainingCore core, Network? best, bool cancelled)
    {
        if (best is not null)
            return best;
        if (!cancelled)
            RequireNumbers(core, "");
        return core.MoveToNetwork();
    }

    private TrainingLogLine Line(TrainingCore core, ValidationResult? result) => new(
        _state.Epoch + ((double)_state.Batch / _batches), _state.Steps, _state.Rows, core.Clock.TrainingSeconds, _state.Loss, LearningRate(),
        _state.ActiveSum / Math.Max(1, _state.Steps), result?.P1 ?? double.NaN, result?.P5 ?? double.NaN, core.Clock.Split());

    private double Metric(ValidationResult result) => _options.StoppingMetric switch
    {
        StoppingMetric.PrecisionAt1 => result.P1,
        StoppingMetric.PrecisionAt5 => result.P5,
        _ => (result.P1 + result.P5) / 2,
    };

    private bool Stalled() => _options.Patience > 0 && _state.BestEpoch > 0 && _state.Epoch - _state.BestEpoch >= _options.Patience;

    private float LearningRate()
    {
        double total = (double)_options.Epochs * _batches;
        double step = ((double)_state.Epoch * _batches) + _state.Batch + 0.5;
        double warmUp = _options.WarmUp * total;
        if (step < warmUp)
            return (float)(_options.LearningRate * step / warmUp);
        double left = Math.Max(0, (total - step) / (total - warmUp));
        return (float)(_options.LearningRate * _options.Decay switch
        {
            LearningRateDecay.None => 1,
            LearningRateDecay.Linear => left,
            _ => 0.5 * (1 - Math.Cos(Math.PI * left)),
        });
    }

    /// <summary>Refuses a loss that is not a number, or ten times above anything seen in the first hundred batches.</summary>
    private void Check(double loss, TrainingCore core)
    {
        bool early = _state.Steps < 100;
        if (early)
            _state.HighestEarlyLoss = _state.Steps == 0 ? loss : Math.Max(_state.HighestEarlyLoss, loss);
        if (!double.IsFinite(loss) || (!early && loss > 10 * Math.Max(1, _state.HighestEarlyLoss)))
        {
            throw new TrainingDivergedException(
                $"training diverged in epoch {_state.Epoch + 1}, batch {_state.Batch + 1} of {_batches}: loss {loss}; {core.DescribeWorstRow()} (lower the learning rate, or check the input values)");
        }
        _state.Loss = _state.Steps == 0 ? loss : (0.98 * _state.Loss) + (0.02 * loss);
    }

    private TrainingProgress Progress(TimeSpan elapsed, long rowsDone, ValidationResult? validation)
    {
        double rate = rowsDone / Math.Max(1e-9, elapsed.TotalSeconds);
        double left = ((double)(_options.Epochs - _state.Epoch) * _rows.Length) - ((double)_state.Batch * _options.BatchSize);
        return new TrainingProgress(
            _state.Epoch + 1, _options.Epochs, _state.Batch, _batches, _state.Loss, rate, elapsed, rate == 0 ? TimeSpan.Zero : TimeSpan.FromSeconds(Math.Max(0, left) / rate),
            _state.ActiveSum / Math.Max(1, _state.Steps), validation);
    }

    private void Save(TrainingCore core, LikelyLabels? tables, Network? best)
    {
        core.Clock.Start();
        RequireNumbers(core, "; the checkpoint before is kept");
        using CheckpointWriter writer = new(_options.CheckpointPath!);
        writer.Write(CheckpointVersion);
        writer.Write(_fingerprint ??= Fingerprint());
        _state.Save(writer);
        core.Clock.Save(writer);
        core.Save(writer);
        tables?.Save(writer);
        writer.Write(best is not null);
        foreach (NetworkLayer layer in best?.Layers ?? [])
        {
            writer.Write<float>(layer.Weights);
            writer.Write<float>(layer.Bias);
        }
        writer.Commit();
        core.Clock.Mark(TrainingPhase.Checkpoint);
    }

    /// <summary>The loss shows a broken update one batch later; neither a checkpoint nor the network may be lost to it.</summary>
    private void RequireNumbers(TrainingCore core, string kept)
    {
        if (!core.IsFinite)
        {
            throw new TrainingDivergedException(
                $"training diverged in epoch {Math.Min(_state.Epoch + 1, _options.Epochs)} at batch {_state.Batch} of {_batches}: weights are no longer numbers{kept} (lower the learning rate)");
        }
    }

    /// <summary>Takes up a checkpoint; returns the best epoch's network if it is not the one in the core.</summary>
    private Network? Load(TrainingCore core, LikelyLabels? tables)
    {
        using CheckpointReader reader = new(_options.CheckpointPath!);
        reader.Expect(CheckpointVersion, "version");
        reader.Expect(_fingerprint ??= Fingerprint(), "fingerprint of data and options");
        _state.Load(reader);
        core.Clock.Load(reader);
        core.Load(reader);
        tables?.Load(reader);
        Network? best = reader.Read<bool>() ? core.CreateNetwork() : null;
        foreach (NetworkLayer layer in best?.Layers ?? [])
        {
            reader.Read<float>(layer.Weights);
            reader.Read<float>(layer.Bias);
        }
        reader.End();
        return best;
    }

    /// <summary>Differs if a checkpoint cannot continue as this run; limits such as threads and paths do not count.</summary>
    private ulong Fingerprint()
    {
        TrainerOptions o = _options with
        {
            Threads = 0, CheckpointPath = null, CheckpointEvery = 0, Resume = false, HiddenSizes = [], Patience = 0, ValidationRows = 1,
            EvaluateEvery = 0, LogPath = null,
        };
        string text = $"{o} {string.Join(',', _options.HiddenSizes)} {_data.Fingerprint()} {_rows.Length} {_validation?.Fingerprint()}";
        ulong hash = 0;
        foreach (char c in text)
            hash = Noise.Mix(hash ^ c);
        return hash;
    }
}
