namespace EdgeSlide.Energy.Meter;

/// <summary>The readings of a run's windows taken together.</summary>
/// <param name="First">Of the first window that has one.</param>
/// <param name="Last">Of the last window that has one.</param>
/// <param name="All">Extremes over all, NaN where one window lacks them, and every throttle flag that was seen.</param>
internal sealed record EnvironmentSummary(EnvironmentReading First, EnvironmentReading Last, EnvironmentReading All)
{
    /// <summary>Null when no window has a reading.</summary>
    public static EnvironmentSummary? Of(IReadOnlyList<WindowResult> windows)
    {
        EnvironmentSummary? summary = null;
        foreach (WindowResult window in windows)
        {
            if (window.Environment is EnvironmentReading reading)
                summary = summary is null ? new(reading, reading, reading) : new(summary.First, reading, Union(summary.All, reading));
        }
        return summary;
    }

    private static EnvironmentReading Union(EnvironmentReading a, EnvironmentReading b) => new(
        Math.Min(a.MinMegahertz, b.MinMegahertz), Math.Max(a.MaxMegahertz, b.MaxMegahertz),
        Math.Min(a.MinCelsius, b.MinCelsius), Math.Max(a.MaxCelsius, b.MaxCelsius),
        (a.Throttled ?? 0) | (b.Throttled ?? 0));
}
