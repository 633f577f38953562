namespace EdgeSlide;

/// <summary>One answer.</summary>
/// <param name="Label">The label's id; <see cref="EdgeSlideModel.LabelName"/> gives its name.</param>
/// <param name="Logit">The output neuron's value before the output activation.</param>
/// <param name="Score">What the answers are ranked by: the logit, plus the model's vote blend times log2 of the neuron's
/// votes where neurons were selected by hashing.</param>
/// <param name="Probability">The chance that the answer is right, if the model is calibrated; else the softmax over the
/// neurons that were evaluated, or the neuron's sigmoid. NaN where it was not asked for.</param>
public readonly record struct Prediction(int Label, float Logit, float Score, float Probability);

/// <summary>How the output layer is evaluated.</summary>
public enum PredictionMode
{
    /// <summary>Hashing where it was measured to pay when the model was built.</summary>
    Auto,

    /// <summary>Hashing selects the neurons; a query that opens no bucket is answered densely.</summary>
    Lsh,

    /// <summary>Every neuron is evaluated.</summary>
    Dense,
}

/// <summary>What one query cost. Counted, not estimated, except that bytes are whole rows and entries.</summary>
public readonly record struct PredictionCost
{
    /// <summary>Input features that were present.</summary>
    public int Features { get; init; }

    /// <summary>Neurons of the output layer that were evaluated.</summary>
    public int ActiveNeurons { get; init; }

    /// <summary>Multiplications of all layers, plus every operation spent on hashing and voting.</summary>
    public long Multiplications { get; init; }

    /// <summary>Bytes of the model that were read.</summary>
    public long BytesTouched { get; init; }
}
