using EdgeSlide.Energy.Meter;

namespace EdgeSlide.Energy.Protocol;

/// <summary>A sampler with its thread, sized for a planned length.</summary>
internal sealed class SamplingSession : IDisposable
{
    private readonly ISensor _sensor;
    private readonly MeasurementClock _clock;
    private readonly double _rate;
    private readonly long _started;
    private IDisposable? _thread;
    private long _stopped;
    private Recording? _recording;

    public SamplingSession(ISensor sensor, MeasurementClock clock, double rate, double seconds, EnvironmentMonitor environment)
    {
        _sensor = sensor;
        _clock = clock;
        _rate = rate;
        // A window lasts until its last inference ends, so leave room; a second without a value means the sensor is gone.
        int capacity = (int)Math.Min(50_000_000, (rate * seconds * 1.5) + 4096);
        Sampler = new Sampler(sensor, clock, capacity, lossLimit: Math.Max(5, (int)rate), environment);
        _started = clock.Now;
        _thread = clock.StartPeriodic((long)(MeasurementClock.NanosecondsPerSecond / rate), Sampler.Tick);
    }

    public Sampler Sampler { get; }

    public Recording Recording => _recording ?? throw new InvalidOperationException("still sampling");

    public SamplingQuality Quality
    {
        get
        {
            double wall = _stopped - _started;
            return new SamplingQuality(_rate, Sampler.Count, Sampler.Dropped, Sampler.CpuNanoseconds / wall, Sampler.BusyNanoseconds / wall, Sampler.AllocatedBytes);
        }
    }

    public void Stop()
    {
        if (_thread is null)
            return;
        _thread.Dispose();
        _thread = null;
        _stopped = _clock.Now;
        _recording = Sampler.ToRecording();
    }

    public void ThrowIfLost(string during)
    {
        if (!Sampler.IsLost)
            return;
        throw new EnergyException($"sensor {_sensor.Info.Id} was lost during {during}, after {Sampler.Count} samples: check its wiring, power and driver, then measure again; no energy is reported");
    }

    public void Dispose() => Stop();
}
