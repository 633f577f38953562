using System.Diagnostics;
using EdgeSlide.Features;
using EdgeSlide.Training.Data;

namespace EdgeSlide.Training.Evaluation;

/// <summary>Runs the device's own predictor over a featurized data set.</summary>
internal static class PredictorEvaluator
{
    /// <summary>Accuracy of a mode on the rows [0, limit), on all cores.</summary>
    public static RankingMetrics Evaluate(EdgeSlideModel model, Dataset data, PredictionMode mode, float[]? inversePropensity, int limit = int.MaxValue, DecileMetrics? deciles = null)
    {
        int rows = Math.Min(limit, data.RowCount);
        int k = Math.Min(5, model.LabelCount);
        var ranked = new int[rows * k];
        Parallel.For(0, (rows + 511) / 512, () => (Predictor: model.CreatePredictor(), Top: new Prediction[k]), (chunk, _, local) =>
        {
            local.Predictor.Mode = mode;
            local.Predictor.Probabilities = false;
            for (int row = chunk * 512; row < Math.Min(rows, (chunk + 1) * 512); row++)
            {
                Load(data, row, local.Predictor.Engine.Features);
                int found = local.Predictor.Run(local.Top);
                for (int i = 0; i < k; i++)
                    ranked[row * k + i] = i < found ? local.Top[i].Label : -1;
            }
            return local;
        }, local => local.Predictor.Dispose());
        var metrics = new RankingMetrics([1, 3, 5], inversePropensity, deciles);
        for (int row = 0; row < rows; row++)
            metrics.Add(ranked.AsSpan(row * k, k), data.RowLabels(row));
        return metrics;
    }

    /// <summary>
    /// Median nanoseconds of a query in each mode, in turns within one run on one thread; if told so, densely of fewer queries. (With
    /// few queries the first compilation of the code would be measured, which is why hashing, the shorter, takes no fewer.)
    /// </summary>
    public static (double Lsh, double Dense) MeasureTimes(EdgeSlideModel model, Dataset data, int queries = 400, int rounds = 3, int denseQueries = int.MaxValue)
    {
        using Predictor predictor = model.CreatePredictor();
        predictor.Probabilities = false;
        var top = new Prediction[Math.Min(5, model.LabelCount)];
        queries = Math.Min(queries, data.RowCount);
        var times = new List<long>[] { [], [] };
        for (int round = -1; round < rounds; round++)
        {
            for (int mode = 0; mode < 2; mode++)
            {
                predictor.Mode = mode == 0 ? PredictionMode.Lsh : PredictionMode.Dense;
                int rows = mode == 0 ? queries : Math.Min(queries, denseQueries);
                for (int row = 0; row < rows; row++)
                {
                    Load(data, row, predictor.Engine.Features);
                    long start = Stopwatch.GetTimestamp();
                    predictor.Run(top);
                    if (round >= 0)
                        times[mode].Add(Stopwatch.GetTimestamp() - start);
                }
            }
        }
        return (Median(times[0]), Median(times[1]));
    }

    public static void Load(Dataset data, int row, FeatureVector features)
    {
        features.Clear();
        ReadOnlySpan<int> ids = data.RowFeatures(row);
        ReadOnlySpan<float> values = data.RowValues(row);
        for (int i = 0; i < ids.Length; i++)
            features.Add(ids[i], values[i]);
    }

    private static double Median(List<long> ticks)
    {
        ticks.Sort();
        return ticks.Count == 0 ? 0 : ticks[ticks.Count / 2] * 1e9 / Stopwatch.Frequency;
    }
}
