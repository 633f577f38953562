using EdgeSlide.EndToEnd.Tests.Support;

namespace EdgeSlide.EndToEnd.Tests;

/// <summary>tools/peers: what it says to bad options, and what it writes for the SLIDE reference, which forgives nothing.</summary>
public sealed class PeersScriptTests : IDisposable
{
    private static readonly string Peers = Path.Combine(DeviceBinary.Root, "tools", "peers");

    private readonly Shell _shell = new();

    public void Dispose() => _shell.Dispose();

    [Fact]
    public void Help_teaches_and_costs_nothing()
    {
        string help = _shell.RunWell($"{Peers}/run.sh --help").Output;
        foreach (string expected in new[] { "run.sh NAME OUTDIR", "EDGESLIDE_DATA", "SLIDE_BINARY", "PEERS_ROUNDS", "FASTTEXT_ROWS" })
            Assert.Contains(expected, help, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", "run.sh nowhere out", 2, "unknown data set 'nowhere'")]
    [InlineData("PEERS_ROUNDS=0", "run.sh citeulike-t out", 2, "'0' is not a positive whole number")]
    [InlineData("PEERS_CORE=9999", "run.sh citeulike-t out", 2, "there is no core '9999'")]
    [InlineData("SLIDE_BINARY=/no/such", "run.sh citeulike-t out", 2, "SLIDE_BINARY=/no/such: no such program")]
    [InlineData("EDGESLIDE_DATA=/no/such", "run.sh citeulike-t out", 4, "/no/such/citeulike-t/train.xc.txt.gz is not there")]
    public void A_wrong_call_gets_one_line_and_its_exit_code(string variables, string command, int exitCode, string message)
    {
        Outcome outcome = _shell.Run($"{variables} {Peers}/{command}");
        Assert.Equal((exitCode, ""), (outcome.ExitCode, outcome.Output));
        Assert.Contains(message, Assert.Single(outcome.ErrorLines), StringComparison.Ordinal);
        Assert.False(Directory.Exists(_shell.Path("out")));
    }

    [Fact]
    public void Slide_gets_only_rows_it_can_read_and_never_a_batch_it_crashes_on()
    {
        // One row without labels, one without features, 120 good ones.
        string rows = string.Concat(Enumerable.Range(0, 120).Select(i => $"{i % 7},8 {i % 50}:1 51:0.5\n"));
        _shell.Write("rows.xc", $"122 60 9\n 3:1\n4\n{rows}");
        string[] lines = Library("slide_rows rows.xc all; slide_rows rows.xc some 30; slide_config some all config log weights; cat config; wc -l <all; wc -l <some; head -1 some").Lines;
        Assert.Contains("Batchsize=2", lines); // 120 test rows make 50 batches of two.
        Assert.Contains("sizesOfLayers=128,9", lines);
        Assert.Contains("InputDim=60", lines);
        Assert.Contains("totRecords=30", lines);
        Assert.Contains("totRecordsTest=120", lines);
        Assert.Equal(["121", "31", "30 60 9"], lines[^3..]);
        Assert.Contains("at least 50 test rows", _shell.Run(Script("slide_rows rows.xc few 49; slide_config few few config log weights")).Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Slides_log_is_read_right()
    {
        _shell.Write("log", "Epoch 0\n0 0 0.001\n62 7 0.25\nEpoch 1\n124 15 0.5\n");
        _shell.Write("output", "Inference takes 900 milliseconds\nover all 0.001\nInference takes 30 milliseconds\nInference takes 10 milliseconds\nInference takes 20 milliseconds\nover all 0.5\n");
        Assert.Equal("1 7 0.25\n2 15 0.5\n5000000\n", Library("slide_epochs_of log; slide_test_ns output 4").Output);
    }

    private Outcome Library(string commands) => _shell.RunWell(Script(commands));

    private static string Script(string commands) => $"bash -euc 'program=test; . {Peers}/lib.sh; {commands}'";
}
