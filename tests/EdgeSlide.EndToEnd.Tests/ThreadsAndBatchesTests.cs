using System.Diagnostics;
using System.Text.Json;
using EdgeSlide.EndToEnd.Tests.Support;

namespace EdgeSlide.EndToEnd.Tests;

/// <summary>Threads and batches change how soon answers come, and nothing else.</summary>
public sealed class ThreadsAndBatchesTests : IDisposable
{
    private const string Many = "--threads 2 --batch 16";

    private readonly Shell _shell = new();

    public void Dispose() => _shell.Dispose();

    [Theory]
    [InlineData("")]
    [InlineData("--json")]
    [InlineData("--mode dense --top 40")]
    [InlineData("--mode lsh --json --top 2")]
    public void Output_is_the_same_byte_for_byte(string options)
    {
        Models.HashedText(_shell);
        // More lines than fit into all blocks together, empty ones among them, and a last one without a line end.
        _shell.Write("q", string.Join('\n', Enumerable.Range(0, 5000).Select(i => i % 7 == 3 ? "" : $"words {i} of line {i % 13} {new string('x', i % 50)}")));
        _shell.Run($"edgeslide predict hashed.eslide q {options} --batch 1 >expected 2>remark");
        Assert.Equal(5000, File.ReadAllLines(_shell.Path("expected")).Length);
        foreach (string other in new[] { "", Many, "-t 3 -b 1", "-t 0 -b 300", "-t 1 -b 1000" })
        {
            Outcome outcome = _shell.Run($"edgeslide predict hashed.eslide q {options} {other} >out 2>errors; echo $?; cmp expected out && cmp remark errors");
            Assert.Equal("0\n", outcome.Output);
            outcome = _shell.Run($"gzip -c q | edgeslide predict hashed.eslide {options} {other} >out 2>errors; echo $?; cmp expected out && cmp remark errors");
            Assert.Equal("0\n", outcome.Output);
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("--json")]
    public void A_bad_line_ends_the_output_at_the_same_place(string options)
    {
        Models.Sparse(_shell);
        foreach (int bad in new[] { 1, 2, 15, 16, 17, 256, 257, 1900 })
        {
            _shell.Write("q", string.Concat(Enumerable.Range(1, 2000).Select(i => i == bad ? "1:x\n" : i > bad && i % 9 == 0 ? "99:1\n" : $"{i % Models.Words}:1 {(i + 3) % Models.Words}:0.5\n")));
            foreach (string other in new[] { "--batch 1", "", Many })
            {
                Outcome outcome = _shell.Run($"edgeslide predict sparse.eslide q {options} {other}");
                Assert.Equal((4, $"edgeslide: q:{bad}: '1:x' is not a number\n"), (outcome.ExitCode, outcome.Error));
                Assert.Equal(bad - 1, outcome.Lines.Length);
            }
            Outcome one = _shell.Run($"edgeslide predict sparse.eslide q {options} --batch 1 --keep-going 2>&1");
            Assert.Equal(4, one.ExitCode);
            // Remarks stand between the same answers.
            Assert.Equal(one, _shell.Run($"edgeslide predict sparse.eslide q {options} {Many} --keep-going 2>&1"));
            Assert.Equal(one, _shell.Run($"edgeslide predict sparse.eslide q {options} --keep-going 2>&1"));
        }
    }

    [Fact]
    public void A_missing_second_input_is_reported_after_the_answers_to_the_first()
    {
        Models.Text(_shell);
        _shell.Write("q", "w1\nw2\nw3\n");
        foreach (string other in new[] { "", Many })
        {
            Outcome outcome = _shell.Run($"edgeslide predict text.eslide q missing {other} --top 1");
            Assert.Equal((4, "edgeslide: missing: no such file\n"), (outcome.ExitCode, outcome.Error));
            Assert.Equal(["Label 1", "Label 2", "Label 3"], outcome.Lines.Select(l => l.Split('\t')[0]));
        }
    }

    [Theory]
    [InlineData("--threads 2 --batch 16")]
    [InlineData("--threads 1 --batch 1000")]
    public async Task The_answer_to_a_line_arrives_before_the_next_line_is_written(string options)
    {
        Models.Text(_shell);
        using Process process = _shell.Start($"exec edgeslide predict text.eslide --top 1 {options}");
        try
        {
            for (int i = 0; i < 5; i++)
            {
                process.StandardInput.Write($"w{i}\n");
                process.StandardInput.Flush();
                string? answer = await process.StandardOutput.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(20));
                Assert.StartsWith($"Label {i}\t", answer, StringComparison.Ordinal);
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
    public void A_reader_that_goes_away_ends_the_program_in_silence_even_while_it_waits_for_input()
    {
        Models.Text(_shell);
        Outcome outcome = _shell.Run($"yes 'w1 w2 w3' | {{ edgeslide predict text.eslide {Many} 2>errors; echo $? >code; }} | head -n 1 | wc -l; cat code errors");
        Assert.Equal(["1", "141"], outcome.Lines.Select(l => l.Trim()));
        // The input stays open for longer than this test may take.
        outcome = _shell.Run($"mkfifo in; exec 9<>in; echo w1 >&9; {{ edgeslide predict text.eslide {Many} <in 2>errors; echo $? >code; }} | true; cat code errors");
        Assert.Equal(["141"], outcome.Lines);
    }

    [Fact]
    public void A_full_disk_is_reported()
    {
        Models.Text(_shell);
        _shell.Write("q", string.Concat(Enumerable.Repeat("w1 w2\n", 3000)));
        _shell.RunBadly($"edgeslide predict text.eslide q {Many} >/dev/full", 1, "cannot write the output: No space left on device");
    }

    [Fact]
    public void A_slow_reader_holds_the_program_back()
    {
        Models.HashedText(_shell);
        using Process process = _shell.Start($"yes 'some words to answer' | exec edgeslide predict hashed.eslide {Many} --json");
        try
        {
            Assert.NotNull(process.StandardOutput.ReadLine());
            // Nobody reads on. The pipe and the blocks fill, and memory stays as it is.
            Thread.Sleep(1000);
            string[] lines = _shell.RunWell($"for p in $(cat /proc/{process.Id}/task/{process.Id}/children) {process.Id}; do grep -s VmHWM /proc/$p/status; done").Lines;
            Assert.NotEmpty(lines);
            Assert.All(lines, l => Assert.InRange(long.Parse(l.Split(':', 'k')[1].Trim(), System.Globalization.CultureInfo.InvariantCulture), 0, 60_000));
        }
        finally
        {
            process.Kill(entireProcessTree: true);
        }
    }

    [Fact]
    public void Eval_gives_the_same_figures_with_several_threads()
    {
        Models.HashedText(_shell);
        _shell.Write("data", string.Concat(Enumerable.Range(0, 1500).Select(i => $"{i * 7 % 500},{i % 11}\t{(i % 10 == 0 ? "" : $"words {i} of {i % 31}")}\n")));
        foreach (string options in new[] { "", "--limit 999" })
        {
            JsonElement one = Json(_shell.RunWell($"edgeslide eval hashed.eslide data --json {options}").Output);
            JsonElement two = Json(_shell.RunWell($"edgeslide eval hashed.eslide data --json --threads 2 {options}").Output);
            foreach (string mode in new[] { "lsh", "dense" })
            {
                foreach (JsonProperty field in one.GetProperty(mode).EnumerateObject().Where(f => f.Name != "microseconds_mean"))
                    Assert.Equal((field.Name, field.Value.GetRawText()), (field.Name, two.GetProperty(mode).GetProperty(field.Name).GetRawText()));
                Assert.True(two.GetProperty(mode).GetProperty("microseconds_mean").GetDouble() > 0);
            }
            Assert.Equal(one.GetProperty("examples").GetInt32(), two.GetProperty("examples").GetInt32());
            Assert.Equal(one.GetProperty("examples_without_features").GetInt32(), two.GetProperty("examples_without_features").GetInt32());
        }
        _shell.RunBadly("echo 1 >>data; edgeslide eval hashed.eslide data --threads 2", 4, "data:1501: no tab between labels and text");
    }

    [Fact]
    public void Bench_measures_throughput_for_growing_batches_and_threads()
    {
        Models.HashedText(_shell);
        _shell.Write("data", string.Concat(Enumerable.Range(0, 50).Select(i => $"1\twords {i} of {i % 31}\n")));
        JsonElement bench = Json(_shell.RunWell("edgeslide bench hashed.eslide data --rounds 1 --json --batch 5 --threads 2").Output);
        Assert.Equal(
            [.. new[] { "lsh", "dense" }.SelectMany(m => new[] { 1, 2 }.SelectMany(t => new[] { 1, 2, 4, 5 }.Select(b => (m, t, b))))],
            bench.GetProperty("throughput").EnumerateArray().Select(s => (s.GetProperty("mode").GetString()!, s.GetProperty("threads").GetInt32(), s.GetProperty("batch").GetInt32())));
        Assert.All(bench.GetProperty("throughput").EnumerateArray(), s => Assert.True(s.GetProperty("queries_per_second").GetDouble() > 100));
        foreach (string mode in new[] { "lsh", "dense" })
            Assert.Equal(bench.GetProperty(mode).GetProperty("output_crc32c").GetString(), bench.GetProperty(mode).GetProperty("batch_output_crc32c").GetString());
        Outcome text = _shell.RunWell("edgeslide bench hashed.eslide data --rounds 1 --batch 3");
        Assert.Contains("lsh throughput", text.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("CRC 0", text.Output, StringComparison.Ordinal);
        Assert.False(Json(_shell.RunWell("edgeslide bench hashed.eslide data --rounds 1 --json").Output).TryGetProperty("throughput", out _));
    }

    [Theory]
    [InlineData("predict text.eslide --threads 257", "--threads must be between 0 and 256 (see --help)")]
    [InlineData("predict text.eslide --threads=-1", "--threads must be between 0 and 256 (see --help)")]
    [InlineData("predict text.eslide --batch 0", "--batch must be between 1 and 1024 (see --help)")]
    [InlineData("bench text.eslide data --batch 1025", "--batch must be between 1 and 1024 (see --help)")]
    public void Impossible_numbers_are_refused(string arguments, string message)
    {
        Models.Text(_shell);
        _shell.RunBadly($"edgeslide {arguments}", 2, message);
    }

    private static JsonElement Json(string text)
    {
        using JsonDocument document = JsonDocument.Parse(text);
        return document.RootElement.Clone();
    }
}
