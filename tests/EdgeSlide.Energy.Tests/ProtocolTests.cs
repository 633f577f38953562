using System.Text.Json;
using EdgeSlide.Energy.Meter;
using EdgeSlide.Energy.Protocol;

namespace EdgeSlide.Energy.Tests;

public sealed class ProtocolTests : IDisposable
{
    private readonly FakeTree _tree = new();
    private readonly VirtualClock _clock = new();
    private readonly FakeRunner _runner = new();
    private readonly SyntheticWorkload _workload;
    private readonly SyntheticSensor _sensor;

    public ProtocolTests()
    {
        _workload = new SyntheticWorkload(_clock, "lsh", "dense");
        _sensor = new SyntheticSensor(_clock, _ => _workload.Active switch { 0 => 3, 1 => 5, _ => 1 });
    }

    public void Dispose() => _tree.Dispose();

    private EnergyMeasurement Measurement(MeasurementPlan? plan = null, GpioTrigger? trigger = null, Action<string>? progress = null) =>
        new(plan ?? new MeasurementPlan(), _clock, _tree.Tree, _runner) { Trigger = trigger, Progress = progress };

    [Fact]
    public void Gross_net_and_ratio_follow_from_power_and_time()
    {
        EnergyReport report = Measurement().Run(_sensor, _workload);
        Assert.Equal(3000, report.Variants[0].GrossMedianMicrojoules, 3.0); // 3 W x 1 ms; half a sample at each edge is idle
        Assert.Equal(2000, report.Variants[0].NetMedianMicrojoules, 3.0);
        Assert.Equal(5000, report.Variants[1].GrossMedianMicrojoules, 5.0);
        Assert.Equal(4000, report.Variants[1].NetMedianMicrojoules, 5.0);
        Assert.Equal(0.6, report.Ratio!.Value, 3);
        Assert.Equal(1.0, report.IdlePowerWatts, 6);
        Assert.DoesNotContain(report.Flags, f => !f.StartsWith("gc:", StringComparison.Ordinal)); // other tests may collect meanwhile
    }

    [Fact]
    public void Windows_are_interleaved_and_each_takes_another_input()
    {
        Measurement().Run(_sensor, _workload);
        Assert.Equal([(0, 0), (1, 0), (0, 0), (1, 0), (1, 1), (0, 1), (0, 2), (1, 2), (1, 3), (0, 3), (0, 4), (1, 4)], _workload.Calls);
    }

    [Fact]
    public void Json_has_the_agreed_names_and_values()
    {
        EnergyReport report = Measurement().Run(_sensor, _workload);
        report.Notes = [new("model", "m.eslide \"quoted\"")];
        using JsonDocument json = JsonDocument.Parse(report.ToJson());
        JsonElement root = json.RootElement;
        foreach (string name in new[] { "energy_uj_gross_median", "energy_uj_net_median", "ci95_low", "ci95_high", "windows", "samples", "dropped", "power_w_idle", "inferences", "lsh_over_dense_energy_ratio" })
            Assert.Equal(JsonValueKind.Number, root.GetProperty(name).ValueKind);
        Assert.Equal("synthetic", root.GetProperty("sensor").GetString());
        Assert.Equal("rail", root.GetProperty("rail").GetString());
        Assert.Equal(5, root.GetProperty("windows").GetInt32());
        Assert.Equal(0.6, root.GetProperty("lsh_over_dense_energy_ratio").GetDouble(), 3);
        Assert.InRange(root.GetProperty("energy_uj_gross_median").GetDouble(), root.GetProperty("ci95_low").GetDouble(), root.GetProperty("ci95_high").GetDouble());
        Assert.Equal(JsonValueKind.Null, root.GetProperty("resolution").ValueKind);
        Assert.Equal(10, root.GetProperty("window_results").GetArrayLength());
        Assert.Equal("m.eslide \"quoted\"", root.GetProperty("notes").GetProperty("model").GetString());
    }

    [Fact]
    public void One_variant_has_no_ratio()
    {
        EnergyReport report = Measurement().Run(_sensor, new SyntheticWorkload(_clock, "dense"));
        Assert.Null(report.Ratio);
        using JsonDocument json = JsonDocument.Parse(report.ToJson());
        Assert.Equal(JsonValueKind.Null, json.RootElement.GetProperty("lsh_over_dense_energy_ratio").ValueKind);
    }

    [Fact]
    public void Text_leads_with_gross_energy()
    {
        string[] lines = Measurement().Run(_sensor, _workload).ToText().Split('\n');
        int gross = Array.FindIndex(lines, l => l.Contains("gross", StringComparison.Ordinal)), net = Array.FindIndex(lines, l => l.Contains("net", StringComparison.Ordinal));
        Assert.InRange(gross, 0, net - 1);
        Assert.Contains(lines, l => l.StartsWith("sensor    synthetic", StringComparison.Ordinal));
    }

    private sealed class RecordingLine(VirtualClock clock) : ITriggerLine
    {
        public List<(bool High, double Seconds)> Levels { get; } = [];

        public string Name => "mock:3";

        public void Drive(bool high) => Levels.Add((high, clock.Seconds));

        public void Dispose() => Levels.Add((true, -1));
    }

    [Theory]
    [InlineData(TriggerPolarity.Falling)]
    [InlineData(TriggerPolarity.Rising)]
    public void Every_window_begins_and_ends_with_a_pulse_of_at_least_a_microsecond(TriggerPolarity polarity)
    {
        var line = new RecordingLine(_clock);
        var lines = new List<string>();
        EnergyReport report;
        using (var trigger = new GpioTrigger(line, polarity))
            report = Measurement(trigger: trigger, progress: lines.Add).Run(_sensor, _workload);
        bool idle = polarity == TriggerPolarity.Falling;
        Assert.Equal(idle, line.Levels[0].High);
        (bool High, double Seconds)[] pulses = [.. line.Levels.Skip(1).SkipLast(1)];
        Assert.Equal(2 * 2 * 10, pulses.Length); // down and up, start and end, ten windows
        double[] events = [.. report.Windows.SelectMany(w => new[] { w.StartSeconds, w.StartSeconds + w.Seconds })];
        for (int i = 0; i < pulses.Length; i += 2)
        {
            Assert.Equal(!idle, pulses[i].High);
            Assert.Equal(idle, pulses[i + 1].High);
            Assert.True(pulses[i + 1].Seconds - pulses[i].Seconds >= 1e-6);
            Assert.Equal(pulses[i].Seconds, events[i / 2] + (report.Run.StartedAt * 1e-9), 1e-6);
        }
        Assert.Equal(Enumerable.Range(1, 20), report.Windows.SelectMany(w => new[] { w.StartEvent, w.EndEvent }));
        Assert.Equal(10, lines.Count);
        Assert.StartsWith("event 1 at ", lines[0], StringComparison.Ordinal);
    }

    [Fact]
    public void A_sensor_lost_in_a_window_ends_it_and_reports_nothing()
    {
        double lostAt = _clock.Seconds + 5 + 4 + 3;
        _sensor.Status = () => _clock.Seconds > lostAt ? ReadStatus.Lost : ReadStatus.Ok;
        var e = Assert.Throws<EnergyException>(() => Measurement().Run(_sensor, _workload));
        Assert.Contains("window 1 of lsh", e.Message, StringComparison.Ordinal);
        Assert.True(_clock.Seconds < lostAt + 1, "the window should end early");
    }

    [Fact]
    public void A_sensor_that_only_fails_counts_as_lost_after_a_second()
    {
        double from = _clock.Seconds + 20;
        _sensor.Status = () => _clock.Seconds > from ? ReadStatus.Missed : ReadStatus.Ok;
        Assert.Contains("lost", Assert.Throws<EnergyException>(() => Measurement().Run(_sensor, _workload)).Message, StringComparison.Ordinal);
        Assert.InRange(_clock.Seconds - from, 0.9, 1.5);
    }

    [Theory]
    [InlineData(0.0)]
    [InlineData(-2.0)]
    public void Power_that_is_not_positive_is_never_an_energy(double watts)
    {
        var sensor = new SyntheticSensor(_clock, _ => watts);
        Assert.Contains("shunt", Assert.Throws<EnergyException>(() => Measurement().Run(sensor, _workload)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Missing_readings_are_counted_and_flagged()
    {
        int n = 0;
        _sensor.Status = () => ++n % 20 == 0 ? ReadStatus.Missed : ReadStatus.Ok;
        EnergyReport report = Measurement().Run(_sensor, _workload);
        Assert.InRange(report.Quality.Dropped / (double)(report.Quality.Dropped + report.Quality.Samples), 0.045, 0.055);
        Assert.Contains(report.Flags, f => f.StartsWith("dropped:", StringComparison.Ordinal));
    }

    [Fact]
    public void Idle_drift_short_plans_spread_and_an_idle_workload_are_flagged()
    {
        double end = _clock.Seconds + 5 + 4 + 10;
        var sensor = new SyntheticSensor(_clock, _ => _workload.Active < 0 ? (_clock.Seconds > end ? 1.3 : 1.0) : _workload.Active == 0 ? 0.9 : 1.2 + (0.4 * (_workload.Input % 2)));
        EnergyReport report = Measurement(new MeasurementPlan { Windows = 3, WindowLength = TimeSpan.FromSeconds(1) }).Run(sensor, _workload);
        foreach (string flag in new[] { "short:", "interval:", "idle-drift:", "spread: dense", "net: lsh" })
            Assert.Contains(report.Flags, f => f.StartsWith(flag, StringComparison.Ordinal));
    }

    [Fact]
    public void Clock_changes_and_throttling_are_flagged()
    {
        _tree.Add("proc/device-tree", ("model", "Raspberry Pi 4 Model B Rev 1.4\0"));
        _tree.Add("sys/devices/system/cpu/cpufreq/policy0", ("scaling_cur_freq", "1800000"), ("scaling_governor", "ondemand"));
        _tree.Add("sys/class/thermal/thermal_zone0", ("temp", "45000"));
        _runner.Outputs["vcgencmd get_throttled"] = "throttled=0x0\n";
        int windows = 0;
        EnergyReport report = Measurement(progress: _ =>
        {
            if (++windows != 4)
                return;
            File.WriteAllText(Path.Combine(_tree.Root, "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq"), "600000\n");
            File.WriteAllText(Path.Combine(_tree.Root, "sys/class/thermal/thermal_zone0/temp"), "81500\n");
            _runner.Outputs["vcgencmd get_throttled"] = "throttled=0x50005\n";
        }).Run(_sensor, _workload);
        Assert.Contains(report.Flags, f => f.StartsWith("clock: cores ran between 600 and 1800 MHz", StringComparison.Ordinal));
        Assert.Contains(report.Flags, f => f.StartsWith("throttled: firmware reports 0x50005", StringComparison.Ordinal));
        Assert.Contains(report.Flags, f => f.StartsWith("temperature: 45.0 to 81.5", StringComparison.Ordinal));
        Assert.Contains("governor ondemand", report.ToText(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_slow_sensor_lowers_the_rate()
    {
        var sensor = new SyntheticSensor(_clock, _ => 2) { Info = _sensor.Info with { MaxSampleRateHz = 5 } };
        Assert.Equal(5, Measurement().Run(sensor, _workload).Quality.RateHz);
    }

    [Theory]
    [InlineData(0, 10, 100)]
    [InlineData(5, 0, 100)]
    [InlineData(5, 10, 0)]
    [InlineData(5, 10, 100000)]
    public void Plans_out_of_range_are_refused(int windows, double seconds, double rate) =>
        Assert.Throws<EnergyException>(() => Measurement(new MeasurementPlan { Windows = windows, WindowLength = TimeSpan.FromSeconds(seconds), SampleRateHz = rate }));

    [Fact]
    public void Csv_and_plot_hold_every_sample_and_window()
    {
        EnergyReport report = Measurement().Run(_sensor, _workload);
        string[] rows = report.ToSamplesCsv().Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal("time_s,power_w,phase,variant,number", rows[0]);
        Assert.Equal(report.Quality.Samples + 1, rows.Length);
        Assert.Contains(rows, r => r.EndsWith(",window,dense,5", StringComparison.Ordinal));
        string svg = report.ToSvg();
        var document = System.Xml.Linq.XDocument.Parse(svg);
        Assert.Equal(10, document.Descendants().Count(e => e.Name.LocalName == "text" && (e.Value.StartsWith("lsh ", StringComparison.Ordinal) || e.Value.StartsWith("dense ", StringComparison.Ordinal))));
        Assert.DoesNotContain("NaN", svg, StringComparison.Ordinal);
        Assert.DoesNotContain("http", report.ToHtml().Replace("http://www.w3.org/2000/svg", "", StringComparison.Ordinal), StringComparison.Ordinal);
    }

    [Fact]
    public void Duty_cycle_averages_answer_and_sleep_and_predicts_the_battery()
    {
        var workload = new SyntheticWorkload(_clock, "lsh") { InferenceNanoseconds = 100_000_000 };
        var sensor = new SyntheticSensor(_clock, _ => workload.Active == 0 ? 3.0 : 0.5);
        DutyCycleReport report = Measurement().RunDutyCycle(sensor, workload, 0, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(30));
        Assert.Equal(30, report.Cycles);
        Assert.Equal(30, report.Inferences);
        Assert.InRange(report.AverageWatts, 0.75 * 0.97, 0.75 * 1.03); // 0.1 x 3 W + 0.9 x 0.5 W; edges fall between samples
        Assert.Equal(0.1, report.ActiveSeconds, 4);
        Assert.Equal(0, report.LateCycles);
        double hours = new Battery(2000, 3.7, 0.9).HoursAt(0.74);
        Assert.Equal(9.0, hours, 9);
        Assert.Contains("capacity x voltage x efficiency / average power", report.ToText(new Battery(2000, 3.7)), StringComparison.Ordinal);
        Assert.StartsWith("mode               lsh\n", report.ToText(), StringComparison.Ordinal);
        using JsonDocument json = JsonDocument.Parse(report.ToJson());
        Assert.Equal("lsh", json.RootElement.GetProperty("mode").GetString());
        Assert.Equal(0.5 + ((report.AverageWatts - 0.5) / 10), report.AverageWattsAt(TimeSpan.FromSeconds(10), 0.5), 9);
        Assert.Throws<EnergyException>(() => report.AverageWattsAt(TimeSpan.FromMilliseconds(50), 0.5));
    }

    [Fact]
    public void An_answer_longer_than_the_period_is_counted()
    {
        var workload = new SyntheticWorkload(_clock, "lsh") { InferenceNanoseconds = 1_500_000_000 };
        DutyCycleReport report = Measurement().RunDutyCycle(new SyntheticSensor(_clock, _ => 1), workload, 0, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(5));
        Assert.Equal(5, report.LateCycles);
    }

    [Theory]
    [InlineData(0, 3.7, 0.9, 1)]
    [InlineData(1000, 0, 0.9, 1)]
    [InlineData(1000, 3.7, 1.1, 1)]
    [InlineData(1000, 3.7, 0.9, 0)]
    [InlineData(double.PositiveInfinity, 3.7, 0.9, 1)]
    [InlineData(1000, double.PositiveInfinity, 0.9, 1)]
    public void Battery_figures_out_of_range_are_refused(double mah, double volts, double efficiency, double watts) =>
        Assert.Throws<EnergyException>(() => new Battery(mah, volts, efficiency).HoursAt(watts));

    [Fact]
    public void The_estimate_says_that_it_is_a_model_and_names_its_source()
    {
        var estimate = new EnergyEstimate(new OperationCounts(1_000_000, 0, 0, 8_000));
        Assert.Equal((1e6 * 0.3 + 1000 * 1950) * 1e-6, estimate.Microjoules, 9);
        string text = estimate.ToText();
        Assert.StartsWith("MODEL, NOT A MEASUREMENT", text, StringComparison.Ordinal);
        Assert.Contains("ISSCC 2014", text, StringComparison.Ordinal);
    }
}
