using System.Diagnostics;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Networks;
using EdgeSlide.Training.Training;

namespace EdgeSlide.Training.Slide;

/// <summary>Where a run stands.</summary>
internal sealed record SlideProgress(int Epoch, int Epochs, long Rows, long AllRows, double Loss);

/// <summary>P@1 on some rows with the arithmetic that it took.</summary>
/// <param name="Products">Multiply-adds a row.</param>
/// <param name="Hashing">Additions, multiplications and comparisons of hashing, and bucket entries read, a row.</param>
/// <param name="Microseconds">Time a row, all threads answering.</param>
internal sealed record SlideScore(double P1, double Products, double Hashing, double Microseconds);

/// <summary>A finished run.</summary>
/// <param name="TrainingProducts">Multiply-adds of forward, backward and gradient, a row.</param>
/// <param name="TrainingHashing">Operations of hashing, reading buckets and rebuilding tables, a row.</param>
internal sealed record SlideResult(Network Network, double Seconds, double Loss, double TrainingProducts, double TrainingHashing, bool Cancelled);

/// <summary>Trains a <see cref="SlideNetwork"/>, row by row on several threads, and measures it.</summary>
internal sealed unsafe class SlideTrainer : IDisposable
{
    private const int RowsPerItem = 16, Segment = 1000;

    private readonly SlideOptions _options;
    private readonly Dataset _data;
    private readonly WorkerTeam _team;
    private readonly SlideState[] _states;
    private readonly Action<int, int> _body;
    private readonly int[] _order;
    private int _from, _to;
    private long _failed = -1;
    private ulong _epochNoise;
    private SlideStep _step;

    public SlideTrainer(SlideOptions options, Dataset data)
    {
        options.Validate();
        if (data.RowCount == 0)
            throw new InvalidDataException("there are no training rows");
        if (!Enumerable.Range(0, data.RowCount).Any(row => data.RowLabels(row).Length > 0))
            throw new InvalidDataException("no training row has a label");
        (_options, _data) = (options, data);
        Network = new SlideNetwork(data.FeatureCount, data.LabelCount, data.FeatureIds.Length / (double)data.RowCount, options);
        _team = new WorkerTeam(options.Threads == 0 ? Environment.ProcessorCount : options.Threads);
        _states = [.. Enumerable.Range(0, _team.Size).Select(_ => Network.CreateState())];
        _order = [.. Enumerable.Range(0, data.RowCount)];
        _body = TrainItem;
    }

    public SlideNetwork Network { get; }

    /// <exception cref="TrainingDivergedException">A row's loss is not a number; names the row.</exception>
    public SlideResult Run(IProgress<SlideProgress>? progress, CancellationToken cancel)
    {
        using ReadAhead ahead = new(_data, Segment);
        long clock = Stopwatch.GetTimestamp();
        long done = 0, all = (long)_options.Epochs * _order.Length, hashing = Network.Rebuild(_team, _states);
        double gap = _options.RebuildRows, next = gap, loss = 0;
        Reset();
        bool hashes = Network.Layers.Any(l => l.Family is not null);
        for (int epoch = 0; epoch < _options.Epochs && !cancel.IsCancellationRequested; epoch++)
        {
            _epochNoise = Noise.Seed(_options.Seed, 15, (ulong)epoch);
            Noise.Shuffle(_order, _epochNoise);
            foreach (SlideState state in _states)
                state.Loss = 0;
            for (_from = 0; _from < _order.Length && !cancel.IsCancellationRequested; _from = _to)
            {
                // Segments are short enough for Ctrl-C and the falling rate, and end where tables are rebuilt.
                _to = (int)Math.Min(Math.Min(_order.Length, _from + (long)Segment), hashes ? _from + Math.Max(1, (long)next - done) : long.MaxValue);
                ahead.Begin(_order.AsSpan(_to, Math.Min(Segment, _order.Length - _to)));
                float rate = _options.LearningRate * (float)(1 - (0.95 * done / all));
                double t = done + 1;
                if (_options.Optimizer == Optimizer.Adam)
                    rate *= (float)(Math.Sqrt(1 - Math.Pow(SlideStep.Beta2, t)) / (1 - Math.Pow(SlideStep.Beta1, t)));
                _step = new SlideStep(_options.Optimizer == Optimizer.Adam, rate);
                _team.Run((_to - _from + RowsPerItem - 1) / RowsPerItem, _body);
                if (_failed >= 0)
                    throw new TrainingDivergedException($"epoch {epoch + 1}: the loss of row {_failed + 1} is not a number; lower the learning rate ({_options.LearningRate})");
                done += _to - _from;
                if (hashes && done >= (long)next)
                {
                    // The middle settles by half-time, so that buckets keep their meaning from then on.
                    hashing += Network.Rebuild(_team, _states, centre: done < all / 2);
                    gap *= _options.RebuildGrowth;
                    next = done + gap;
                }
                loss = _states.Sum(s => s.Loss) / _to;
                progress?.Report(new SlideProgress(epoch + 1, _options.Epochs, done, all, loss));
            }
        }
        hashing += Network.Rebuild(_team, _states);
        double seconds = Stopwatch.GetElapsedTime(clock).TotalSeconds;
        hashing += _states.Sum(s => s.Layers.Sum(l => l.Hashing));
        double rows = Math.Max(1, done);
        return new SlideResult(Network.ToNetwork(), seconds, loss, _states.Sum(s => s.Products + s.BackwardProducts) / rows, hashing / rows, cancel.IsCancellationRequested);
    }

    /// <summary>Answers rows with the layers' own active sets, tables as they are.</summary>
    public SlideScore Evaluate(Dataset data)
    {
        Reset();
        long clock = Stopwatch.GetTimestamp();
        int correct = 0;
        _team.Run(_states.Length, (item, worker) =>
        {
            SlideState state = _states[worker];
            SlideState.LayerState output = state.Layers[^1];
            for (int row = item; row < data.RowCount; row += _states.Length)
            {
                ReadOnlySpan<int> features = data.RowFeatures(row);
                fixed (int* ids = features)
                fixed (float* values = data.RowValues(row))
                    Network.Forward(state, ids, values, features.Length, [], training: false, (ulong)row);
                int best = -1;
                float most = float.NegativeInfinity;
                for (int i = 0; i < output.Count; i++)
                {
                    if (output.Values[i] > most)
                        (best, most) = (output.Ids[i], output.Values[i]);
                }
                if (data.RowLabels(row).Contains(best))
                    Interlocked.Increment(ref correct);
            }
        });
        double rows = Math.Max(1, data.RowCount);
        return new SlideScore(correct / rows, _states.Sum(s => s.Products) / rows, _states.Sum(s => s.Layers.Sum(l => l.Hashing)) / rows,
            Stopwatch.GetElapsedTime(clock).TotalMicroseconds / rows);
    }

    public void Dispose()
    {
        _team.Dispose();
        foreach (SlideState state in _states)
            state.Dispose();
        Network.Dispose();
    }

    private void TrainItem(int item, int worker)
    {
        SlideState state = _states[worker];
        int end = Math.Min(_to, _from + ((item + 1) * RowsPerItem));
        for (int i = _from + (item * RowsPerItem); i < end; i++)
        {
            int row = _order[i];
            ReadOnlySpan<int> labels = _data.RowLabels(row), features = _data.RowFeatures(row);
            if (labels.IsEmpty)
                continue;
            double loss;
            fixed (int* ids = features)
            fixed (float* values = _data.RowValues(row))
                loss = Network.Train(state, ids, values, features.Length, labels, _step, _epochNoise + (ulong)row);
            if (double.IsNaN(loss))
                Interlocked.CompareExchange(ref _failed, row, -1);
            else
                state.Loss += loss;
        }
    }

    private void Reset()
    {
        foreach (SlideState state in _states)
        {
            (state.Products, state.BackwardProducts, state.Active) = (0, 0, 0);
            foreach (SlideState.LayerState layer in state.Layers)
                layer.Hashing = 0;
        }
    }
}
