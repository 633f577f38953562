namespace EdgeSlide.Energy.Meter;

/// <summary>Samples of one sensor: times in nanoseconds, ascending, and watts or joules.</summary>
internal sealed class Recording
{
    public Recording(SensorInfo sensor, long[] times, double[] values)
    {
        if (times.Length != values.Length)
            throw new ArgumentException("times and values differ in length", nameof(values));
        Sensor = sensor;
        Times = times;
        Values = values;
    }

    public SensorInfo Sensor { get; }

    public long[] Times { get; }

    public double[] Values { get; }

    /// <summary>
    /// Energy between two moments. Cumulative counters by difference, sampled power by the trapezoid rule; values at the
    /// moments themselves by linear interpolation between neighbours.
    /// </summary>
    /// <exception cref="EnergyException">The recording does not reach around the interval.</exception>
    public EnergyIntegral Integrate(long from, long to)
    {
        int before = LastAtOrBefore(from), after = FirstAtOrAfter(to);
        if (before < 0 || after >= Times.Length || to <= from)
            throw new EnergyException($"the recording of {Sensor.Id} does not cover a measured interval of {(to - from) * 1e-9:F3} s: sample longer or faster");
        if (Sensor.Quantity == SensorQuantity.Energy)
        {
            double joules = ValueAt(to, after) - ValueAt(from, before + 1);
            (int n, long gap) = CountWithin(before, after, from, to);
            // One quantization step at each end, uniformly distributed.
            return new EnergyIntegral(joules, (Sensor.Resolution ?? 0) / Math.Sqrt(6), n, gap);
        }

        double sum = 0, lastValue = ValueAt(from, before + 1);
        long lastTime = from;
        for (int i = before + 1; i < after && Times[i] < to; i++)
        {
            if (Times[i] <= from)
                continue;
            sum += 0.5 * (lastValue + Values[i]) * (Times[i] - lastTime);
            (lastTime, lastValue) = (Times[i], Values[i]);
        }
        sum += 0.5 * (lastValue + ValueAt(to, after)) * (to - lastTime);
        (int samples, long maxGap) = CountWithin(before, after, from, to);
        return new EnergyIntegral(sum * 1e-9, StandardError(before, after, from, to), samples, maxGap);
    }

    /// <summary>Value at a time between sample <paramref name="upper"/> - 1 and sample <paramref name="upper"/>.</summary>
    private double ValueAt(long time, int upper)
    {
        if (upper <= 0)
            return Values[0];
        if (upper >= Times.Length)
            return Values[^1];
        long span = Times[upper] - Times[upper - 1];
        double weight = span == 0 ? 1 : (time - Times[upper - 1]) / (double)span;
        return Values[upper - 1] + (weight * (Values[upper] - Values[upper - 1]));
    }

    /// <summary>
    /// Standard error in joules from the noise of independent readings, by successive differences: unlike the plain
    /// variance they do not take a real change of the load for noise. Readings repeat between a chip's updates, so the
    /// differences are taken one update apart.
    /// </summary>
    private double StandardError(int before, int after, long from, long to)
    {
        int n = after - before;
        if (n < 3)
            return 0;
        double period = (Times[after] - Times[before]) / (double)n;
        double update = (Sensor.UpdateInterval?.TotalNanoseconds ?? 0) / period;
        int lag = Math.Max(1, (int)Math.Ceiling(update));
        if (n < 3 * lag)
            return 0;
        double squares = 0;
        int pairs = 0;
        for (int i = before + lag; i <= after; i += lag, pairs++)
        {
            double difference = Values[i] - Values[i - lag];
            squares += difference * difference;
        }
        double variance = squares / (2 * pairs);
        return (to - from) * 1e-9 * Math.Sqrt(variance / pairs);
    }

    private (int Samples, long MaxGap) CountWithin(int before, int after, long from, long to)
    {
        int samples = 0;
        long gap = 0;
        for (int i = before; i <= after; i++)
        {
            if (Times[i] >= from && Times[i] <= to)
                samples++;
            if (i > before)
                gap = Math.Max(gap, Times[i] - Times[i - 1]);
        }
        return (samples, gap);
    }

    private int LastAtOrBefore(long time)
    {
        int i = Array.BinarySearch(Times, time);
        return i >= 0 ? i : ~i - 1;
    }

    private int FirstAtOrAfter(long time)
    {
        int i = Array.BinarySearch(Times, time);
        return i >= 0 ? i : ~i;
    }
}

/// <param name="Joules">Energy over the interval.</param>
/// <param name="StandardError">Standard error from sensor noise or quantization, joules.</param>
/// <param name="Samples">Samples within the interval.</param>
/// <param name="MaxGap">Longest time between neighbouring samples, nanoseconds.</param>
internal readonly record struct EnergyIntegral(double Joules, double StandardError, int Samples, long MaxGap);
