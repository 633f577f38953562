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

    /// <summary>Writes all files or none, and returns their names in the order they are written.</summary>
    public static IReadOnlyList<string> Write(TrainedModel model, Dataset rows, string folder, CancellationToken cancel = default)
    {
        NetworkLayer output = model.Network.Layers[^1];
        var names = new List<string>();
        string Target(string name)
        {
            names.Add(name);
            return Path.Combine(folder, name);
        }
        using var files = new OutputFiles(cancel);
        NpyFile.Write(files, Target("weights.npy"), output.Weights, output.Outputs, output.Inputs);
        NpyFile.Write(files, Target("bias.npy"), output.Bias, output.Outputs);
        NpyFile.Write(files, Target("hidden.npy"), Hidden(model.Network, rows), rows.RowCount, output.Inputs);
        NpyFile.Write(files, Target("label_offsets.npy"), rows.LabelOffsets.Pieces(), rows.RowCount + 1);
        NpyFile.Write(files, Target("label_ids.npy"), rows.LabelIds.Pieces(), checked((int)rows.LabelIds.Length));
        if (model.Frequencies is { } frequencies)
            NpyFile.Write(files, Target("inverse_propensities.npy"), frequencies.InversePropensities(), rows.LabelCount);
        files.Commit();
        return names;
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
