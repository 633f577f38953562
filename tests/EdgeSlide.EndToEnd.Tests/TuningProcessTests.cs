using System.Diagnostics;
using System.Text.Json;
using System.Xml.Linq;
using EdgeSlide.EndToEnd.Tests.Support;

namespace EdgeSlide.EndToEnd.Tests;

/// <summary>Tuning and reporting from the outside.</summary>
[Trait("Category", "Long")]
public sealed class TuningProcessTests : IClassFixture<TuningProcessTests.ModelFixture>
{
    private readonly Shell _shell;

    public TuningProcessTests(ModelFixture made) => _shell = made.Shell;

    [Fact]
    public void A_model_is_tuned_and_reported_on()
    {
        JsonElement tuned = JsonDocument.Parse(Succeed("tune net.eslide valid.tsv --max-loss 0.5 --trials 150 --out small.eslide --json").Output).RootElement.GetProperty("result");
        Assert.True(tuned.GetProperty("chosen").GetProperty("bytes").GetDouble() < tuned.GetProperty("current").GetProperty("bytes").GetDouble(), "nothing was saved");
        // The figures are those of the device binary on the same rows.
        JsonElement eval = JsonDocument.Parse(_shell.RunWell("edgeslide eval small.eslide valid.tsv --json").Output).RootElement;
        foreach (string measure in new[] { "p1", "p5" })
            Assert.Equal(tuned.GetProperty("chosen").GetProperty(measure).GetDouble(), eval.GetProperty("lsh").GetProperty(measure).GetDouble(), 9);
        Assert.Contains("Pareto front", Page("small.html").Root!.Value, StringComparison.Ordinal);

        File.WriteAllText(_shell.Path("tuning.json"), Succeed("tune net.eslide valid.tsv --trials 60 --network net.esnet --data train.tsv --minimize time --json").Output);
        Assert.True(File.Exists(_shell.Path("net.tuned.eslide")) && File.Exists(_shell.Path("net.tuned.html")));
        Succeed("report net.esnet --log train.csv --model small.eslide --test test.tsv --tuning tuning.json --out all.html");
        string text = Page("all.html").Root!.Value;
        foreach (string expected in new[] { "Learning curves", "Accuracy", "Quantization", "Pareto front", "colour" })
            Assert.Contains(expected, text, StringComparison.Ordinal);
        Succeed("tune net.eslide train.tsv --hold-out 0.05 --max-loss 5 --trials 20 --out held.eslide");
    }

    [Theory]
    [InlineData("tune net.eslide train.tsv", 4, "train.tsv: net.eslide was trained on this very file")]
    [InlineData("tune net.eslide valid.tsv --out net.eslide", 2, "net.eslide is the model itself; allow that with --overwrite")]
    [InlineData("tune net.eslide valid.tsv --network net.esnet", 2, "--network and --data go together")]
    [InlineData("tune net.eslide valid.tsv --network net.esnet --data valid.tsv", 4, "the rows that fill the tables cannot judge them")]
    [InlineData("tune net.eslide valid.tsv --max-loss 200", 2, "0 to 100 points")]
    [InlineData("tune net.eslide valid.tsv --minimize beauty", 2, "beauty")]
    [InlineData("tune net.eslide valid.tsv --max-table-share 0.000001 --trials 20", 1, "no setting keeps the loss")]
    [InlineData("tune net.eslide nowhere.tsv", 4, "nowhere.tsv: no such file")]
    [InlineData("tune train.tsv valid.tsv", 3, "is not an .eslide model")]
    [InlineData("report net.esnet", 2, "there is nothing to report on")]
    [InlineData("report net.esnet --log valid.tsv", 4, "valid.tsv:1: is not a log")]
    [InlineData("report net.esnet --tuning valid.tsv", 4, "valid.tsv: is not what tune --json prints")]
    public void Bad_input_gets_one_line_and_its_exit_code(string command, int exitCode, string message)
    {
        byte[] before = File.ReadAllBytes(_shell.Path("net.eslide"));
        Outcome outcome = _shell.Run(Workbench.Command(command + (command.StartsWith("tune", StringComparison.Ordinal) && !command.Contains("--out", StringComparison.Ordinal) ? " --out refused.eslide" : "")));
        Assert.Equal(exitCode, outcome.ExitCode);
        Assert.Contains(message, Assert.Single(outcome.ErrorLines, l => l.StartsWith("edgeslide-workbench: ", StringComparison.Ordinal)), StringComparison.Ordinal);
        Assert.DoesNotContain("internal error", outcome.Error, StringComparison.Ordinal);
        Assert.False(File.Exists(_shell.Path("refused.eslide")));
        Assert.Equal(before, File.ReadAllBytes(_shell.Path("net.eslide")));
    }

    [Fact]
    public void An_interrupted_search_ends_with_130_and_writes_nothing()
    {
        // Many rows and trials, so that it cannot be done before the signal comes.
        using Process process = _shell.Start("exec " + Workbench.Command("tune net.eslide long.tsv --trials 1000000 --max-loss 50 --network net.esnet --data train.tsv --out interrupted.eslide"));
        while (process.StandardError.ReadLine() is { } line && !line.StartsWith("path", StringComparison.Ordinal))
        {
        }
        _shell.RunWell($"kill -INT {process.Id}");
        Assert.True(process.WaitForExit(60_000), "goes on after Ctrl-C");
        Assert.Equal(130, process.ExitCode);
        Assert.Empty(Directory.GetFiles(_shell.Folder, "interrupted*"));
    }

    private XDocument Page(string name) => XDocument.Parse(File.ReadAllText(_shell.Path(name)));

    private Outcome Succeed(string command)
    {
        Outcome outcome = _shell.Run(Workbench.Command(command));
        Assert.True(outcome.ExitCode == 0, outcome.Error);
        return outcome;
    }

    /// <summary>A trained and quantized model with its data, made once.</summary>
    public sealed class ModelFixture : IDisposable
    {
        public ModelFixture()
        {
            Shell.Write("train.tsv", Colours(3000, 1));
            Shell.Write("valid.tsv", Colours(800, 2));
            Shell.Write("test.tsv", Colours(300, 3));
            Shell.Write("long.tsv", Colours(20_000, 4));
            foreach (string command in new[] { "train train.tsv --out net.esnet --epochs 4 --min-count 1 --learning-rate 0.02 --batch 64 --hidden 32 --log train.csv --evaluate-every 20", "quantize net.esnet --data train.tsv --out net.eslide" })
            {
                Outcome outcome = Shell.Run(Workbench.Command(command));
                Assert.True(outcome.ExitCode == 0, outcome.Error);
            }
        }

        public Shell Shell { get; } = new() { Deadline = TimeSpan.FromMinutes(3) };

        public void Dispose() => Shell.Dispose();

        /// <summary>Two words of one of 150 colours, in one row of ten of another one, and two words of none.</summary>
        private static string Colours(int rows, int seed)
        {
            var random = new Random(seed);
            return string.Concat(Enumerable.Range(0, rows).Select(_ =>
            {
                int colour = random.Next(150), shown = random.Next(10) == 0 ? random.Next(150) : colour;
                return $"colour {colour}\ttone{shown} tone{shown}{(char)('a' + random.Next(3))} word{random.Next(50)} word{random.Next(50)}\n";
            }));
        }
    }
}
