using EdgeSlide.Energy.Meter;

namespace EdgeSlide.Energy.Protocol;

internal enum PhaseKind
{
    Idle,
    WarmUp,
    Window,
}

/// <summary>One stretch of a run. Times are nanoseconds of the run's clock.</summary>
/// <param name="Kind">What happened.</param>
/// <param name="Variant">Index of the variant, -1 when idle.</param>
/// <param name="Number">Number of the window or of the idle phase, from 1.</param>
/// <param name="From">Start; for a window the time of its first trigger edge.</param>
/// <param name="To">End; for a window the time of its second trigger edge.</param>
/// <param name="Inferences">Inferences executed.</param>
/// <param name="StartEvent">Number of the first trigger event, 0 outside windows.</param>
/// <param name="Environment">Clock, temperature and throttle state, or null when not recorded.</param>
/// <param name="Collections">Garbage collections meanwhile.</param>
internal sealed record Phase(
    PhaseKind Kind, int Variant, int Number, long From, long To, long Inferences, int StartEvent, EnvironmentReading? Environment, int Collections)
{
    public int EndEvent => StartEvent == 0 ? 0 : StartEvent + 1;

    public double Seconds => (To - From) * 1e-9;
}

/// <summary>What a run did and when, without any energy.</summary>
internal sealed class RunRecord(IReadOnlyList<string> variants, DateTimeOffset started, long startedAt)
{
    public IReadOnlyList<string> Variants { get; } = variants;

    /// <summary>Wall-clock time at <see cref="StartedAt"/>.</summary>
    public DateTimeOffset Started { get; } = started;

    /// <summary>The run's clock at the start, nanoseconds.</summary>
    public long StartedAt { get; } = startedAt;

    public List<Phase> Phases { get; } = [];

    public List<Phase> Windows => PhasesOf(PhaseKind.Window);

    public List<Phase> PhasesOf(PhaseKind kind) => Phases.FindAll(p => p.Kind == kind);

    public double SecondsAt(long time) => (time - StartedAt) * 1e-9;
}
