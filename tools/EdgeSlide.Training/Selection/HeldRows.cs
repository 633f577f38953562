using EdgeSlide.Features;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;

namespace EdgeSlide.Training.Selection;

/// <summary>Held-out rows with what the device's INT8 network makes of them: its dense answers and its output layer's input.</summary>
internal sealed class HeldRows
{
    public const int Depth = 5;

    private HeldRows(Dataset rows, int width, int depth) =>
        (Rows, Width, K, Hidden, DenseTop) = (rows, width, depth, new float[checked(rows.RowCount * width)], new int[rows.RowCount * depth]);

    public Dataset Rows { get; }

    public int Width { get; }

    /// <summary>Answers per row: 5, or all labels if there are fewer.</summary>
    public int K { get; }

    /// <summary>[rows x width]</summary>
    public float[] Hidden { get; }

    /// <summary>[rows x K] the dense answers, best first.</summary>
    public int[] DenseTop { get; }

    public ReadOnlySpan<float> HiddenRow(int row) => Hidden.AsSpan(row * Width, Width);

    public ReadOnlySpan<int> DenseRow(int row) => DenseTop.AsSpan(row * K, K);

    public static HeldRows Of(EdgeSlideModel model, Dataset rows, CancellationToken cancel = default)
    {
        var held = new HeldRows(rows, model.Layout.Output.Inputs, Math.Min(Depth, model.LabelCount));
        Parallel.For(0, (rows.RowCount + 63) / 64, new ParallelOptions { CancellationToken = cancel }, () => (Predictor: model.CreatePredictor(), Top: new Prediction[held.K]), (block, _, local) =>
        {
            local.Predictor.Mode = PredictionMode.Dense;
            local.Predictor.Probabilities = false;
            for (int row = block * 64; row < Math.Min(rows.RowCount, (block + 1) * 64); row++)
            {
                FeatureVector features = local.Predictor.Engine.Features;
                PredictorEvaluator.Load(rows, row, features);
                int found = local.Predictor.Run(local.Top);
                for (int i = 0; i < held.K; i++)
                    held.DenseTop[row * held.K + i] = i < found ? local.Top[i].Label : -1;
                // A row without features is answered by nothing, here as on the device.
                if (found > 0)
                    local.Predictor.Engine.OutputLayerInput.CopyTo(held.Hidden.AsSpan(row * held.Width));
            }
            return local;
        }, local => local.Predictor.Dispose());
        return held;
    }
}
