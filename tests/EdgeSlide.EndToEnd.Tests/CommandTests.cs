using System.Text.Json;
using EdgeSlide.EndToEnd.Tests.Support;
using EdgeSlide.Kernels;

namespace EdgeSlide.EndToEnd.Tests;

/// <summary>eval, bench, info, help, and the kernels behind all of them.</summary>
public sealed class CommandTests : IDisposable
{
    private readonly Shell _shell = new();

    public void Dispose() => _shell.Dispose();

    [Fact]
    public void Eval_measures_both_modes_on_the_same_examples()
    {
        Models.Text(_shell);
        // Two right, one wrong, one without a known word, one without a label, one with a label that the model has not.
        _shell.Write("test.tsv", "Label 7\tw7\nLabel 8,Label 9\tthe W9 word\nLabel 1\tw2\nLabel 3\tunheard\n\tw4\nNo Such Label\tw5\n");
        JsonElement result = Json("edgeslide eval text.eslide test.tsv --labels names --json");
        Assert.Equal(["examples", "examples_without_features", "labels", "kernel", "lsh", "dense"], Names(result));
        Assert.Equal((6, 1, Models.Words), (result.GetProperty("examples").GetInt32(), result.GetProperty("examples_without_features").GetInt32(), result.GetProperty("labels").GetInt32()));
        foreach (string mode in new[] { "lsh", "dense" })
        {
            JsonElement tally = result.GetProperty(mode);
            Assert.Equal(["p1", "p3", "p5", "ndcg3", "ndcg5", "ece", "log_loss", "active_neurons_mean", "active_fraction", "multiplications_mean", "mult_fraction", "microseconds_mean"], Names(tally));
            Assert.Equal(2 / 5.0, tally.GetProperty("p1").GetDouble(), 12);
        }
        Assert.Equal(3, result.GetProperty("lsh").GetProperty("active_neurons_mean").GetDouble());
        Assert.Equal(1, result.GetProperty("dense").GetProperty("active_fraction").GetDouble());
        Assert.Equal(131.0 / (32 + 32 * 32), result.GetProperty("lsh").GetProperty("mult_fraction").GetDouble(), 12);
        string text = _shell.RunWell("edgeslide eval text.eslide test.tsv --labels names").Output;
        Assert.Contains("6 examples, 5 with labels, 1 with nothing that the model knows; 32 labels", text, StringComparison.Ordinal);
        Assert.Contains("0.4000", text, StringComparison.Ordinal);
    }

    [Fact]
    public void Eval_reads_labels_as_names_or_numbers_from_plain_or_gzip_and_stops_at_its_limit()
    {
        Models.Text(_shell);
        _shell.Write("names.tsv", "Label 7\tw7\nLabel 8\tw1\n");
        _shell.Write("ids.tsv", "7\tw7\n8\tw1\n");
        foreach (string command in new[] { "names.tsv", "ids.tsv", "ids.tsv --labels ids", "- <names.tsv" })
            Assert.Equal(0.5, Json($"edgeslide eval text.eslide {command} --json").GetProperty("dense").GetProperty("p1").GetDouble());
        _shell.RunWell("gzip -k names.tsv");
        Assert.Equal(0.5, Json("edgeslide eval text.eslide names.tsv.gz --json").GetProperty("dense").GetProperty("p1").GetDouble());
        Assert.Equal(1, Json("edgeslide eval text.eslide names.tsv --limit 1 --json").GetProperty("dense").GetProperty("p1").GetDouble());
    }

    [Fact]
    public void Rows_without_labels_do_not_decide_how_labels_are_written()
    {
        Models.Text(_shell);
        _shell.Write("ids.tsv", "\tw1\n7\tw7\n8\tw1\n");
        _shell.Write("names.tsv", "\tw1\nLabel 7\tw7\nLabel 8\tw1\n");
        foreach (string file in new[] { "ids.tsv", "names.tsv" })
            Assert.Equal(0.5, Json($"edgeslide eval text.eslide {file} --json").GetProperty("dense").GetProperty("p1").GetDouble());
    }

    [Fact]
    public void Eval_takes_sparse_dense_and_next_word_data()
    {
        Models.Sparse(_shell);
        Models.Dense(_shell);
        Models.NextWord(_shell);
        _shell.Write("sparse.txt", "2 32 32\n5 5:1\n6 7:1\n");
        Assert.Equal(0.5, Json("edgeslide eval sparse.eslide sparse.txt --json").GetProperty("lsh").GetProperty("p1").GetDouble());
        string vector = string.Join(',', Enumerable.Range(0, Models.Words).Select(i => i == 11 ? "1.5" : "0"));
        _shell.Write("dense.csv", $"class 11,{vector}\nclass 3,{vector}\n");
        JsonElement dense = Json("edgeslide eval dense.eslide dense.csv --json");
        Assert.Equal(0.5, dense.GetProperty("dense").GetProperty("p1").GetDouble());
        Assert.False(dense.TryGetProperty("lsh", out _)); // The model has no tables.
        // Four words and the line's end are predicted; only the repeated w5 comes true.
        _shell.Write("text.txt", "w5 w5 w6 w7\n");
        JsonElement next = Json("edgeslide eval next.eslide text.txt --json");
        Assert.Equal(5, next.GetProperty("examples").GetInt32());
        Assert.Equal(0.2, next.GetProperty("dense").GetProperty("p1").GetDouble(), 12);
    }

    [Fact]
    public void Eval_of_nothing_but_unknown_words_is_zero_and_not_a_crash()
    {
        Models.Text(_shell);
        _shell.Write("test.tsv", "Label 7\tunheard\n");
        JsonElement result = Json("edgeslide eval text.eslide test.tsv --json");
        Assert.Equal(0, result.GetProperty("lsh").GetProperty("p1").GetDouble());
        Assert.Equal(0, result.GetProperty("dense").GetProperty("mult_fraction").GetDouble());
        Assert.DoesNotContain("NaN", _shell.RunWell("edgeslide eval text.eslide test.tsv").Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Bench_prints_the_documented_fields_and_allocates_nothing()
    {
        Models.HashedText(_shell);
        _shell.Write("test.tsv", string.Concat(Enumerable.Range(0, 50).Select(i => $"0\tsome words {i} and more {i * 7}\n")));
        JsonElement result = Json("edgeslide bench hashed.eslide test.tsv --queries 40 --rounds 3 --json");
        Assert.Equal(["queries", "rounds", "labels", "features_mean", "featurize_ns_median", "featurize_allocated_bytes_median", "kernel", "architecture", "lsh", "dense", "auto", "speedup", "auto_loss", "resident_bytes"], Names(result));
        Assert.Equal((40, 3, 500), (result.GetProperty("queries").GetInt32(), result.GetProperty("rounds").GetInt32(), result.GetProperty("labels").GetInt32()));
        Assert.Equal(0, result.GetProperty("featurize_allocated_bytes_median").GetDouble());
        foreach (string mode in new[] { "lsh", "dense", "auto" })
        {
            JsonElement measured = result.GetProperty(mode);
            Assert.Equal(["median_ns", "p99_ns", "active_neurons_mean", "active_fraction", "multiplications_mean", "mult_fraction", "bytes_mean", "allocated_bytes_per_inference", "output_crc32c"], Names(measured));
            Assert.Equal(0, measured.GetProperty("allocated_bytes_per_inference").GetDouble());
            Assert.InRange(measured.GetProperty("median_ns").GetDouble(), 1, measured.GetProperty("p99_ns").GetDouble());
            Assert.Matches("^[0-9a-f]{8}$", measured.GetProperty("output_crc32c").GetString());
        }
        Assert.Equal(500, result.GetProperty("dense").GetProperty("active_neurons_mean").GetDouble());
        Assert.InRange(result.GetProperty("lsh").GetProperty("active_neurons_mean").GetDouble(), 1, 16);
        Assert.Equal(result.GetProperty("dense").GetProperty("median_ns").GetDouble() / result.GetProperty("lsh").GetProperty("median_ns").GetDouble(), result.GetProperty("speedup").GetDouble(), 9);
        Assert.Equal(Crc("lsh"), Crc("auto"));
        Assert.InRange(result.GetProperty("resident_bytes").GetInt64(), 1 << 20, 1 << 30);
        JsonElement alone = Json("edgeslide bench hashed.eslide test.tsv --queries 40 --mode dense --json");
        Assert.DoesNotContain("lsh", Names(alone));
        Assert.Equal(Crc("dense"), alone.GetProperty("dense").GetProperty("output_crc32c").GetString());
        Assert.Contains("output CRC", _shell.RunWell("edgeslide bench hashed.eslide test.tsv --rounds 1").Output, StringComparison.Ordinal);

        string? Crc(string mode) => result.GetProperty(mode).GetProperty("output_crc32c").GetString();
    }

    [Fact]
    public void Bench_measures_no_dense_model_under_another_name()
    {
        Models.Text(_shell, "plain.eslide", selector: false);
        _shell.Write("test.tsv", "Label 1\tw1\n");
        foreach (string mode in new[] { "lsh", "auto" })
            _shell.RunBadly($"edgeslide bench plain.eslide test.tsv --mode {mode}", 2, "the model has no hash tables, so there is only --mode dense");
        foreach (string option in new[] { "", " --mode dense" })
            Assert.Equal(["dense"], Names(Json($"edgeslide bench plain.eslide test.tsv --rounds 1 --json{option}")).Intersect(["lsh", "dense", "auto"]));
    }

    [Fact]
    public void Every_kernel_of_the_binary_gives_the_same_outputs()
    {
        Models.HashedText(_shell);
        _shell.Write("test.tsv", string.Concat(Enumerable.Range(0, 60).Select(i => $"0\tquestion number {i} about item {i * 13 % 37}\n")));
        var crcs = new Dictionary<string, string>();
        foreach (string kernel in KernelSelector.Names)
        {
            Outcome outcome = _shell.Run($"EDGESLIDE_KERNEL={kernel} edgeslide bench hashed.eslide test.tsv --rounds 1 --json");
            if (outcome.ExitCode == 2)
            {
                Assert.Equal($"edgeslide: EDGESLIDE_KERNEL={kernel}: this processor does not support it\n", outcome.Error);
                Assert.False(KernelSelector.IsSupported(kernel), $"the binary lacks {kernel}, which this processor has");
                continue;
            }
            Assert.Equal((0, ""), (outcome.ExitCode, outcome.Error));
            using JsonDocument json = JsonDocument.Parse(outcome.Output);
            Assert.Equal(kernel, json.RootElement.GetProperty("kernel").GetString());
            crcs[kernel] = $"{json.RootElement.GetProperty("lsh").GetProperty("output_crc32c")} {json.RootElement.GetProperty("dense").GetProperty("output_crc32c")}";
        }
        Assert.True(crcs.Count >= 3, string.Join(", ", crcs.Keys));
        Assert.Single(crcs.Values.Distinct());
        Assert.Equal(KernelSelector.Choose(null), Json("edgeslide info hashed.eslide --json").GetProperty("kernel").GetString());
    }

    [Fact]
    public void Info_tells_what_is_in_a_model()
    {
        string path = Models.Text(_shell);
        JsonElement info = Json("edgeslide info text.eslide --json");
        Assert.Equal(["path", "model_bytes", "checksums_verified", "input", "features", "labels", "neurons_reordered", "layers", "sections", "table_bytes", "memory_per_thread_bytes", "kernel", "provenance"], Names(info));
        Assert.Equal(new FileInfo(path).Length, info.GetProperty("model_bytes").GetInt64());
        Assert.Equal("end-to-end tests", info.GetProperty("provenance").GetProperty("made_by").GetString());
        JsonElement output = info.GetProperty("layers")[1];
        Assert.Equal(["inputs", "outputs", "activation", "weights", "budget", "vote_blend", "lsh_pays", "sources"], Names(output));
        Assert.Equal(["kind", "keys", "bits", "tables", "entries"], Names(output.GetProperty("sources")[0]));
        Assert.Equal(3 * Models.Words, output.GetProperty("sources")[0].GetProperty("entries").GetInt32());
        Assert.True(info.GetProperty("checksums_verified").GetBoolean());
        Assert.False(Json("edgeslide info text.eslide --json --no-verify").GetProperty("checksums_verified").GetBoolean());
        string text = _shell.RunWell("edgeslide info text.eslide").Output;
        Assert.Contains("text, word n-grams of 1 to 1, by vocabulary; 32 features", text, StringComparison.Ordinal);
        Assert.Contains("memory per thread", text, StringComparison.Ordinal);
        Models.Dense(_shell);
        Assert.Contains("dense rows", _shell.RunWell("edgeslide info dense.eslide").Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Info_prints_a_provenance_that_cannot_drive_the_terminal_or_break_the_line()
    {
        const string Colour = "\u009b31m", Delete = "\u007f";
        Models.Text(_shell, provenance: $"{{\n  \"made_by\": \"{Colour}é{Delete}\",\t\"path\": \"C:\\\\ \\\" \\\\\", \"speed_at_e\\ud83d_and_more\": \"\\ud83d\",\r\n  \"{Colour}\": [1, 2.50, null]\n}}\n");
        string json = _shell.RunWell("edgeslide info text.eslide --json").Output, text = _shell.RunWell("edgeslide info text.eslide").Output;
        string printed = text[text.IndexOf("provenance {", StringComparison.Ordinal)..]["provenance ".Length..];
        foreach (string line in new[] { json, printed })
        {
            Assert.EndsWith("}\n", line, StringComparison.Ordinal);
            Assert.DoesNotContain(line[..^1], char.IsControl);
            Assert.Contains(@"""path"":""C:\\ \"" \\"",""speed_at_e\ud83d_and_more"":""\ud83d"",", line, StringComparison.Ordinal);
            Assert.Contains(":[1,2.50,null]}", line, StringComparison.Ordinal);
        }
        using JsonDocument document = JsonDocument.Parse(json), provenance = JsonDocument.Parse(printed);
        Assert.Equal($"{Colour}é{Delete}", document.RootElement.GetProperty("provenance").GetProperty("made_by").GetString());
        Assert.Equal($"{Colour}é{Delete}", provenance.RootElement.GetProperty("made_by").GetString());
    }

    [Theory]
    [InlineData("--help", "Exit codes:")]
    [InlineData("predict --help", "--keep-going")]
    [InlineData("eval --help", "--labels")]
    [InlineData("bench --help", "--rounds")]
    [InlineData("info --help", "--no-verify")]
    [InlineData("--version", "0.")]
    public void Help_goes_to_standard_output(string arguments, string content) =>
        Assert.Contains(content, _shell.RunWell("edgeslide " + arguments).Output, StringComparison.Ordinal);

    private JsonElement Json(string commandLine)
    {
        using JsonDocument document = JsonDocument.Parse(_shell.RunWell(commandLine).Output);
        return document.RootElement.Clone();
    }

    private static IEnumerable<string> Names(JsonElement element) => element.EnumerateObject().Select(p => p.Name);
}
