using System.Runtime.InteropServices;

namespace EdgeSlide.Energy.Meter;

/// <summary>
/// Reads one sensor into preallocated arrays. A tick allocates nothing while readings succeed, and measures its own cost.
/// Ticks come from the clock's thread; <see cref="SampleNow"/> adds readings from the measuring thread at window edges.
/// </summary>
internal sealed partial class Sampler
{
    private readonly ISensor _sensor;
    private readonly MeasurementClock _clock;
    private readonly EnvironmentMonitor? _environment;
    private readonly long[] _times;
    private readonly double[] _values;
    private readonly int _lossLimit;
    // A contended monitor allocates its wait handle, which is not wanted within a window; a spin lock never does.
    private SpinLock _gate = new(enableThreadOwnerTracking: false);
    private int _consecutiveMisses;
    private volatile bool _lost;

    /// <param name="sensor">The sensor, read under a lock.</param>
    /// <param name="clock">Source of the time stamps.</param>
    /// <param name="capacity">Samples to make room for; later ones count as dropped.</param>
    /// <param name="lossLimit">Consecutive failed readings after which the sensor counts as lost.</param>
    /// <param name="environment">Clock and temperature readings taken along, or null.</param>
    public Sampler(ISensor sensor, MeasurementClock clock, int capacity, int lossLimit, EnvironmentMonitor? environment)
    {
        _sensor = sensor;
        _clock = clock;
        _environment = environment;
        _lossLimit = lossLimit;
        _times = new long[capacity];
        _values = new double[capacity];
        // Fresh pages are mapped at first touch; do that now rather than within a window.
        Array.Fill(_times, -1);
        Array.Fill(_values, double.NaN);
    }

    public int Count { get; private set; }

    /// <summary>Ticks skipped, readings failed and readings without room, each counted once.</summary>
    public long Dropped { get; private set; }

    public bool IsLost => _lost;

    /// <summary>Nanoseconds spent within ticks, including waiting for the bus.</summary>
    public long BusyNanoseconds { get; private set; }

    /// <summary>CPU time of the sampling thread's ticks in nanoseconds; 0 where the platform cannot tell.</summary>
    public long CpuNanoseconds { get; private set; }

    /// <summary>Managed bytes that ticks allocated: 0 unless a reading failed.</summary>
    public long AllocatedBytes { get; private set; }

    public ReadOnlySpan<long> Times => _times.AsSpan(0, Count);

    public ReadOnlySpan<double> Values => _values.AsSpan(0, Count);

    public void Tick(long skipped)
    {
        long cpu = ThreadCpuTime(), bytes = GC.GetAllocatedBytesForCurrentThread();
        bool entered = false;
        try
        {
            _gate.Enter(ref entered);
            Dropped += skipped;
            long start = _clock.Now;
            Read(start);
            BusyNanoseconds += _clock.Now - start;
        }
        finally
        {
            if (entered)
                _gate.Exit();
        }
        _environment?.Tick();
        AllocatedBytes += GC.GetAllocatedBytesForCurrentThread() - bytes;
        CpuNanoseconds += ThreadCpuTime() - cpu;
    }

    public void SampleNow()
    {
        bool entered = false;
        try
        {
            _gate.Enter(ref entered);
            Read(_clock.Now);
        }
        finally
        {
            if (entered)
                _gate.Exit();
        }
    }

    /// <summary>What has been recorded, as one block; after the last tick.</summary>
    public Recording ToRecording()
    {
        return new Recording(_sensor.Info, Times.ToArray(), Values.ToArray());
    }

    private void Read(long start)
    {
        if (_lost)
            return;
        ReadStatus status = _sensor.TryRead(out double value);
        if (status == ReadStatus.Ok && double.IsFinite(value))
        {
            _consecutiveMisses = 0;
            long middle = start + ((_clock.Now - start) / 2);
            if (Count == _times.Length)
            {
                Dropped++;
                return;
            }
            _times[Count] = middle;
            _values[Count] = value;
            Count++;
            return;
        }
        Dropped++;
        if (status == ReadStatus.Lost || ++_consecutiveMisses >= _lossLimit)
            _lost = true;
    }

    private static long ThreadCpuTime()
    {
        const int clockThreadCpuTimeId = 3; // linux/time.h
        if (!OperatingSystem.IsLinux() || clock_gettime(clockThreadCpuTimeId, out TimeSpec time) != 0)
            return 0;
        return ((long)time.Seconds * 1_000_000_000) + time.Nanoseconds;
    }

    [LibraryImport("libc")]
    private static partial int clock_gettime(int clock, out TimeSpec time);

    /// <summary>struct timespec: two longs on 64-bit systems and in the classic 32-bit ABI.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct TimeSpec
    {
        public nint Seconds;
        public nint Nanoseconds;
    }
}
