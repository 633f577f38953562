using EdgeSlide.Energy.Meter;
using EdgeSlide.Energy.Sensors;

namespace EdgeSlide.Energy.Tests;

/// <summary>Synthetic traces with known energy, on a virtual clock.</summary>
public sealed class MeterTests
{
    private const double Limit = 0.005;

    private static readonly MeasurementPlan Plan = new() { Idle = TimeSpan.FromSeconds(5), WarmUp = TimeSpan.FromSeconds(1) };

    /// <summary>Runs the default protocol over a power curve and returns measured over true joules of each window.</summary>
    private static double[] Ratios(Func<double, double> watts, Action<VirtualClock, SyntheticSensor>? disturb = null, SensorQuantity quantity = SensorQuantity.Power)
    {
        using var tree = new FakeTree();
        var clock = new VirtualClock();
        var sensor = new SyntheticSensor(clock, watts, quantity);
        disturb?.Invoke(clock, sensor);
        EnergyReport report = new EnergyMeasurement(Plan, clock, tree.Tree, new FakeRunner()).Run(sensor, new SyntheticWorkload(clock, "lsh"));
        Assert.Equal(5, report.Windows.Count);
        return [.. report.Run.Windows.Zip(report.Windows, (phase, window) => window.Joules / Truth.Integral(watts, phase.From * 1e-9, phase.To * 1e-9))];
    }

    private static double Steps(double t) => t % 1.37 < 0.61 ? 5.2 : 1.3;

    private static double Ramp(double t) => 0.8 + (0.05 * t) + (0.3 * Math.Sin(t));

    [Fact]
    public void Constant_power_is_exact() => Assert.All(Ratios(_ => 2.5), r => Assert.Equal(1, r, 9));

    [Fact]
    public void Steps_stay_within_half_a_percent() => Assert.All(Ratios(Steps), r => Assert.InRange(r, 1 - Limit, 1 + Limit));

    [Fact]
    public void Ramps_stay_within_half_a_percent() => Assert.All(Ratios(Ramp), r => Assert.InRange(r, 1 - Limit, 1 + Limit));

    [Fact]
    public void Noise_of_ten_percent_stays_within_half_a_percent()
    {
        var random = new Random(1);
        Assert.All(Ratios(Ramp, (_, s) => s.Noise = () => 0.1 * Truth.Normal(random)), r => Assert.InRange(r, 1 - Limit, 1 + Limit));
    }

    [Fact]
    public void Missing_readings_and_gaps_stay_within_half_a_percent()
    {
        var random = new Random(2);
        Assert.All(Ratios(Ramp, (clock, s) =>
        {
            s.Status = () => random.NextDouble() < 0.05 ? ReadStatus.Missed : ReadStatus.Ok;
            clock.Skip = _ => random.NextDouble() < 0.01 ? 30 : 0; // 0.3 s without a tick
        }), r => Assert.InRange(r, 1 - Limit, 1 + Limit));
    }

    [Fact]
    public void Counters_are_exact_whatever_the_power_does()
    {
        var random = new Random(3);
        Assert.All(Ratios(Steps, (clock, _) => clock.Skip = _ => random.Next(20), SensorQuantity.Energy), r => Assert.Equal(1, r, 4));
    }

    [Fact]
    public void A_sensor_that_reads_two_percent_high_is_seen_by_these_tests()
    {
        double[] ratios = Ratios(Ramp, (_, s) => s.Noise = () => 0.05);
        Assert.DoesNotContain(ratios, r => Math.Abs(r - 1) < Limit);
    }

    /// <summary>Five windows whose load differs by a few percent, a noisy sensor, and a truth that the interval should hold.</summary>
    private static EnergyReport NoisyRun(int seed, double bias)
    {
        using var tree = new FakeTree();
        var random = new Random(seed);
        var clock = new VirtualClock();
        var workload = new SyntheticWorkload(clock, "lsh", "dense") { InferenceNanoseconds = 10_000_000 };
        double[] load = [.. Enumerable.Range(0, 5).Select(_ => 1 + (0.03 * Truth.Normal(random)))];
        var sensor = new SyntheticSensor(clock, _ => workload.Active switch { 0 => 2.0 * load[workload.Input], 1 => 4.0 * load[workload.Input], _ => 1.0 });
        sensor.Noise = () => bias + (0.2 * Truth.Normal(random));
        return new EnergyMeasurement(Plan, clock, tree.Tree, new FakeRunner()).Run(sensor, workload);
    }

    [Fact]
    public void The_interval_covers_the_truth_in_at_least_90_of_100_runs_and_misses_a_biased_sensor()
    {
        int covered = 0, ratioCovered = 0, biasedCovered = 0;
        Parallel.For(0, 100, seed =>
        {
            EnergyReport report = NoisyRun(seed, bias: 0);
            VariantResult lsh = report.Variants[0];
            if (lsh.GrossInterval.Low <= 20_000 && lsh.GrossInterval.High >= 20_000) // 2 W x 10 ms
                Interlocked.Increment(ref covered);
            if (report.RatioInterval!.Value.Low <= 0.5 && report.RatioInterval!.Value.High >= 0.5)
                Interlocked.Increment(ref ratioCovered);
            if (seed < 20)
            {
                Interval biased = NoisyRun(seed, bias: 0.4).Variants[0].GrossInterval;
                if (biased.Low <= 20_000 && biased.High >= 20_000)
                    Interlocked.Increment(ref biasedCovered);
            }
        });
        Assert.True(covered >= 90, $"gross interval covered {covered} of 100");
        Assert.True(ratioCovered >= 90, $"ratio interval covered {ratioCovered} of 100");
        Assert.True(biasedCovered <= 2, $"a sensor 20% off was covered {biasedCovered} of 20 times");
    }

    [Fact]
    public void The_standard_error_ignores_repeated_readings_between_updates()
    {
        // A chip that updates every 100 ms read at 100 Hz: ten equal readings each carry the information of one.
        var random = new Random(4);
        var times = new long[2001];
        var values = new double[2001];
        for (int i = 0; i < times.Length; i++)
        {
            times[i] = i * 10_000_000L;
            values[i] = i % 10 == 0 ? 1 + (0.1 * Truth.Normal(random)) : values[i - 1];
        }
        var info = new SensorInfo("x", "x", "x", SensorQuantity.Power, null, TimeSpan.FromMilliseconds(100), SensorAccess.Readable, null);
        double error = new Recording(info, times, values).Integrate(0, 20_000_000_000).StandardError;
        Assert.InRange(error, 0.1 * 20 / Math.Sqrt(200) * 0.7, 0.1 * 20 / Math.Sqrt(200) * 1.3);
    }

    [Fact]
    public void An_interval_outside_the_recording_is_refused()
    {
        var info = new SensorInfo("x", "x", "x", SensorQuantity.Power, null, null, SensorAccess.Readable, null);
        var recording = new Recording(info, [100, 200, 300], [1, 1, 1]);
        Assert.Throws<EnergyException>(() => recording.Integrate(50, 250));
        Assert.Throws<EnergyException>(() => recording.Integrate(150, 350));
        Assert.Throws<EnergyException>(() => recording.Integrate(250, 250));
        Assert.Equal(100e-9, recording.Integrate(150, 250).Joules, 15);
    }

    [Fact]
    public void Sampling_allocates_nothing()
    {
        using var tree = new FakeTree();
        tree.AddClassDevice("sys/class/hwmon/hwmon0", "1-0040", ("name", "ina3221"), ("in1_input", "5000"), ("curr1_input", "400"));
        tree.Add("sys/devices/system/cpu/cpufreq/policy0", ("scaling_cur_freq", "1500000"), ("scaling_governor", "performance"));
        tree.Add("sys/class/thermal/thermal_zone0", ("temp", "45123"));
        using ISensor sensor = tree.Discover().Single().Open();
        using var environment = new EnvironmentMonitor(tree.Tree, new FakeRunner(), every: 1);
        var sampler = new Sampler(sensor, MeasurementClock.System, 5000, 100, environment);
        for (int i = 0; i < 100; i++)
            sampler.Tick(0);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++)
        {
            sampler.Tick(0);
            sampler.SampleNow();
        }
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.Equal(2100, sampler.Count);
        Assert.Equal(0, sampler.Dropped);
        Assert.Equal(1500, environment.Take().MaxMegahertz);
        Assert.Equal(45.123, environment.Take().MaxCelsius, 9);
    }

    private sealed class SlowSensor : ISensor
    {
        public SensorInfo Info { get; } = new("slow", "test", "rail", SensorQuantity.Power, null, null, SensorAccess.Readable, null);

        public ReadStatus TryRead(out double value)
        {
            Thread.Sleep(2); // the other thread arrives meanwhile
            value = 1;
            return ReadStatus.Ok;
        }

        public void Dispose()
        {
        }
    }

    [Fact]
    public void Two_threads_that_sample_at_once_wait_for_each_other_and_allocate_nothing()
    {
        using var sensor = new SlowSensor();
        var clock = MeasurementClock.System;
        var sampler = new Sampler(sensor, clock, 5000, 100, null);
        sampler.Tick(0);
        sampler.SampleNow();
        using (clock.StartPeriodic(3_000_000, sampler.Tick))
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 100; i++)
                sampler.SampleNow();
            Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        }
        Assert.Equal(0, sampler.AllocatedBytes);
        ReadOnlySpan<long> times = sampler.Times;
        for (int i = 1; i < times.Length; i++)
            Assert.True(times[i] > times[i - 1], "samples are out of order");
    }

    [Fact]
    public void Sampling_at_100_Hz_takes_less_than_one_percent_of_a_core()
    {
        using var tree = new FakeTree();
        tree.AddClassDevice("sys/class/hwmon/hwmon0", "1-0040", ("name", "ina219"), ("power1_input", "2000000"));
        using ISensor sensor = tree.Discover().Single().Open();
        var clock = MeasurementClock.System;
        var sampler = new Sampler(sensor, clock, 5000, 100, null);
        for (int i = 0; i < 200; i++)
            sampler.Tick(0); // compile first
        long cpu = sampler.CpuNanoseconds, count = sampler.Count;
        long start = clock.Now;
        using (clock.StartPeriodic(10_000_000, sampler.Tick))
            clock.WaitUntil(start + 2_000_000_000);
        double seconds = (clock.Now - start) * 1e-9, share = (sampler.CpuNanoseconds - cpu) * 1e-9 / seconds;
        // On a busy machine ticks come late and are counted as dropped; the last ones may not have been counted yet.
        Assert.InRange(sampler.Count - count + sampler.Dropped, 0.5 * 100 * seconds, (100 * seconds) + 5);
        Assert.True(sampler.CpuNanoseconds > cpu, "thread CPU time is not measured");
        Assert.True(share < 0.01, $"{share:P3}");
    }

    [Fact]
    public void Readings_beyond_the_buffer_count_as_dropped()
    {
        var clock = new VirtualClock();
        var sampler = new Sampler(new SyntheticSensor(clock, _ => 1), clock, 10, 5, null);
        for (int i = 0; i < 15; i++)
            sampler.Tick(i == 3 ? 2 : 0);
        Assert.Equal(10, sampler.Count);
        Assert.Equal(5 + 2, sampler.Dropped);
    }
}
