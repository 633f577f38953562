using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using EdgeSlide.EndToEnd.Tests.Support;

namespace EdgeSlide.EndToEnd.Tests;

public sealed class PredictTests : IDisposable
{
    private readonly Shell _shell = new();

    public void Dispose() => _shell.Dispose();

    [Fact]
    public void A_question_on_standard_input_is_answered_with_names_and_probabilities_best_first()
    {
        Models.Text(_shell);
        string[] fields = _shell.RunWell("echo 'W7, please!' | edgeslide predict text.eslide").Lines.Single().Split('\t');
        Assert.Equal(["Label 7", "Label 8", "Label 9"], fields.Where((_, i) => i % 2 == 0));
        double[] probabilities = [.. fields.Where((_, i) => i % 2 == 1).Select(p => double.Parse(p, CultureInfo.InvariantCulture))];
        Assert.Equal(probabilities.OrderDescending(), probabilities);
        Assert.Equal(1.0, probabilities.Sum(), 3); // The three neurons that its bucket names are all that was evaluated.
        Assert.InRange(probabilities[0], 0.9, 1.0);
    }

    [Fact]
    public void Files_gzip_and_standard_input_are_read_alike_and_in_order()
    {
        Models.Text(_shell);
        string[] expected = ["Label 1", "Label 2", "Label 3", "Label 4"];
        const string Firsts = " --top 1 | cut -f1";
        Assert.Equal(expected, _shell.RunWell(@"printf 'w1\nw2\nw3\nw4\n' | edgeslide predict text.eslide" + Firsts).Lines);
        Assert.Equal(expected, _shell.RunWell(@"printf 'w1\nw2\r\nw3\nw4' >q; edgeslide predict text.eslide q" + Firsts).Lines);
        Assert.Equal(expected, _shell.RunWell(@"printf 'w1\nw2\nw3\nw4\n' | gzip >q.gz; edgeslide predict text.eslide q.gz" + Firsts).Lines);
        Assert.Equal(expected, _shell.RunWell("edgeslide predict text.eslide <q.gz" + Firsts).Lines);
        Assert.Equal(expected, _shell.RunWell(@"printf 'w1\nw2\n' >a; printf 'w3\n' >b; echo w4 | edgeslide predict text.eslide a b -" + Firsts).Lines);
    }

    [Fact]
    public void Top_limits_the_answers_and_more_than_there_are_labels_is_all_of_them()
    {
        Models.Text(_shell);
        foreach ((int top, int answers) in new[] { (1, 1), (3, 3), (32, 32), (1000, 32) })
            Assert.Equal(2 * answers, _shell.RunWell($"echo w7 | edgeslide predict text.eslide --mode dense --top {top}").Lines.Single().Split('\t').Length);
    }

    [Fact]
    public void Mode_decides_how_many_neurons_are_evaluated()
    {
        Models.Text(_shell);
        foreach ((string mode, int neurons) in new[] { ("lsh", 3), ("dense", Models.Words), ("auto", 3) })
        {
            JsonElement answer = Json(_shell.RunWell($"echo w7 | edgeslide predict text.eslide --json --mode {mode}").Output);
            Assert.Equal(neurons, answer.GetProperty("active_neurons").GetInt32());
            Assert.Equal("Label 7", answer.GetProperty("predictions")[0].GetProperty("label").GetString());
        }
    }

    [Fact]
    public void Json_is_one_object_per_line_with_the_documented_fields()
    {
        Models.Text(_shell);
        string[] lines = _shell.Run(@"printf 'w7\nnothing known\nw9 w9\n' | edgeslide predict text.eslide --json --top 2").Lines;
        Assert.Equal(3, lines.Length);
        JsonElement first = Json(lines[0]), none = Json(lines[1]), third = Json(lines[2]);
        Assert.Equal(["line", "predictions", "active_neurons", "multiplications"], first.EnumerateObject().Select(p => p.Name));
        Assert.Equal(["id", "label", "logit", "score", "probability"], first.GetProperty("predictions")[0].EnumerateObject().Select(p => p.Name));
        Assert.Equal(2, first.GetProperty("predictions").GetArrayLength());
        // One word x 32 hidden, 3 bucket entries, 3 neurons x 32.
        Assert.Equal(32 + 3 + 3 * 32, first.GetProperty("multiplications").GetInt32());
        Assert.Equal(["line", "predictions"], none.EnumerateObject().Select(p => p.Name));
        Assert.Equal(0, none.GetProperty("predictions").GetArrayLength());
        Assert.Equal(3, third.GetProperty("line").GetInt32());
        Assert.Equal(9, third.GetProperty("predictions")[0].GetProperty("id").GetInt32());
    }

    [Fact]
    public void A_model_without_names_answers_with_ids()
    {
        Models.Text(_shell, names: false);
        Assert.Equal("7", _shell.RunWell("echo w7 | edgeslide predict text.eslide --top 1 | cut -f1").Lines.Single());
        Assert.Equal("7", Json(_shell.RunWell("echo w7 | edgeslide predict text.eslide --json").Output).GetProperty("predictions")[0].GetProperty("label").GetString());
    }

    [Fact]
    public void Numbers_sparse_and_dense_are_answered()
    {
        Models.Sparse(_shell);
        Models.Dense(_shell);
        Assert.Equal(["5", "5", "9"], _shell.RunWell(@"printf '5:2\n1,2 5:2 6:0.1\n 9:1e0\n' | edgeslide predict sparse.eslide --top 1 | cut -f1").Lines);
        Assert.Equal(["5"], _shell.RunWell(@"printf '1 32 32\n3 5:2\n' | edgeslide predict sparse.eslide --top 1 | cut -f1").Lines); // An XC header is no query.
        string vector = string.Join(',', Enumerable.Range(0, Models.Words).Select(i => i == 11 ? "1.5" : "0"));
        Assert.Equal(["class 11"], _shell.RunWell($"echo '{vector}' | edgeslide predict dense.eslide --top 1 | cut -f1").Lines);
    }

    [Fact]
    public void A_next_word_model_continues_the_line()
    {
        Models.NextWord(_shell);
        Assert.Equal(["w9", "w0", "w1"], _shell.RunWell(@"printf 'w3 w9\n\nw3 unheard\n' | edgeslide predict next.eslide --top 1 | cut -f1").Lines);
    }

    [Fact]
    public void An_empty_line_gets_an_empty_answer_and_one_remark()
    {
        Models.Text(_shell);
        Outcome outcome = _shell.Run(@"printf 'w1\n\nunknown\nw2\n' | edgeslide predict text.eslide --top 1");
        Assert.Equal(0, outcome.ExitCode);
        Assert.Equal(["", ""], outcome.Lines[1..3]);
        Assert.StartsWith("Label 2\t", outcome.Lines[3], StringComparison.Ordinal);
        Assert.Equal("edgeslide: 2 queries had nothing that the model knows and got an empty answer\n", outcome.Error);
        Models.Sparse(_shell);
        Models.Dense(_shell);
        foreach (string model in new[] { "sparse", "dense" })
        {
            outcome = _shell.Run($"echo | edgeslide predict {model}.eslide");
            Assert.Equal((0, "\n", "edgeslide: 1 query had nothing that the model knows and got an empty answer\n"), (outcome.ExitCode, outcome.Output, outcome.Error));
        }
    }

    [Fact]
    public void No_input_gives_no_output()
    {
        Models.Text(_shell);
        Assert.Equal("", _shell.RunWell("edgeslide predict text.eslide </dev/null").Output);
        Assert.Equal("", _shell.RunWell(": >empty; edgeslide predict text.eslide empty").Output);
        Assert.Equal("", _shell.RunWell(": | gzip >empty.gz; edgeslide predict text.eslide empty.gz").Output);
    }

    [Theory]
    [InlineData("w7")]
    [InlineData("")]
    public async Task The_answer_to_a_line_arrives_before_the_next_line_is_written(string first)
    {
        Models.Text(_shell);
        using Process process = _shell.Start("exec edgeslide predict text.eslide --top 1");
        try
        {
            for (int i = 0; i < 3; i++)
            {
                process.StandardInput.Write((i == 0 ? first : $"w{i}") + "\n");
                process.StandardInput.Flush();
                string? answer = await process.StandardOutput.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(20));
                Assert.StartsWith(i == 0 ? first.Length == 0 ? "" : "Label 7\t" : $"Label {i}\t", answer, StringComparison.Ordinal);
            }
            process.StandardInput.Close();
            Assert.True(process.WaitForExit(20_000));
            Assert.Equal(0, process.ExitCode);
        }
        finally
        {
            process.Kill();
        }
    }

    [Fact]
    public void Keep_going_reports_bad_lines_and_answers_the_others()
    {
        Models.Sparse(_shell);
        // A bad line has been reported; only the query without features counts as one that got nothing.
        Outcome outcome = _shell.Run(@"printf '1:1\n1:x\n99:1\n\n2:1\n' | edgeslide predict sparse.eslide --top 1 --keep-going | cut -f1; :");
        Assert.Equal(["1", "", "", "", "2"], outcome.Lines);
        Assert.Equal(
            [
                "edgeslide: standard input:2: '1:x' is not a number",
                "edgeslide: standard input:3: feature 99 is out of range (the model has 32)",
                "edgeslide: 1 query had nothing that the model knows and got an empty answer",
            ], outcome.ErrorLines);
        Assert.Equal("4\n", _shell.Run("printf '1:x\n2:1\n' | { edgeslide predict sparse.eslide --keep-going >/dev/null 2>&1; echo $?; }").Output);
    }

    [Fact]
    public void Unchecked_checksums_give_the_same_answers()
    {
        Models.HashedText(_shell);
        Assert.Equal("", _shell.RunWell("echo any text at all >q; edgeslide predict hashed.eslide q >a; edgeslide predict hashed.eslide q --no-verify >b; cmp a b").Output);
    }

    [Fact]
    public void A_very_long_line_is_answered()
    {
        Models.Text(_shell);
        Assert.Equal(["Label 7"], _shell.RunWell("{ yes word | head -n 1000000 | tr '\\n' ' '; echo w7; } | edgeslide predict text.eslide --top 1 | cut -f1").Lines);
    }

    private static JsonElement Json(string text)
    {
        using JsonDocument document = JsonDocument.Parse(text);
        return document.RootElement.Clone();
    }
}
