namespace EdgeSlide.Model;

/// <summary>
/// Which label each neuron of the output layer stands for, where neurons that are wanted together were made neighbours.
/// Selection and ranking go by neurons; only answers are translated.
/// </summary>
internal sealed unsafe class LabelMap
{
    private readonly View<uint> _labels;

    private LabelMap(View<uint> labels) => _labels = labels;

    public static LabelMap Load(ModelFile file, int labels)
    {
        View<uint> map = file.Get<uint>(SectionKind.LabelMap, 0, 0, labels);
        var seen = new System.Collections.BitArray(labels);
        for (int neuron = 0; neuron < labels; neuron++)
        {
            uint label = map.Pointer[neuron];
            if (label >= (uint)labels || seen[(int)label])
                throw file.Error(ModelError.BadLabels, $"neuron {neuron} stands for an impossible label {label}");
            seen[(int)label] = true;
        }
        return new LabelMap(map);
    }

    /// <summary>[neurons] the label that each stands for.</summary>
    public int[] Labels() => Array.ConvertAll(_labels.Span.ToArray(), label => (int)label);

    /// <summary>[labels] the neuron that stands for each label.</summary>
    public int[] Neurons()
    {
        var neurons = new int[_labels.Length];
        for (int neuron = 0; neuron < neurons.Length; neuron++)
            neurons[_labels.Pointer[neuron]] = neuron;
        return neurons;
    }

    /// <summary>Puts labels in the place of neurons.</summary>
    public void Translate(Span<Prediction> answers)
    {
        foreach (ref Prediction answer in answers)
            answer = answer with { Label = (int)_labels.Pointer[answer.Label] };
    }
}
