using System.Text.Json;
using System.Text.Json.Serialization;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Export;
using EdgeSlide.Workbench.Console;
using Spectre.Console;

namespace EdgeSlide.Workbench;

/// <summary>The three ways to answer, side by side: the FP32 network here, INT8 dense and INT8 LSH by the device binary.</summary>
internal sealed record SideBySide
{
    public required double P1Fp32Dense { get; init; }
    public required double P1Int8Dense { get; init; }
    public required double P1Int8Lsh { get; init; }
    public required double P3Fp32Dense { get; init; }
    public required double P3Int8Dense { get; init; }
    public required double P3Int8Lsh { get; init; }
    public required double P5Fp32Dense { get; init; }
    public required double P5Int8Dense { get; init; }
    public required double P5Int8Lsh { get; init; }

    /// <summary>Propensity-scored precision; null if the frequencies of the labels in training are not known.</summary>
    public double? Psp1Fp32Dense { get; init; }
    public double? Psp1Int8Dense { get; init; }
    public double? Psp1Int8Lsh { get; init; }
    public double? Psp3Fp32Dense { get; init; }
    public double? Psp3Int8Dense { get; init; }
    public double? Psp3Int8Lsh { get; init; }
    public double? Psp5Fp32Dense { get; init; }
    public double? Psp5Int8Dense { get; init; }
    public double? Psp5Int8Lsh { get; init; }

    /// <summary>Expected calibration error of the first answers' probabilities; null if the network gives none.</summary>
    public double? EceFull { get; init; }
    public double? EceLsh { get; init; }
    public double? LogLossFull { get; init; }
    public double? LogLossLsh { get; init; }

    /// <summary>By label frequency, the rarest tenth of the labels first.</summary>
    public IReadOnlyList<Decile>? Deciles { get; init; }

    public required long Examples { get; init; }
    public required int Labels { get; init; }
    public required double ActiveNeuronsMean { get; init; }
    public required double ActiveFraction { get; init; }
    public required double MultFraction { get; init; }
    public required double NsDenseMedian { get; init; }
    public required double NsLshMedian { get; init; }
    public required double NsDenseP99 { get; init; }
    public required double NsLshP99 { get; init; }
    public required double NsFeaturizeMedian { get; init; }
    /// <summary>Median nanoseconds of a query after hashing, by stage.</summary>
    public required IReadOnlyDictionary<string, double> NsPerStage { get; init; }
    public required double Speedup { get; init; }
    public required double AllocatedBytesPerInference { get; init; }
    public required long ModelBytes { get; init; }
    public required long TableBytes { get; init; }
    public required double TrainSeconds { get; init; }
    public required long BinaryBytes { get; init; }
    public required string Kernel { get; init; }
    public required string Architecture { get; init; }

    /// <param name="Rows">Test rows that have a label of this tenth.</param>
    internal sealed record Decile(long Rows, double? P1Fp32Dense, double? P1Int8Dense, double? P1Int8Lsh, double? Recall5Int8Dense, double? Recall5Int8Lsh);

    /// <summary>Evaluates and times everything; the device binary reads the test file itself.</summary>
    public static SideBySide Measure(TrainedModel network, Dataset test, LabelFrequencies? frequencies, string modelPath, string testPath, DeviceBinary binary, CancellationToken cancel)
    {
        float[]? propensity = frequencies?.InversePropensities();
        byte[]? groups = frequencies?.Deciles();
        DecileMetrics?[] byFrequency = groups is null ? new DecileMetrics?[3] : [new(groups), new(groups), new(groups)];
        var fp32 = new RankingMetrics([1, 3, 5], propensity, byFrequency[0]);
        using (var scorer = new DenseScorer(network.Network))
            fp32.Add(scorer.Score(test, Math.Min(5, test.LabelCount)), test);
        RankingMetrics? dense = null, lsh = null;
        if (frequencies is not null)
        {
            // The binary does not know the propensities; the runtime gives the same bits here as there.
            using EdgeSlideModel model = EdgeSlideModel.Open(modelPath);
            if (model.LabelCount != test.LabelCount)
                throw new InvalidDataException($"{modelPath}: has {model.LabelCount} labels, the network {test.LabelCount}");
            dense = PredictorEvaluator.Evaluate(model, test, PredictionMode.Dense, propensity, deciles: byFrequency[1]);
            lsh = PredictorEvaluator.Evaluate(model, test, PredictionMode.Lsh, propensity, deciles: byFrequency[2]);
        }
        double? Psp(RankingMetrics? metrics, int k) => frequencies is null ? null : metrics!.PropensityScoredPrecision(k);
        JsonElement eval = binary.RunJson(["eval", modelPath, testPath, "--json"], cancel);
        JsonElement bench = binary.RunJson(["bench", modelPath, testPath, "--profile", "--json"], cancel);
        JsonElement info = binary.RunJson(["info", modelPath, "--json"], cancel);
        double Eval(string mode, string field) => eval.GetProperty(mode).GetProperty(field).GetDouble();
        double Bench(string mode, string field) => bench.GetProperty(mode).GetProperty(field).GetDouble();
        return new SideBySide
        {
            P1Fp32Dense = fp32.Precision(1),
            P1Int8Dense = Eval("dense", "p1"),
            P1Int8Lsh = Eval("lsh", "p1"),
            P3Fp32Dense = fp32.Precision(3),
            P3Int8Dense = Eval("dense", "p3"),
            P3Int8Lsh = Eval("lsh", "p3"),
            P5Fp32Dense = fp32.Precision(5),
            P5Int8Dense = Eval("dense", "p5"),
            P5Int8Lsh = Eval("lsh", "p5"),
            Psp1Fp32Dense = Psp(fp32, 1),
            Psp1Int8Dense = Psp(dense, 1),
            Psp1Int8Lsh = Psp(lsh, 1),
            Psp3Fp32Dense = Psp(fp32, 3),
            Psp3Int8Dense = Psp(dense, 3),
            Psp3Int8Lsh = Psp(lsh, 3),
            Psp5Fp32Dense = Psp(fp32, 5),
            Psp5Int8Dense = Psp(dense, 5),
            Psp5Int8Lsh = Psp(lsh, 5),
            EceFull = Optional(eval, "dense", "ece"),
            EceLsh = Optional(eval, "lsh", "ece"),
            LogLossFull = Optional(eval, "dense", "log_loss"),
            LogLossLsh = Optional(eval, "lsh", "log_loss"),
            Deciles = groups is null ? null : [.. Enumerable.Range(0, LabelFrequencies.Groups).Select(g => new Decile(byFrequency[0]!.Rows(g),
                Known(byFrequency[0]!.PrecisionAt1(g)), Known(byFrequency[1]!.PrecisionAt1(g)), Known(byFrequency[2]!.PrecisionAt1(g)),
                Known(byFrequency[1]!.RecallAt5(g)), Known(byFrequency[2]!.RecallAt5(g))))],
            Examples = eval.GetProperty("examples").GetInt64(),
            Labels = eval.GetProperty("labels").GetInt32(),
            ActiveNeuronsMean = Eval("lsh", "active_neurons_mean"),
            ActiveFraction = Eval("lsh", "active_fraction"),
            MultFraction = Eval("lsh", "mult_fraction"),
            NsDenseMedian = Bench("dense", "median_ns"),
            NsLshMedian = Bench("lsh", "median_ns"),
            NsDenseP99 = Bench("dense", "p99_ns"),
            NsLshP99 = Bench("lsh", "p99_ns"),
            NsFeaturizeMedian = bench.GetProperty("featurize_ns_median").GetDouble(),
            NsPerStage = bench.GetProperty("lsh").GetProperty("stages").EnumerateObject()
                .Select(stage => KeyValuePair.Create(stage.Name, stage.Value.GetProperty("ns").GetDouble())).Where(stage => stage.Value > 0)
                .Prepend(KeyValuePair.Create("features", bench.GetProperty("featurize_ns_median").GetDouble())).ToDictionary(),
            Speedup = bench.GetProperty("speedup").GetDouble(),
            AllocatedBytesPerInference = Math.Max(Bench("lsh", "allocated_bytes_per_inference"), Bench("dense", "allocated_bytes_per_inference")),
            ModelBytes = info.GetProperty("model_bytes").GetInt64(),
            TableBytes = info.GetProperty("table_bytes").GetInt64(),
            TrainSeconds = network.Record.TrainingSeconds,
            BinaryBytes = binary.Bytes,
            Kernel = bench.GetProperty("kernel").GetString()!,
            Architecture = bench.GetProperty("architecture").GetString()!,
        };
    }

    private static double? Optional(JsonElement report, string mode, string field) =>
        report.GetProperty(mode).TryGetProperty(field, out JsonElement value) ? value.GetDouble() : null;

    private static double? Known(double value) => double.IsNaN(value) ? null : value;

    public string ToJson() => JsonSerializer.Serialize(this, SideBySideJson.Default.SideBySide);

    public void Print()
    {
        Table table = new Table().Border(TableBorder.Simple).AddColumns("", "P@1", "P@3", "P@5", "PSP@1", "PSP@5", "output neurons", "multiplications", "median per query");
        table.AddRow("FP32 dense", $"{P1Fp32Dense:F4}", $"{P3Fp32Dense:F4}", $"{P5Fp32Dense:F4}", Share(Psp1Fp32Dense), Share(Psp5Fp32Dense), $"{Labels:N0}", "100 %", "-");
        table.AddRow("INT8 dense", $"{P1Int8Dense:F4}", $"{P3Int8Dense:F4}", $"{P5Int8Dense:F4}", Share(Psp1Int8Dense), Share(Psp5Int8Dense), $"{Labels:N0}", "100 %", $"{NsDenseMedian / 1000:F1} us");
        table.AddRow("INT8 LSH", $"{P1Int8Lsh:F4}", $"{P3Int8Lsh:F4}", $"{P5Int8Lsh:F4}", Share(Psp1Int8Lsh), Share(Psp5Int8Lsh), $"{ActiveNeuronsMean:F0} ({ActiveFraction:P2})", $"{MultFraction:P2}", $"{NsLshMedian / 1000:F1} us");
        Screen.Output.Write(table);
        if (Deciles is not null)
        {
            Table tail = new Table().Border(TableBorder.Simple).AddColumns("labels by frequency", "test rows", "P@1 FP32 dense", "INT8 dense", "INT8 LSH", "recall@5 INT8 dense", "INT8 LSH");
            for (int g = 0; g < Deciles.Count; g++)
            {
                Decile d = Deciles[g];
                tail.AddRow(g == 0 ? "rarest tenth" : g == Deciles.Count - 1 ? "most frequent tenth" : $"{g + 1}", $"{d.Rows:N0}",
                    Share(d.P1Fp32Dense), Share(d.P1Int8Dense), Share(d.P1Int8Lsh), Share(d.Recall5Int8Dense), Share(d.Recall5Int8Lsh));
            }
            Screen.Output.Write(tail);
        }
        Screen.Output.WriteLine($"{Examples:N0} test rows; hashing is {Speedup:F1} times as fast as dense (single thread, {Architecture}, kernel {Kernel}, features left out: {NsFeaturizeMedian / 1000:F1} us);");
        Screen.Output.WriteLine($"{AllocatedBytesPerInference:F0} bytes allocated per query; binary {BinaryBytes / 1e6:F1} MB, model {ModelBytes / 1e6:F1} MB of which tables {TableBytes / 1e6:F1} MB; trained in {TrainSeconds:F0} s.");
    }

    private static string Share(double? value) => value is { } known ? $"{known:F4}" : "-";
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, WriteIndented = true)]
[JsonSerializable(typeof(SideBySide))]
internal sealed partial class SideBySideJson : JsonSerializerContext;
