using System.Text.Json;
using EdgeSlide.Model;
using EdgeSlide.Training.Calibration;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Networks;
using EdgeSlide.Training.Quantization;
using EdgeSlide.Training.Tables;

namespace EdgeSlide.Training.Export;

/// <summary>Accuracy of one way to answer.</summary>
internal sealed record Accuracy(double P1, double P3, double P5, double Ndcg5, double Psp1, double Psp5)
{
    public static Accuracy Of(RankingMetrics m) =>
        new(m.Precision(1), m.Precision(3), m.Precision(5), m.Ndcg(5), m.PropensityScoredPrecision(1), m.PropensityScoredPrecision(5));
}

/// <summary>What became of the selection's tables.</summary>
/// <param name="BytesBefore">As they were built.</param>
/// <param name="Bytes">As they are stored.</param>
/// <param name="Before">Accuracy with all of their entries; null if none were dropped or there are no held-out rows.</param>
/// <param name="Missed">True if the wanted share is out of reach because offsets and hash parameters alone take more.</param>
internal sealed record TableReport(long BytesBefore, long Bytes, Accuracy? Before, bool Missed);

/// <summary>What queries touch with the neurons in their old order and in the new one.</summary>
internal sealed record ReorderReport(PlacesTouched Before, PlacesTouched After);

/// <summary>What a quantization did, for people and for the provenance.</summary>
/// <param name="Layers">Size and error per layer.</param>
/// <param name="Budget">The most output neurons per query, as given or found.</param>
/// <param name="VoteBlend">The blend that was given or found.</param>
/// <param name="Pays">Whether auto mode uses hashing.</param>
internal sealed record QuantizationReport(
    IReadOnlyList<QuantizationError> Layers, Accuracy? Fp32Dense, Accuracy? Int8Dense, Accuracy? Int8Lsh,
    int Budget, float VoteBlend, bool Pays, double LshNanoseconds, double DenseNanoseconds, long ModelBytes, TableReport Tables, StoredCalibration? Calibration = null)
{
    /// <summary>Of the output layer.</summary>
    public WeightFormat Format { get; init; }

    /// <summary>The number of output neurons at which the dense network would take as long as hashing, on this machine.</summary>
    public int BreakEvenWidth { get; init; }

    /// <summary>What another order of the neurons changed, if that was asked for.</summary>
    public ReorderReport? Reordered { get; init; }

    /// <summary>The same in other weight formats, if that was asked for.</summary>
    public IReadOnlyList<RowComparison> Rows { get; init; } = [];
}

/// <summary>From a trained network to a device model: INT8 rows, frozen tables, blend, measured break-even, one file.</summary>
internal static class QuantizationJob
{
    private const int TuningRows = 10_000;

    internal static readonly float[] Blends = [0f, 0.125f, 0.25f, 0.5f, 0.75f, 1f, 1.5f, 2f, 3f, 4f, 6f, 8f, 12f, 16f];

    /// <summary>Budgets to choose from; the answers that people ask for fit the least one.</summary>
    private static readonly int[] Budgets = [8, 12, 16, 24];

    /// <summary>What a smaller budget may cost, as a share of the queries: a twentieth of a percent.</summary>
    private const double BudgetLoss = 0.0005;

    /// <param name="train">The featurized rows that fill the tables.</param>
    /// <param name="held">Featurized held-out rows on which blend and budget are chosen, probabilities are calibrated and the report is measured; null for none of that.</param>
    /// <param name="path">The model; it appears when it is complete.</param>
    /// <param name="source">Without held-out rows, the model whose calibration, blend and budget are taken over.</param>
    public static QuantizationReport Run(TrainedModel model, Dataset train, Dataset? held, SelectorOptions options, StorageOptions storage, string path,
        CalibrationSource? source = null, Action<string>? stage = null, CancellationToken cancel = default)
    {
        options.Validate();
        storage.Validate();
        if (source is not null)
        {
            if (held is not null)
                throw new ArgumentException("a calibration is taken over or fitted to held-out rows, not both");
            options = source.Adopt(model, options);
        }
        // Blend, budget and calibration are found with models that lack them: no reader should meet those.
        string draft = $"{path}.{Environment.ProcessId}.draft";
        try
        {
            QuantizationReport report = Draft(model, train, held, options, storage, draft, source, stage, cancel);
            cancel.ThrowIfCancellationRequested();
            File.Move(draft, path, overwrite: true);
            return report;
        }
        finally
        {
            File.Delete(draft);
        }
    }

    private static QuantizationReport Draft(TrainedModel model, Dataset train, Dataset? held, SelectorOptions options, StorageOptions storage, string path,
        CalibrationSource? source, Action<string>? stage, CancellationToken cancel)
    {
        stage?.Invoke("quantizing weights");
        var quantized = QuantizedNetwork.From(model.Network, model.Featurizer.Kind == FeaturizerKind.Dense, storage);
        stage?.Invoke("building tables from the network's answers on the training rows");
        ExportedSelector selector = SelectorBuilder.Build(model.Network, train, options, cancel);
        ReorderReport? reordered = null;
        if (storage.Reorder)
        {
            stage?.Invoke("making neurons neighbours that are wanted together");
            int rowBytes = quantized.Layers[^1].Stride;
            Dataset queries = held is { RowCount: > 0 } ? held : train;
            PlacesTouched before = PlacesTouched.Measure(selector, queries, rowBytes);
            int[] order = NeuronOrder.Of(selector, model.Network.OutputCount, cancel);
            (quantized, selector) = (quantized.Reordered(order), selector.Reordered(order));
            reordered = new ReorderReport(before, PlacesTouched.Measure(selector, queries, rowBytes));
        }
        StoredCalibration? calibration = source?.For(selector, quantized.LabelMap);
        IReadOnlyList<string>? labels = model.HasLabelNames ? model.Labels : null;
        void Write(QuantizationReport? report) =>
            ModelExporter.Write(path, quantized, model.Featurizer, [selector], labels, Provenance(model, options, source, report), report?.Calibration);

        Write(null);
        ExportedSelector whole = selector;
        (selector, TableReport tables) = TablePruner.LimitShare(path, whole, storage.TableShare);
        if (selector != whole)
        {
            if (held is { RowCount: > 0 })
                tables = tables with { Before = MeasureWhole(path, options, train, held) };
            Write(null);
        }
        stage?.Invoke("choosing vote blend and budget, and measuring");
        if (options.VoteBlend is null && held is { RowCount: > 0 })
            selector = selector with { VoteBlend = ChooseBlend(path, held) };
        if (options.Budget is null && held is { RowCount: > 0 })
            selector = selector with { Budget = ChooseBudget(path, selector, train, held) };
        cancel.ThrowIfCancellationRequested();
        QuantizationReport report = Measure(path, model, quantized, selector, tables, train, held);
        report = report with { Reordered = reordered, Calibration = calibration };
        selector = selector with { Pays = report.Pays };
        if (held is { RowCount: > 0 } && model.Network.Layers[^1].Activation == Activation.Softmax)
        {
            stage?.Invoke("calibrating probabilities");
            using EdgeSlideModel uncalibrated = OpenWith(path, selector);
            int samples = CalibrationFit.DefaultSamples(model.Network.OutputCount);
            report = report with { Calibration = CalibrationFit.Fit(uncalibrated, held, samples, seed: 1, cancel) };
        }
        stage?.Invoke("writing the model");
        Write(report);
        if (storage.CompareRows && held is { RowCount: > 0 })
        {
            stage?.Invoke("measuring other weight formats");
            IReadOnlyList<RowComparison> rows = RowComparison.Measure(model, whole with { VoteBlend = selector.VoteBlend, Budget = selector.Budget }, quantized.LabelMap, storage, train, held, path + ".rows", cancel);
            report = report with { Rows = rows };
        }
        return report with { ModelBytes = new FileInfo(path).Length };
    }

    /// <summary>The blend with the best mean of P@1 and P@5 on held-out rows; the smallest one among equals.</summary>
    private static float ChooseBlend(string path, Dataset held)
    {
        float best = 0f;
        double bestValue = double.NegativeInfinity;
        foreach (float blend in Blends)
        {
            using EdgeSlideModel model = EdgeSlideModel.Open(path, verifyChecksums: false, header => header with { VoteBlend = blend });
            RankingMetrics metrics = PredictorEvaluator.Evaluate(model, held, PredictionMode.Lsh, null, TuningRows);
            double value = metrics.Precision(1) + metrics.Precision(5);
            if (value > bestValue + 1e-9)
                (best, bestValue) = (blend, value);
        }
        return best;
    }

    /// <summary>The smallest budget that loses next to nothing on held-out rows, of the best answer, the best five, and of rare labels.</summary>
    private static int ChooseBudget(string path, ExportedSelector selector, Dataset train, Dataset held)
    {
        float[] propensity = LabelFrequencies.Of(train).InversePropensities();
        RankingMetrics whole = Evaluate(selector.Budget);
        foreach (int budget in Budgets)
        {
            if (budget >= selector.Budget)
                break;
            RankingMetrics metrics = Evaluate(budget);
            if (metrics.Precision(1) >= whole.Precision(1) - BudgetLoss && metrics.Precision(5) >= whole.Precision(5) - BudgetLoss
                && metrics.PropensityScoredPrecision(1) >= whole.PropensityScoredPrecision(1) - BudgetLoss)
                return budget;
        }
        return selector.Budget;

        RankingMetrics Evaluate(int budget)
        {
            using EdgeSlideModel model = OpenWith(path, selector with { Budget = budget });
            return PredictorEvaluator.Evaluate(model, held, PredictionMode.Lsh, propensity, TuningRows);
        }
    }

    /// <summary>The file's model with settings that are not written yet.</summary>
    private static EdgeSlideModel OpenWith(string path, ExportedSelector selector) =>
        EdgeSlideModel.Open(path, verifyChecksums: false, header => header with { VoteBlend = selector.VoteBlend, Budget = (uint)selector.Budget });

    private static QuantizationReport Measure(string path, TrainedModel trained, QuantizedNetwork quantized, ExportedSelector selector, TableReport tables, Dataset train, Dataset? held)
    {
        using EdgeSlideModel model = OpenWith(path, selector);
        BreakEven times = BreakEven.Measure(model, held is { RowCount: > 0 } ? held : train);
        Accuracy? fp32 = null, int8Dense = null, int8Lsh = null;
        if (held is not null)
        {
            float[] propensity = LabelFrequencies.Of(train).InversePropensities();
            using var scorer = new DenseScorer(trained.Network);
            var reference = new RankingMetrics([1, 3, 5], propensity);
            reference.Add(scorer.Score(held, Math.Min(5, held.LabelCount)), held);
            fp32 = Accuracy.Of(reference);
            int8Dense = Accuracy.Of(PredictorEvaluator.Evaluate(model, held, PredictionMode.Dense, propensity));
            int8Lsh = Accuracy.Of(PredictorEvaluator.Evaluate(model, held, PredictionMode.Lsh, propensity));
        }
        return new QuantizationReport([.. quantized.Layers.Select(l => l.Error)], fp32, int8Dense, int8Lsh, selector.Budget, selector.VoteBlend,
            times.HashingPays, times.LshNanoseconds, times.DenseNanoseconds, 0, tables) { Format = quantized.Layers[^1].Format, BreakEvenWidth = times.Width };
    }

    /// <summary>Accuracy before entries are dropped, with the blend that would be chosen then.</summary>
    private static Accuracy MeasureWhole(string path, SelectorOptions options, Dataset train, Dataset held)
    {
        float blend = options.VoteBlend ?? ChooseBlend(path, held);
        using EdgeSlideModel model = EdgeSlideModel.Open(path, verifyChecksums: false, header => header with { VoteBlend = blend });
        return Accuracy.Of(PredictorEvaluator.Evaluate(model, held, PredictionMode.Lsh, LabelFrequencies.Of(train).InversePropensities()));
    }

    private static byte[] Provenance(TrainedModel model, SelectorOptions options, CalibrationSource? source, QuantizationReport? report)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream))
        {
            TrainingRecord record = model.Record;
            json.WriteStartObject();
            json.WriteString("tool", record.Tool);
            json.WriteString("data", record.Data);
            if (record.DataSha256.Length > 0)
                json.WriteString("data_sha256", record.DataSha256);
            json.WriteString("trained", record.Trained);
            json.WriteNumber("training_rows", record.TrainingRows);
            json.WriteNumber("training_seconds", Math.Round(record.TrainingSeconds, 1));
            json.WriteNumber("epochs", record.Epochs);
            json.WriteString("options", record.Options);
            json.WriteNumber("bucket_size", options.BucketSize);
            if (source is not null)
            {
                json.WriteStartObject("calibration_from");
                json.WriteString("model", source.Model);
                json.WriteString("sha256", source.Sha256);
                json.WriteEndObject();
            }
            if (report is not null)
            {
                json.WriteStartObject("speed_at_export");
                json.WriteNumber("lsh_ns", Math.Round(report.LshNanoseconds));
                json.WriteNumber("dense_ns", Math.Round(report.DenseNanoseconds));
                json.WriteNumber("break_even_width", report.BreakEvenWidth);
                json.WriteEndObject();
            }
            if (report?.Fp32Dense is { } fp32)
            {
                json.WriteStartObject("accuracy_at_export");
                foreach ((string name, Accuracy accuracy) in new[] { ("fp32_dense", fp32), ("int8_dense", report.Int8Dense!), ("int8_lsh", report.Int8Lsh!) })
                {
                    json.WriteNumber($"p1_{name}", Math.Round(accuracy.P1, 5));
                    json.WriteNumber($"p5_{name}", Math.Round(accuracy.P5, 5));
                }
                json.WriteEndObject();
            }
            json.WriteEndObject();
        }
        return stream.ToArray();
    }
}
