using System.Diagnostics;
using System.IO.Compression;
using System.Text;
using EdgeSlide.EndToEnd.Tests.Support;

namespace EdgeSlide.EndToEnd.Tests;

/// <summary>Ctrl-C while a command of the workstation tool reads or writes: one line, 130, and no file that was not there before.</summary>
[Trait("Category", "Long")]
public sealed class InterruptionTests : IClassFixture<InterruptionTests.DataFixture>
{
    private readonly Shell _shell;

    public InterruptionTests(DataFixture data) => _shell = data.Shell;

    /// <param name="command">It must have much left to do when it opens the file.</param>
    /// <param name="opened">Part of that file's name.</param>
    [Theory]
    [InlineData("data describe big.tsv", "/big.tsv")]
    [InlineData("data describe big.tsv --format tokens", "/big.tsv")]
    [InlineData("data split big.tsv out/train.tsv out/held.tsv --fraction 0.5", "/big.tsv")]
    [InlineData("data split big.tsv out/train.tsv out/held.tsv --fraction 0.5", "/held.tsv.")]
    [InlineData("data convert big.tsv out/big.xc.txt --network net.esnet", "/big.xc.txt.")]
    [InlineData("data convert big.tsv out/big.ft.txt --network net.esnet --to fasttext", "/big.ft.txt.")]
    [InlineData("data prose books out --split books.split", "/valid.txt.gz.")]
    [InlineData("export net.esnet big.tsv --out out", "/big.tsv")]
    [InlineData("export net.esnet big.tsv --out out", "/hidden.npy.")]
    [InlineData("import weights.npz --out out/imported.esnet", "/weights.npz")]
    [InlineData("import weights.npz --out out/imported.esnet", "/imported.esnet.")]
    [InlineData("quantize net.esnet --data big.tsv --out out/net.eslide", "/big.tsv")]
    [InlineData("train big.tsv --out out/big.esnet", "/big.tsv")]
    public void An_interrupted_command_says_so_and_leaves_no_file(string command, string opened)
    {
        Directory.CreateDirectory(_shell.Path("out"));
        (int code, string[] error) = Interrupt(command, opened);
        // On a busy machine the signal may come after the end. That command gets more tries.
        for (int attempt = 1; attempt < 5 && code == 0; attempt++)
        {
            Array.ForEach(Directory.GetFiles(_shell.Path("out")), File.Delete);
            (code, error) = Interrupt(command, opened);
        }
        Assert.True(code == 130, $"exit code {code}: {string.Join('\n', error)}");
        Assert.Equal("edgeslide-workbench: interrupted", error[^1]);
        Assert.True(error[..^1].All(line => line.EndsWith(" ...", StringComparison.Ordinal)), "more than what it was doing: " + string.Join('\n', error));
        Assert.Empty(Directory.GetFiles(_shell.Path("out")));
    }

    /// <summary>Sends the signal as soon as the command has the file open, and returns its exit code and its lines on standard error.</summary>
    private (int ExitCode, string[] Error) Interrupt(string command, string opened)
    {
        // Started before, so that it need not be waited for when it counts.
        using Process signal = _shell.Start("read id && kill -INT $id");
        using Process process = _shell.Start("exec " + Workbench.Command(command));
        try
        {
            for (var waited = Stopwatch.StartNew(); !process.HasExited && !HasOpen(process.Id, opened); Thread.Sleep(1))
                Assert.True(waited.Elapsed < TimeSpan.FromSeconds(60), $"{opened} was never open");
            signal.StandardInput.WriteLine(process.Id);
            signal.StandardInput.Flush();
            Assert.True(process.WaitForExit(60_000), "goes on after Ctrl-C");
            return (process.ExitCode, process.StandardError.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries));
        }
        finally
        {
            process.Kill();
            signal.Kill();
        }
    }

    private static bool HasOpen(int process, string name)
    {
        try
        {
            return Directory.EnumerateFiles($"/proc/{process}/fd").Any(file => new FileInfo(file).LinkTarget?.Contains(name, StringComparison.Ordinal) == true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false; // The process has ended, or closed the file in between.
        }
    }

    /// <summary>Enough data that no command is done with it before the signal comes.</summary>
    public sealed class DataFixture : IDisposable
    {
        public DataFixture()
        {
            Shell.Write("small.tsv", Colours.Rows(500, 1));
            Shell.RunWell("for i in 1 2 3 4 5 6 7 8; do cat small.tsv small.tsv small.tsv small.tsv small.tsv; done >part.tsv; for i in $(seq 100); do cat part.tsv; done >big.tsv");
            Directory.CreateDirectory(Shell.Path("books"));
            Shell.RunWell("cp small.tsv books/a.txt; cp big.tsv books/b.txt");
            Shell.Write("books.split", "a.txt\ttrain\nb.txt\tvalid\n");
            SaveWeights(Shell.Path("weights.npz"), inputs: 200_000, hidden: 64, labels: 50_000);
            Outcome outcome = Shell.Run(Workbench.Command("train small.tsv --out net.esnet --epochs 1 --min-count 1"));
            Assert.True(outcome.ExitCode == 0, outcome.Error);
        }

        public Shell Shell { get; } = new() { Deadline = TimeSpan.FromMinutes(3) };

        public void Dispose() => Shell.Dispose();

        /// <summary>Weights as the SLIDE C++ reference saves them, all zero.</summary>
        private static void SaveWeights(string path, int inputs, int hidden, int labels)
        {
            using ZipArchive zip = ZipFile.Open(path, ZipArchiveMode.Create);
            foreach ((string name, int rows, int width) in new[] { ("w_layer_0", hidden, inputs), ("b_layer_0", hidden, 0), ("w_layer_1", labels, hidden), ("b_layer_1", labels, 0) })
            {
                using Stream entry = zip.CreateEntry($"{name}.npy", CompressionLevel.Fastest).Open();
                string header = $"{{'descr': '<f4', 'fortran_order': False, 'shape': ({(width == 0 ? $"{rows}," : $"{rows}, {width}")}), }}".PadRight(117) + "\n";
                entry.Write((byte[])[0x93, .. "NUMPY"u8, 1, 0, 118, 0, .. Encoding.ASCII.GetBytes(header)]);
                for (int row = 0; row < rows; row++)
                    entry.Write(new byte[sizeof(float) * Math.Max(width, 1)]);
            }
        }
    }
}
