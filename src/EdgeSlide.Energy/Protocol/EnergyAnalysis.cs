using System.Globalization;
using EdgeSlide.Energy.Meter;
using EdgeSlide.Energy.Sensors;

namespace EdgeSlide.Energy.Protocol;

/// <summary>Board state that belongs into the report.</summary>
internal sealed record RunContext(string? Board, string? Governor, string? Trigger, string? Alignment)
{
    public static RunContext Capture(EnvironmentMonitor environment, GpioTrigger? trigger) =>
        new(environment.Model, environment.Governor, trigger is null ? null : $"{trigger.Name}, {(trigger.Polarity == TriggerPolarity.Falling ? "falling" : "rising")} edge", null);
}

/// <summary>Turns a run and a recording into a report: energies per window, medians, intervals, and what to distrust.</summary>
internal static class EnergyAnalysis
{
    public static EnergyReport Analyze(RunRecord run, Recording recording, MeasurementPlan plan, SamplingQuality quality, RunContext context)
    {
        List<Phase> idle = run.PhasesOf(PhaseKind.Idle);
        if (idle.Count < 2)
            throw new EnergyException("the run has no idle baseline before and after its windows");
        double[] idleWatts = [.. idle.ConvertAll(p => recording.Integrate(p.From, p.To).Joules / p.Seconds)];
        double idlePower = (idleWatts[0] + idleWatts[^1]) / 2;

        var windows = new List<WindowResult>();
        foreach (Phase phase in run.Windows)
        {
            EnergyIntegral energy = recording.Integrate(phase.From, phase.To);
            RequirePositive(energy.Joules, recording.Sensor);
            windows.Add(new WindowResult(phase.Number, run.Variants[phase.Variant], run.SecondsAt(phase.From), phase.Seconds, phase.Inferences, energy.Joules,
                energy.StandardError, energy.Joules / phase.Inferences * 1e6, (energy.Joules - (idlePower * phase.Seconds)) / phase.Inferences * 1e6,
                energy.Samples, energy.MaxGap * 1e-9, phase.StartEvent, phase.EndEvent, phase.Environment));
        }
        var variants = new VariantResult[run.Variants.Count];
        for (int v = 0; v < variants.Length; v++)
            variants[v] = Summarize(run.Variants[v], WindowsOf(run.Variants[v], windows), idlePower);
        double? ratio = null;
        Interval? ratioInterval = null;
        if (variants.Length == 2)
        {
            WindowResult[] a = WindowsOf(run.Variants[0], windows), b = WindowsOf(run.Variants[1], windows);
            Array.Sort(a, (x, y) => x.Number.CompareTo(y.Number));
            Array.Sort(b, (x, y) => x.Number.CompareTo(y.Number));
            ratio = variants[0].GrossMedianMicrojoules / variants[1].GrossMedianMicrojoules;
            ratioInterval = Statistics.MedianRatioInterval(PerInference(a), Errors(a), PerInference(b), Errors(b));
        }
        return new EnergyReport(run, recording, windows, context)
        {
            Sensor = recording.Sensor,
            Started = run.Started,
            Plan = plan,
            Quality = quality,
            Variants = variants,
            Ratio = ratio,
            RatioInterval = ratioInterval,
            IdlePowerWatts = idlePower,
            IdlePowerBeforeWatts = idleWatts[0],
            IdlePowerAfterWatts = idleWatts[^1],
            Flags = [.. Flags(run, windows, variants, idleWatts, plan, quality)],
        };
    }

    /// <summary>Power that is not positive is a wiring fault, never an energy.</summary>
    public static void RequirePositive(double joules, SensorInfo sensor)
    {
        if (!(joules > 0) || !double.IsFinite(joules))
        {
            throw new EnergyException(string.Create(CultureInfo.InvariantCulture,
                $"sensor {sensor.Id} measured {joules:G4} J in a window, which cannot be: the shunt is wired the wrong way round, or nothing is connected behind it"));
        }
    }

    private static VariantResult Summarize(string name, WindowResult[] windows, double idlePower)
    {
        double[] gross = PerInference(windows), errors = Errors(windows), net = Array.ConvertAll(windows, w => w.NetMicrojoules);
        double seconds = 0, joules = 0;
        long inferences = 0;
        foreach (WindowResult window in windows)
        {
            seconds += window.Seconds;
            joules += window.Joules;
            inferences += window.Inferences;
        }
        return new VariantResult(name, Statistics.Median(gross), Statistics.MedianInterval(gross, errors), Statistics.Median(net), Statistics.MedianInterval(net, errors),
            windows.Length, inferences, joules / seconds, seconds / inferences * 1e6);
    }

    private static WindowResult[] WindowsOf(string variant, List<WindowResult> windows) => [.. windows.FindAll(w => w.Variant == variant)];

    private static double[] PerInference(WindowResult[] windows) => Array.ConvertAll(windows, w => w.GrossMicrojoules);

    private static double[] Errors(WindowResult[] windows) => Array.ConvertAll(windows, w => w.StandardErrorJoules / w.Inferences * 1e6);

    private static IEnumerable<string> Flags(RunRecord run, List<WindowResult> windows, VariantResult[] variants, double[] idle, MeasurementPlan plan, SamplingQuality quality)
    {
        if (!plan.MeetsMlperfTiny)
            yield return F($"short: {plan.Windows} windows of {plan.WindowLength.TotalSeconds:0.###} s; MLPerf Tiny asks for 5 of at least 10 s");
        if (plan.Windows < 5)
            yield return F($"interval: {plan.Windows} windows are too few for a 95% interval; read it as a range");
        if (Math.Abs(idle[0] - idle[^1]) > 0.05 * Math.Max(Math.Abs(idle[0]), Math.Abs(idle[^1])))
            yield return F($"idle-drift: {idle[0]:0.####} W before, {idle[^1]:0.####} W after; the idle-subtracted figures are uncertain by that much");
        foreach (VariantResult variant in variants)
        {
            double min = double.PositiveInfinity, max = double.NegativeInfinity;
            foreach (WindowResult window in WindowsOf(variant.Name, windows))
            {
                min = Math.Min(min, window.GrossMicrojoules);
                max = Math.Max(max, window.GrossMicrojoules);
            }
            if (max > 1.1 * min)
                yield return F($"spread: {variant.Name} ranges from {min:G4} to {max:G4} uJ over its windows; other load, another clock, or inputs that cost differently");
            if (variant.NetMedianMicrojoules <= 0)
                yield return F($"net: {variant.Name} draws no more than the idle baseline; the idle-subtracted figure means nothing");
        }
        long due = quality.Samples + quality.Dropped;
        if (quality.Dropped > 0.01 * due)
            yield return F($"dropped: {quality.Dropped} of {due} readings are missing");
        double gap = 0;
        foreach (WindowResult window in windows)
            gap = Math.Max(gap, window.MaxGapSeconds);
        if (gap > 10 / quality.RateHz)
            yield return F($"gap: up to {gap:0.###} s between neighbouring samples, filled by a straight line");
        if (quality.CpuShare > 0.01)
            yield return F($"overhead: sampling took {quality.CpuShare.Value * 100:0.##}% of a core; lower the rate");
        foreach (string flag in EnvironmentFlags(windows))
            yield return flag;
        int collections = 0;
        foreach (Phase window in run.Windows)
            collections += window.Collections;
        if (collections > 0)
            yield return F($"gc: {collections} garbage collections ran within windows");
    }

    private static IEnumerable<string> EnvironmentFlags(List<WindowResult> windows)
    {
        if (EnvironmentSummary.Of(windows) is not { } summary)
            yield break;
        (EnvironmentReading first, EnvironmentReading last, EnvironmentReading all) = (summary.First, summary.Last, summary.All);
        if (all.MaxMegahertz > 1.01 * all.MinMegahertz)
            yield return F($"clock: cores ran between {all.MinMegahertz:0} and {all.MaxMegahertz:0} MHz; pin the frequency (firmware-configs)");
        double rise = last.MaxCelsius - first.MaxCelsius;
        if (Math.Abs(rise) > 10)
            yield return F($"temperature: {first.MaxCelsius:0.0} to {last.MaxCelsius:0.0} degrees C over the run; leakage grows with it");
        // Bits 0-3 are the present state, 16-19 the same since boot (raspberrypi documentation, get_throttled).
        uint now = all.Throttled ?? 0;
        if ((now & 0xF) != 0)
            yield return F($"throttled: firmware reports 0x{now:x} (bit 0 under-voltage, 1 frequency cap, 2 throttled, 3 temperature limit); do not use these figures");
        else if (first.Throttled is uint before && last.Throttled is uint after && (after & ~before) != 0)
            yield return F($"throttled: firmware set 0x{after & ~before:x} during the run; do not use these figures");
    }

    private static string F(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
