using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using EdgeSlide.Energy.Meter;

namespace EdgeSlide.Energy.Reports;

/// <summary>The report as lines of text: gross energy first, net second, then where it came from.</summary>
internal static class ReportText
{
    public static string Format(EnergyReport report)
    {
        var text = new StringBuilder();
        void Line(FormattableString line) => text.Append(line.ToString(CultureInfo.InvariantCulture)).Append('\n');

        Line($"energy per inference, microjoules (median of {report.Variants[0].Windows} windows, 95% interval)");
        foreach (VariantResult v in report.Variants)
            Line($"  {v.Name,-8} gross {Significant(v.GrossMedianMicrojoules),12} [{Significant(v.GrossInterval.Low)}, {Significant(v.GrossInterval.High)}]");
        foreach (VariantResult v in report.Variants)
            Line($"  {v.Name,-8} net   {Significant(v.NetMedianMicrojoules),12} [{Significant(v.NetInterval.Low)}, {Significant(v.NetInterval.High)}] idle power subtracted");
        if (report.Ratio is double ratio && report.RatioInterval is Interval interval)
            Line($"  {report.Variants[0].Name} over {report.Variants[1].Name}: {ratio:0.####} [{interval.Low:0.####}, {interval.High:0.####}] of the gross energy");
        foreach (VariantResult v in report.Variants)
            Line($"  {v.Name,-8} {v.AverageWatts:0.####} W, {v.MicrosecondsPerInference:0.###} us per inference, {v.Inferences} inferences");
        Line($"idle      {report.IdlePowerWatts:0.####} W (before {report.IdlePowerBeforeWatts:0.####}, after {report.IdlePowerAfterWatts:0.####})");
        Line($"sensor    {report.Sensor.Id} ({report.Sensor.Driver}), rail {report.Sensor.Rail}");
        if (report.Sensor.Note is string note)
            Line($"          {note}");
        Line($"          resolution {Known(report.Sensor.Resolution, report.Sensor.Unit)}, new value every {Known(report.Sensor.UpdateInterval?.TotalMilliseconds, "ms")}");
        Line($"sampling  {report.Quality.RateHz:0.###} Hz, {report.Quality.Samples} samples, {report.Quality.Dropped} dropped");
        if (report.Quality.CpuShare is double cpu)
            Line($"          {cpu * 100:0.###}% of a core, {report.Quality.BusyShare * 100:0.###}% of the time within readings, {report.Quality.AllocatedBytes} bytes allocated");
        if (report.Context.Trigger is string trigger)
            Line($"trigger   {trigger}, events 1 to {LastEvent(report)}");
        if (report.Context.Alignment is string alignment)
            Line($"aligned   {alignment}");
        Line($"machine   {report.Context.Board ?? "board unknown"}, {RuntimeInformation.OSArchitecture.ToString().ToLowerInvariant()}, {RuntimeInformation.OSDescription}, governor {report.Context.Governor ?? "unknown"}{Conditions(report)}");
        Line($"run       {report.Started.UtcDateTime:yyyy-MM-dd HH:mm:ss} UTC, windows of {report.Plan.WindowLength.TotalSeconds:0.###} s, idle {report.Plan.Idle.TotalSeconds:0.###} s, warm-up {report.Plan.WarmUp.TotalSeconds:0.###} s, bootstrap seed {Statistics.Seed}");
        foreach ((string key, string value) in report.Notes)
            Line($"{key,-9} {value}");
        foreach (string flag in report.Flags)
            Line($"warning   {flag}");
        return text.ToString();
    }

    private static int LastEvent(EnergyReport report)
    {
        int last = 0;
        foreach (WindowResult window in report.Windows)
            last = Math.Max(last, window.EndEvent);
        return last;
    }

    private static string Conditions(EnergyReport report)
    {
        if (EnvironmentSummary.Of(report.Windows) is not { All: var all } summary)
            return "";
        string text = "";
        if (double.IsFinite(all.MinMegahertz))
            text += string.Create(CultureInfo.InvariantCulture, $", {all.MinMegahertz:0} to {all.MaxMegahertz:0} MHz");
        if (double.IsFinite(all.MinCelsius))
            text += string.Create(CultureInfo.InvariantCulture, $", {all.MinCelsius:0.0} to {all.MaxCelsius:0.0} degrees C");
        if (summary.Last.Throttled is uint throttled)
            text += $", throttled=0x{throttled:x}";
        return text;
    }

    private static string Known(double? value, string unit) => value is double known ? string.Create(CultureInfo.InvariantCulture, $"{known:G4} {unit}") : "unknown";

    /// <summary>Five significant digits without an exponent.</summary>
    private static string Significant(double value)
    {
        int decimals = Math.Abs(value) < 1e-9 ? 0 : Math.Clamp(4 - (int)Math.Floor(Math.Log10(Math.Abs(value))), 0, 9);
        return value.ToString("F" + decimals.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
    }
}
