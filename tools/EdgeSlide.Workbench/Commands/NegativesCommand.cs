using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Serialization;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Export;
using EdgeSlide.Training.Training;
using EdgeSlide.Workbench.Console;
using Spectre.Console;

namespace EdgeSlide.Workbench.Commands;

/// <summary>Measures the estimates that sampled training rests on.</summary>
internal static class NegativesCommand
{
    private static readonly Argument<string> NetworkFile = new("NETWORK") { Description = "An .esnet file from train." };
    private static readonly Argument<string> Rows = new("DATA") { Description = "Rows to measure with; with --hold-out a share of them." };
    private static readonly Option<double> HoldOut = DataOptions.Value("--hold-out", "Measure on this share of DATA only; unless it is given, what train held out of that file. 0 takes all.", 0.05);
    private static readonly Option<int> Limit = DataOptions.Value("--rows", "Rows used at most.", 2048);
    private static readonly Option<int> BatchSize = DataOptions.Value("--batch", "Rows per batch.", 512);
    private static readonly Option<int> Draws = DataOptions.Value("--negatives", "Draws per batch, of all plans together.", 2048);
    private static readonly Option<float> Power = DataOptions.Value("--negative-power", "What LSH draws are mixed with: draws by frequency to this power.", 0.5f);
    private static readonly Option<int> Bits = DataOptions.Value("--lsh-bits", "Bits of a bucket's number.", 8);
    private static readonly Option<int> Tables = DataOptions.Value("--lsh-tables", "Number of tables.", 32);
    private static readonly Option<int> Repetitions = DataOptions.Value("--repetitions", "Active sets drawn per batch and plan.", 20);
    private static readonly Option<int> Seed = DataOptions.Value("--seed", "Seed of every random choice.", 1);
    private static readonly Option<int> Threads = DataOptions.Value("--threads", "Threads; 0 uses all cores.", 0);
    private static readonly Option<bool> Json = new("--json") { Description = "Print JSON instead of text." };
    private static readonly DataOptions Data = new();

    public static Command Create()
    {
        var command = new Command("negatives", """
            Compare ways to draw negatives, over one network that stands still: how far the estimates of the partition function and
            of the hidden vectors' gradient are from the full softmax's.

            Z error is the root mean square of Z'/Z - 1 over rows and repetitions, bias its mean; ln Z error is that of the loss.
            Gradient error is relative to the norm of the full softmax's gradient, cosine the angle between both.
            """)
        {
            NetworkFile, Rows, HoldOut, Limit, BatchSize, Draws, Power, Bits, Tables, Repetitions, Seed, Threads, Json,
        };
        Data.AddTo(command);
        command.SetLongAction(Run);
        return command;
    }

    private static int Run(ParseResult parsed, CancellationToken cancel)
    {
        float power = parsed.GetValue(Power);
        TrainerOptions options = new()
        {
            BatchSize = parsed.GetValue(BatchSize), NegativePower = power, LshBits = parsed.GetValue(Bits), LshTables = parsed.GetValue(Tables),
            Seed = parsed.GetValue(Seed), Threads = parsed.GetValue(Threads),
        };
        options.Validate();
        int draws = parsed.GetValue(Draws), repetitions = parsed.GetValue(Repetitions), limit = parsed.GetValue(Limit);
        if (draws < 4 || repetitions < 2 || limit < 1)
            throw new CommandException(ExitCodes.Usage, "--negatives must be at least 4, --repetitions 2 and --rows 1");
        TrainedModel model = TrainedModel.Load(parsed.GetValue(NetworkFile)!);
        if (model.Frequencies is null)
            throw new CommandException(ExitCodes.BadModel, "the network does not know its labels' frequencies: train it again");
        double holdOut = DataOptions.HeldOut(parsed, HoldOut, model.Record, parsed.GetValue(Rows)!);
        LoadedData loaded = Data.Read(parsed, [parsed.GetValue(Rows)!], model.Labels, cancel)[0];
        Dataset rows = QuantizeCommand.Featurize(model, holdOut > 0 ? loaded.HoldOut(holdOut).Validation : loaded, cancel);
        if (rows.RowCount == 0)
            throw new CommandException(ExitCodes.BadInput, $"{parsed.GetValue(Rows)}: no row is left to measure on{(holdOut > 0 ? "; --hold-out 0 takes all" : "")}");
        NegativesPlan[] plans =
        [
            new("uniform", draws, 0, 0),
            new($"frequency^{power}", draws, power, 0),
            new("a quarter by LSH", draws - (draws / 4), power, draws / 4),
            new("half by LSH", draws - (draws / 2), power, draws / 2),
            new("three quarters by LSH", draws / 4, power, draws - (draws / 4)),
            new("ideal (needs all logits)", draws, 1, 0, Ideal: true),
        ];
        using NegativesComparison comparison = new(options, model.Network, model.Frequencies, rows);
        NegativesFigures[] figures = Screen.Stages(stage =>
        {
            stage($"drawing {repetitions} active sets a batch and plan");
            return comparison.Run(plans, limit, repetitions, cancel);
        });
        if (parsed.GetValue(Json))
        {
            NegativesRow[] measured = [.. plans.Zip(figures, (plan, f) => new NegativesRow(
                plan.Name, plan.Random, plan.Lsh, Number(f.Labels), Number(f.Bias), Number(f.BiasError), Number(f.PartitionError), Number(f.LogError), Number(f.GradientError), Number(f.Cosine)))];
            System.Console.WriteLine(JsonSerializer.Serialize(measured, NegativesJson.Default.NegativesRowArray));
            return ExitCodes.Ok;
        }
        Table table = new Table().Border(TableBorder.Simple).AddColumns("negatives", "labels", "bias", "+-", "Z error", "ln Z error", "gradient error", "cosine");
        for (int i = 0; i < plans.Length; i++)
        {
            NegativesFigures f = figures[i];
            table.AddRow(plans[i].Name, $"{f.Labels:N0}", $"{f.Bias:F4}", $"{f.BiasError:F4}", $"{f.PartitionError:F4}", $"{f.LogError:F4}", $"{f.GradientError:F4}", $"{f.Cosine:F4}");
        }
        Screen.Output.Profile.Width = 120;
        Screen.Output.Write(table);
        return ExitCodes.Ok;
    }

    /// <summary>JSON has no other numbers: one label has no gradient to compare, and weights may overflow.</summary>
    private static double? Number(double value) => double.IsFinite(value) ? value : null;
}

/// <summary>A plan and its figures, as <see cref="NegativesFigures"/> explains them; null is what is not a number.</summary>
internal sealed record NegativesRow(
    string Negatives, int Random, int Lsh, double? Labels, double? Bias, double? BiasError, double? ZError, double? LogZError, double? GradientError, double? Cosine);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, WriteIndented = true)]
[JsonSerializable(typeof(NegativesRow[]))]
internal sealed partial class NegativesJson : JsonSerializerContext;
