using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Export;

namespace EdgeSlide.Training.Reports;

/// <summary>One way to answer the test rows, as measured.</summary>
internal sealed record MeasuredWay(string Name, RankingMetrics Metrics, DecileMetrics? Deciles);

/// <summary>A wrong answer of which the model was sure.</summary>
/// <param name="Answers">The first answers with their probabilities.</param>
internal sealed record Mistake(int Row, IReadOnlyList<Prediction> Answers);

/// <summary>What a network and the device model made of it answer on test rows.</summary>
internal sealed record ModelMeasurement(IReadOnlyList<MeasuredWay> Ways, IReadOnlyList<Mistake> Mistakes, IReadOnlyList<(double Confidence, double Correct, int Rows)> Reliability, bool Calibrated, int Rows)
{
    private const int Examples = 20;
    private const int Bins = 10;

    /// <param name="device">Null measures the FP32 network alone.</param>
    public static ModelMeasurement Of(TrainedModel network, EdgeSlideModel? device, Dataset test, LabelFrequencies? frequencies, CancellationToken cancel)
    {
        float[]? propensity = frequencies?.InversePropensities();
        byte[]? groups = frequencies?.Deciles();
        DecileMetrics? Deciles() => groups is null ? null : new DecileMetrics(groups);
        var ways = new List<MeasuredWay>();
        DecileMetrics? deciles = Deciles();
        var fp32 = new RankingMetrics([1, 3, 5], propensity, deciles);
        using (var scorer = new DenseScorer(network.Network))
            fp32.Add(scorer.Score(test, Math.Min(5, test.LabelCount)), test);
        ways.Add(new MeasuredWay("FP32, all neurons", fp32, deciles));
        if (device is null)
            return new ModelMeasurement(ways, [], [], false, fp32.Rows);
        foreach ((string name, PredictionMode mode) in new[] { ("INT8, all neurons", PredictionMode.Dense), ("INT8, LSH", PredictionMode.Lsh) })
        {
            cancel.ThrowIfCancellationRequested();
            if (mode == PredictionMode.Lsh && device.Layout.Output.Selector is null)
                continue;
            deciles = Deciles();
            ways.Add(new MeasuredWay(name, PredictorEvaluator.Evaluate(device, test, mode, propensity, deciles: deciles), deciles));
        }
        (List<Mistake> mistakes, var reliability) = Confidence(device, test, cancel);
        return new ModelMeasurement(ways, mistakes, reliability, device.Layout.Calibration is not null, fp32.Rows);
    }

    private static (List<Mistake>, List<(double, double, int)>) Confidence(EdgeSlideModel device, Dataset test, CancellationToken cancel)
    {
        using Predictor predictor = device.CreatePredictor();
        var top = new Prediction[Math.Min(3, device.LabelCount)];
        var worst = new PriorityQueue<Mistake, double>();
        var sums = new (double Confidence, int Correct, int Rows)[Bins];
        for (int row = 0; row < test.RowCount; row++)
        {
            if ((row & 0xFFF) == 0)
                cancel.ThrowIfCancellationRequested();
            if (test.RowLabels(row).IsEmpty)
                continue;
            PredictorEvaluator.Load(test, row, predictor.Engine.Features);
            int found = predictor.Run(top);
            if (found == 0)
                continue;
            double confidence = Math.Clamp(top[0].Probability, 0, 1);
            bool correct = test.RowLabels(row).Contains(top[0].Label);
            ref (double Confidence, int Correct, int Rows) bin = ref sums[Math.Min(Bins - 1, (int)(confidence * Bins))];
            bin = (bin.Confidence + confidence, bin.Correct + (correct ? 1 : 0), bin.Rows + 1);
            if (correct || (worst.Count == Examples && worst.TryPeek(out _, out double least) && confidence <= least))
                continue;
            worst.Enqueue(new Mistake(row, top[..found]), confidence);
            if (worst.Count > Examples)
                worst.Dequeue();
        }
        List<Mistake> mistakes = [.. worst.UnorderedItems.OrderByDescending(m => m.Priority).ThenBy(m => m.Element.Row).Select(m => m.Element)];
        return (mistakes, [.. sums.Where(s => s.Rows > 0).Select(s => (s.Confidence / s.Rows, s.Correct / (double)s.Rows, s.Rows))]);
    }
}
