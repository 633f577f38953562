using System.CommandLine;
using EdgeSlide.IO;
using EdgeSlide.Model;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Export;
using EdgeSlide.Training.Reports;
using EdgeSlide.Training.Tables;
using EdgeSlide.Training.Training;
using EdgeSlide.Workbench.Console;

namespace EdgeSlide.Workbench.Commands;

/// <summary>Makes one page of all that is known about a network and its model.</summary>
internal static class ReportCommand
{
    private static readonly Argument<string> NetworkFile = new("NETWORK") { Description = "An .esnet file from train." };
    private static readonly Option<string?> Log = new("--log") { Description = "The CSV file that train --log wrote: learning curves, active fraction, time by phase." };
    private static readonly Option<string?> Model = new("--model") { Description = "The .eslide model made of NETWORK: quantization table and, with --test, INT8 and LSH beside FP32, probabilities, surest mistakes." };
    private static readonly Option<string?> Test = new("--test") { Description = "Test rows: accuracy, also by label frequency." };
    private static readonly Option<string?> Train = new("--data") { Description = "The training rows, for label frequencies that a network of .esnet version 1 does not know." };
    private static readonly Option<string?> Tuning = new("--tuning") { Description = "What tune --json printed: the Pareto plot." };
    private static readonly Option<string> Out = new("--out", "-o") { Description = "The page to write.", DefaultValueFactory = _ => "report.html" };
    private static readonly DataOptions Data = new();

    public static Command Create()
    {
        var command = new Command("report", """
            Write a page about a training run and its model: learning curves, time by phase, accuracy by label frequency,
            quantization, the Pareto front of tuning, and the surest mistakes in words. One HTML file without scripts that needs
            no network. What is not given is left out.

            Example:
              edgeslide-workbench report tags.esnet --log train.csv --model tags.eslide --test test.tsv --out report.html
            """)
        {
            NetworkFile, Log, Model, Test, Train, Tuning, Out,
        };
        Data.AddTo(command);
        command.SetLongAction(Run);
        return command;
    }

    private static int Run(ParseResult parsed, CancellationToken cancel)
    {
        string output = parsed.GetValue(Out)!, networkPath = parsed.GetValue(NetworkFile)!;
        string? testPath = parsed.GetValue(Test), trainPath = parsed.GetValue(Train), modelPath = parsed.GetValue(Model);
        DataOptions.Require(parsed, testPath is not null, "needs --test", Train, Data.Labels);
        OutputPaths.Require([output], networkPath, testPath, trainPath, modelPath, parsed.GetValue(Log), parsed.GetValue(Tuning), parsed.GetValue(Data.Labels));
        TrainedModel network = TrainedModel.Load(networkPath);
        var log = parsed.GetValue(Log) is { } logPath ? TrainingLogReader.Read(logPath) : default((IReadOnlyList<string>, IReadOnlyList<TrainingLogLine>)?);
        TuningReport? tuning = parsed.GetValue(Tuning) is { } tuningPath ? TuningReport.Read(tuningPath) : null;
        using EdgeSlideModel? device = modelPath is null ? null : EdgeSlideModel.Open(modelPath);
        if (device is not null && (device.LabelCount != network.Network.OutputCount || device.FeatureCount != network.Featurizer.FeatureCount))
            throw new CommandException(ExitCodes.BadModel, $"{modelPath}: was not made of this network (other inputs or outputs)");
        if (log is null && testPath is null && device is null && tuning is null)
            throw new CommandException(ExitCodes.Usage, "there is nothing to report on: give --log, --model, --test or --tuning");

        (Dataset Rows, string Name, Func<int, string> Describe)? test = null;
        LabelFrequencies? frequencies = network.Frequencies;
        if (testPath is not null)
        {
            IReadOnlyList<LoadedData> files = Data.Read(parsed, trainPath is null ? [testPath] : [testPath, trainPath], network.Labels, cancel);
            test = (QuantizeCommand.Featurize(network, files[0], cancel), Path.GetFileName(testPath), files[0].Describe);
            if (test.Value.Rows.LabelIds.Length == 0)
                throw new DataFormatException(testPath, 0, "no row has a label");
            if (trainPath is not null)
                frequencies = LabelFrequencies.Of(QuantizeCommand.Featurize(network, files[1], cancel));
        }
        Screen.Stages(stage =>
        {
            stage("measuring");
            var report = new TrainingReport(network)
            {
                Log = log,
                Tuning = tuning,
                Test = test,
                Measurement = test is { } t ? ModelMeasurement.Of(network, device, t.Rows, frequencies, cancel) : null,
                Model = device is null ? null : (Path.GetFileName(modelPath)!, device.File.Length, TablePruner.StoredBytes(device)),
                Layers = device is null ? null : [.. QuantizedNetwork.From(network.Network, network.Featurizer.Kind == FeaturizerKind.Dense, FormatsOf(device)).Layers.Select(l => (l.Format, l.Error))],
            };
            stage("writing");
            WholeFile.Write(output, report.WriteHtml);
            return true;
        });
        Screen.Say($"wrote {output} ({new FileInfo(output).Length:N0} bytes)");
        return ExitCodes.Ok;
    }

    private static StorageOptions FormatsOf(EdgeSlideModel model) =>
        new() { Rows = model.Layout.Output.Format, InputRows = model.Layout.SparseInput?.Format ?? WeightFormat.Int8 };
}
