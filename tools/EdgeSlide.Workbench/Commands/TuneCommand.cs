using System.CommandLine;
using System.Security.Cryptography;
using System.Text.Json;
using EdgeSlide.IO;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Export;
using EdgeSlide.Training.Featurization;
using EdgeSlide.Training.Reports;
using EdgeSlide.Training.Tuning;
using EdgeSlide.Workbench.Console;

namespace EdgeSlide.Workbench.Commands;

/// <summary>Searches the cheapest candidate selection that keeps accuracy.</summary>
internal static class TuneCommand
{
    private static readonly Argument<string> ModelFile = new("MODEL") { Description = "An .eslide file from quantize." };
    private static readonly Argument<string> Validation = new("VALIDATION") { Description = "Labelled rows that neither training nor the final test uses." };
    private static readonly Option<double> HoldOut = DataOptions.Value("--hold-out", "VALIDATION is the training file, of which train and quantize held out this share (0.05 unless told otherwise): use those rows only.", 0.0);
    private static readonly Option<string?> Out = new("--out", "-o") { Description = "The tuned model; by default MODEL with .tuned before its extension." };
    private static readonly Option<bool> Overwrite = new("--overwrite") { Description = "Allow --out to be MODEL itself." };
    private static readonly Option<string?> Plot = new("--plot") { Description = "The report with the Pareto plot; by default the tuned model's name with .html." };
    private static readonly Option<double> MaxLoss = DataOptions.Value("--max-loss", "Points of P@1 and of P@5 that may be lost: 0.2 lets P@1 fall from .3400 to .3380. The reference is, for each, the better of the INT8 network with all neurons and MODEL as it is.", 0.2);
    private static readonly Option<double> MaxTailLoss = DataOptions.Value("--max-tail-loss", "With --network: points of propensity-scored P@1 that may be lost.", 0.5);
    private static readonly Option<double?> TableShare = new("--max-table-share") { Description = "The most of the model file that tables may take; by default 0.2, or what MODEL's take if that is more." };
    private static readonly Option<string> Minimize = DataOptions.Choice("--minimize", "What the cheapest setting has least of. Counts are the same in every run, times are not.", "bytes", "bytes", "multiplications", "size", "time");
    private static readonly Option<string?> Network = new("--network") { Description = "The .esnet that MODEL was made of: build other tables too (feature buckets with other votes, centroid trees, SimHash)." };
    private static readonly Option<string?> Train = new("--data") { Description = "The training rows that fill those tables." };
    private static readonly Option<int> Trials = DataOptions.Value("--trials", "The most settings to try.", 1500);
    private static readonly Option<int> Rows = DataOptions.Value("--rows", "The most validation rows to use.", 50_000);
    private static readonly Option<int> Seed = DataOptions.Value("--seed", "Seed of the order of rows.", 1);
    private static readonly Option<bool> Json = new("--json") { Description = "Print the result as JSON, for programs and for `report --tuning`." };
    private static readonly DataOptions Data = new();

    public static Command Create()
    {
        var command = new Command("tune", """
            Find the cheapest candidate selection that keeps accuracy on validation rows, and write it as a model of its own.

            Searched are the budget, entries and votes that buckets keep, which sources are used, their weights, beams and the vote
            blend; with --network and --data also tables of other kinds. Everything is measured with the device's own engine.
            Beside the model, a page with the Pareto front is written: accuracy against bytes, multiplications and time.

            Examples:
              edgeslide-workbench tune tags.eslide valid.tsv --max-loss 0.2
              edgeslide-workbench tune tags.eslide train.tsv --hold-out 0.05
              edgeslide-workbench tune tags.eslide valid.tsv --network tags.esnet --data train.tsv --minimize time
            """)
        {
            ModelFile, Validation, HoldOut, Out, Overwrite, Plot, MaxLoss, MaxTailLoss, TableShare, Minimize, Network, Train, Trials, Rows, Seed, Json,
        };
        Data.AddTo(command);
        command.SetLongAction(Run);
        return command;
    }

    private static int Run(ParseResult parsed, CancellationToken cancel)
    {
        string modelPath = parsed.GetValue(ModelFile)!, validationPath = parsed.GetValue(Validation)!;
        string output = parsed.GetValue(Out) ?? Path.ChangeExtension(modelPath, ".tuned.eslide");
        string plot = parsed.GetValue(Plot) ?? Path.ChangeExtension(output, ".html");
        string? networkPath = parsed.GetValue(Network), trainPath = parsed.GetValue(Train);
        if ((networkPath is null) != (trainPath is null))
            throw new CommandException(ExitCodes.Usage, "--network and --data go together: tables are filled with what the network answers on the training rows");
        if (WholeFile.Target(output) == WholeFile.Target(modelPath) && !parsed.GetValue(Overwrite))
            throw new CommandException(ExitCodes.Usage, $"{output} is the model itself; allow that with --overwrite");
        if (WholeFile.Target(plot) == WholeFile.Target(modelPath))
            throw new CommandException(ExitCodes.Usage, $"{plot} would replace what this command reads");
        var options = new TuningOptions
        {
            MaxLoss = parsed.GetValue(MaxLoss),
            MaxTailLoss = parsed.GetValue(MaxTailLoss),
            MaxTableShare = parsed.GetValue(TableShare),
            Objective = Enum.Parse<TuningObjective>(parsed.GetValue(Minimize)!, ignoreCase: true),
            Trials = parsed.GetValue(Trials),
            Rows = parsed.GetValue(Rows),
            Seed = (ulong)parsed.GetValue(Seed),
        };
        options.Validate();
        double holdOut = DataOptions.Share(parsed, HoldOut);
        OutputPaths.Require([output, plot], parsed.GetValue(Overwrite) ? null : modelPath, validationPath, networkPath, trainPath, parsed.GetValue(Data.Labels));

        using EdgeSlideModel model = EdgeSlideModel.Open(modelPath);
        RefuseTrainingRows(model, modelPath, validationPath, holdOut);
        string[] labels = [.. Enumerable.Range(0, model.LabelCount).Select(model.LabelName)];
        IReadOnlyList<LoadedData> files = Data.Read(parsed, trainPath is null ? [validationPath] : [validationPath, trainPath], labels, cancel);
        LoadedData held = holdOut > 0 ? files[0].HoldOut(holdOut).Validation : files[0];
        Dataset rows = held.Featurize(model.Featurizer, cancel);
        if (rows.LabelCount != model.LabelCount)
            throw new CommandException(ExitCodes.BadInput, $"{validationPath}: has {rows.LabelCount} labels, the model {model.LabelCount}");
        TuningNetwork? network = networkPath is null ? null : LoadNetwork(model, networkPath, trainPath!, files[1], validationPath, holdOut, cancel);
        if (rows.RowCount > 0 && 100.0 / rows.RowCount > options.MaxLoss)
            Screen.Say($"{rows.RowCount} validation rows cannot show a loss of {options.MaxLoss} points: one row is {100.0 / rows.RowCount:F2}");

        TuningResult result = Screen.Tuning(report => TuningJob.Run(model, rows, network, options, output, report, cancel));
        var report = new TuningReport(Path.GetFileName(modelPath), Path.GetFileName(validationPath), result);
        WholeFile.Write(plot, report.WriteHtml);
        if (parsed.GetValue(Json))
            System.Console.WriteLine(report.ToJson());
        else
            report.Print(System.Console.WriteLine);
        if (result.Chosen is null)
        {
            throw new CommandException(ExitCodes.Failure, result.Nearest is { } nearest
                ? $"no setting keeps the loss; the nearest loses {nearest.LossP1:F2} points of P@1 and {nearest.LossP5:F2} of P@5 (see {plot}): allow more with --max-loss, or build other tables with --network and --data"
                : "no setting was tried on all rows; allow more with --trials");
        }
        Screen.Say($"wrote {output} ({new FileInfo(output).Length:N0} bytes) and {plot}");
        return ExitCodes.Ok;
    }

    /// <summary>On rows that filled the tables, tables look better than they are.</summary>
    private static void RefuseTrainingRows(EdgeSlideModel model, string modelPath, string validationPath, double holdOut)
    {
        if (!File.Exists(validationPath) || holdOut > 0)
            return;
        using JsonDocument provenance = JsonDocument.Parse(model.Provenance);
        if (provenance.RootElement.TryGetProperty("data_sha256", out JsonElement known))
        {
            using FileStream stream = File.OpenRead(validationPath);
            if (known.ValueKind == JsonValueKind.String && Convert.ToHexStringLower(SHA256.HashData(stream)) == known.GetString())
                throw new CommandException(ExitCodes.BadInput, $"{validationPath}: {modelPath} was trained on this very file, on which tables look better than they are; give other rows, or --hold-out with the share that train held out of it");
        }
        else if (provenance.RootElement.TryGetProperty("data", out JsonElement name) && name.ValueKind == JsonValueKind.String && name.GetString() == Path.GetFileName(validationPath))
        {
            Screen.Say($"warning: {modelPath} was trained on a file named {name.GetString()}; tune on rows that it was not trained on");
        }
    }

    private static TuningNetwork LoadNetwork(EdgeSlideModel model, string networkPath, string trainPath, LoadedData train, string validationPath, double holdOut, CancellationToken cancel)
    {
        TrainedModel network = TrainedModel.Load(networkPath);
        if (network.Featurizer.FeatureCount != model.FeatureCount || network.Network.OutputCount != model.LabelCount
            || network.Network.Layers[^1].Inputs != model.Layout.Output.Inputs || network.Featurizer.Kind != model.Featurizer.Kind)
        {
            throw new CommandException(ExitCodes.BadModel, $"{networkPath}: is not the network that the model was made of (other inputs, outputs or widths)");
        }
        // Rows that tune must not fill the tables that they judge.
        if (Path.GetFullPath(trainPath) == Path.GetFullPath(validationPath))
        {
            if (holdOut <= 0)
                throw new CommandException(ExitCodes.BadInput, $"{trainPath}: the rows that fill the tables cannot judge them; give other rows, or --hold-out");
            train = train.HoldOut(holdOut).Train;
        }
        Dataset rows = QuantizeCommand.Featurize(network, train, cancel);
        return new TuningNetwork(network, rows, network.Frequencies ?? LabelFrequencies.Of(rows));
    }
}
