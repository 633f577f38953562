using System.Text.Json;
using EdgeSlide.EndToEnd.Tests.Support;

namespace EdgeSlide.EndToEnd.Tests;

/// <summary>`energy` on a made-up sensor: what it refuses, what it writes, and where.</summary>
public sealed class EnergyCommandTests : IDisposable
{
    private const string Quick = "--sysfs-root tree --windows 1 --seconds 0.2 --idle 0.1 --warm-up 0";
    private const string Measure = $"edgeslide energy text.eslide q {Quick}";

    private readonly Shell _shell = new();

    public EnergyCommandTests()
    {
        Models.Text(_shell);
        _shell.Write("q", "Label 1\tw1\nLabel 2\tw2\n");
        string sensor = Directory.CreateDirectory(_shell.Path("tree/sys/class/hwmon/hwmon0")).FullName;
        File.WriteAllText(Path.Combine(sensor, "name"), "ina226\n");
        File.WriteAllText(Path.Combine(sensor, "power1_input"), "2000000\n");
    }

    public void Dispose() => _shell.Dispose();

    [InlineData("--pulse 0", "a trigger pulse of 0 us is out of range: give 1 us to 1 s")]
    [InlineData("--pulse 1e20", "a trigger pulse of 1E+20 us is out of range: give 1 us to 1 s")]
    [InlineData("--pulse nan", "a trigger pulse of NaN us is out of range: give 1 us to 1 s")]
    [InlineData("--samples s.csv --period 1s", "--samples cannot be combined with --period")]
    [InlineData("--samples s.csv --estimate", "--samples cannot be combined with --estimate")]
    [InlineData("--samples s.csv --sensor external --marks m.csv", "--samples cannot be combined with --sensor external")]
    [InlineData("--plot p.svg --period 1s", "--plot cannot be combined with --period")]
    [InlineData("--plot p.svg --estimate", "--plot cannot be combined with --estimate")]
    [InlineData("--plot p.svg --sensor external --marks m.csv", "--plot cannot be combined with --sensor external")]
    [InlineData("--period 1s --estimate", "--period cannot be combined with --estimate")]
    [InlineData("--period 1s --sensor external --marks m.csv", "--period cannot be combined with --sensor external")]
    [InlineData("--sensor external --estimate", "--sensor cannot be combined with --estimate")]
    [InlineData("--trigger gpiochip0:1 --period 1s", "--trigger cannot be combined with --period")]
    [InlineData("--capacity 2000", "--capacity needs --period")]
    [InlineData("--battery-voltage 3.7 --period 1s", "--battery-voltage needs --capacity")]
    [InlineData("--efficiency 0.85", "--efficiency needs --capacity")]
    [InlineData("--supply-voltage 5", "--supply-voltage needs --sensor csv:FILE")]
    [InlineData("--mark-column D0 --estimate", "--mark-column needs --sensor csv:FILE")]
    [InlineData("--marks m.csv", "--marks needs --sensor external or csv:FILE")]
    [InlineData("--sensor external", "--sensor external needs --marks FILE to write the windows' times to")]
    [InlineData("--sensor csv:r.csv --marks m.csv", "MODEL cannot be combined with --sensor csv:FILE")]
    [InlineData("--sensor csv:", "--sensor csv:FILE: an empty file name")]
    [InlineData("--samples ''", "--samples: an empty file name (see --help)")]
    [InlineData("--plot ''", "--plot: an empty file name (see --help)")]
    [InlineData("--marks ''", "--marks: an empty file name (see --help)")]
    [Theory]
    public void What_a_run_would_not_look_at_is_wrong_usage(string options, string message) =>
        Assert.Equal("", _shell.RunBadly($"edgeslide energy text.eslide q {options}", 2, message).Output);

    [InlineData("text.eslide --widnows", "unknown option '--widnows'; a file of that name can be given as ./--widnows (see --help)")]
    [InlineData("--widnows 3", "unknown option '--widnows'; a file of that name can be given as ./--widnows (see --help)")]
    [InlineData("'' q", "an empty file name (see --help)")]
    [InlineData("text.eslide ''", "an empty file name (see --help)")]
    [Theory]
    public void A_misspelled_option_is_no_file(string arguments, string message) =>
        _shell.RunBadly("edgeslide energy " + arguments, 2, message);

    [InlineData("--samples nowhere/s.csv", "nowhere/s.csv: cannot be written (no such folder)")]
    [InlineData("--plot nowhere/p.html", "nowhere/p.html: cannot be written (no such folder)")]
    [InlineData("--samples tree", "tree: cannot be written (is a directory)")]
    [InlineData("--sensor external --marks nowhere/m.csv", "nowhere/m.csv: cannot be written (no such folder)")]
    [Theory]
    public void A_file_that_cannot_be_written_is_found_before_the_run(string options, string message) =>
        Assert.Equal("", _shell.RunBadly($"{Measure} {options}", 1, message).Output); // One line: no window was measured.

    [Fact]
    public void A_run_prints_its_report_and_writes_its_files()
    {
        Outcome outcome = _shell.Run($"{Measure} --json --samples s.csv --plot p.html");
        Assert.Equal(0, outcome.ExitCode);
        Assert.Equal(2, outcome.ErrorLines.Length);
        Assert.All(outcome.ErrorLines, line => Assert.StartsWith("edgeslide: event ", line, StringComparison.Ordinal));
        using JsonDocument report = JsonDocument.Parse(outcome.Output);
        Assert.Equal(2, report.RootElement.GetProperty("power_w_idle").GetDouble(), 6);
        Assert.StartsWith("time_s,power_w,", File.ReadAllText(_shell.Path("s.csv")), StringComparison.Ordinal);
        Assert.Contains("<svg", File.ReadAllText(_shell.Path("p.html")), StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(_shell.Folder, "*.tmp"));
    }

    [Fact]
    public void Neither_a_closed_error_stream_nor_a_reader_that_left_ends_a_run()
    {
        foreach (string error in new[] { "2>&-", "2>/dev/full" })
        {
            Outcome outcome = _shell.Run($"{Measure} {error}");
            Assert.Equal(0, outcome.ExitCode);
            Assert.Contains("energy per inference", outcome.Output, StringComparison.Ordinal);
        }
        _shell.Run($"{Measure} --samples s.csv --plot p.svg | true");
        Assert.True(File.Exists(_shell.Path("s.csv")) && File.Exists(_shell.Path("p.svg")), "the files must not be lost with the report");
    }

    [Fact]
    public void A_duty_cycle_names_the_mode_that_it_measured()
    {
        foreach ((string options, string mode) in new[] { ("", "lsh"), (" --mode dense", "dense") })
        {
            using JsonDocument report = JsonDocument.Parse(_shell.RunWell($"{Measure} --period 20ms --json{options}").Output);
            Assert.Equal(mode, report.RootElement.GetProperty("mode").GetString());
            Assert.StartsWith($"mode               {mode}\n", _shell.RunWell($"{Measure} --period 20ms{options}").Output, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Marks_of_unequal_modes_are_refused()
    {
        Outcome run = _shell.Run($"{Measure} --sensor external --marks m.csv");
        Assert.Equal((0, ""), (run.ExitCode, run.Output));
        Assert.Equal("edgeslide: stop the recording, export it as CSV and run: edgeslide energy --sensor csv:RECORDING --marks m.csv", run.ErrorLines[^1]);
        _shell.Write("r.csv", "0,1\n1,1\n");
        File.WriteAllLines(_shell.Path("m.csv"), [.. File.ReadAllLines(_shell.Path("m.csv")).Where(l => !l.StartsWith("window,dense,", StringComparison.Ordinal))]);
        _shell.RunBadly("edgeslide energy --sensor csv:r.csv --marks m.csv", 4, "m.csv: it needs as many windows of each mode, but has 1 of lsh and 0 of dense");
    }
}
