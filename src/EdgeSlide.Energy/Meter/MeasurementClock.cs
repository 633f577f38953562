using System.Diagnostics;

namespace EdgeSlide.Energy.Meter;

/// <summary>
/// Monotonic time in nanoseconds, waiting, and periodic work. Abstract so that the tests can run a ten-second protocol in
/// milliseconds and know the true energy.
/// </summary>
internal abstract class MeasurementClock
{
    public const double NanosecondsPerSecond = 1e9;

    public static MeasurementClock System { get; } = new SystemClock();

    /// <summary>Nanoseconds since an arbitrary origin; never goes back.</summary>
    public abstract long Now { get; }

    public abstract void WaitUntil(long nanoseconds);

    /// <summary>Calls <paramref name="tick"/> every period with the number of periods skipped, until disposed.</summary>
    public abstract IDisposable StartPeriodic(long period, Action<long> tick);

    private sealed class SystemClock : MeasurementClock
    {
        private static readonly double NanosecondsPerTick = NanosecondsPerSecond / Stopwatch.Frequency;

        public override long Now => Stopwatch.Frequency == 1_000_000_000 ? Stopwatch.GetTimestamp() : (long)(Stopwatch.GetTimestamp() * NanosecondsPerTick);

        public override void WaitUntil(long nanoseconds)
        {
            while (true)
            {
                long left = nanoseconds - Now;
                if (left <= 0)
                    return;
                Thread.Sleep((int)Math.Clamp((left + 999_999) / 1_000_000, 1, 60_000));
            }
        }

        public override IDisposable StartPeriodic(long period, Action<long> tick) => new PeriodicThread(this, period, tick);
    }

    private sealed class PeriodicThread : IDisposable
    {
        private readonly Thread _thread;
        private volatile bool _stop;

        public PeriodicThread(MeasurementClock clock, long period, Action<long> tick)
        {
            _thread = new Thread(() =>
            {
                long due = clock.Now;
                while (!_stop)
                {
                    long late = Math.Max(0, clock.Now - due) / period;
                    due += (late + 1) * period;
                    tick(late);
                    clock.WaitUntil(due);
                }
            })
            { IsBackground = true, Name = "power sampler", Priority = ThreadPriority.AboveNormal };
            _thread.Start();
        }

        public void Dispose()
        {
            _stop = true;
            _thread.Join();
        }
    }
}
