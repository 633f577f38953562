using System.Globalization;
using System.Text;
using EdgeSlide.Energy.Meter;
using EdgeSlide.Energy.Protocol;
using EdgeSlide.Energy.Traces;

namespace EdgeSlide.Energy.Tests;

public sealed class TraceTests
{
    private static Trace Read(string text, TraceOptions? options = null) => TraceReader.Read(new StringReader(text), "trace.csv", options ?? new TraceOptions());

    [Fact]
    public void Ppk2_export_in_milliseconds_and_microamperes_with_packed_digital_lines()
    {
        Trace trace = Read("Timestamp(ms),Current(uA),D0-D7\n0.0,1000,10000000\n0.01,2000,00000000\n0.02,3000,10000000\n", new TraceOptions { SupplyVolts = 5 });
        Assert.Equal([0, 0.00001, 0.00002], trace.Times);
        Assert.Equal([0.005, 0.010, 0.015], trace.Watts, (a, b) => Math.Abs(a - b) < 1e-12);
        Assert.Equal([0.00001], trace.Edges);
        Trace rising = Read("Timestamp(ms),Current(uA),D0,D1\n0.0,1000,0,0\n0.01,2000,0,1\n0.02,3000,0,0\n", new TraceOptions { SupplyVolts = 5, Polarity = TriggerPolarity.Rising });
        Assert.Equal([0.00001], rising.Edges);
    }

    [Fact]
    public void Otii_export_with_power()
    {
        Trace trace = Read("Timestamp (s),Main current (A),Main voltage (V),Main power (W),GPI1\n0.5,0.1,5,0.5,1\n0.75,0.2,5,1.0,0\n");
        Assert.Equal([0.5, 1.0], trace.Watts);
        Assert.Equal([0.75], trace.Edges);
    }

    [Fact]
    public void Joulescope_export_with_a_comment_header_and_current_times_voltage()
    {
        Trace trace = Read("#time,current,voltage\n0,0.1,5.0\n0.5,0.2,5.0\n");
        Assert.Equal([0.5, 1.0], trace.Watts);
        Assert.Empty(trace.Edges);
    }

    [Fact]
    public void Lpm01a_export_with_a_preamble_semicolons_and_decimal_commas()
    {
        Trace trace = Read("PowerShield acquisition\nfirmware 1.0.6\nTime (ms);Current (nA)\n0;1000000,5\n1;2000000\n", new TraceOptions { SupplyVolts = 3.3 });
        Assert.Equal(0.001, trace.Times[1], 12);
        Assert.Equal(1.0000005e-3 * 3.3, trace.Watts[0], 12);
    }

    [Theory]
    [InlineData("Sample,Timestamp(ms),Current(uA),Voltage(V)\n7,0,1000,5\n8,1,2000,5\n")]
    [InlineData("time,sample_id,amplitude (raw),current (mA),voltage\n0,7,3,1,5\n1,8,3,2,5\n")]
    [InlineData("time,Value (raw),power_mw\n0,9,5\n1,9,10\n")]
    [InlineData("time,channel (A),volts\n0,0.001,5\n1,0.002,5\n")]
    [InlineData("time,amps,volts\n0,0.001,5\n1,0.002,5\n")]
    [InlineData("time,main (mW)\n0,5\n1,10\n")]
    [InlineData("time,digital a,i_ma,v\n0,1,1,5\n1,0,2,5\n")]
    public void Only_whole_words_and_units_name_a_quantity(string text) =>
        Assert.Equal([0.005, 0.010], Read(text).Watts, (a, b) => Math.Abs(a - b) < 1e-12);

    [Fact]
    public void Without_a_header_the_columns_are_seconds_and_watts() => Assert.Equal([1.5, 2.5], Read("0,1.5\n0.1,2.5\n").Watts);

    [Theory]
    [InlineData("Timestamp(ms),Current(uA)\n0,1\n1,1\n", "--supply-voltage")]
    [InlineData("a,b\nc,d\n", "names a time column")]
    [InlineData("first,second\n1,2\n2,3\n", "names a time column")]
    [InlineData("", "names a time column")]
    [InlineData("time,sample\n0,1\n1,1\n", "names a time column")]
    [InlineData("time,value (raw)\n0,1\n1,1\n", "names a time column")]
    [InlineData("time,power\n0,1\n", "too few")]
    [InlineData("time,power\n0,1\n0,1\n", "trace.csv:3: time does not advance")]
    [InlineData("time,power\n0,1\n1,x\n", "trace.csv:3: column 'power'")]
    [InlineData("time,power\n0,1\n1\n", "trace.csv:3: column 'power'")]
    [InlineData("time,power\n0,1\n1,nan\n", "trace.csv:3: column 'power'")]
    public void Malformed_traces_are_one_line_with_a_place(string text, string part) =>
        Assert.Contains(part, Assert.Throws<EnergyException>(() => Read(text)).Message, StringComparison.Ordinal);

    /// <summary>A run on a virtual clock and what a meter with its own clock would have recorded of it.</summary>
    private static (string Marks, string Trace, RunRecord Run) Recorded(double ppm = 80, int loseEdges = 0, bool digital = true)
    {
        using var tree = new FakeTree();
        var clock = new VirtualClock();
        var workload = new SyntheticWorkload(clock, "lsh", "dense");
        var plan = new MeasurementPlan { Windows = 5, WindowLength = TimeSpan.FromSeconds(2), WarmUp = TimeSpan.FromSeconds(1), Idle = TimeSpan.FromSeconds(1), Pause = TimeSpan.FromMilliseconds(50) };
        string marks = new EnergyMeasurement(plan, clock, tree.Tree, new FakeRunner()).RunForExternalMeter(workload);
        RunRecord run = MarksFile.Parse(marks.Split('\n'), "marks.csv");
        double[] edges = [.. run.Windows.SelectMany(w => new[] { w.From * 1e-9, w.To * 1e-9 }).Skip(loseEdges)];
        var trace = new StringBuilder(digital ? "Timestamp (s),power (W),D0\n" : "Timestamp (s),power (W)\n");
        double end = run.Phases[^1].To * 1e-9;
        for (double t = -0.5; t < end + 0.5; t += 0.001)
        {
            Phase? phase = run.Phases.Find(p => t >= p.From * 1e-9 && t < p.To * 1e-9);
            double watts = phase is not { Kind: PhaseKind.Window } ? 1 : phase.Variant == 0 ? 3 : 5;
            bool low = edges.Any(e => t >= e && t < e + 0.003);
            double meter = 123.4 + (t * (1 + (ppm * 1e-6)));
            trace.Append(CultureInfo.InvariantCulture, $"{meter:F6},{watts:G6}");
            trace.Append(digital ? low ? ",0\n" : ",1\n" : "\n");
        }
        return (marks, trace.ToString(), run);
    }

    private static EnergyReport Replay((string Marks, string Trace, RunRecord Run) recorded)
    {
        DirectoryInfo directory = Directory.CreateTempSubdirectory("edgeslide-trace-");
        try
        {
            string trace = Path.Combine(directory.FullName, "trace.csv"), marks = Path.Combine(directory.FullName, "marks.csv");
            File.WriteAllText(trace, recorded.Trace);
            File.WriteAllText(marks, recorded.Marks);
            return EnergyMeasurement.Replay(trace, marks, new TraceOptions());
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    [Fact]
    public void A_recorded_trace_gives_the_energy_that_it_holds()
    {
        EnergyReport report = Replay(Recorded());
        Assert.Equal(3000, report.Variants[0].GrossMedianMicrojoules, 3000 * 0.002);
        Assert.Equal(5000, report.Variants[1].GrossMedianMicrojoules, 5000 * 0.002);
        Assert.Equal(1.0, report.IdlePowerWatts, 0.01);
        Assert.Equal(0.6, report.Ratio!.Value, 0.002);
        Assert.Null(report.Quality.CpuShare);
        Assert.Contains("20 edges", report.ToText(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_trace_of_another_run_is_refused()
    {
        Assert.Contains("18 edges but the run gave 20", Assert.Throws<EnergyException>(() => Replay(Recorded(loseEdges: 2))).Message, StringComparison.Ordinal);
        Assert.Contains("another run", Assert.Throws<EnergyException>(() => Replay(Recorded(ppm: 20_000))).Message, StringComparison.Ordinal);
        Assert.Contains("digital input", Assert.Throws<EnergyException>(() => Replay(Recorded(digital: false))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Marks_survive_a_round_trip_and_damage_is_named()
    {
        (string marks, _, RunRecord run) = Recorded();
        Assert.Equal(marks, MarksFile.Format(run));
        string[] lines = marks.Split('\n');
        Assert.Contains("not a marks file", Assert.Throws<EnergyException>(() => MarksFile.Parse(lines[1..], "m")).Message, StringComparison.Ordinal);
        Assert.Contains("cut short", Assert.Throws<EnergyException>(() => MarksFile.Parse(lines[..4], "m")).Message, StringComparison.Ordinal);
        foreach (string variant in new[] { "lsh", "dense" })
        {
            string[] missing = [.. lines.Where(l => !l.StartsWith($"window,{variant},3,", StringComparison.Ordinal))];
            Assert.Equal(lines.Length - 1, missing.Length);
            Assert.Matches("^m: it needs as many windows of each mode, but has [45] of (lsh|dense) and [45] of (lsh|dense)$", Assert.Throws<EnergyException>(() => MarksFile.Parse(missing, "m")).Message);
        }
        string[] unmeasured = [.. lines.Where(l => !l.StartsWith("window,dense,", StringComparison.Ordinal))];
        Assert.Equal("m: it needs as many windows of each mode, but has 5 of lsh and 0 of dense", Assert.Throws<EnergyException>(() => MarksFile.Parse(unmeasured, "m")).Message);
        lines[5] = lines[5].Replace(",", ";", StringComparison.Ordinal);
        Assert.Contains("m:6: malformed", Assert.Throws<EnergyException>(() => MarksFile.Parse(lines, "m")).Message, StringComparison.Ordinal);
    }
}
