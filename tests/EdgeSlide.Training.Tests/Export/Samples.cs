using EdgeSlide.Features;
using EdgeSlide.Model;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Export;
using EdgeSlide.Training.Networks;

namespace EdgeSlide.Training.Tests.Export;

/// <summary>Small data sets and networks that several tests use.</summary>
internal static class Samples
{
    public static TextDataset Text(IReadOnlyList<string> lines)
    {
        LabelVocabulary labels = LabelVocabulary.FromNames(lines.Select((_, i) => $"label {i}"));
        var rows = new TextRows(labels);
        for (int i = 0; i < lines.Count; i++)
            rows.Add(lines[i], [i]);
        return rows.ToDataset();
    }

    public static Network Network(int seed, int inputs, params int[] widths)
    {
        var random = new Random(seed);
        var layers = new List<NetworkLayer>();
        foreach (int width in widths)
        {
            layers.Add(new NetworkLayer(inputs, width, layers.Count == widths.Length - 1 ? Activation.Softmax : Activation.Relu));
            foreach (float[] values in new[] { layers[^1].Weights, layers[^1].Bias })
            {
                for (int i = 0; i < values.Length; i++)
                    values[i] = (float)(random.NextDouble() - 0.5);
            }
            inputs = width;
        }
        return new Network(layers);
    }

    /// <summary>Exports a random network behind a featurizer and opens the model.</summary>
    public static EdgeSlideModel Export(Featurizer featurizer, int labels, out string path)
    {
        path = Path.GetTempFileName();
        ModelExporter.Write(path, QuantizedNetwork.From(Network(1, featurizer.FeatureCount, 8, labels), denseInput: featurizer.Kind == FeaturizerKind.Dense),
            featurizer, [], null, "{}"u8.ToArray());
        return EdgeSlideModel.Open(path);
    }

    /// <summary>Rows whose label is a function of their features: feature f speaks for label f mod labels.</summary>
    public static Dataset Learnable(int seed, int rows, int features, int labels, int perRow = 6)
    {
        var random = new Random(seed);
        var ids = new List<int>();
        var offsets = new long[rows + 1];
        var labelIds = new int[rows];
        for (int row = 0; row < rows; row++)
        {
            int label = random.Next(labels);
            var chosen = new SortedSet<int>();
            while (chosen.Count < perRow - 1)
                chosen.Add(label + labels * random.Next(features / labels));
            chosen.Add(random.Next(features));
            ids.AddRange(chosen);
            offsets[row + 1] = ids.Count;
            labelIds[row] = label;
        }
        var values = new float[ids.Count];
        Array.Fill(values, 0.5f);
        return new Dataset
        {
            FeatureCount = features,
            LabelCount = labels,
            FeatureOffsets = offsets,
            FeatureIds = [.. ids],
            FeatureValues = values,
            LabelOffsets = [.. Enumerable.Range(0, rows + 1).Select(i => (long)i)],
            LabelIds = labelIds,
        };
    }
}
