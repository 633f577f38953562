using System.Diagnostics;
using EdgeSlide.EndToEnd.Tests.Support;
using EdgeSlide.Training.Export;
using EdgeSlide.Training.Networks;

namespace EdgeSlide.EndToEnd.Tests;

/// <summary>Training on rows that are kept in temporary files.</summary>
[Trait("Category", "Long")]
public sealed class SpillProcessTests : IDisposable
{
    private const string Options = "--min-count 1 --batch 64 --epochs 2 --threads 1";

    private readonly Shell _shell = new() { Deadline = TimeSpan.FromMinutes(3) };

    public void Dispose() => _shell.Dispose();

    [Fact]
    public void Results_do_not_depend_on_where_rows_are_and_no_file_is_left()
    {
        _shell.Write("train.tsv", Colours.Rows(600, 1));
        _shell.Write("test.tsv", Colours.Rows(200, 2));
        _shell.Run("mkdir spill");
        Succeed($"train train.tsv --out memory.esnet {Options}");
        Succeed($"train train.tsv --out files.esnet {Options} --spill spill");
        IReadOnlyList<NetworkLayer> a = Layers("memory.esnet"), b = Layers("files.esnet");
        Assert.All(a.Zip(b), pair => Assert.Equal(pair.First.Weights, pair.Second.Weights));
        Assert.Equal(Succeed("eval memory.esnet test.tsv --json").Output, Succeed("eval memory.esnet test.tsv --json --spill spill").Output);
        Assert.Equal(Accuracy(Succeed("quantize memory.esnet --data train.tsv --out a.eslide")), Accuracy(Succeed("quantize memory.esnet --data train.tsv --out b.eslide --spill spill")));
        Assert.Empty(Directory.GetFiles(_shell.Path("spill")));
    }

    [Fact]
    public void A_killed_run_leaves_no_file()
    {
        _shell.Write("train.tsv", Colours.Rows(20_000, 1));
        _shell.Run("mkdir spill");
        using Process process = _shell.Start("exec " + Workbench.Command("train train.tsv --out net.esnet --min-count 1 --batch 16 --epochs 1000 --checkpoint state --checkpoint-every 1 --spill spill"));
        var clock = Stopwatch.StartNew();
        while (!File.Exists(_shell.Path("state")))
        {
            Assert.False(process.HasExited || clock.Elapsed > _shell.Deadline, "no checkpoint");
            Thread.Sleep(20);
        }
        process.Kill();
        process.WaitForExit();
        Assert.Empty(Directory.GetFiles(_shell.Path("spill")));
    }

    [Fact]
    public void A_full_disk_ends_the_run_in_one_line()
    {
        _shell.Write("train.tsv", Colours.Rows(20_000, 1));
        _shell.Run("mkdir full");
        // A file system of 100 KiB, in a namespace of its own so that no privilege is needed.
        Outcome outcome = _shell.Run($"unshare -rm sh -c 'mount -t tmpfs -o size=100k none full && {Workbench.Command($"train train.tsv --out net.esnet {Options} --spill full")}; echo $?; ls full'");
        Assert.Equal("1\n", outcome.Output);
        Assert.Equal("edgeslide-workbench: full: cannot keep rows there: No space left on device", Assert.Single(outcome.ErrorLines));
        Assert.False(File.Exists(_shell.Path("net.esnet")));
    }

    [Fact]
    public void Rows_that_memory_cannot_hold_are_refused_with_advice()
    {
        // A file with a hole takes no disk space.
        _shell.Run("truncate -s 4T huge.txt");
        Outcome outcome = _shell.Run(Workbench.Command($"train huge.txt --out net.esnet {Options}"));
        Assert.Equal(1, outcome.ExitCode);
        Assert.EndsWith("keep them in files with --spill FOLDER", Assert.Single(outcome.ErrorLines), StringComparison.Ordinal);
    }

    private IReadOnlyList<NetworkLayer> Layers(string name) => TrainedModel.Load(_shell.Path(name)).Network.Layers;

    /// <summary>The lines of a report that hold no times.</summary>
    private static string[] Accuracy(Outcome outcome) => [.. outcome.Lines.Where(l => l.Contains("dense ", StringComparison.Ordinal) && !l.Contains("us", StringComparison.Ordinal))];

    private Outcome Succeed(string command)
    {
        Outcome outcome = _shell.Run(Workbench.Command(command));
        Assert.True(outcome.ExitCode == 0, outcome.Error);
        return outcome;
    }
}
