using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Export;
using EdgeSlide.Workbench.Console;

namespace EdgeSlide.Workbench.Commands;

/// <summary>Measures a network, and beside it the device model made of it.</summary>
internal static class EvalCommand
{
    private static readonly Argument<string> NetworkFile = new("NETWORK") { Description = "An .esnet file from train." };
    private static readonly Argument<string> Test = new("TEST") { Description = "Held-out rows." };
    private static readonly Option<string?> Train = new("--data") { Description = "The training rows, for propensity-scored precision (PSP@k) and accuracy by label frequency; only needed for networks of .esnet version 1, which do not know their labels' frequencies." };
    private static readonly Option<string?> Model = new("--model") { Description = "The .eslide model made of NETWORK: print FP32 dense, INT8 dense and INT8 LSH side by side, the latter two measured with the device binary." };
    private static readonly Option<string?> Binary = new("--binary") { Description = "The device binary for --model; published from the source tree if not given." };
    private static readonly Option<bool> Json = new("--json") { Description = "Print JSON instead of text." };
    private static readonly DataOptions Data = new();

    public static Command Create()
    {
        var command = new Command("eval", "Measure an FP32 network on held-out rows, and the device model made of it beside it.") { NetworkFile, Test, Train, Model, Binary, Json };
        Data.AddTo(command);
        command.SetLongAction(Run);
        return command;
    }

    private static int Run(ParseResult parsed, CancellationToken cancel)
    {
        if (parsed.GetValue(Model) is not null && parsed.GetValue(Data.SkipBadRows))
            throw new CommandException(ExitCodes.Usage, "--skip-bad-rows and --model do not go together: the device binary reads TEST itself, and leaves no row out");
        DataOptions.Require(parsed, parsed.GetValue(Model) is not null, "needs --model", Binary);
        TrainedModel network = TrainedModel.Load(parsed.GetValue(NetworkFile)!);
        string testPath = parsed.GetValue(Test)!;
        string? trainPath = parsed.GetValue(Train);
        IReadOnlyList<LoadedData> files = Data.Read(parsed, trainPath is null ? [testPath] : [testPath, trainPath], network.Labels, cancel);
        Dataset test = QuantizeCommand.Featurize(network, files[0], cancel);
        if (test.LabelIds.Length == 0)
            throw new DataFormatException(testPath, 0, "no row has a label");
        LabelFrequencies? frequencies = trainPath is null ? network.Frequencies : LabelFrequencies.Of(QuantizeCommand.Featurize(network, files[1], cancel));
        if (parsed.GetValue(Model) is { } modelPath)
        {
            DeviceBinary binary = parsed.GetValue(Binary) is { } path
                ? new DeviceBinary(path)
                : Screen.Stages(stage =>
                {
                    stage("publishing the device binary");
                    return DeviceBinary.Publish(Path.Combine(DeviceBinary.FindRoot(), "artifacts", "device"), cancel);
                });
            SideBySide result = Screen.Stages(stage =>
            {
                stage("measuring");
                try
                {
                    return SideBySide.Measure(network, test, frequencies, modelPath, testPath, binary, cancel);
                }
                catch (KeyNotFoundException)
                {
                    throw binary.NoResult();
                }
            });
            if (parsed.GetValue(Json))
                System.Console.WriteLine(result.ToJson());
            else
                result.Print();
            return ExitCodes.Ok;
        }
        var metrics = new RankingMetrics([1, 3, 5], frequencies?.InversePropensities());
        using (var scorer = new DenseScorer(network.Network))
            metrics.Add(scorer.Score(test, Math.Min(5, test.LabelCount)), test);
        Print(metrics, frequencies is not null, parsed.GetValue(Json));
        return ExitCodes.Ok;
    }

    private static void Print(RankingMetrics metrics, bool withPropensity, bool json)
    {
        var values = new List<(string Name, double Value)> { ("rows", metrics.Rows) };
        foreach (int k in new[] { 1, 3, 5 })
            values.Add(($"p{k}", metrics.Precision(k)));
        foreach (int k in new[] { 3, 5 })
            values.Add(($"ndcg{k}", metrics.Ndcg(k)));
        if (withPropensity)
        {
            foreach (int k in new[] { 1, 3, 5 })
                values.Add(($"psp{k}", metrics.PropensityScoredPrecision(k)));
        }
        if (json)
        {
            using var stream = new MemoryStream();
            using (var writer = new Utf8JsonWriter(stream))
            {
                writer.WriteStartObject();
                foreach ((string name, double value) in values)
                    writer.WriteNumber(name, value);
                writer.WriteEndObject();
            }
            System.Console.WriteLine(System.Text.Encoding.UTF8.GetString(stream.ToArray()));
            return;
        }
        foreach ((string name, double value) in values)
            System.Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name,-8}{(name == "rows" ? value.ToString("N0") : value.ToString("F4")),10}"));
    }
}
