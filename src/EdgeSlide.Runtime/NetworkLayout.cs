using EdgeSlide.Calibration;
using EdgeSlide.Hashing;
using EdgeSlide.Layers;
using EdgeSlide.Model;

namespace EdgeSlide;

/// <summary>The layers of a model, checked and ready; shared by all predictors.</summary>
internal sealed record NetworkLayout(SparseInputLayer? SparseInput, NeuronLayer[] Layers, int FeatureCount, OutputCalibration? Calibration, LabelMap? LabelMap)
{
    public NeuronLayer Output => Layers[^1];

    /// <summary>The widest vector between layers (the output layer's excluded), padded.</summary>
    public int MaxHiddenWidth { get; } = ModelFormat.RowStride(WidestHidden(SparseInput, Layers));

    /// <summary>Floats in a buffer that holds any vector between layers, as hashing pads it.</summary>
    public int VectorLength => Math.Max(MaxHiddenWidth, SimHash.PaddedDimensions(MaxHiddenWidth));

    /// <summary>The most neurons that any layer's selector elects.</summary>
    public int MaxBudget { get; } = LargestBudget(Layers);

    private static int LargestBudget(NeuronLayer[] layers)
    {
        int budget = 0;
        foreach (NeuronLayer layer in layers)
            budget = Math.Max(budget, layer.Selector?.Budget ?? 0);
        return budget;
    }

    /// <summary>The same network with another selector before its output layer, for tuning. Made anew, not copied: sizes follow from it.</summary>
    public NetworkLayout WithSelector(LayerSelector selector) => new(SparseInput, [.. Layers[..^1], Output.WithSelector(selector)], FeatureCount, Calibration, LabelMap);

    private static int WidestHidden(SparseInputLayer? sparseInput, NeuronLayer[] layers)
    {
        int width = sparseInput?.Outputs ?? 0;
        foreach (NeuronLayer layer in layers)
            width = Math.Max(width, layer.Inputs);
        foreach (NeuronLayer hidden in layers[..^1])
            width = Math.Max(width, hidden.Outputs);
        return width;
    }
}
