namespace EdgeSlide.Training.Networks;

/// <summary>What follows a layer's affine map. Softmax and sigmoid are output activations: they do not change ranking.</summary>
public enum Activation
{
    Identity = 0,
    Relu = 1,
    Softmax = 2,
    Sigmoid = 3,
}

/// <summary>
/// One fully connected FP32 layer. The first layer of a network stores its weights feature-major ([inputs][outputs]: one
/// contiguous row per input feature, added up for the features that are present); every later layer stores them
/// neuron-major ([outputs][inputs]: one contiguous row per neuron).
/// </summary>
public sealed class NetworkLayer(int inputs, int outputs, Activation activation)
{
    public int Inputs { get; } = inputs;

    public int Outputs { get; } = outputs;

    public Activation Activation { get; } = activation;

    /// <summary>[Inputs x Outputs] values; see the class for their order.</summary>
    public float[] Weights { get; } = new float[checked(inputs * outputs)];

    /// <summary>[Outputs] values.</summary>
    public float[] Bias { get; } = new float[outputs];
}

/// <summary>A trained FP32 network: what the trainer produces and the quantizer consumes.</summary>
public sealed class Network(IReadOnlyList<NetworkLayer> layers)
{
    public IReadOnlyList<NetworkLayer> Layers { get; } = layers;

    public int InputCount => Layers[0].Inputs;

    public int OutputCount => Layers[^1].Outputs;
}
