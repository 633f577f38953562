using EdgeSlide.Features;
using EdgeSlide.Model;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Tables;

namespace EdgeSlide.Training.Export;

/// <summary>What a model is with its weights in some formats: one line of the quantizer's table.</summary>
/// <param name="InputRows">Of a first layer with sparse input.</param>
/// <param name="Rows">Of the output layer.</param>
internal sealed record RowComparison(WeightFormat InputRows, WeightFormat Rows, long ModelBytes, Accuracy Dense, Accuracy Lsh, double LshNanoseconds, double DenseNanoseconds)
{
    private const int Most = 10_000;

    /// <summary>Writes the model in every pair of formats and measures each on held-out rows.</summary>
    /// <param name="order">[labels] the label of each output neuron, if the selector goes by another order.</param>
    /// <param name="path">Where a file may stand for a while.</param>
    public static IReadOnlyList<RowComparison> Measure(TrainedModel model, ExportedSelector selector, int[]? order, StorageOptions storage, Dataset train, Dataset held, string path, CancellationToken cancel)
    {
        bool sparse = model.Featurizer.Kind != FeaturizerKind.Dense;
        float[] propensity = LabelFrequencies.Of(train).InversePropensities();
        var results = new List<RowComparison>();
        try
        {
            foreach (WeightFormat input in sparse ? Enum.GetValues<WeightFormat>() : [WeightFormat.Int8])
            {
                foreach (WeightFormat rows in Enum.GetValues<WeightFormat>())
                {
                    cancel.ThrowIfCancellationRequested();
                    var quantized = QuantizedNetwork.From(model.Network, !sparse, storage with { InputRows = input, Rows = rows });
                    quantized = order is null ? quantized : quantized.Reordered(order);
                    ModelExporter.Write(path, quantized, model.Featurizer, [selector], null, "{}"u8.ToArray());
                    ExportedSelector limited = TablePruner.LimitShare(path, selector, storage.TableShare).Selector;
                    if (limited != selector)
                        ModelExporter.Write(path, quantized, model.Featurizer, [limited], null, "{}"u8.ToArray());
                    using EdgeSlideModel opened = EdgeSlideModel.Open(path, verifyChecksums: false);
                    (double lsh, double dense) = PredictorEvaluator.MeasureTimes(opened, held);
                    results.Add(new RowComparison(input, rows, opened.File.Length,
                        Accuracy.Of(PredictorEvaluator.Evaluate(opened, held, PredictionMode.Dense, propensity, Most)),
                        Accuracy.Of(PredictorEvaluator.Evaluate(opened, held, PredictionMode.Lsh, propensity, Most)), lsh, dense));
                }
            }
        }
        finally
        {
            File.Delete(path);
        }
        return results;
    }
}
