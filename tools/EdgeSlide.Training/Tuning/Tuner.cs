using System.Diagnostics;

namespace EdgeSlide.Training.Tuning;

/// <summary>
/// Searches the settings of candidate selection. From full tables and a large budget it goes down, always by the step that
/// costs the least accuracy for what it saves; that path is the Pareto front. From the cheapest setting on it that keeps the
/// loss, steps and pairs of steps are tried until none saves more. Every choice is made by successive halving: all
/// candidates answer few rows, the better ones more, the last ones all (Jamieson and Talwalkar 2016). Counts decide, not
/// times, so the same data and seed give the same setting.
/// </summary>
internal sealed class Tuner
{
    private const int TimedQueries = 500;
    private const int TimedRounds = 5;
    private const int TimedPoints = 24;

    /// <summary>The path goes on this many points below the limit, to show what lies there.</summary>
    private const double BeyondLimit = 2;

    private const double DefaultTableShare = 0.2;

    private readonly TuningEvaluator _evaluator;
    private readonly TuningSpace _space;
    private readonly TuningOptions _options;
    private readonly TuningSetting? _current;
    private readonly IReadOnlyList<TuningSource> _sources;
    private readonly long _restBytes;
    private readonly Action<TuningProgress>? _report;
    private readonly CancellationToken _cancel;
    private readonly Dictionary<string, Trial> _trials = [];
    private readonly int[] _levels;
    private Trial _dense = null!;
    private Trial? _now;
    private Trial? _best;
    private string _stage = "";
    private int _limit;

    /// <param name="current">The model's own setting; null if it has no tables.</param>
    /// <param name="restBytes">Bytes of the model file without tables.</param>
    public Tuner(TuningEvaluator evaluator, IReadOnlyList<TuningSource> sources, TuningSpace space, TuningSetting? current, long restBytes,
        TuningOptions options, Action<TuningProgress>? report, CancellationToken cancel)
    {
        _evaluator = evaluator;
        _sources = sources;
        _space = space;
        _current = current;
        _restBytes = restBytes;
        _options = options;
        _report = report;
        _cancel = cancel;
        int all = evaluator.RowCount;
        _levels = [.. new SortedSet<int> { Math.Min(all, Math.Max(500, all / 16)), Math.Min(all, Math.Max(2000, all / 4)), all }];
    }

    private int All => _levels[^1];

    private bool Exhausted => _trials.Count >= _limit;

    public TuningResult Run(IReadOnlyList<int[]> starts)
    {
        long started = Stopwatch.GetTimestamp();
        _stage = "reference";
        Report();
        _dense = _evaluator.NewTrial(null, null);
        _evaluator.Extend(_dense, All, _cancel);
        if (_current is not null)
        {
            _now = Try(_space.PointOf(_current));
            Run(_now, All);
        }
        for (int i = 0; i < starts.Count; i++)
        {
            _stage = starts.Count == 1 ? "path" : $"path {i + 1} of {starts.Count}";
            // Every path gets its part, and a part is left for refining what they found.
            _limit = (int)(_options.Trials * 0.7 * (i + 1) / starts.Count);
            Descend(starts[i]);
        }
        _stage = "refining";
        _limit = _options.Trials;
        Refine();
        _stage = "timing";
        Report();
        return Finish(started);
    }

    /// <summary>From an expensive point to ever cheaper ones, until accuracy is far below what is wanted.</summary>
    private void Descend(int[] start)
    {
        if (Exhausted)
            return;
        Trial at = Settle(Try(start));
        Run(at, All);
        while (!Exhausted && Loss(at, All) <= _options.MaxLoss + BeyondLimit)
        {
            var candidates = new List<Trial>();
            for (int d = 0; d < _space.Dimensions.Count; d++)
            {
                if (!_space.Dimensions[d].Costs)
                    continue;
                // Small steps, large ones, and for buckets leaving the source out.
                foreach (int steps in _space.Dimensions[d].Knob == Knob.Cap ? new[] { -1, -2, -4, -8, -1000 } : [-1, -2, -4, -8])
                {
                    if (_space.Move(at.Point!, d, steps) is { } point && !Exhausted)
                        candidates.Add(Try(point));
                }
            }
            Trial from = at;
            Trial? next = Halve(candidates, 3, (trial, rows) =>
            {
                double saved = Math.Log(Cost(from) / Cost(trial));
                double lost = TotalLoss(trial, rows) - TotalLoss(from, rows);
                // What costs no accuracy is taken by what it saves.
                return saved <= 1e-9 ? double.PositiveInfinity : lost > 0 ? lost / saved : -saved;
            });
            if (next is null || next == at)
                return;
            at = Settle(next);
            Run(at, All);
        }
    }

    /// <summary>Tries cheaper neighbours of the cheapest setting that keeps the loss until none keeps it.</summary>
    private void Refine()
    {
        _best = Cheapest();
        while (_best is { } at && !Exhausted)
        {
            double cost = Cost(at);
            var candidates = new List<Trial>();
            foreach (int[] point in Neighbours(at.Point!))
            {
                if (Exhausted)
                    break;
                Trial trial = Try(point);
                if (trial.Rows < All)
                    candidates.Add(trial);
            }
            // On few rows a setting stays in the race while its loss could still be small enough.
            Halve(candidates, 3, (trial, rows) =>
            {
                double over = Math.Max(0, Excess(trial, rows) - (rows < All ? 2 * LossError(trial, rows) : 0));
                return Cost(trial) >= cost ? double.PositiveInfinity : over > 0 ? 1e6 * (1 + over) : Cost(trial);
            });
            Trial? cheapest = Cheapest();
            if (cheapest is null || Cost(cheapest) >= cost)
                return;
            _best = cheapest;
        }
    }

    private IEnumerable<int[]> Neighbours(int[] point)
    {
        for (int d = 0; d < _space.Dimensions.Count; d++)
        {
            foreach (int down in _space.Dimensions[d].Costs ? new[] { -1, -2, -3 } : [-1, 1])
            {
                if (_space.Move(point, d, down) is not { } moved)
                    continue;
                if (_space.Dimensions[d].Costs)
                    yield return moved;
                for (int other = 0; other < _space.Dimensions.Count; other++)
                {
                    if (other == d)
                        continue;
                    foreach (int step in _space.Dimensions[other].Costs ? new[] { 1 } : [-1, 1])
                    {
                        if (_space.Move(moved, other, _space.Dimensions[d].Costs ? step : -1) is { } pair)
                            yield return pair;
                    }
                }
            }
        }
    }

    /// <summary>Moves the knobs that cost nothing to where answers are best.</summary>
    private Trial Settle(Trial at)
    {
        int rows = _levels[Math.Min(1, _levels.Length - 1)];
        Run(at, rows);
        bool moved = true;
        while (moved && !Exhausted)
        {
            moved = false;
            for (int d = 0; d < _space.Dimensions.Count; d++)
            {
                if (_space.Dimensions[d].Costs)
                    continue;
                foreach (int step in new[] { -1, 1 })
                {
                    if (Exhausted || _space.Move(at.Point!, d, step) is not { } point)
                        continue;
                    Trial trial = Try(point);
                    Run(trial, rows);
                    if (TotalLoss(trial, rows) < TotalLoss(at, rows) - 1e-9)
                        (at, moved) = (trial, true);
                }
            }
        }
        return at;
    }

    /// <summary>Successive halving: the candidate with the lowest score on all rows; null if there is none with a finite one.</summary>
    private Trial? Halve(List<Trial> candidates, int divisor, Func<Trial, int, double> score)
    {
        List<(Trial Trial, double Score)> ranked = [.. candidates.Distinct().Select(trial => (trial, 0.0))];
        foreach (int rows in _levels)
        {
            for (int i = 0; i < ranked.Count; i++)
            {
                Run(ranked[i].Trial, rows);
                ranked[i] = (ranked[i].Trial, score(ranked[i].Trial, rows));
            }
            ranked = [.. ranked.Where(r => double.IsFinite(r.Score)).OrderBy(r => r.Score)];
            if (rows < All)
                ranked = [.. ranked.Take(Math.Max(2, (ranked.Count + divisor - 1) / divisor))];
        }
        return ranked.Count == 0 ? null : ranked[0].Trial;
    }

    private Trial Try(int[] point)
    {
        string key = TuningSpace.Key(point);
        if (_trials.TryGetValue(key, out Trial? known))
            return known;
        Trial trial = _evaluator.NewTrial(point, _space.SettingOf(point));
        _trials.Add(key, trial);
        Report();
        return trial;
    }

    private void Run(Trial trial, int rows)
    {
        _cancel.ThrowIfCancellationRequested();
        bool wasWhole = trial.Rows >= All;
        _evaluator.Extend(trial, rows, _cancel);
        if (!wasWhole && trial.Rows >= All && Keeps(trial) && (_best is null || Cost(trial) < Cost(_best)))
            _best = trial;
    }

    // Both references are the better of evaluating everything and what the model does now.
    private Trial ReferenceForP1 => _now is not null && _now.P1(All) > _dense.P1(All) ? _now : _dense;

    private Trial ReferenceForP5 => _now is not null && _now.P5(All) > _dense.P5(All) ? _now : _dense;

    private double LossP1(Trial trial, int rows) => 100 * (ReferenceForP1.P1(rows) - trial.P1(rows));

    private double LossP5(Trial trial, int rows) => 100 * (ReferenceForP5.P5(rows) - trial.P5(rows));

    private double? LossPsp1(Trial trial, int rows) => !_evaluator.WatchesTail ? null
        : 100 * (Math.Max(_evaluator.Psp1(_dense, rows), _now is null ? 0 : _evaluator.Psp1(_now, rows)) - _evaluator.Psp1(trial, rows));

    private double Loss(Trial trial, int rows) => Math.Max(LossP1(trial, rows), LossP5(trial, rows));

    private double TotalLoss(Trial trial, int rows) => LossP1(trial, rows) + LossP5(trial, rows);

    /// <summary>How far a trial is beyond what may be lost, in points; at most 0 if it keeps the loss.</summary>
    private double Excess(Trial trial, int rows) => Math.Max(Loss(trial, rows) - _options.MaxLoss, LossPsp1(trial, rows) is { } tail ? tail - _options.MaxTailLoss : double.NegativeInfinity);

    private bool Keeps(Trial trial) => Excess(trial, All) <= 1e-9 && Share(trial) <= (_options.MaxTableShare ?? Math.Max(DefaultTableShare, _now is null ? 0 : Share(_now)));

    /// <summary>The part of the model file that the trial's tables would take.</summary>
    private double Share(Trial trial) => trial.TableBytes / (double)(_restBytes + trial.TableBytes);

    /// <summary>Standard error of the loss of P@1 in points: rows that both get right or both wrong add nothing.</summary>
    private double LossError(Trial trial, int rows)
    {
        byte[] a = ReferenceForP1.Hits, b = trial.Hits;
        long sum = 0, squares = 0;
        for (int i = 0; i < rows; i++)
        {
            int difference = (a[i] & 1) - (b[i] & 1);
            sum += difference;
            squares += difference * difference;
        }
        double mean = sum / (double)rows;
        return 100 * Math.Sqrt(Math.Max(0, squares / (double)rows - mean * mean) / rows);
    }

    private double Cost(Trial trial)
    {
        if (trial.Rows == 0)
            Run(trial, _levels[0]);
        return _options.Objective switch
        {
            TuningObjective.Multiplications => trial.MeanMultiplications,
            // Equal tables still cost more or less to use.
            TuningObjective.Size => trial.TableBytes + 1e-3 * trial.MeanBytes,
            _ => trial.MeanBytes + 1e-3 * trial.MeanMultiplications,
        };
    }

    private Trial? Cheapest() => _trials.Values.Where(t => t.Rows >= All && Keeps(t)).OrderBy(Cost).ThenBy(t => t.TableBytes).ThenBy(t => TotalLoss(t, All)).FirstOrDefault();

    private TuningResult Finish(long started)
    {
        List<Trial> whole = [.. _trials.Values.Where(t => t.Rows >= All)];
        List<Trial> front = Front(whole);
        Trial? chosen = Cheapest();
        List<Trial> timed = [.. Spread(front, TimedPoints)];
        foreach (Trial? extra in new[] { chosen, _now, _dense })
        {
            if (extra is not null && !timed.Contains(extra))
                timed.Add(extra);
        }
        if (_options.Objective == TuningObjective.Time)
        {
            List<Trial> quick = [.. whole.Where(Keeps).OrderBy(Cost).Take(TimedPoints)];
            timed.AddRange(quick.Where(t => !timed.Contains(t)));
            _evaluator.MeasureTimes(timed, TimedQueries, TimedRounds, _cancel);
            chosen = timed.Where(t => t.Setting is not null && t.Rows >= All && Keeps(t)).OrderBy(t => t.Nanoseconds).FirstOrDefault();
        }
        else
        {
            _evaluator.MeasureTimes(timed, TimedQueries, TimedRounds, _cancel);
        }
        Trial? nearest = whole.OrderBy(t => Excess(t, All)).ThenBy(Cost).FirstOrDefault();
        return new TuningResult([.. _sources.Select(s => s.Name)], All, _trials.Count, Stopwatch.GetElapsedTime(started).TotalSeconds, _options, _restBytes + (chosen?.TableBytes ?? 0),
            PointOf(_dense), _now is null ? null : PointOf(_now), chosen is null ? null : PointOf(chosen), chosen is null ? 0 : LossError(chosen, All), nearest is null ? null : PointOf(nearest),
            [.. front.Select(PointOf)], [.. whole.Select(PointOf)]);
    }

    /// <summary>Trials that no other one beats in both cost and total loss, cheapest first.</summary>
    private List<Trial> Front(List<Trial> trials)
    {
        var front = new List<Trial>();
        double best = double.PositiveInfinity;
        foreach (Trial trial in trials.OrderBy(Cost).ThenBy(t => TotalLoss(t, All)))
        {
            if (TotalLoss(trial, All) >= best)
                continue;
            best = TotalLoss(trial, All);
            front.Add(trial);
        }
        return front;
    }

    private static IEnumerable<Trial> Spread(List<Trial> trials, int most) =>
        trials.Count <= most ? trials : Enumerable.Range(0, most).Select(i => trials[(int)((long)i * (trials.Count - 1) / (most - 1))]).Distinct();

    private TuningPoint PointOf(Trial t) => new(t.Setting, t.P1(All), t.P5(All), _evaluator.WatchesTail ? _evaluator.Psp1(t, All) : null,
        LossP1(t, All), LossP5(t, All), LossPsp1(t, All), t.MeanMultiplications, t.MeanBytes, t.MeanNeurons, t.TableBytes, t.Nanoseconds > 0 ? t.Nanoseconds : null);

    private void Report()
    {
        string best = _best is null ? "" : $"{_best.MeanNeurons:F1} neurons, {_best.MeanBytes:N0} bytes, {_best.MeanMultiplications:N0} multiplications";
        _report?.Invoke(new TuningProgress(_stage, _trials.Count, _options.Trials, best));
    }
}
