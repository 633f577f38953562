using System.Globalization;
using EdgeSlide.Energy.Meter;
using EdgeSlide.Energy.Protocol;

namespace EdgeSlide.Energy.Traces;

/// <summary>
/// Brings a meter's clock and the run's clock together: offset and rate by least squares over all trigger edges, so that a
/// meter that runs 50 ppm fast does not shift the last window.
/// </summary>
internal static class TraceAlignment
{
    private const double MaxRateDifference = 1e-3, MaxResidualSeconds = 5e-3;

    public static Recording Align(Trace trace, RunRecord run, out string description)
    {
        double[] marks = Marks(run);
        double offset, rate = 1;
        if (trace.Edges.Length > 0)
        {
            if (trace.Edges.Length != marks.Length)
            {
                throw new EnergyException($"{trace.File}: {trace.MarkColumn} shows {trace.Edges.Length} edges but the run gave {marks.Length} events; " +
                    "record the whole run, check polarity and pin, and sample the digital line faster than the pulse");
            }
            (offset, rate, double residual) = Fit(marks, trace.Edges);
            if (Math.Abs(rate - 1) > MaxRateDifference || residual > MaxResidualSeconds)
                throw new EnergyException(F($"{trace.File}: the edges do not match the run's events (worst {residual * 1e3:0.###} ms, clock rate {rate:0.######}); the trace is of another run"));
            description = F($"{marks.Length} edges on {trace.MarkColumn}; clocks differ by {(rate - 1) * 1e6:0.#} ppm, worst edge {residual * 1e6:0.#} us");
        }
        else if (trace.HasUnixTime)
        {
            offset = run.Started.ToUnixTimeMilliseconds() * 1e-3;
            description = "by wall-clock time; no edges were recorded, so the alignment is as good as the two clocks";
        }
        else
        {
            throw new EnergyException($"{trace.File}: no column shows the trigger's edges and the times are not wall-clock times, so the windows cannot be found; connect the trigger to a digital input of the meter");
        }
        long[] times = Array.ConvertAll(trace.Times, t => run.StartedAt + (long)Math.Round((t - offset) / rate * 1e9));
        double update = (trace.Times[^1] - trace.Times[0]) / (trace.Times.Length - 1);
        var info = new SensorInfo("csv:" + trace.File, "recorded trace", "external meter", SensorQuantity.Power, null, TimeSpan.FromSeconds(update), SensorAccess.Readable, null);
        return new Recording(info, times, trace.Watts);
    }

    /// <summary>Seconds of the trigger events in their order, two to a window.</summary>
    private static double[] Marks(RunRecord run)
    {
        List<Phase> windows = run.Windows;
        windows.Sort((a, b) => a.StartEvent.CompareTo(b.StartEvent));
        var marks = new double[windows.Count * 2];
        for (int i = 0; i < windows.Count; i++)
            (marks[2 * i], marks[2 * i + 1]) = (run.SecondsAt(windows[i].From), run.SecondsAt(windows[i].To));
        return marks;
    }

    /// <summary>Least squares of edge = offset + rate x mark, and the largest deviation in seconds.</summary>
    private static (double Offset, double Rate, double Residual) Fit(double[] marks, double[] edges)
    {
        double meanMark = Statistics.Mean(marks), meanEdge = Statistics.Mean(edges), product = 0, square = 0;
        for (int i = 0; i < marks.Length; i++)
        {
            product += (marks[i] - meanMark) * (edges[i] - meanEdge);
            square += (marks[i] - meanMark) * (marks[i] - meanMark);
        }
        double rate = product / square, offset = meanEdge - (rate * meanMark), residual = 0;
        for (int i = 0; i < marks.Length; i++)
            residual = Math.Max(residual, Math.Abs(edges[i] - offset - (rate * marks[i])));
        return (offset, rate, residual);
    }

    private static string F(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
