using EdgeSlide.Energy.Meter;

namespace EdgeSlide.Energy;

/// <summary>One output line of a GPIO chip.</summary>
public interface ITriggerLine : IDisposable
{
    /// <summary>Chip and line for the report, e.g. <c>gpiochip0:17</c>.</summary>
    string Name { get; }

    /// <summary>Drives the line.</summary>
    void Drive(bool high);
}

/// <summary>Which edge marks an event.</summary>
public enum TriggerPolarity
{
    /// <summary>The line idles high and an event pulls it low (MLPerf Tiny, EnergyRunner).</summary>
    Falling,

    /// <summary>The line idles low and an event drives it high.</summary>
    Rising,
}

/// <summary>Marks the start and the end of every window with a pulse, so that an external meter can align with the run.</summary>
public sealed class GpioTrigger : IDisposable
{
    // MLPerf Tiny asks for at least one microsecond; meters that sample their digital inputs at 100 kHz (PPK2) see this one.
    private static readonly TimeSpan DefaultPulse = TimeSpan.FromMicroseconds(100);

    private readonly ITriggerLine _line;
    private readonly bool _idle;
    private readonly long _pulse;

    /// <summary>Takes over the line and drives it to its idle level.</summary>
    /// <param name="line">The output.</param>
    /// <param name="polarity">The edge that marks.</param>
    /// <param name="pulse">How long the line stays away from idle; at least one microsecond, and longer than one sample of the meter.</param>
    /// <exception cref="EnergyException">The pulse is too short.</exception>
    public GpioTrigger(ITriggerLine line, TriggerPolarity polarity = TriggerPolarity.Falling, TimeSpan? pulse = null)
    {
        ArgumentNullException.ThrowIfNull(line);
        TimeSpan width = pulse ?? DefaultPulse;
        if (width < TimeSpan.FromMicroseconds(1) || width > TimeSpan.FromSeconds(1))
            throw new EnergyException($"a trigger pulse of {width.TotalMicroseconds:0.###} us is out of range: give 1 us to 1 s");
        _line = line;
        Polarity = polarity;
        _idle = polarity == TriggerPolarity.Falling;
        _pulse = (long)width.TotalNanoseconds;
        _line.Drive(_idle);
    }

    /// <summary>The edge that marks.</summary>
    public TriggerPolarity Polarity { get; }

    /// <summary>Name of the line.</summary>
    public string Name => _line.Name;

    /// <summary>Gives one pulse and returns the time right after the marking edge, nanoseconds of the clock.</summary>
    internal long Fire(MeasurementClock clock)
    {
        _line.Drive(!_idle);
        long edge = clock.Now;
        while (clock.Now - edge < _pulse)
            Thread.SpinWait(1);
        _line.Drive(_idle);
        return edge;
    }

    /// <summary>Releases the line.</summary>
    public void Dispose() => _line.Dispose();
}
