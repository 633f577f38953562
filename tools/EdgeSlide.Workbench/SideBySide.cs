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
    public required double Speedup { get; init; }
    public required double AllocatedBytesPerInference { get; init; }
    public required long ModelBytes { get; init; }
    public required long TableBytes { get; init; }
    public required double TrainSeconds { get; init; }
    public required long BinaryBytes { get; init; }
    public required string Kernel { get; init; }
    public required string Architecture { get; init; }

    /// <summary>Evaluates and times everything; the device binary reads the test file itself.</summary>
    public static SideBySide Measure(TrainedModel network, Dataset test, string modelPath, string testPath, DeviceBinary binary, CancellationToken cancel)
    {
        var fp32 = new RankingMetrics([1, 3, 5]);
        using (var scorer = new DenseScorer(network.Network))
            fp32.Add(scorer.Score(test, Math.Min(5, test.LabelCount)), test);
        JsonElement eval = binary.RunJson(["eval", modelPath, testPath, "--json"], cancel);
        JsonElement bench = binary.RunJson(["bench", modelPath, testPath, "--json"], cancel);
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

    public string ToJson() => JsonSerializer.Serialize(this, SideBySideJson.Default.SideBySide);

    public void Print()
    {
        Table table = new Table().Border(TableBorder.Simple).AddColumns("", "P@1", "P@3", "P@5", "output neurons", "multiplications", "median per query");
        table.AddRow("FP32 dense", $"{P1Fp32Dense:F4}", $"{P3Fp32Dense:F4}", $"{P5Fp32Dense:F4}", $"{Labels:N0}", "100 %", "-");
        table.AddRow("INT8 dense", $"{P1Int8Dense:F4}", $"{P3Int8Dense:F4}", $"{P5Int8Dense:F4}", $"{Labels:N0}", "100 %", $"{NsDenseMedian / 1000:F1} us");
        table.AddRow("INT8 LSH", $"{P1Int8Lsh:F4}", $"{P3Int8Lsh:F4}", $"{P5Int8Lsh:F4}", $"{ActiveNeuronsMean:F0} ({ActiveFraction:P2})", $"{MultFraction:P2}", $"{NsLshMedian / 1000:F1} us");
        Screen.Output.Write(table);
        Screen.Output.WriteLine($"{Examples:N0} test rows; hashing is {Speedup:F1} times as fast as dense (single thread, {Architecture}, kernel {Kernel}, features left out: {NsFeaturizeMedian / 1000:F1} us);");
        Screen.Output.WriteLine($"{AllocatedBytesPerInference:F0} bytes allocated per query; binary {BinaryBytes / 1e6:F1} MB, model {ModelBytes / 1e6:F1} MB of which tables {TableBytes / 1e6:F1} MB; trained in {TrainSeconds:F0} s.");
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, WriteIndented = true)]
[JsonSerializable(typeof(SideBySide))]
internal sealed partial class SideBySideJson : JsonSerializerContext;
