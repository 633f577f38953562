using EdgeSlide.Energy.Meter;
using EdgeSlide.Energy.Protocol;
using EdgeSlide.Energy.Sensors;
using EdgeSlide.Energy.Traces;

namespace EdgeSlide.Energy;

/// <summary>
/// The measurement protocol: idle baseline, warm-up, interleaved windows, idle baseline. One window holds many inferences,
/// because a single one is far shorter than any power sensor's conversion.
/// </summary>
public sealed class EnergyMeasurement
{
    private readonly MeasurementPlan _plan;
    private readonly MeasurementClock _clock;
    private readonly SysfsTree _tree;
    private readonly IProcessRunner _runner;

    /// <summary>A measurement on this machine.</summary>
    /// <exception cref="EnergyException">The plan is out of range.</exception>
    public EnergyMeasurement(MeasurementPlan plan, string root = "/")
        : this(plan, MeasurementClock.System, new SysfsTree(root), new ProcessRunner())
    {
    }

    internal EnergyMeasurement(MeasurementPlan plan, MeasurementClock clock, SysfsTree tree, IProcessRunner runner)
    {
        plan.Validate();
        _plan = plan;
        _clock = clock;
        _tree = tree;
        _runner = runner;
    }

    /// <summary>Optional pulses at window edges.</summary>
    public GpioTrigger? Trigger { get; init; }

    /// <summary>Receives one line per trigger event and phase. Called between windows only.</summary>
    public Action<string>? Progress { get; init; }

    /// <summary>Measures with a live sensor.</summary>
    /// <exception cref="EnergyException">The sensor is lost or its readings cannot be an energy.</exception>
    public EnergyReport Run(ISensor sensor, IWorkload workload)
    {
        ArgumentNullException.ThrowIfNull(sensor);
        ArgumentNullException.ThrowIfNull(workload);
        double rate = Math.Min(_plan.SampleRateHz, sensor.Info.MaxSampleRateHz);
        using var environment = new EnvironmentMonitor(_tree, _runner, every: (int)Math.Ceiling(rate));
        using var session = new SamplingSession(sensor, _clock, rate, PlannedSeconds(workload), environment);
        RunRecord run = Execute(workload, session, environment);
        session.Stop();
        return EnergyAnalysis.Analyze(run, session.Recording, _plan, session.Quality, RunContext.Capture(environment, Trigger));
    }

    /// <summary>
    /// Runs the windows for an external meter and returns the text of a marks file for <see cref="Replay"/>: when each
    /// window began and ended, and how many inferences it held.
    /// </summary>
    public string RunForExternalMeter(IWorkload workload)
    {
        ArgumentNullException.ThrowIfNull(workload);
        using var environment = new EnvironmentMonitor(_tree, _runner, every: 1);
        return MarksFile.Format(Execute(workload, null, environment));
    }

    /// <summary>Combines an external meter's recording with the marks of the run that it recorded.</summary>
    /// <exception cref="EnergyException">Either file is malformed or they do not belong together.</exception>
    public static EnergyReport Replay(string traceFile, string marksFile, TraceOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        RunRecord run = MarksFile.Read(marksFile);
        Trace trace = TraceReader.Read(traceFile, options);
        Recording recording = TraceAlignment.Align(trace, run, out string alignment);
        TimeSpan Shortest(PhaseKind kind)
        {
            double seconds = double.PositiveInfinity;
            foreach (Phase phase in run.PhasesOf(kind))
                seconds = Math.Min(seconds, phase.Seconds);
            return double.IsFinite(seconds) ? TimeSpan.FromSeconds(seconds) : TimeSpan.Zero;
        }
        var plan = new MeasurementPlan
        {
            Windows = run.Windows.Count / run.Variants.Count,
            WindowLength = Shortest(PhaseKind.Window),
            WarmUp = Shortest(PhaseKind.WarmUp),
            Idle = Shortest(PhaseKind.Idle),
            SampleRateHz = trace.RateHz,
        };
        var quality = new SamplingQuality(trace.RateHz, trace.Times.Length, 0, null, null, null);
        return EnergyAnalysis.Analyze(run, recording, plan, quality, new RunContext(null, null, null, alignment));
    }

    /// <summary>
    /// Measures a loop that answers once per period and sleeps in between, for products that live on a battery.
    /// </summary>
    /// <param name="sensor">The sensor.</param>
    /// <param name="workload">Asked for exactly one inference per period.</param>
    /// <param name="variant">Index of the variant to run.</param>
    /// <param name="period">Time from one answer to the next.</param>
    /// <param name="duration">How long to measure.</param>
    public DutyCycleReport RunDutyCycle(ISensor sensor, IWorkload workload, int variant, TimeSpan period, TimeSpan duration)
    {
        ArgumentNullException.ThrowIfNull(sensor);
        ArgumentNullException.ThrowIfNull(workload);
        long cycles = (long)Math.Floor(duration / period);
        if (period < TimeSpan.FromMilliseconds(1) || cycles < 1)
            throw new EnergyException($"a period of {period.TotalSeconds:0.###} s does not fit a measurement of {duration.TotalSeconds:0.###} s: give at least 1 ms and one whole period");
        double rate = Math.Min(_plan.SampleRateHz, sensor.Info.MaxSampleRateHz);
        using var environment = new EnvironmentMonitor(_tree, _runner, every: (int)Math.Ceiling(rate));
        using var session = new SamplingSession(sensor, _clock, rate, duration.TotalSeconds + _plan.WarmUp.TotalSeconds + 1, environment);
        workload.Run(variant, 0, new Deadline(_clock, _clock.Now + (long)_plan.WarmUp.TotalNanoseconds, session.Sampler));

        session.Sampler.SampleNow();
        long step = (long)period.TotalNanoseconds, from = _clock.Now, active = 0, inferences = 0, late = 0;
        for (long i = 0; i < cycles && !session.Sampler.IsLost; i++)
        {
            long start = _clock.Now;
            inferences += workload.Run(variant, (int)(i % int.MaxValue), new Deadline(_clock, start, session.Sampler));
            long now = _clock.Now, due = from + ((i + 1) * step);
            active += now - start;
            if (now > due)
                late++;
            _clock.WaitUntil(due);
        }
        long to = _clock.Now;
        session.Sampler.SampleNow();
        session.Stop();
        session.ThrowIfLost("the duty cycle");
        EnergyIntegral energy = session.Recording.Integrate(from, to);
        EnergyAnalysis.RequirePositive(energy.Joules, sensor.Info);
        return new DutyCycleReport(sensor.Info, workload.Variants[variant], period, cycles, inferences, energy.Joules / ((to - from) * 1e-9), active * 1e-9 / cycles, late, session.Quality);
    }

    private double PlannedSeconds(IWorkload workload) =>
        (2 * _plan.Idle.TotalSeconds) + (workload.Variants.Count * (_plan.WarmUp.TotalSeconds + (_plan.Windows * (_plan.Pause + _plan.WindowLength).TotalSeconds)));

    private RunRecord Execute(IWorkload workload, SamplingSession? session, EnvironmentMonitor environment)
    {
        if (workload.Variants.Count == 0)
            throw new EnergyException("the workload has no variant to measure");
        var run = new RunRecord(workload.Variants, DateTimeOffset.UtcNow, _clock.Now);
        Idle(run, 1, session);
        for (int v = 0; v < workload.Variants.Count; v++)
        {
            long from = _clock.Now;
            long count = workload.Run(v, 0, DeadlineAfter(_plan.WarmUp, session));
            run.Phases.Add(new Phase(PhaseKind.WarmUp, v, 1, from, _clock.Now, count, 0, null, 0));
            session?.ThrowIfLost("the warm-up");
        }
        GC.Collect();
        int events = 0;
        for (int w = 0; w < _plan.Windows; w++)
        {
            // A-B, B-A, ...: a slow drift of temperature or voltage then hits both variants alike.
            for (int k = 0; k < workload.Variants.Count; k++)
            {
                int variant = w % 2 == 0 ? k : workload.Variants.Count - 1 - k;
                Phase window = Window(workload, variant, w, events + 1, session, environment);
                events += 2;
                run.Phases.Add(window);
                session?.ThrowIfLost($"window {w + 1} of {workload.Variants[variant]}");
                Progress?.Invoke($"event {window.StartEvent} at {run.SecondsAt(window.From):F6} s, event {window.EndEvent} at {run.SecondsAt(window.To):F6} s: " +
                    $"window {w + 1}/{_plan.Windows} {workload.Variants[variant]}, {window.Inferences} inferences");
            }
        }
        Idle(run, 2, session);
        return run;
    }

    private Phase Window(IWorkload workload, int variant, int number, int startEvent, SamplingSession? session, EnvironmentMonitor environment)
    {
        _clock.WaitUntil(_clock.Now + (long)_plan.Pause.TotalNanoseconds);
        environment.Reset();
        int collections = GC.CollectionCount(0);
        session?.Sampler.SampleNow();
        long from = Trigger?.Fire(_clock) ?? _clock.Now;
        long count = workload.Run(variant, number, DeadlineAfter(_plan.WindowLength, session));
        long to = Trigger?.Fire(_clock) ?? _clock.Now;
        session?.Sampler.SampleNow();
        collections = GC.CollectionCount(0) - collections;
        if (count < 1)
            throw new EnergyException($"the workload ran no inference in window {number + 1}");
        return new Phase(PhaseKind.Window, variant, number + 1, from, to, count, startEvent, environment.Take(), collections);
    }

    private void Idle(RunRecord run, int number, SamplingSession? session)
    {
        session?.Sampler.SampleNow();
        long from = _clock.Now;
        _clock.WaitUntil(from + (long)_plan.Idle.TotalNanoseconds);
        long to = _clock.Now;
        session?.Sampler.SampleNow();
        run.Phases.Add(new Phase(PhaseKind.Idle, -1, number, from, to, 0, 0, null, 0));
        session?.ThrowIfLost("the idle baseline");
    }

    private Deadline DeadlineAfter(TimeSpan time, SamplingSession? session) => new(_clock, _clock.Now + (long)time.TotalNanoseconds, session?.Sampler);
}
