using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Networks;

namespace EdgeSlide.Training.Export;

/// <summary>
/// Hands the last step of a network, from hidden vector to labels, to other programs: its FP32 output layer, the last hidden
/// vectors of some rows, their true labels, and what PSP@k needs, as .npy files (docs/workbench.md).
/// </summary>
internal static class ArrayExport
{
    private const int Chunk = 4096;

    /// <summary>Names of the files, in the order they are written.</summary>
    public static IReadOnlyList<string> Write(TrainedModel model, Dataset rows, string folder)
    {
        NetworkLayer output = model.Network.Layers[^1];
        var files = new List<string>();
        string Target(string name)
        {
            files.Add(name);
            return Path.Combine(folder, name);
        }
        NpyFile.Write(Target("weights.npy"), output.Weights, output.Outputs, output.Inputs);
        NpyFile.Write(Target("bias.npy"), output.Bias, output.Outputs);
        NpyFile.Write(Target("hidden.npy"), Hidden(model.Network, rows), rows.RowCount, output.Inputs);
        NpyFile.Write(Target("label_offsets.npy"), rows.LabelOffsets.Pieces(), rows.RowCount + 1);
        NpyFile.Write(Target("label_ids.npy"), rows.LabelIds.Pieces(), checked((int)rows.LabelIds.Length));
        if (model.Frequencies is { } frequencies)
            NpyFile.Write(Target("inverse_propensities.npy"), frequencies.InversePropensities(), rows.LabelCount);
        return files;
    }

    private static IEnumerable<ReadOnlyMemory<float>> Hidden(Network network, Dataset rows)
    {
        int width = network.Layers[^1].Inputs;
        using var scorer = new DenseScorer(network, threads: 1);
        var hidden = new float[Chunk * width];
        for (int first = 0; first < rows.RowCount; first += Chunk)
        {
            int count = Math.Min(Chunk, rows.RowCount - first);
            scorer.Hidden(rows, first, count, hidden);
            yield return hidden.AsMemory(0, count * width);
        }
    }
}
