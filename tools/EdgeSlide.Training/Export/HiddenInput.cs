using EdgeSlide.Features;
using EdgeSlide.Model;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Networks;

namespace EdgeSlide.Training.Export;

/// <summary>
/// Hides a network's features: its last hidden vectors become dense inputs of a network that is only the output layer, behind
/// an identity. It answers as the whole network does, but selection has nothing but the vector to go by.
/// </summary>
internal static class HiddenInput
{
    public static TrainedModel Of(TrainedModel model)
    {
        NetworkLayer output = model.Network.Layers[^1];
        // The hidden vector has been through its activation, so a second one changes nothing.
        var identity = new NetworkLayer(output.Inputs, output.Inputs, model.Network.Layers[^2].Activation);
        for (int i = 0; i < output.Inputs; i++)
            identity.Weights[i * output.Inputs + i] = 1f;
        Featurizer featurizer = Featurizer.Create(new FeaturizerRecord { Kind = FeaturizerKind.Dense, FeatureCount = (uint)output.Inputs }, null, null);
        return model with { Network = new Network([identity, output]), Featurizer = featurizer };
    }

    /// <summary>The rows' hidden vectors, without their zeros.</summary>
    public static Dataset Of(TrainedModel model, Dataset rows)
    {
        const int Chunk = 8192;
        int width = model.Network.Layers[^1].Inputs;
        using var scorer = new DenseScorer(model.Network);
        var hidden = new float[Chunk * width];
        ItemsWriter<long> offsets = rows.Storage.Create<long>();
        ItemsWriter<int> ids = rows.Storage.Create<int>();
        ItemsWriter<float> values = rows.Storage.Create<float>();
        offsets.Append(0);
        for (int first = 0; first < rows.RowCount; first += Chunk)
        {
            int count = Math.Min(Chunk, rows.RowCount - first);
            scorer.Hidden(rows, first, count, hidden);
            for (int i = 0; i < count; i++)
            {
                for (int j = 0; j < width; j++)
                {
                    if (hidden[i * width + j] is not 0f and float value)
                    {
                        ids.Append(j);
                        values.Append(value);
                    }
                }
                offsets.Append(ids.Length);
            }
        }
        return new Dataset
        {
            FeatureCount = width,
            LabelCount = rows.LabelCount,
            FeatureOffsets = offsets.ToItems(),
            FeatureIds = ids.ToItems(),
            FeatureValues = values.ToItems(),
            LabelOffsets = rows.LabelOffsets,
            LabelIds = rows.LabelIds,
        };
    }
}
