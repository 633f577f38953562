using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using EdgeSlide.Kernels;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Workbench.Console;
using Spectre.Console;

namespace EdgeSlide.Workbench.Commands;

/// <summary>Measures what this machine can do at best, to hold a query's stages against.</summary>
internal static class LimitsCommand
{
    private static readonly long[] Sizes = [256L << 10, 16L << 20, 512L << 20];

    public static Command Create()
    {
        var json = new Option<bool>("--json") { Description = "Print JSON instead of text." };
        var command = new Command("limits", """
            Measure this machine's limits on one thread: reading memory in order and at random, INT8 multiplications.

            docs/performance.md holds the stages of `edgeslide bench --profile` against them. Best of several rounds; about
            600 MB of memory and ten seconds.
            """)
        {
            json,
        };
        command.SetLongAction((parsed, cancel) => Run(parsed.GetValue(json), cancel));
        return command;
    }

    private static int Run(bool json, CancellationToken cancel)
    {
        MemoryBudget.Require("measuring", Sizes[^1] * 9 / 8);
        string kernel = KernelSelector.Choose(Environment.GetEnvironmentVariable(KernelSelector.Variable));
        double multiplications = MachineLimits.Multiplications(kernel);
        MemoryLimit[] memory = [.. Sizes.Select(size =>
        {
            cancel.ThrowIfCancellationRequested();
            return MachineLimits.Memory(size);
        })];
        if (json)
        {
            using Stream output = System.Console.OpenStandardOutput();
            using (var writer = new Utf8JsonWriter(output))
            {
                writer.WriteStartObject();
                writer.WriteString("kernel", kernel);
                writer.WriteNumber("int8_multiplications_per_ns", Math.Round(multiplications, 1));
                writer.WriteStartArray("memory");
                foreach (MemoryLimit limit in memory)
                {
                    writer.WriteStartObject();
                    writer.WriteNumber("bytes", limit.Bytes);
                    writer.WriteNumber("sequential_gb_per_s", Math.Round(limit.SequentialGigabytes, 1));
                    writer.WriteNumber("prefetched_line_ns", Math.Round(limit.PrefetchedNanoseconds, 2));
                    writer.WriteNumber("dependent_line_ns", Math.Round(limit.DependentNanoseconds, 1));
                    writer.WriteEndObject();
                }
                writer.WriteEndArray();
                writer.WriteEndObject();
            }
            output.WriteByte((byte)'\n');
            return ExitCodes.Ok;
        }
        Table table = new Table().Border(TableBorder.Simple).AddColumns("working set", "in order", "random line, prefetched", "random line, one after another");
        foreach (MemoryLimit limit in memory)
            table.AddRow(Text($"{limit.Bytes / 1048576.0:0.##} MiB"), Text($"{limit.SequentialGigabytes:F1} GB/s"), Text($"{limit.PrefetchedNanoseconds:F1} ns"), Text($"{limit.DependentNanoseconds:F0} ns"));
        Screen.Output.Write(table);
        Screen.Output.WriteLine(Text($"kernel {kernel}: {multiplications:F0} INT8 multiplications with addition per ns"));
        return ExitCodes.Ok;
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
