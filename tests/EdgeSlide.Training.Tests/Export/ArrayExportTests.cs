using System.Runtime.InteropServices;
using System.Text;
using EdgeSlide.Features;
using EdgeSlide.Model;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Export;
using EdgeSlide.Training.Networks;
using EdgeSlide.Training.Tests.Data;

namespace EdgeSlide.Training.Tests.Export;

/// <summary>What other programs get must be what the network itself answers with.</summary>
public sealed class ArrayExportTests : IDisposable
{
    private const int Features = 90;
    private const int Labels = 9;
    private readonly TemporaryFiles _files = new();

    public void Dispose() => _files.Dispose();

    [Fact]
    public void Logits_from_the_arrays_are_those_of_the_network()
    {
        Network network = Samples.Network(3, Features, 16, 5, Labels);
        Dataset rows = Samples.Learnable(1, 5000, Features, Labels);
        Write(network, rows, new LabelFrequencies(50, [.. Enumerable.Range(1, Labels)]));

        (int[] shape, float[] weights) = Read<float>("weights.npy", "<f4");
        float[] bias = Read<float>("bias.npy", "<f4").Items;
        (int[] hiddenShape, float[] hidden) = Read<float>("hidden.npy", "<f4");
        Assert.Equal([Labels, 5], shape);
        Assert.Equal([rows.RowCount, 5], hiddenShape); // More rows than are computed at once.
        using var scorer = new DenseScorer(network);
        TopLabels top = scorer.Score(rows, Labels);
        for (int row = 0; row < rows.RowCount; row++)
        {
            for (int rank = 0; rank < Labels; rank++)
            {
                int label = top.RowLabels(row)[rank];
                double logit = bias[label];
                for (int i = 0; i < 5; i++)
                    logit += weights[label * 5 + i] * hidden[row * 5 + i];
                Assert.Equal(top.RowLogits(row)[rank], logit, 1e-5);
            }
        }

        Assert.Equal(rows.LabelOffsets, Read<long>("label_offsets.npy", "<i8").Items);
        Assert.Equal(rows.LabelIds, Read<int>("label_ids.npy", "<i4").Items);
        // 1 + (ln 50 - 1) 2.5^0.55 (n + 1.5)^-0.55, by hand for n = 1 and 9.
        float[] propensities = Read<float>("inverse_propensities.npy", "<f4").Items;
        Assert.Equal(1 + (Math.Log(50) - 1), propensities[0], 1e-5);
        Assert.Equal(1 + (Math.Log(50) - 1) * Math.Pow(2.5 / 10.5, 0.55), propensities[^1], 1e-5);
    }

    [Fact]
    public void A_network_that_does_not_know_its_labels_frequencies_leaves_them_out()
    {
        IReadOnlyList<string> files = Write(Samples.Network(3, Features, 4, Labels), Samples.Learnable(1, 10, Features, Labels), null);
        Assert.DoesNotContain("inverse_propensities.npy", files);
        Assert.Equal(files.Order(StringComparer.Ordinal), Directory.GetFiles(_files.Folder).Select(Path.GetFileName).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void The_bytes_are_those_of_the_npy_format()
    {
        WriteOne([1f, -2f], 2);
        // Signature, version 1.0, length of the padded header, header, items: NumPy's "NEP 1", spelled out.
        string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }".PadRight(117) + "\n";
        Assert.Equal((byte[])[0x93, .. "NUMPY"u8, 1, 0, 118, 0, .. Encoding.ASCII.GetBytes(header), 0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0], File.ReadAllBytes(_files.Path("a.npy")));
        Assert.Throws<ArgumentException>(() => WriteOne([1f, -2f, 3f], 2, 2));
        Assert.Equal(136, new FileInfo(_files.Path("a.npy")).Length); // The old file is as it was.

        void WriteOne(float[] items, params int[] shape)
        {
            using var files = new OutputFiles(default);
            NpyFile.Write(files, _files.Path("a.npy"), items, shape);
            files.Commit();
        }
    }

    [Fact]
    public void An_interrupted_export_leaves_no_file()
    {
        using var cancel = new CancellationTokenSource();
        cancel.Cancel();
        Assert.Throws<OperationCanceledException>(() => Write(Samples.Network(3, Features, 4, Labels), Samples.Learnable(1, 10, Features, Labels), null, cancel.Token));
        Assert.Empty(Directory.GetFiles(_files.Folder));
    }

    private IReadOnlyList<string> Write(Network network, Dataset rows, LabelFrequencies? frequencies, CancellationToken cancel = default)
    {
        Featurizer featurizer = Featurizer.Create(new FeaturizerRecord { Kind = FeaturizerKind.Sparse, FeatureCount = Features, UnknownToken = FeaturizerRecord.NoToken, LineStartToken = FeaturizerRecord.NoToken }, null, null);
        return ArrayExport.Write(new TrainedModel(network, featurizer, LabelVocabulary.Numbered(Labels).Names, false, new TrainingRecord()) { Frequencies = frequencies }, rows, _files.Folder, cancel);
    }

    private (int[] Shape, T[] Items) Read<T>(string name, string type) where T : unmanaged
    {
        byte[] bytes = File.ReadAllBytes(_files.Path(name));
        int start = 10 + bytes[8] + 256 * bytes[9];
        Assert.Equal(0, start % 64);
        string header = Encoding.ASCII.GetString(bytes[10..start]);
        Assert.Contains($"'descr': '{type}'", header, StringComparison.Ordinal);
        string shape = header[(header.IndexOf('(', StringComparison.Ordinal) + 1)..header.IndexOf(')', StringComparison.Ordinal)];
        return ([.. shape.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(int.Parse)], MemoryMarshal.Cast<byte, T>(bytes.AsSpan(start)).ToArray());
    }
}
