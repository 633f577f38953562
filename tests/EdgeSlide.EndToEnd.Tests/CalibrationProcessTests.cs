using System.Text.Json;
using EdgeSlide.EndToEnd.Tests.Support;

namespace EdgeSlide.EndToEnd.Tests;

/// <summary>A network trained on all rows takes over the calibration of one that was trained on a part of them.</summary>
[Trait("Category", "Long")]
public sealed class CalibrationProcessTests(CalibrationProcessTests.ModelFixture made) : IClassFixture<CalibrationProcessTests.ModelFixture>
{
    private readonly Shell _shell = made.Shell;

    [Fact]
    public void A_calibration_from_a_part_of_the_rows_makes_probabilities_of_all_rows_right()
    {
        Outcome quantized = made.Succeed($"quantize all.esnet --data all.tsv {ModelFixture.Quantize} --calibration-from part.eslide --out calibrated.eslide");
        Assert.Contains("calibrated as those of the other model", quantized.Output, StringComparison.Ordinal);
        JsonElement raw = Evaluate("raw.eslide"), calibrated = Evaluate("calibrated.eslide");
        foreach (string mode in new[] { "lsh", "dense" })
        {
            (JsonElement before, JsonElement after) = (raw.GetProperty(mode), calibrated.GetProperty(mode));
            foreach (string accuracy in new[] { "p1", "p5" })
                Assert.Equal(before.GetProperty(accuracy).GetDouble(), after.GetProperty(accuracy).GetDouble());
            double error = after.GetProperty("ece").GetDouble();
            Assert.True(error < 0.06 && error <= before.GetProperty("ece").GetDouble(), $"{mode}: {before.GetProperty("ece")} became {error}");
        }
        Assert.True(raw.GetProperty("lsh").GetProperty("ece").GetDouble() > 2 * calibrated.GetProperty("lsh").GetProperty("ece").GetDouble(), "nothing was gained");
        JsonElement from = JsonDocument.Parse(_shell.RunWell("edgeslide info calibrated.eslide --json").Output).RootElement.GetProperty("provenance").GetProperty("calibration_from");
        Assert.Equal("part.eslide", from.GetProperty("model").GetString());
        Assert.Equal(_shell.RunWell("sha256sum < part.eslide").Output[..64], from.GetProperty("sha256").GetString());
    }

    [Theory]
    [InlineData("nowhere.eslide", 3, "nowhere.eslide: no such file")]
    [InlineData("raw.eslide", 3, "raw.eslide: has no calibration to take over")]
    [InlineData("all.esnet", 3, "all.esnet: is not an .eslide model")]
    [InlineData("damaged.eslide", 3, "damaged.eslide: ")]
    [InlineData("few.eslide", 3, "few.eslide: has 20 labels, the network 150")]
    [InlineData("part.eslide --vote-blend 2", 2, "part.eslide: was calibrated for a vote blend of 1, not 2; quantize both models with the same options")]
    [InlineData("part.eslide --budget 9", 2, "part.eslide: was calibrated for a budget of 8, not 9")]
    [InlineData("part.eslide --bucket-size 9", 2, "part.eslide: was calibrated for a bucket size of 16, not 9")]
    [InlineData("part.eslide --hidden-tables 4 --hidden-bits 6", 2, "part.eslide: was calibrated for candidates from Features, not from Features and SimHash")]
    [InlineData("part.eslide --validation test.tsv", 2, "--calibration-from is for networks without held-out rows")]
    [InlineData("part.eslide --hold-out 0.1", 2, "--calibration-from is for networks without held-out rows")]
    public void Bad_input_gets_one_line_and_its_exit_code(string arguments, int exitCode, string message)
    {
        Outcome outcome = _shell.Run(Workbench.Command($"quantize all.esnet --data all.tsv --calibration-from {arguments} --out refused.eslide"));
        Assert.Equal(exitCode, outcome.ExitCode);
        Assert.Empty(outcome.Output);
        Assert.Contains(message, Assert.Single(outcome.ErrorLines, l => l.StartsWith("edgeslide-workbench: ", StringComparison.Ordinal)), StringComparison.Ordinal);
        Assert.DoesNotContain("internal error", outcome.Error, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(_shell.Folder, "refused*"));
    }

    private JsonElement Evaluate(string model) => JsonDocument.Parse(_shell.RunWell($"edgeslide eval {model} test.tsv --json").Output).RootElement;

    /// <summary>Networks of all rows and of a part of them, made once; the part's model is calibrated on the rest.</summary>
    public sealed class ModelFixture : IDisposable
    {
        internal const string Quantize = "--vote-blend 1 --budget 8";

        public ModelFixture()
        {
            Shell.Write("all.tsv", Colours.Rows(6000, 1, 150, wrong: 0.3));
            Shell.Write("test.tsv", Colours.Rows(2000, 2, 150, wrong: 0.3));
            Shell.Write("few.tsv", Colours.Rows(1000, 3));
            const string Train = "--epochs 6 --min-count 1 --learning-rate 0.02 --batch 64 --hidden 32";
            foreach (string command in new[]
            {
                $"train all.tsv --out all.esnet --hold-out 0 {Train}",
                $"train all.tsv --out part.esnet --hold-out 0.1 --keep last {Train}",
                "train few.tsv --out few.esnet --epochs 1 --min-count 1",
                $"quantize part.esnet --data all.tsv --hold-out 0.1 {Quantize} --out part.eslide",
                $"quantize all.esnet --data all.tsv --hold-out 0 {Quantize} --out raw.eslide",
                $"quantize few.esnet --data few.tsv {Quantize} --out few.eslide",
            })
            {
                Succeed(command);
            }
            byte[] bytes = File.ReadAllBytes(Shell.Path("part.eslide"));
            bytes[bytes.Length / 2] ^= 1;
            Shell.Write("damaged.eslide", bytes);
        }

        public Shell Shell { get; } = new() { Deadline = TimeSpan.FromMinutes(3) };

        public void Dispose() => Shell.Dispose();

        internal Outcome Succeed(string command)
        {
            Outcome outcome = Shell.Run(Workbench.Command(command));
            Assert.True(outcome.ExitCode == 0, outcome.Error);
            return outcome;
        }
    }
}
