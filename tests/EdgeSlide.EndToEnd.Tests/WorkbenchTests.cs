using System.Text.Json;
using EdgeSlide.EndToEnd.Tests.Support;

namespace EdgeSlide.EndToEnd.Tests;

/// <summary>The workstation tool from the outside: a whole job, and what it says to bad input.</summary>
[Trait("Category", "Long")]
public sealed class WorkbenchTests : IDisposable
{
    private readonly Shell _shell = new() { Deadline = TimeSpan.FromMinutes(3) };

    public void Dispose() => _shell.Dispose();

    [Theory]
    [InlineData("relu", "Relu")]
    [InlineData("linear", "Identity")]
    public void A_text_classifier_goes_from_file_to_answer(string activation, string described)
    {
        _shell.Write("train.tsv", Colours.Rows(4000, 1));
        _shell.Write("test.tsv", Colours.Rows(400, 2));
        Run($"train train.tsv --out colours.esnet --epochs 6 --min-count 1 --learning-rate 0.02 --batch 64 --activation {activation}");
        string report = Run("quantize colours.esnet --data train.tsv --out colours.eslide").Output;
        foreach (string expected in new[] { "FP32 dense", "INT8 dense", "INT8 LSH", "largest error", "vote blend" })
            Assert.Contains(expected, report, StringComparison.Ordinal);

        Outcome answer = _shell.RunWell("echo 'tone3 tone3b' | edgeslide predict colours.eslide --top 1");
        Assert.StartsWith("colour 3\t", answer.Output, StringComparison.Ordinal);

        JsonElement all = JsonDocument.Parse(Run($"eval colours.esnet test.tsv --model colours.eslide --binary {DeviceBinary.Path} --json").Output).RootElement;
        double fp32 = all.GetProperty("p1_fp32_dense").GetDouble();
        Assert.True(fp32 > 0.95, $"P@1 {fp32}");
        Assert.InRange(all.GetProperty("p1_int8_dense").GetDouble(), fp32 - 0.01, 1);
        Assert.InRange(all.GetProperty("p1_int8_lsh").GetDouble(), fp32 - 0.02, 1);
        Assert.Equal(0, all.GetProperty("allocated_bytes_per_inference").GetDouble());
        foreach (string field in new[]
        {
            "p5_fp32_dense", "p5_int8_dense", "p5_int8_lsh", "labels", "active_neurons_mean", "active_fraction", "mult_fraction", "ns_dense_median",
            "ns_lsh_median", "speedup", "model_bytes", "table_bytes", "train_seconds", "binary_bytes",
        })
        {
            Assert.True(all.GetProperty(field).GetDouble() > 0, field);
        }

        Assert.Contains($"\"activation\":\"{described}\"", _shell.RunWell("edgeslide info colours.eslide --json").Output, StringComparison.Ordinal);

        JsonElement rows = JsonDocument.Parse(Run("data describe train.tsv --json").Output).RootElement;
        Assert.Equal((4000, 20), (rows.GetProperty("rows").GetInt32(), rows.GetProperty("labels").GetInt32()));
    }

    [Fact]
    public void The_same_seed_gives_the_same_model_and_a_resumed_run_too()
    {
        _shell.Write("train.tsv", Colours.Rows(600, 1));
        const string Options = "--min-count 1 --epochs 4 --hold-out 0";
        Run($"train train.tsv --out a.esnet {Options}");
        Run($"train train.tsv --out b.esnet {Options} --threads 1 --checkpoint state");
        Run($"train train.tsv --out c.esnet {Options} --checkpoint state --resume");
        string[] scores = [.. new[] { "a", "b", "c" }.Select(name => Run($"eval {name}.esnet train.tsv --json").Output)];
        Assert.Equal(scores[0], scores[1]);
        Assert.Equal(scores[0], scores[2]);
    }

    [Fact]
    public void A_network_trained_by_hashing_weights_answers_like_any_other()
    {
        _shell.Write("train.tsv", Colours.Rows(3000, 1));
        _shell.Write("test.tsv", Colours.Rows(500, 2));
        JsonElement trained = JsonDocument.Parse(Run("slide train train.tsv --out s.esnet --min-count 1 --hidden 32 --active 1,0.5 --epochs 4 --tables 20 --threads 1 --test test.tsv --json").Output).RootElement;
        double hashed = trained.GetProperty("p1_hashed").GetDouble();
        Assert.True(hashed > 0.6, $"P@1 {hashed} with half of the output neurons, found by hashing");
        JsonElement all = JsonDocument.Parse(Run("eval s.esnet test.tsv --json").Output).RootElement;
        Assert.True(all.GetProperty("p1").GetDouble() > 0.8, all.GetRawText());
        Assert.True(all.GetProperty("psp1").GetDouble() > 0.5, all.GetRawText());
    }

    [Fact]
    public void Selection_methods_are_compared_side_by_side()
    {
        _shell.Write("train.tsv", Colours.Rows(1000, 1));
        _shell.Write("test.tsv", Colours.Rows(400, 2));
        Run("train train.tsv --out colours.esnet --epochs 6 --min-count 1 --learning-rate 0.02 --batch 64 --hold-out 0");
        const string Command = "compare colours.esnet --data train.tsv --validation test.tsv -m features:entries=4@5 -m weights:family=dwta,k=1,tables=8@5";
        JsonElement[] rows = [.. JsonDocument.Parse(Run($"{Command} --json").Output).RootElement.EnumerateArray()];
        Assert.Equal(["all neurons", "features:entries=4@5", "weights:family=dwta,k=1,tables=8@5"], rows.Select(r => r.GetProperty("method").GetString()));
        Assert.True(rows[0].GetProperty("p1").GetDouble() > 0.9, rows[0].GetRawText());
        Assert.InRange(rows[1].GetProperty("p1").GetDouble(), rows[0].GetProperty("p1").GetDouble() - 0.05, 1);
        Assert.InRange(rows[1].GetProperty("neurons_mean").GetDouble(), 1, 6);
        Assert.Equal(10, rows[1].GetProperty("p1_by_decile").GetArrayLength());
        string text = Run($"{Command} --deciles").Output;
        foreach (string expected in new[] { "200 held-out rows", "all neurons", "features:entries=4@5", "recall@5", "most frequent" })
            Assert.Contains(expected, text, StringComparison.Ordinal);
    }

    [Fact]
    public void Plans_of_negatives_are_compared_side_by_side()
    {
        _shell.Write("train.tsv", Colours.Rows(1000, 1));
        Run("train train.tsv --out colours.esnet --epochs 2 --min-count 1 --batch 64 --negatives 2 --lsh-negatives 2 --lsh-bits 2");
        string text = Run("negatives colours.esnet train.tsv --batch 32 --rows 64 --negatives 4 --repetitions 3").Output;
        foreach (string expected in new[] { "uniform", "frequency^0.5", "half by LSH", "ideal", "gradient error" })
            Assert.Contains(expected, text, StringComparison.Ordinal);
        using JsonDocument json = JsonDocument.Parse(Run("negatives colours.esnet train.tsv --batch 32 --rows 64 --negatives 4 --repetitions 3 --json").Output);
        Assert.Equal(6, json.RootElement.GetArrayLength());
        Assert.All(json.RootElement.EnumerateArray(), plan => Assert.InRange(plan.GetProperty("cosine").GetDouble(), -1, 1.000001));
    }

    [Fact]
    public void Negatives_are_measured_on_rows_or_not_at_all()
    {
        _shell.Write("train.tsv", Colours.Rows(200, 1));
        _shell.Write("one.tsv", Colours.Rows(1, 2));
        Run("train train.tsv --out colours.esnet --epochs 1 --min-count 1 --batch 64");
        foreach (string format in new[] { "", "--json" })
        {
            Outcome outcome = _shell.Run(Workbench.Command($"negatives colours.esnet one.tsv {format}"));
            Assert.Equal((4, "", "edgeslide-workbench: one.tsv: no row is left to measure on; --hold-out 0 takes all"), (outcome.ExitCode, outcome.Output, outcome.ErrorLines[^1]));
        }
    }

    /// <summary>The gradient of a softmax over one label is 0, so nothing can be told relative to it.</summary>
    [Fact]
    public void What_is_not_a_number_is_null_in_json()
    {
        _shell.Write("train.tsv", Colours.Rows(200, 1, colours: 1));
        Run("train train.tsv --out one.esnet --epochs 1 --min-count 1 --batch 64");
        using JsonDocument json = JsonDocument.Parse(Run("negatives one.esnet train.tsv --batch 32 --negatives 4 --repetitions 2 --json").Output);
        Assert.All(json.RootElement.EnumerateArray(), plan =>
        {
            Assert.Equal(JsonValueKind.Null, plan.GetProperty("gradient_error").ValueKind);
            Assert.Equal(1, plan.GetProperty("labels").GetDouble());
        });
    }

    [Fact]
    public void The_sweep_shows_no_learning_rate_as_that_of_all_methods()
    {
        string line = Assert.Single(Run("slide sweep --help").Output.Split('\n'), l => l.TrimStart().StartsWith("--learning-rate", StringComparison.Ordinal));
        Assert.DoesNotContain("default", line, StringComparison.Ordinal);
        line = Assert.Single(Run("slide train --help").Output.Split('\n'), l => l.TrimStart().StartsWith("--learning-rate", StringComparison.Ordinal));
        Assert.Contains("[default: 0.001]", line, StringComparison.Ordinal);
    }

    [Fact]
    public void A_hundred_labels_are_learned_by_hashing_weights_as_it_comes()
    {
        _shell.Write("train.tsv", Colours.Rows(3000, 1, colours: 100));
        _shell.Write("test.tsv", Colours.Rows(500, 2, colours: 100));
        Run("slide train train.tsv --threads 1 --out s.esnet");
        double p1 = JsonDocument.Parse(Run("eval s.esnet test.tsv --json").Output).RootElement.GetProperty("p1").GetDouble();
        Assert.True(p1 > 0.9, $"P@1 {p1}");
    }

    [Theory]
    [InlineData("compare nowhere.esnet --data train.tsv", 3, "nowhere.esnet: no such file")]
    [InlineData("compare net.esnet --data train.tsv -m magic", 2, "'magic' is none of")]
    [InlineData("compare net.esnet --data train.tsv -m features@0", 2, "the budget after @")]
    [InlineData("compare nowhere.esnet --data nowhere.tsv -m features -m tree:branch=1", 2, "branch=1 is not a number from 2 to")]
    [InlineData("compare nowhere.esnet --data nowhere.tsv --true-vote=-1", 2, "vote")]
    [InlineData("slide sweep nowhere.csv", 4, "nowhere.csv: no such file")]
    [InlineData("slide sweep --task convex --methods magic", 2, "'magic' is none of")]
    [InlineData("slide sweep tiny.csv", 4, "tiny.csv: no row is left to measure on")]
    [InlineData("slide sweep tiny.csv --rows 5", 2, "--rows is for --task convex or rectangles")]
    [InlineData("slide sweep --task convex --threshold 3", 2, "--threshold needs --sampling threshold")]
    [InlineData("slide sweep --task convex --methods gemm,lsh --explore 0.1", 2, "--explore has no effect without one of the --methods votes")]
    [InlineData("slide sweep --task convex --methods votes --policy fifo", 2, "--policy has no effect without one of the --methods lsh")]
    [InlineData("slide sweep --task convex --methods dropout --k 3", 2, "--k has no effect without one of the --methods votes, lsh")]
    [InlineData("slide sweep --task convex --methods gemm,dense --active 0.5", 2, "--active has no effect without one of the --methods")]
    [InlineData("slide sweep --task convex --methods gemm --learning-rate 0.1", 2, "--learning-rate has no effect without one of the --methods")]
    [InlineData("slide train train.tsv --hidden 10.7", 2, "--hidden 10.7: not a list of widths such as 128 or 256,128")]
    [InlineData("slide train train.tsv --threshold 3", 2, "--threshold needs --sampling threshold")]
    [InlineData("slide train train.tsv --explore 0.1", 2, "--explore")]
    [InlineData("slide train train.tsv --vote-decay 0.9", 2, "--vote-decay")]
    [InlineData("slide train unlabelled.txt", 4, "no training row has a label")]
    [InlineData("import nowhere.npz", 4, "nowhere.npz: no such file")]
    [InlineData("import folder", 4, "folder: is a directory, not a file")]
    [InlineData("train nowhere.tsv", 4, "nowhere.tsv: no such file")]
    [InlineData("train bad.txt", 4, "bad.txt:2:")]
    [InlineData("train large.txt", 4, "large.txt:3: the input's values are too large")]
    [InlineData("train train.tsv --epochs 0", 2, "epochs must be positive")]
    [InlineData("train train.tsv --activation tanh", 2, "tanh")]
    [InlineData("train train.tsv --keep last --patience 2", 2, "patience waits for a better epoch to keep")]
    [InlineData("train train.tsv --lsh-negatives 8 --mode full", 2, "the full softmax draws none")]
    [InlineData("train train.tsv --lsh-negatives 8 --negatives 0", 2, "LSH negatives need random negatives")]
    [InlineData("negatives nowhere.esnet train.tsv", 3, "nowhere.esnet: no such file")]
    [InlineData("negatives nowhere.esnet train.tsv --negative-power 50", 2, "negative power must be 0 to 1")]
    [InlineData("negatives nowhere.esnet train.tsv --negative-power=-3", 2, "negative power must be 0 to 1")]
    [InlineData("negatives nowhere.esnet train.tsv --negative-power NaN", 2, "negative power must be 0 to 1")]
    [InlineData("train train.tsv --hold-out 1.5", 2, "--hold-out must be at least 0 and below 1")]
    [InlineData("data split train.tsv a b --fraction NaN", 2, "--fraction must be at least 0 and below 1")]
    [InlineData("data split train.tsv a ./a", 2, "TRAIN and HELDOUT are the same file")]
    [InlineData("train train.tsv --hidden wide", 2, "--hidden wide: not a list of widths")]
    [InlineData("train train.tsv --min-count 9999", 2, "no word occurs in at least 9999 rows")]
    [InlineData("quantize train.tsv --data train.tsv", 3, "is not an .esnet network")]
    [InlineData("data describe train.tsv --spill nowhere", 2, "--spill nowhere: no such folder")]
    [InlineData("eval net.esnet train.tsv --model net.eslide --skip-bad-rows", 2, "--skip-bad-rows and --model do not go together")]
    [InlineData("eval nowhere.esnet train.tsv", 3, "nowhere.esnet: no such file")]
    [InlineData("data describe empty", 4, "empty:")]
    [InlineData("data describe broken.tsv.gz", 4, "cut short")]
    [InlineData("train train.tsv --loss hinge", 2, "hinge")]
    [InlineData("generate nowhere/wide.eslide", 1, "nowhere/wide.eslide: there is no folder")]
    [InlineData("generate wide.eslide --queries nowhere/q.txt", 1, "nowhere/q.txt: there is no folder")]
    [InlineData("generate wide.eslide --keys 99", 2, "no more than its row has features")]
    [InlineData("train train.tsv --out train.tsv", 2, "train.tsv would replace what this command reads")]
    [InlineData("train train.tsv --validation bad.txt --log ./bad.txt", 2, "./bad.txt would replace what this command reads")]
    [InlineData("train train.tsv --labels empty --checkpoint empty", 2, "empty would replace what this command reads")]
    [InlineData("train train.tsv --out link", 2, "link would replace what this command reads")]
    [InlineData("train train.tsv --out a --checkpoint ./a", 2, "./a is named as the place of two outputs")]
    [InlineData("train train.tsv --out /dev/full", 1, "/dev/full: is a device")]
    [InlineData("train train.tsv --log nowhere/log.csv", 1, "nowhere/log.csv: there is no folder")]
    [InlineData("quantize net.esnet --data train.tsv --out train.tsv", 2, "train.tsv would replace what this command reads")]
    [InlineData("tune net.eslide train.tsv --out train.tsv", 2, "train.tsv would replace what this command reads")]
    [InlineData("tune train.tsv bad.txt --plot train.tsv --overwrite", 2, "train.tsv would replace what this command reads")]
    [InlineData("tune net.eslide train.tsv --out z --plot z", 2, "z is named as the place of two outputs")]
    [InlineData("report train.tsv --out train.tsv --log empty", 2, "train.tsv would replace what this command reads")]
    [InlineData("import bad.txt --out bad.txt", 2, "bad.txt would replace what this command reads")]
    [InlineData("slide train bad.txt --test train.tsv --out train.tsv", 2, "train.tsv would replace what this command reads")]
    [InlineData("generate g --queries g", 2, "g is named as the place of two outputs")]
    [InlineData("data convert bad.txt bad.txt", 2, "bad.txt would replace what this command reads")]
    [InlineData("data split train.tsv train.tsv b", 2, "train.tsv would replace what this command reads")]
    [InlineData("data split train.tsv a folder", 1, "folder: is a folder, not a file")]
    [InlineData("data describe wide.txt", 4, "wide.txt:1: header says 3 features and 999,999,999 labels, more than the 16,777,216")]
    [InlineData("grow", 2, "grow")]
    [InlineData("train train.tsv --label-power NaN", 2, "label power must be 0 to 4")]
    [InlineData("train train.tsv --label-power 1e30", 2, "label power must be 0 to 4")]
    [InlineData("train train.tsv --epochs 1.5", 2, "--epochs 1.5: not a whole number")]
    [InlineData("quantize net.esnet --data train.tsv --vote-blend inf", 2, "--vote-blend inf: not a number")]
    [InlineData("generate wide.eslide --seed=-1", 2, "--seed -1: not a whole number from 0")]
    [InlineData("train large.txt --ngrams 2", 2, "--ngrams is for text; large.txt has rows of numbers")]
    [InlineData("train control.tsv", 4, "control.tsv:2: label 'b?' contains a control character")]
    [InlineData("train train.tsv --labels tab.txt", 4, "tab.txt:2: a tab, but the first line has no id")]
    [InlineData("train train.tsv --labels names.txt", 4, "names.txt:3: label 'a' is in line 1, too")]
    [InlineData("quantize net.esnet --data train.tsv --validation train.tsv --hold-out 0.1", 2, "--hold-out and --validation do not go together")]
    [InlineData("quantize net.esnet --data train.tsv --hidden-bits 8", 2, "--hidden-bits needs --hidden-tables")]
    [InlineData("quantize net.esnet --data train.tsv --label-branch 8", 2, "--label-branch needs --label-tree")]
    [InlineData("compare net.esnet --data train.tsv --validation train.tsv --hold-out 0.1", 2, "--hold-out and --validation do not go together")]
    [InlineData("eval net.esnet train.tsv --binary edgeslide", 2, "--binary needs --model")]
    [InlineData("report net.esnet --model net.eslide --data train.tsv", 2, "--data needs --test")]
    [InlineData("report net.esnet --model net.eslide --labels names.txt", 2, "--labels needs --test")]
    [InlineData("data prose . ./", 2, "FOLDER and OUTDIR are the same folder")]
    [InlineData("data prose books words --split split.tsv", 2, "words/test.txt.gz: is there already, and no file of books belongs to that part")]
    [InlineData("data prose latin out", 4, "latin/book.txt:2: not valid UTF-8")]
    public void Bad_input_gets_one_line_and_its_exit_code(string command, int exitCode, string message)
    {
        _shell.Write("train.tsv", Colours.Rows(100, 1));
        _shell.Write("bad.txt", "2 3 3\n0 1:nan\n1 2:1\n");
        _shell.Write("large.txt", "3 3 3\n0 1:1\n0 1:3e38 2:3e38\n1 2:1\n");
        _shell.Write("wide.txt", "1 3 999999999\n0 1:1\n");
        _shell.Run("ln -s train.tsv link");
        _shell.Write("unlabelled.txt", "2 3 3\n 0:1\n 1:1\n");
        _shell.Write("tiny.csv", "0,1,2\n1,2,1\n");
        _shell.Write("empty", "");
        Directory.CreateDirectory(_shell.Path("folder"));
        _shell.Write("control.tsv", "a\tx\nb\u0001\tx\n");
        _shell.Write("tab.txt", "a\n1\tb\n");
        _shell.Write("names.txt", "a\nb\na\n");
        _shell.Run("mkdir books words latin; echo Text. > books/a.txt; printf 'a.txt\\ttrain\\n' > split.tsv; touch words/test.txt.gz; printf 'the\\ncaf\\351 was\\n' > latin/book.txt");
        _shell.Run("gzip -c train.tsv | head -c 200 > broken.tsv.gz");
        Outcome outcome = _shell.Run(Workbench.Command(command));
        Assert.Equal(exitCode, outcome.ExitCode);
        Assert.Empty(outcome.Output);
        string line = Assert.Single(outcome.ErrorLines, l => l.StartsWith("edgeslide-workbench: ", StringComparison.Ordinal));
        Assert.Contains(message, line, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", outcome.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("internal error", outcome.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Labels_with_equal_names_and_numbers_go_from_file_to_model()
    {
        string[] names = ["apples", "pears", "apples", "plums"];
        _shell.Write("labels.tsv", string.Concat(names.Select((name, id) => $"{id}\t{name}\n")));
        _shell.Write("rows.txt", "40 4 4\n" + string.Concat(Enumerable.Range(0, 40).Select(i => $"{i % 4} {i % 4}:1\n")));
        _shell.Write("text.tsv", string.Concat(Enumerable.Range(0, 40).Select(i => $"{i % 4}\tw{i % 4}\n")));
        Run("train rows.txt --labels labels.tsv --out net.esnet --epochs 1");
        Run("eval net.esnet rows.txt");
        Run("quantize net.esnet --data rows.txt --out net.eslide");
        Run("train text.tsv --labels labels.tsv --min-count 1 --out text.esnet --epochs 1");
        Assert.Equal(Run("eval net.esnet rows.txt --labels labels.tsv").Output, Run("eval net.esnet rows.txt").Output);
        Run("eval text.esnet text.tsv --labels labels.tsv");
        Refused("eval text.esnet text.tsv", 4, "text.tsv:1: label '0' is not one of the 4 known labels; if rows number their labels, give --labels FILE");
        _shell.Write("named.tsv", "pears\tw1\napples\tw0\n");
        Refused("eval text.esnet named.tsv", 4, "named.tsv:2: label 'apples' is the name of several labels");
    }

    [Fact]
    public void What_only_a_network_can_tell_gets_one_line_too()
    {
        _shell.Write("train.tsv", Colours.Rows(400, 1));
        _shell.Write("bare.tsv", "\ttone3\n\ttone3 tone3b\n");
        Run("train train.tsv --out net.esnet --min-count 1 --epochs 1");
        Run("quantize net.esnet --data train.tsv --out net.eslide");
        Refused("eval net.esnet bare.tsv", 4, "bare.tsv: no row has a label");
        Refused("report net.esnet --test bare.tsv", 4, "bare.tsv: no row has a label");
        Refused("report net.esnet --log .", 4, ".: is a directory, not a file");
        Refused("report net.esnet --tuning nowhere.json", 4, "nowhere.json: no such file");
        Refused("eval net.esnet train.tsv --model net.eslide --binary /bin/true", 1, "/bin/true printed no result");
        _shell.Run("printf '#!/bin/sh\\necho {}\\n' > other; chmod +x other");
        Refused("eval net.esnet train.tsv --model net.eslide --binary ./other", 1, "./other printed no result");
        Refused("quantize net.esnet --data train.tsv --centroid-branch 8", 2, "--centroid-branch needs --centroid-levels");
        Run("quantize net.esnet --data train.tsv --hide-features --centroid-branch 8 --out hidden.eslide");
    }

    [Fact]
    public void Help_tells_the_default_of_an_option_that_is_on()
    {
        string help = Run("train --help").Output;
        foreach (string option in new[] { "--age-moments", "--input-momentum" })
            Assert.Contains("[default: true]", Assert.Single(help.Split('\n'), line => line.TrimStart().StartsWith(option, StringComparison.Ordinal)), StringComparison.Ordinal);
    }

    [Fact]
    public void A_bad_line_of_a_text_is_counted_once_though_its_words_are_counted_first()
    {
        _shell.Write("text.txt", [.. "one two three\n"u8, 0xff, (byte)'\n', .. "two three one\n"u8]);
        Outcome outcome = Run("data describe text.txt --format tokens --min-count 1 --skip-bad-rows");
        Assert.Contains("left out 1 bad rows, the first: text.txt:2:", outcome.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Rows_that_cannot_become_features_are_left_out_with_the_bad_ones()
    {
        _shell.Write("rows.txt", "6 3 2\n0 1:1\n0 1:3e38 2:3e38\n1 2:1\n0 1:x\n0 0:1\n1 2:2\n");
        Outcome outcome = Run("train rows.txt --hold-out 0 --epochs 1 --out net.esnet --skip-bad-rows");
        Assert.Contains("left out 1 bad rows, the first: rows.txt:5: value 'x' of feature 1 is not a number", outcome.Error, StringComparison.Ordinal);
        Assert.Contains("left out 1 rows that cannot become features, the first: rows.txt:3: the input's values are too large", outcome.Error, StringComparison.Ordinal);
        outcome = Run("eval net.esnet rows.txt --skip-bad-rows --json");
        Assert.Equal(4, JsonDocument.Parse(outcome.Output).RootElement.GetProperty("rows").GetInt32());
    }

    [Theory]
    [InlineData("train train.tsv --out net.esnet --min-count 1 --epochs 2", 0)]
    [InlineData("train nowhere.tsv", 4)]
    public void Where_nothing_can_be_said_work_goes_on(string command, int exitCode)
    {
        _shell.Write("train.tsv", Colours.Rows(100, 1));
        Assert.Equal(exitCode, _shell.Run($"{Workbench.Command(command)} 2> /dev/full").ExitCode);
        Assert.Equal(exitCode == 0, File.Exists(_shell.Path("net.esnet")));
    }

    [Fact]
    public void A_full_disk_leaves_the_old_model_and_no_half_file()
    {
        _shell.Write("train.tsv", Colours.Rows(400, 1));
        Run("train train.tsv --out net.esnet --min-count 1 --epochs 1");
        _shell.Run("mkdir full");
        // A file system of 20 KiB, in a namespace of its own so that no privilege is needed.
        Outcome outcome = _shell.Run($"unshare -rm sh -c 'mount -t tmpfs -o size=20k none full && echo old > full/net.eslide && {Workbench.Command("quantize net.esnet --data train.tsv --out full/net.eslide")}; echo $?; ls full; cat full/net.eslide'");
        Assert.Equal("1\nnet.eslide\nold\n", outcome.Output);
        Assert.Contains("No space left on device", Assert.Single(outcome.ErrorLines, l => l.StartsWith("edgeslide-workbench: ", StringComparison.Ordinal)), StringComparison.Ordinal);
    }

    private void Refused(string command, int exitCode, string message)
    {
        Outcome outcome = _shell.Run(Workbench.Command(command));
        Assert.Equal(exitCode, outcome.ExitCode);
        Assert.Contains(message, Assert.Single(outcome.ErrorLines, l => l.StartsWith("edgeslide-workbench: ", StringComparison.Ordinal)), StringComparison.Ordinal);
    }

    private Outcome Run(string command)
    {
        Outcome outcome = _shell.Run(Workbench.Command(command));
        Assert.True(outcome.ExitCode == 0, outcome.Error);
        return outcome;
    }
}
