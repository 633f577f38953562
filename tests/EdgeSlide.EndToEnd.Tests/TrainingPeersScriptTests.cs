using EdgeSlide.EndToEnd.Tests.Support;

namespace EdgeSlide.EndToEnd.Tests;

/// <summary>tools/peers/train.sh: what it says to bad options before it costs anything.</summary>
public sealed class TrainingPeersScriptTests : IDisposable
{
    private static readonly string Script = Path.Combine(DeviceBinary.Root, "tools", "peers", "train.sh");

    private readonly Shell _shell = new();

    public void Dispose() => _shell.Dispose();

    [Fact]
    public void Help_names_the_result_and_the_variables()
    {
        string help = _shell.RunWell($"{Script} --help").Output;
        foreach (string expected in new[] { "train.sh NAME OUTDIR", "seconds_to_target", "SLIDE_BINARY", "FULL_EPOCHS", "TRAIN_LIMIT", "TRAINERS" })
            Assert.Contains(expected, help, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", "nowhere out", 2, "unknown data set 'nowhere'")]
    [InlineData("SLIDE_EPOCHS=0", "citeulike-t out", 2, "'0' is not a positive whole number")]
    [InlineData("SLIDE_BINARY=/no/such", "citeulike-t out", 2, "SLIDE_BINARY=/no/such: no such program")]
    [InlineData("EDGESLIDE_DATA=/no/such", "citeulike-t out", 4, "/no/such/citeulike-t/train.xc.txt.gz is not there")]
    public void A_wrong_call_gets_one_line_and_its_exit_code(string variables, string arguments, int exitCode, string message)
    {
        Outcome outcome = _shell.Run($"{variables} {Script} {arguments}");
        Assert.Equal((exitCode, ""), (outcome.ExitCode, outcome.Output));
        Assert.Contains(message, Assert.Single(outcome.ErrorLines), StringComparison.Ordinal);
        Assert.False(Directory.Exists(_shell.Path("out")));
    }
}
