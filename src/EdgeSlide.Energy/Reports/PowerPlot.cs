using System.Globalization;
using System.Net;
using System.Text;
using EdgeSlide.Energy.Meter;
using EdgeSlide.Energy.Protocol;

namespace EdgeSlide.Energy.Reports;

/// <summary>Raw samples as CSV, and power over time as a self-contained SVG or HTML file with the windows marked.</summary>
internal static class PowerPlot
{
    private const int Width = 1100, Height = 360, Left = 64, Right = 16, Top = 34, Bottom = 44;
    private const int MaxColumns = 1500;

    private static readonly string[] Colours = ["#2f7ed8", "#d86a2f", "#4a9a4a", "#8a5cc2"];

    public static string Samples(EnergyReport report)
    {
        Recording recording = report.Recording;
        var text = new StringBuilder("time_s,").Append(recording.Sensor.Quantity == SensorQuantity.Power ? "power_w" : "energy_j").Append(",phase,variant,number\n");
        for (int i = 0; i < recording.Times.Length; i++)
        {
            Phase? phase = report.Run.Phases.Find(p => recording.Times[i] >= p.From && recording.Times[i] <= p.To);
            text.Append(CultureInfo.InvariantCulture, $"{report.Run.SecondsAt(recording.Times[i]):F9},{recording.Values[i]:G10},");
            text.Append(phase?.Kind switch { PhaseKind.Idle => "idle", PhaseKind.WarmUp => "warm-up", PhaseKind.Window => "window", _ => "" }).Append(',');
            text.Append(phase is { Variant: >= 0 } ? report.Run.Variants[phase.Variant] : "").Append(',');
            text.Append(phase is null ? "" : phase.Number.ToString(CultureInfo.InvariantCulture)).Append('\n');
        }
        return text.ToString();
    }

    public static string Html(EnergyReport report) =>
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Power over time</title></head>\n" +
        "<body style=\"font-family:sans-serif;max-width:1120px;margin:1em auto\">\n" + Svg(report) +
        "<pre style=\"font-size:13px;overflow-x:auto\">" + WebUtility.HtmlEncode(report.ToText()) + "</pre>\n</body></html>\n";

    public static string Svg(EnergyReport report)
    {
        (double[] time, double[] watts) = Power(report);
        double start = time[0], end = Math.Max(time[^1], start + 1e-9), top = 1e-9, bottom = 0;
        foreach (double w in watts)
            (top, bottom) = (Math.Max(top, w * 1.08), Math.Min(bottom, w * 1.08));
        double X(double t) => Left + ((t - start) / (end - start) * (Width - Left - Right));
        double Y(double w) => Height - Bottom - ((w - bottom) / (top - bottom) * (Height - Top - Bottom));
        var svg = new StringBuilder();
        void Line(FormattableString line) => svg.Append(line.ToString(CultureInfo.InvariantCulture)).Append('\n');

        Line($"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {Width} {Height}\" font-family=\"sans-serif\" font-size=\"12\">");
        Line($"<rect width=\"{Width}\" height=\"{Height}\" fill=\"white\"/>");
        Line($"<text x=\"{Left}\" y=\"20\" font-size=\"14\">Power on {Escape(report.Sensor.Rail)} ({Escape(report.Sensor.Id)}), {report.Quality.RateHz:0.#} Hz</text>");
        foreach (Phase phase in report.Run.Phases)
        {
            double from = X(report.Run.SecondsAt(phase.From)), to = X(report.Run.SecondsAt(phase.To));
            string colour = phase.Kind == PhaseKind.Window ? Colours[phase.Variant % Colours.Length] : "#999999";
            string label = phase.Kind switch { PhaseKind.Idle => "idle", PhaseKind.WarmUp => "", _ => $"{report.Run.Variants[phase.Variant]} {phase.Number}" };
            Line($"<rect x=\"{from:F2}\" y=\"{Top}\" width=\"{Math.Max(0.5, to - from):F2}\" height=\"{Height - Top - Bottom}\" fill=\"{colour}\" fill-opacity=\"0.15\"/>");
            Line($"<text x=\"{(from + to) / 2:F2}\" y=\"{Top + 13}\" text-anchor=\"middle\" font-size=\"10\">{Escape(label)}</text>");
        }
        for (int i = 0; i <= 4; i++)
        {
            double w = bottom + ((top - bottom) * i / 4), t = start + ((end - start) * i / 4);
            Line($"<line x1=\"{Left}\" y1=\"{Y(w):F2}\" x2=\"{Width - Right}\" y2=\"{Y(w):F2}\" stroke=\"#dddddd\"/>");
            Line($"<text x=\"{Left - 6}\" y=\"{Y(w) + 4:F2}\" text-anchor=\"end\">{w:G3}</text>");
            Line($"<text x=\"{X(t):F2}\" y=\"{Height - Bottom + 16}\" text-anchor=\"middle\">{t:0.##}</text>");
        }
        Line($"<text x=\"{Width / 2}\" y=\"{Height - 8}\" text-anchor=\"middle\">seconds since the start of the run</text>");
        Line($"<text x=\"14\" y=\"{Height / 2}\" text-anchor=\"middle\" transform=\"rotate(-90 14 {Height / 2})\">watts</text>");
        svg.Append("<polyline fill=\"none\" stroke=\"#222222\" stroke-width=\"1\" points=\"");
        foreach ((double t, double w) in Reduce(time, watts))
            svg.Append(CultureInfo.InvariantCulture, $"{X(t):F2},{Y(w):F2} ");
        svg.Append("\"/>\n</svg>\n");
        return svg.ToString();
    }

    /// <summary>Power as sampled; of a counter the mean between readings.</summary>
    private static (double[] Seconds, double[] Watts) Power(EnergyReport report)
    {
        Recording recording = report.Recording;
        double[] time = Array.ConvertAll(recording.Times, report.Run.SecondsAt);
        if (recording.Sensor.Quantity == SensorQuantity.Power)
            return (time, recording.Values);
        var middle = new List<double>();
        var watts = new List<double>();
        for (int i = 1; i < time.Length; i++)
        {
            if (time[i] <= time[i - 1])
                continue;
            middle.Add((time[i] + time[i - 1]) / 2);
            watts.Add((recording.Values[i] - recording.Values[i - 1]) / (time[i] - time[i - 1]));
        }
        return ([.. middle], [.. watts]);
    }

    /// <summary>Least and greatest value of each column of the picture, in order of time.</summary>
    private static IEnumerable<(double Seconds, double Watts)> Reduce(double[] time, double[] watts)
    {
        int step = Math.Max(1, time.Length / MaxColumns);
        for (int i = 0; i < time.Length; i += step)
        {
            int low = i, high = i;
            for (int k = i; k < Math.Min(time.Length, i + step); k++)
            {
                if (watts[k] < watts[low])
                    low = k;
                if (watts[k] > watts[high])
                    high = k;
            }
            yield return (time[Math.Min(low, high)], watts[Math.Min(low, high)]);
            if (low != high)
                yield return (time[Math.Max(low, high)], watts[Math.Max(low, high)]);
        }
    }

    private static string Escape(string text) => WebUtility.HtmlEncode(text);
}
