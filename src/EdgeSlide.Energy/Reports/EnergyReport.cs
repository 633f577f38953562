using System.Text;
using System.Text.Json;
using EdgeSlide.Energy.Meter;
using EdgeSlide.Energy.Protocol;
using EdgeSlide.Energy.Reports;

namespace EdgeSlide.Energy;

/// <summary>A 95% confidence interval.</summary>
/// <param name="Low">Lower bound.</param>
/// <param name="High">Upper bound.</param>
public readonly record struct Interval(double Low, double High);

/// <summary>How well the sampling went.</summary>
/// <param name="RateHz">Readings per second aimed at.</param>
/// <param name="Samples">Readings recorded.</param>
/// <param name="Dropped">Ticks skipped and readings failed.</param>
/// <param name="CpuShare">CPU time of the sampling thread over wall time; null for a replay.</param>
/// <param name="BusyShare">Wall time within readings over wall time, bus waits included; null for a replay.</param>
/// <param name="AllocatedBytes">Managed bytes allocated by the sampling thread; null for a replay.</param>
public sealed record SamplingQuality(double RateHz, long Samples, long Dropped, double? CpuShare, double? BusyShare, long? AllocatedBytes);

/// <summary>Result of one way of doing the work. Microjoules per inference unless said otherwise.</summary>
/// <param name="Name">The workload's name for it.</param>
/// <param name="GrossMedianMicrojoules">Median over the windows, nothing subtracted.</param>
/// <param name="GrossInterval">95% bootstrap interval of that median.</param>
/// <param name="NetMedianMicrojoules">Median with the idle power subtracted.</param>
/// <param name="NetInterval">95% bootstrap interval of that median; the idle power's own error is not in it.</param>
/// <param name="Windows">Windows measured.</param>
/// <param name="Inferences">Inferences in them.</param>
/// <param name="AverageWatts">Mean power within them.</param>
/// <param name="MicrosecondsPerInference">Mean time.</param>
public sealed record VariantResult(
    string Name, double GrossMedianMicrojoules, Interval GrossInterval, double NetMedianMicrojoules, Interval NetInterval, int Windows, long Inferences,
    double AverageWatts, double MicrosecondsPerInference);

/// <summary>One window.</summary>
internal sealed record WindowResult(
    int Number, string Variant, double StartSeconds, double Seconds, long Inferences, double Joules, double StandardErrorJoules, double GrossMicrojoules,
    double NetMicrojoules, int Samples, double MaxGapSeconds, int StartEvent, int EndEvent, EnvironmentReading? Environment);

/// <summary>Energy per inference with everything needed to judge and to repeat it.</summary>
public sealed class EnergyReport
{
    internal EnergyReport(RunRecord run, Recording recording, IReadOnlyList<WindowResult> windows, RunContext context)
    {
        Run = run;
        Recording = recording;
        Windows = windows;
        Context = context;
    }

    /// <summary>Where the power came from.</summary>
    public required SensorInfo Sensor { get; init; }

    /// <summary>When the run began.</summary>
    public required DateTimeOffset Started { get; init; }

    /// <summary>The plan that was followed.</summary>
    public required MeasurementPlan Plan { get; init; }

    /// <summary>How well the sampling went.</summary>
    public required SamplingQuality Quality { get; init; }

    /// <summary>Results in the workload's order of variants.</summary>
    public required IReadOnlyList<VariantResult> Variants { get; init; }

    /// <summary>Gross energy of the first variant over the second, by medians; null unless there are two.</summary>
    public required double? Ratio { get; init; }

    /// <summary>95% bootstrap interval of <see cref="Ratio"/>, windows drawn in pairs.</summary>
    public required Interval? RatioInterval { get; init; }

    /// <summary>Mean of the idle power before and after, watts.</summary>
    public required double IdlePowerWatts { get; init; }

    /// <summary>Idle power before the windows, watts.</summary>
    public required double IdlePowerBeforeWatts { get; init; }

    /// <summary>Idle power after the windows, watts.</summary>
    public required double IdlePowerAfterWatts { get; init; }

    /// <summary>What makes the figures less certain than the interval says, one line each.</summary>
    public required IReadOnlyList<string> Flags { get; init; }

    /// <summary>Facts the caller adds for repetition: model, checksum, command line. Shown as they stand.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Notes { get; set; } = [];

    internal IReadOnlyList<WindowResult> Windows { get; }

    internal RunRecord Run { get; }

    internal Recording Recording { get; }

    internal RunContext Context { get; }

    /// <summary>The report for people.</summary>
    public string ToText() => ReportText.Format(this);

    /// <summary>The report for programs, one JSON object.</summary>
    public string ToJson(bool indented = true)
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = indented }))
            ReportJson.Write(this, writer);
        return Encoding.UTF8.GetString(stream.GetBuffer(), 0, (int)stream.Length);
    }

    /// <summary>Every raw sample as CSV: seconds since the start, watts or joules, phase, variant, window.</summary>
    public string ToSamplesCsv() => PowerPlot.Samples(this);

    /// <summary>Power over time with the windows marked, a self-contained picture.</summary>
    public string ToSvg() => PowerPlot.Svg(this);

    /// <summary>The picture and the report as one self-contained page.</summary>
    public string ToHtml() => PowerPlot.Html(this);
}
