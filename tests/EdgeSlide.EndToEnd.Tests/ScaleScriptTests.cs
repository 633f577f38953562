using System.Text.Json;
using EdgeSlide.EndToEnd.Tests.Support;

namespace EdgeSlide.EndToEnd.Tests;

/// <summary>tools/scale.sh on small widths: what docs/performance.md shows of millions of labels.</summary>
public sealed class ScaleScriptTests : IDisposable
{
    private static readonly string Script = Path.Combine(DeviceBinary.Root, "tools", "scale.sh");

    private readonly Shell _shell = new() { Deadline = TimeSpan.FromMinutes(5) };

    public void Dispose() => _shell.Dispose();

    [Fact]
    public void All_widths_are_measured_and_compared_with_the_first()
    {
        Outcome outcome = _shell.Run($"{Variables} SCALE_QUERIES=80 SCALE_ROUNDS=2 SCALE_INPUTS=5000 SCALE_FEATURES=30 {Script} out 500 2000");
        Assert.True(outcome.ExitCode == 0, outcome.Error);
        string written = File.ReadAllText(_shell.Path("out/scale.json"));
        Assert.Equal(written, outcome.Output);
        using JsonDocument json = JsonDocument.Parse(written);
        JsonElement[] widths = [.. json.RootElement.EnumerateArray()];
        Assert.Equal([500, 2000], widths.Select(w => w.GetProperty("labels").GetInt32()));
        foreach (JsonElement width in widths)
        {
            double Number(string name) => width.GetProperty(name).GetDouble();
            Assert.Equal((5000, 30, 3, "int4"), (Number("inputs"), Number("features"), Number("keys"), width.GetProperty("input_rows").GetString()));
            Assert.InRange(Number("p1_lsh"), 0.5, 1);
            Assert.InRange(Number("active_neurons_mean"), 1, Number("labels"));
            foreach (string positive in new[] { "ns_lsh", "ns_dense", "speedup", "growth", "rss_lsh", "rss_dense", "table_bytes" })
                Assert.True(Number(positive) > 0, positive);
            Assert.InRange(Number("model_bytes"), Number("table_bytes"), new FileInfo(_shell.Path($"out/scale-{Number("labels")}.eslide")).Length);
        }
        Assert.Equal(1, widths[0].GetProperty("growth").GetDouble());
        // Models and queries stay, for whoever wants to look closer; the rounds do not.
        Assert.Equal(["scale-2000.eslide", "scale-2000.txt", "scale-500.eslide", "scale-500.txt", "scale.json"], Directory.GetFiles(_shell.Path("out")).Select(Path.GetFileName).Order());
    }

    [Theory]
    [InlineData("", "out 0", "'0' is not a number of labels")]
    [InlineData("SCALE_QUERIES=many", "out", "'many' is not a number of labels")]
    [InlineData("SCALE_KEYS=two", "out", "'two' is not a number of labels")]
    public void A_wrong_call_gets_one_line(string variables, string arguments, string message)
    {
        Outcome outcome = _shell.Run($"{variables} {Script} {arguments}");
        Assert.Equal((2, ""), (outcome.ExitCode, outcome.Output));
        Assert.Contains(message, Assert.Single(outcome.ErrorLines), StringComparison.Ordinal);
        Assert.False(Directory.Exists(_shell.Path("out")));
    }

    [Fact]
    public void Help_names_the_result_and_the_variables()
    {
        string help = _shell.RunWell($"{Script} --help").Output;
        foreach (string expected in new[] { "scale.sh [OUTDIR]", "SCALE_KEYS", "growth", "EDGESLIDE_WORKBENCH" })
            Assert.Contains(expected, help, StringComparison.Ordinal);
    }

    private static string Variables => $"EDGESLIDE_BINARY={DeviceBinary.Path} EDGESLIDE_WORKBENCH={Workbench.Command("")["dotnet ".Length..].Trim()}";
}
