using EdgeSlide.EndToEnd.Tests.Support;

namespace EdgeSlide.EndToEnd.Tests;

/// <summary>Whatever is wrong: one line on standard error, the documented exit code, and no more.</summary>
public sealed class BadInputTests : IDisposable
{
    private readonly Shell _shell = new();

    public void Dispose() => _shell.Dispose();

    [Theory]
    [InlineData("missing.eslide", "no such file")]
    [InlineData("nowhere/model.eslide", "no such file")]
    [InlineData("folder", "is a directory, not a model file")]
    [InlineData("text.txt", "is not an .eslide model (wrong signature)")]
    [InlineData("short", "5 bytes are too few for a model's header")]
    [InlineData("empty", "0 bytes are too few for a model's header")]
    [InlineData("/dev/null", "0 bytes are too few for a model's header")]
    [InlineData("version", "has format version 9; this build reads versions 1 to 3")]
    [InlineData("flipped", "section WGHT[1] is damaged (checksum)")]
    [InlineData("header", "the header is damaged (checksum)")]
    public void A_model_that_cannot_be_used_is_named_by_every_command(string model, string problem)
    {
        byte[] good = File.ReadAllBytes(Models.Text(_shell));
        Directory.CreateDirectory(_shell.Path("folder"));
        _shell.Write("text.txt", string.Concat(Enumerable.Repeat("just some text\n", 20)));
        _shell.Write("short", "short");
        _shell.Write("empty", "");
        _shell.Write("version", [.. good[..8], 9, 0, .. good[10..]]);
        byte[] flipped = [.. good];
        flipped[OutputWeights(good) + 100] ^= 4;
        _shell.Write("flipped", flipped);
        _shell.Write("header", [.. good[..20], (byte)(good[20] ^ 1), .. good[21..]]);
        _shell.Write("data.tsv", "Label 1\tw1\n");
        foreach (string command in new[] { $"predict {model} data.tsv", $"eval {model} data.tsv", $"bench {model} data.tsv", $"info {model}" })
            Assert.Equal("", _shell.RunBadly("edgeslide " + command, 3, $"{model}: {problem}").Output);
    }

    [Fact]
    public void A_model_cut_short_anywhere_is_refused()
    {
        byte[] good = File.ReadAllBytes(Models.Text(_shell));
        foreach (int length in new[] { 64, 100, 1000, good.Length / 2, good.Length - 1 })
        {
            _shell.Write("cut.eslide", good[..length]);
            foreach (string option in new[] { "", " --no-verify" })
                _shell.RunBadly("echo w1 | edgeslide predict cut.eslide" + option, 3, $"cut.eslide: has {length} bytes where {good.Length} belong (cut short)");
        }
    }

    [Fact]
    public void A_model_without_permission_is_refused()
    {
        Models.Text(_shell);
        // Root reads everything, so the kernel is asked first.
        Outcome outcome = _shell.Run("chmod 0 text.eslide; if cat text.eslide >/dev/null 2>&1; then echo readable; else edgeslide info text.eslide; fi");
        Assert.True(outcome.Output == "readable\n" || (outcome.ExitCode, outcome.Error) == (3, "edgeslide: text.eslide: no permission to read it\n"), outcome.Error);
    }

    [Fact]
    public void A_model_from_a_pipe_is_refused()
    {
        Models.Text(_shell);
        _shell.RunBadly("cat text.eslide | edgeslide info /dev/stdin", 3, "/dev/stdin: a model is mapped into memory, so it must be a regular file");
    }

    [Theory]
    [InlineData("1:1 2:nan", "'2:nan' is not a finite number")]
    [InlineData("1:1 2:Infinity", "'2:Infinity' is not a finite number")]
    [InlineData("1:1 2:1e99", "'2:1e99' is not a finite number")]
    [InlineData("1:1 32:1", "feature 32 is out of range (the model has 32)")]
    [InlineData("1:1 -1:1", "'-1:1' does not begin with a feature id")]
    [InlineData("1:1 1:2", "a feature stands twice in one input")]
    [InlineData("1:1 word", "'word' is not id:value")]
    [InlineData("1:3e38 2:3e38", "the input's values are too large")]
    public void A_bad_sparse_line_is_named_after_the_lines_before_it_were_answered(string line, string problem)
    {
        Models.Sparse(_shell);
        _shell.Write("q", $"5:1\n{line}\n6:1\n");
        Assert.Single(_shell.RunBadly("edgeslide predict sparse.eslide q", 4, $"q:2: {problem}").Lines);
        _shell.RunBadly("edgeslide predict sparse.eslide <q >/dev/null", 4, $"standard input:2: {problem}");
        _shell.Write("labelled", $"1 5:1\n2 {line}\n");
        _shell.RunBadly("edgeslide eval sparse.eslide labelled", 4, $"labelled:2: {problem}");
    }

    [Theory]
    [InlineData("1,2,3", "3 values where the model takes 32")]
    [InlineData("NaN", "'NaN' is not a finite number")]
    [InlineData("1,,2", "'' is not a number")]
    [InlineData("some text", "'some text' is not a number")]
    public void A_bad_dense_line_is_named(string line, string problem)
    {
        Models.Dense(_shell);
        _shell.Write("q", line + "\n");
        _shell.RunBadly("edgeslide predict dense.eslide q", 4, $"q:1: {problem}");
    }

    [Fact]
    public void Too_many_dense_values_are_refused()
    {
        Models.Dense(_shell);
        _shell.Write("q", string.Join(',', Enumerable.Repeat("1", 33)) + "\n");
        _shell.RunBadly("edgeslide predict dense.eslide q", 4, "q:1: 33 values where the model takes 32");
    }

    [Fact]
    public void Invalid_utf8_is_refused_where_it_stands()
    {
        Models.Text(_shell);
        Models.NextWord(_shell);
        Assert.Single(_shell.RunBadly(@"printf 'w1\nab\377cd\nw2\n' | edgeslide predict text.eslide", 4, "standard input:2: invalid UTF-8 at byte 3").Lines);
        _shell.RunBadly(@"printf 'Label 1\tab\303' | edgeslide eval text.eslide -", 4, "standard input:1: invalid UTF-8 at byte 3");
        _shell.RunBadly(@"printf 'w1 \300\257\n' | edgeslide eval next.eslide -", 4, "standard input:1: invalid UTF-8 at byte 4");
    }

    [Fact]
    public void Input_that_is_missing_a_folder_or_a_program_is_refused()
    {
        Models.Text(_shell);
        Directory.CreateDirectory(_shell.Path("folder"));
        foreach (string command in new[] { "predict", "eval", "bench" })
        {
            _shell.RunBadly($"edgeslide {command} text.eslide missing", 4, "missing: no such file");
            _shell.RunBadly($"edgeslide {command} text.eslide folder", 4, "folder: is a directory");
        }
        _shell.RunBadly("edgeslide predict text.eslide text.eslide", 4, "text.eslide:1: invalid UTF-8 at byte 1");
    }

    [Fact]
    public void Gzip_that_is_damaged_or_cut_short_is_refused()
    {
        Models.Text(_shell);
        _shell.RunWell("yes w1 | head -n 100000 | gzip >whole.gz");
        byte[] whole = File.ReadAllBytes(_shell.Path("whole.gz"));
        foreach (int cut in new[] { 1, 4, 8, 9, whole.Length / 2, whole.Length - 11, whole.Length - 2 })
        {
            _shell.Write("cut.gz", whole[..^cut]);
            Outcome outcome = _shell.Run("edgeslide predict text.eslide cut.gz >/dev/null");
            Assert.Equal((4, "edgeslide: cut.gz: gzip data is cut short or followed by other bytes\n"), (outcome.ExitCode, outcome.Error));
        }
        byte[] damaged = [.. whole];
        damaged[whole.Length / 2] ^= 0x55;
        _shell.Write("damaged.gz", damaged);
        Outcome refused = _shell.Run("edgeslide predict text.eslide damaged.gz >/dev/null");
        Assert.Equal(4, refused.ExitCode);
        Assert.StartsWith("edgeslide: damaged.gz: gzip data is ", Assert.Single(refused.ErrorLines), StringComparison.Ordinal);
        _shell.Write("text.gz", "not gzip at all");
        Assert.Equal(0, _shell.Run("edgeslide predict text.eslide text.gz").ExitCode); // Known by its bytes, not by its name.
    }

    [Fact]
    public void Evaluation_data_without_labels_or_examples_is_refused()
    {
        Models.Text(_shell);
        Models.Dense(_shell);
        _shell.RunBadly("echo w1 | edgeslide eval text.eslide -", 4, "standard input:1: no tab between labels and text");
        _shell.RunBadly("echo 7 | edgeslide eval dense.eslide -", 4, "standard input:1: no comma between label and values");
        _shell.RunBadly("edgeslide eval text.eslide - </dev/null", 4, "-: holds no example");
        _shell.RunBadly(@"printf '\tw1\n' | edgeslide eval text.eslide -", 4, "-: no example has a label");
        _shell.RunBadly(@"printf 'x y\tw1\n' | edgeslide eval text.eslide - --labels ids", 4, "standard input:1: 'x y' is neither a label of the model nor an id");
        _shell.RunBadly(@"printf '\033[31m\tw1\n' | edgeslide eval text.eslide -", 4, "standard input:1: '?[31m' is neither a label of the model nor an id");
        _shell.RunBadly(@"printf 'x\tunheard\n' | edgeslide bench text.eslide -", 4, "-: holds no query that the model knows anything of");
    }

    [InlineData("", "Required command was not provided. (see --help)")]
    [InlineData("predcit text.eslide", "unknown command or argument 'predcit' (see --help)")]
    [InlineData("--verbose info text.eslide", "unknown command or argument '--verbose' (see --help)")]
    [InlineData("predict", "Required argument missing for command: 'predict'. (see --help)")]
    [InlineData("predict text.eslide --tpo 3", "unknown option '--tpo'; a file of that name can be given as ./--tpo (see --help)")]
    [InlineData("eval text.eslide --fast", "unknown option '--fast'; a file of that name can be given as ./--fast (see --help)")]
    [InlineData("info --fast", "unknown option '--fast'; a file of that name can be given as ./--fast (see --help)")]
    [InlineData("predict text.eslide --top 0", "--top must be between 1 and 1000 (see --help)")]
    [InlineData("predict text.eslide --top 1001", "--top must be between 1 and 1000 (see --help)")]
    [InlineData("predict text.eslide --top many", "--top must be between 1 and 1000 (see --help)")]
    [InlineData("predict text.eslide --top 1.5", "--top must be between 1 and 1000 (see --help)")]
    [InlineData("predict text.eslide --mode fast", "Argument 'fast' not recognized. Must be one of: 'auto' 'lsh' 'dense' (see --help)")]
    [InlineData("eval text.eslide", "Required argument missing for command: 'eval'. (see --help)")]
    [InlineData("bench text.eslide data --rounds 0", "--rounds must be between 1 and 10000 (see --help)")]
    [InlineData("bench text.eslide data --queries -5", "--queries must be between 1 and 1000000 (see --help)")]
    [InlineData("info ''", "an empty file name (see --help)")]
    [InlineData("predict ''", "an empty file name (see --help)")]
    [InlineData("predict text.eslide data ''", "an empty file name (see --help)")]
    [InlineData("eval text.eslide ''", "an empty file name (see --help)")]
    [InlineData("bench '' data", "an empty file name (see --help)")]
    [InlineData("info text.eslide extra", "unknown command or argument 'extra' (see --help)")]
    [Theory]
    public void Wrong_usage_ends_with_code_2_and_one_line(string arguments, string message)
    {
        Models.Text(_shell);
        _shell.Write("data", "Label 1\tw1\n");
        Assert.Equal("", _shell.RunBadly("edgeslide " + arguments, 2, message).Output);
    }

    [Theory]
    [InlineData("fpga", "no such kernel (there are avxvnni, avx2, sdot, neon, vector256, vector128, scalar)")]
    [InlineData("AVX2", "no such kernel (there are avxvnni, avx2, sdot, neon, vector256, vector128, scalar)")]
    public void A_kernel_that_does_not_exist_is_wrong_usage(string kernel, string problem)
    {
        Models.Text(_shell);
        foreach (string command in new[] { "predict text.eslide", "info text.eslide" })
            _shell.RunBadly($"EDGESLIDE_KERNEL={kernel} edgeslide {command}", 2, $"EDGESLIDE_KERNEL={kernel}: {problem}");
    }

    private static int OutputWeights(byte[] model)
    {
        for (int at = 64; at < 64 + 32 * BitConverter.ToInt32(model, 12); at += 32)
        {
            if (model.AsSpan(at, 4).SequenceEqual("WGHT"u8) && model[at + 4] == 1)
                return (int)BitConverter.ToInt64(model, at + 8);
        }
        throw new InvalidOperationException("the test model has no second layer");
    }
}
