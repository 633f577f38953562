using System.Globalization;
using System.Text.RegularExpressions;
using EdgeSlide.EndToEnd.Tests.Support;
using EdgeSlide.Training.Export;
using EdgeSlide.Training.Networks;

namespace EdgeSlide.EndToEnd.Tests;

/// <summary>What becomes of a training run that is killed, interrupted, or finds the disk full.</summary>
[Trait("Category", "Long")]
public sealed partial class TrainingProcessTests : IDisposable
{
    private const string Options = "--min-count 1 --hold-out 0.1 --batch 32 --learning-rate 0.002 --threads 1";
    private const int Every = 20;

    private readonly Shell _shell = new() { Deadline = TimeSpan.FromMinutes(3) };

    public void Dispose() => _shell.Dispose();

    [Fact]
    public void Ten_kills_lose_at_most_the_work_since_the_last_checkpoint()
    {
        _shell.Write("train.tsv", Colours.Rows(3000, seed: 1, colours: 200));
        string options = $"{Options} --epochs 60";
        Succeed($"train train.tsv --out whole.esnet {options}");
        string command = $"train train.tsv --out parts.esnet {options} --checkpoint state --checkpoint-every {Every} --resume --log log.csv --evaluate-every {Every}";
        var random = new Random(5);
        int resumes = 0;
        long reached = 0;
        for (int kill = 0; kill < 10; kill++)
        {
            // Some evaluations after its start and a random moment later, so that every run gets on and none reaches the end.
            int lines = LogLines() + 1 + random.Next(12);
            string moment = (random.NextDouble() * 0.05).ToString("F3", CultureInfo.InvariantCulture);
            Outcome outcome = _shell.Run($"""
                {Workbench.Command(command)} & run=$!
                while [ "$(cat log.csv 2>/dev/null | wc -l)" -lt {lines} ] && kill -0 $run; do sleep 0.01; done
                sleep {moment}; kill -KILL $run; wait $run
                """);
            Assert.True(outcome.ExitCode == 137, $"run {kill + 1} was not killed but ended with {outcome.ExitCode}: {outcome.Error}");
            resumes += CheckResumption(outcome, reached) ? 1 : 0;
            reached = Math.Max(reached, LastLoggedStep());
        }
        Assert.True(resumes >= 8, $"only {resumes} of ten runs continued a checkpoint");
        CheckResumption(Succeed(command), reached);
        AssertSame("whole.esnet", "parts.esnet");
    }

    [Theory]
    [InlineData("INT")]
    [InlineData("TERM")]
    public void An_interrupted_run_finishes_its_batch_saves_and_continues_bit_for_bit(string signal)
    {
        _shell.Write("train.tsv", Colours.Rows(3000, seed: 1, colours: 200));
        string options = $"{Options} --epochs 30";
        Succeed($"train train.tsv --out whole.esnet {options}");
        string command = $"train train.tsv --out parts.esnet {options} --checkpoint state --resume";
        // Without epochs' ends in between: a signal long after the start, before the run can be done.
        Outcome outcome = _shell.Run($"timeout --preserve-status -s {signal} 1.5 {Workbench.Command(command)}");
        Assert.Equal(130, outcome.ExitCode);
        Assert.Contains("continue with --resume", outcome.Error, StringComparison.Ordinal);
        Assert.False(File.Exists(_shell.Path("parts.esnet")));
        Assert.Contains("resumed after epoch", Succeed(command).Error, StringComparison.Ordinal);
        AssertSame("whole.esnet", "parts.esnet");
    }

    [Fact]
    public void A_full_disk_keeps_the_checkpoint_before()
    {
        _shell.Write("train.tsv", Colours.Rows(600, seed: 1, colours: 200));
        string options = "--min-count 1 --hold-out 0 --batch 32 --epochs 4 --threads 1";
        Succeed($"train train.tsv --out whole.esnet {options} --checkpoint sample");
        // Room for one checkpoint and half of the next, in a namespace of its own so that no privilege is needed.
        long size = new FileInfo(_shell.Path("sample")).Length * 3 / 2 / 1024;
        string train = Workbench.Command($"train train.tsv --out parts.esnet {options} --checkpoint full/state --checkpoint-every 7");
        _shell.Run("mkdir full");
        Outcome outcome = _shell.Run($"unshare -rm sh -c 'mount -t tmpfs -o size={size}k none full && {train}; echo $?; ls full; cp full/state state'");
        Assert.Equal("1\nstate\n", outcome.Output);
        Assert.Contains("No space left on device", Assert.Single(outcome.ErrorLines, l => l.StartsWith("edgeslide-workbench: ", StringComparison.Ordinal)), StringComparison.Ordinal);
        Assert.Contains("resumed after epoch 0, batch 7", Succeed($"train train.tsv --out parts.esnet {options} --checkpoint state --resume").Error, StringComparison.Ordinal);
        AssertSame("whole.esnet", "parts.esnet");
    }

    [Theory]
    [InlineData("10M", 1, "MiB are left of --memory-limit")]
    [InlineData("much", 2, "--memory-limit much: not a size")]
    public void A_run_that_cannot_fit_is_refused_before_it_starts(string limit, int exitCode, string message)
    {
        _shell.Write("train.tsv", Colours.Rows(100, seed: 1, colours: 200));
        Outcome outcome = _shell.Run(Workbench.Command($"train train.tsv --out net.esnet --min-count 1 --memory-limit {limit}"));
        Assert.Equal(exitCode, outcome.ExitCode);
        Assert.Contains(message, outcome.ErrorLines[^1], StringComparison.Ordinal);
        Assert.False(File.Exists(_shell.Path("net.esnet")));
    }

    [Fact]
    public void A_copy_of_the_best_epoch_is_counted_only_where_rows_are_held_out()
    {
        _shell.Write("train.tsv", Colours.Rows(100, seed: 1, colours: 200));
        int[] needs = [.. new[] { "0.1", "0" }.Select(share => Succeed($"train train.tsv --out net.esnet --min-count 1 --epochs 1 --hidden 8192 --hold-out {share}").Error
            .Split('\n').Single(line => line.StartsWith("training needs about", StringComparison.Ordinal)).Split(' ')[3]).Select(mebibytes => int.Parse(mebibytes, NumberStyles.AllowThousands, CultureInfo.InvariantCulture))];
        Assert.True(needs[1] < needs[0], $"{needs[1]} MiB without held-out rows, {needs[0]} with some");
    }

    [Theory]
    [InlineData("--resume", "--resume needs --checkpoint")]
    [InlineData("--checkpoint-every 5", "--checkpoint-every needs --checkpoint")]
    [InlineData("--evaluate-every 5", "--evaluate-every needs --log")]
    [InlineData("--patience 2 --hold-out 0", "--patience needs held-out rows")]
    [InlineData("--hold-out 0.1 --validation train.tsv", "--hold-out and --validation do not go together")]
    [InlineData("--mode full --table-negatives 4", "table negatives belong to sampled mode")]
    [InlineData("--mode full --negatives 4", "--negatives has no effect with --mode full")]
    [InlineData("--mode full --negative-power 0", "--negative-power has no effect with --mode full")]
    [InlineData("--lsh-bits 4", "--lsh-bits needs --lsh-negatives")]
    [InlineData("--lsh-tables 4", "--lsh-tables needs --lsh-negatives")]
    [InlineData("--keep last --hold-out 0", "--keep needs held-out rows")]
    [InlineData("--evaluate-every 5 --log log.csv --hold-out 0", "--evaluate-every needs held-out rows")]
    [InlineData("--bag 4", "--bag needs --format tokens")]
    [InlineData("--positions 4", "--positions needs --format tokens")]
    [InlineData("--format tokens --ngrams 1", "--ngrams has no effect with --format tokens")]
    [InlineData("--format tokens --idf true", "--idf has no effect with --format tokens")]
    public void Options_that_would_have_no_effect_are_refused(string options, string message)
    {
        _shell.Write("train.tsv", Colours.Rows(100, seed: 1, colours: 200));
        Outcome outcome = _shell.Run(Workbench.Command($"train train.tsv --out net.esnet --min-count 1 {options}"));
        Assert.Equal(2, outcome.ExitCode);
        Assert.Contains(message, Assert.Single(outcome.ErrorLines), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("train train.tsv --min-count 1 --out no/such/net.esnet", "no/such/net.esnet: there is no folder ")]
    [InlineData("train train.tsv --min-count 1 --out net.esnet --checkpoint no/state", "no/state: there is no folder ")]
    [InlineData("train train.tsv --min-count 1 --out folder", "folder: is a folder, not a file")]
    [InlineData("slide train train.tsv --out no/net.esnet", "no/net.esnet: there is no folder ")]
    public void An_output_that_cannot_be_written_is_told_before_the_work(string command, string message)
    {
        _shell.Write("train.tsv", Colours.Rows(100, seed: 1, colours: 200));
        _shell.Run("mkdir folder");
        Outcome outcome = _shell.Run(Workbench.Command(command));
        Assert.Equal(1, outcome.ExitCode);
        Assert.Contains(message, Assert.Single(outcome.ErrorLines), StringComparison.Ordinal);
    }

    [Fact]
    public void A_pipe_is_refused_because_data_is_read_more_than_once()
    {
        _shell.Write("train.tsv", Colours.Rows(100, seed: 1, colours: 200));
        Outcome outcome = _shell.Run($"cat train.tsv | {Workbench.Command("train /dev/stdin --out net.esnet --min-count 1")}");
        Assert.Equal(4, outcome.ExitCode);
        Assert.Contains("/dev/stdin: is a pipe", Assert.Single(outcome.ErrorLines), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--transform log1p")]
    [InlineData("--idf true")]
    [InlineData("--normalize none")]
    public void A_checkpoint_of_other_inputs_is_refused(string options)
    {
        _shell.Write("train.tsv", Colours.Rows(300, seed: 1, colours: 200));
        string train = $"train train.tsv --out net.esnet {Options} --epochs 1 --checkpoint state";
        Succeed(train);
        Outcome outcome = _shell.Run(Workbench.Command($"{train} --resume {options}"));
        Assert.Equal(4, outcome.ExitCode);
        Assert.Contains("fingerprint of data and options", outcome.ErrorLines[^1], StringComparison.Ordinal);
    }

    [Fact]
    public void Quantize_judges_on_the_rows_that_train_held_out_whatever_the_seed_and_the_share()
    {
        _shell.Write("train.tsv", Colours.Rows(2000, seed: 1, colours: 200));
        Succeed("train train.tsv --out net.esnet --min-count 1 --hold-out 0.3 --seed 7 --epochs 1 --threads 1 --log log.csv");
        string[] lines = File.ReadAllLines(_shell.Path("log.csv"));
        string p1 = lines[^1].Split(',')[Array.IndexOf(lines[0].Split(','), "p1")];
        string table = Succeed("quantize net.esnet --data train.tsv --out net.eslide").Output;
        string shown = double.Parse(p1, CultureInfo.InvariantCulture).ToString("F4", CultureInfo.InvariantCulture);
        Assert.Contains(shown, table.Split('\n').Single(l => l.TrimStart().StartsWith("FP32", StringComparison.Ordinal)), StringComparison.Ordinal);
    }

    /// <summary>True if the run continued a checkpoint; fails if that lay further back than one interval before <paramref name="reached"/>.</summary>
    private static bool CheckResumption(Outcome outcome, long reached)
    {
        Match resumed = Resumption().Match(outcome.Error);
        if (!resumed.Success)
        {
            // Killed before it read its checkpoint, or before there was one.
            Assert.True(reached <= Every || outcome.ExitCode == 137, $"step {reached} was lost: {outcome.Error}");
            return false;
        }
        long[] figures = [.. resumed.Groups.Values.Skip(1).Select(g => long.Parse(g.Value, CultureInfo.InvariantCulture))];
        long step = (figures[0] * figures[2]) + figures[1];
        Assert.True(step >= reached - Every, $"went on at step {step} after step {reached} was done");
        return true;
    }

    private int LogLines() => File.Exists(_shell.Path("log.csv")) ? File.ReadLines(_shell.Path("log.csv")).Count() : 0;

    private long LastLoggedStep() => !File.Exists(_shell.Path("log.csv")) ? 0
        : File.ReadLines(_shell.Path("log.csv")).Skip(1).Select(line => line.Split(',')).Where(cells => cells.Length > 2).Select(cells => long.Parse(cells[1], CultureInfo.InvariantCulture)).LastOrDefault();

    private void AssertSame(string expected, string actual)
    {
        IReadOnlyList<NetworkLayer> a = TrainedModel.Load(_shell.Path(expected)).Network.Layers, b = TrainedModel.Load(_shell.Path(actual)).Network.Layers;
        for (int layer = 0; layer < a.Count; layer++)
        {
            Assert.Equal(a[layer].Weights, b[layer].Weights);
            Assert.Equal(a[layer].Bias, b[layer].Bias);
        }
    }

    private Outcome Succeed(string command)
    {
        Outcome outcome = _shell.Run(Workbench.Command(command));
        Assert.True(outcome.ExitCode == 0, outcome.Error);
        return outcome;
    }

    [GeneratedRegex(@"resumed after epoch (\d+), batch (\d+) of (\d+)")]
    private static partial Regex Resumption();
}
