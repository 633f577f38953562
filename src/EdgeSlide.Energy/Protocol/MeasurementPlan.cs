using EdgeSlide.Energy.Meter;

namespace EdgeSlide.Energy;

/// <summary>
/// What is measured. Energy knows nothing of models: a workload names its variants ("lsh", "dense") and runs inferences.
/// </summary>
public interface IWorkload
{
    /// <summary>Ways of doing the same work, compared in interleaved windows; the first is the one reported on top.</summary>
    IReadOnlyList<string> Variants { get; }

    /// <summary>Runs inferences of one variant on one input until the deadline and returns how many; at least one.</summary>
    /// <param name="variant">Index into <see cref="Variants"/>.</param>
    /// <param name="input">Number of the input; take it modulo the inputs at hand.</param>
    /// <param name="deadline">Checked between inferences.</param>
    long Run(int variant, int input, Deadline deadline);
}

/// <summary>
/// When a workload must come back. Check <see cref="Passed"/> between inferences, never within one, and run at least one:
/// a deadline that has passed before the call asks for exactly one inference.
/// </summary>
public readonly struct Deadline
{
    private readonly MeasurementClock _clock;
    private readonly long _at;
    private readonly Sampler? _sampler;

    internal Deadline(MeasurementClock clock, long at, Sampler? sampler)
    {
        _clock = clock;
        _at = at;
        _sampler = sampler;
    }

    /// <summary>True once the time is over or the sensor is lost, which ends a window that can no longer count.</summary>
    public bool Passed => _clock.Now >= _at || _sampler is { IsLost: true };
}

/// <summary>How to measure. The defaults are MLPerf Tiny's energy mode: 5 windows of 10 s on different inputs.</summary>
public sealed record MeasurementPlan
{
    /// <summary>Windows per variant.</summary>
    public int Windows { get; init; } = 5;

    /// <summary>Least length of a window.</summary>
    public TimeSpan WindowLength { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Unmeasured run of each variant before the first window.</summary>
    public TimeSpan WarmUp { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Idle baseline, once before and once after the windows.</summary>
    public TimeSpan Idle { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Rest before each window, so that a meter sees the end of one and the start of the next as two edges.</summary>
    public TimeSpan Pause { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>Readings per second; lowered to what the sensor bears.</summary>
    public double SampleRateHz { get; init; } = 100;

    /// <summary>True when the plan meets MLPerf Tiny's energy rules.</summary>
    internal bool MeetsMlperfTiny => Windows >= 5 && WindowLength >= TimeSpan.FromSeconds(10);

    internal void Validate()
    {
        Check(Windows is >= 1 and <= 1000, $"{Windows} windows", "1 to 1000");
        Check(WindowLength >= TimeSpan.FromMilliseconds(10) && WindowLength <= TimeSpan.FromHours(1), $"a window of {WindowLength.TotalSeconds:0.###} s", "0.01 s to 1 h");
        Check(WarmUp >= TimeSpan.Zero && WarmUp <= TimeSpan.FromHours(1), $"a warm-up of {WarmUp.TotalSeconds:0.###} s", "0 to 1 h");
        Check(Idle >= TimeSpan.FromMilliseconds(10) && Idle <= TimeSpan.FromHours(1), $"an idle baseline of {Idle.TotalSeconds:0.###} s", "0.01 s to 1 h");
        Check(Pause >= TimeSpan.Zero && Pause <= TimeSpan.FromHours(1), $"a pause of {Pause.TotalSeconds:0.###} s", "0 to 1 h");
        Check(SampleRateHz is >= 0.1 and <= 1000, $"a sample rate of {SampleRateHz:0.###} Hz", "0.1 to 1000 Hz");
    }

    private static void Check(bool holds, string what, string range)
    {
        if (!holds)
            throw new EnergyException($"{what} is out of range: give {range}");
    }
}
