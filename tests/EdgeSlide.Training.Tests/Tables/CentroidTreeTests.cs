using System.Runtime.InteropServices;
using EdgeSlide.Features;
using EdgeSlide.Hashing;
using EdgeSlide.Kernels;
using EdgeSlide.Layers;
using EdgeSlide.Model;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Export;
using EdgeSlide.Training.Tables;
using EdgeSlide.Training.Tests.Export;
using EdgeSlide.Training.Training;

namespace EdgeSlide.Training.Tests.Tables;

public sealed unsafe class CentroidTreeTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("edgeslide").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(3, 2, 1, 20)]
    [InlineData(5, 3, 4, 64)]
    [InlineData(16, 2, 16, 100)]
    public void A_query_passes_the_nodes_that_the_specification_says_with_every_kernel(int branch, int levels, int beam, int width)
    {
        var random = new Random(branch);
        int nodes = CentroidTree.NodeCount(branch, levels), stride = ModelFormat.RowStride(width);
        byte[] section = new byte[CentroidTree.SectionLength(width, nodes)];
        MemoryMarshal.Write(section, 0.01f);
        Span<sbyte> rows = MemoryMarshal.Cast<byte, sbyte>(section.AsSpan(CentroidTree.HeaderSize, nodes * stride));
        Span<NeuronAffine> affine = MemoryMarshal.Cast<byte, NeuronAffine>(section.AsSpan(CentroidTree.HeaderSize + nodes * stride));
        for (int n = 0; n < nodes; n++)
        {
            for (int j = 0; j < width; j++)
                rows[n * stride + j] = (sbyte)random.Next(-20, 21);
            // Few different values, so that equal scores occur and their order is tested.
            affine[n] = new NeuronAffine { Scale = random.Next(2), Bias = -random.Next(3) };
        }
        fixed (byte* pointer = section)
        {
            var record = new SourceRecord { Kind = SourceKind.Centroids, KeyCount = (uint)nodes, Tables = (uint)levels, Bits = (uint)branch, Rounds = (uint)beam };
            var tree = new CentroidTree(new View<byte>(pointer, section.Length), in record, width);
            using var x = new NativeBuffer<sbyte>(stride);
            for (int trial = 0; trial < 30; trial++)
            {
                for (int j = 0; j < width; j++)
                    x.Span[j] = (sbyte)random.Next(-127, 128);
                (int[] keys, float[] weights) = Reference(section, x.Span, 0.5f, branch, levels, beam, nodes, stride);
                Check<ScalarKernel>(ScalarKernel.IsSupported);
                Check<Vector128Kernel>(Vector128Kernel.IsSupported);
                Check<Vector256Kernel>(Vector256Kernel.IsSupported);
                Check<Avx2Kernel>(Avx2Kernel.IsSupported);

                void Check<TKernel>(bool supported) where TKernel : struct, IKernel
                {
                    if (!supported)
                        return;
                    int* found = stackalloc int[64];
                    float* shares = stackalloc float[64];
                    int count = tree.Keys<TKernel>(x.Pointer, 0.5f, found, shares);
                    Assert.Equal(keys, new ReadOnlySpan<int>(found, count).ToArray());
                    Assert.Equal(weights, new ReadOnlySpan<float>(shares, count).ToArray());
                }
            }
        }
    }

    [Fact]
    public void Damaged_parameters_are_refused()
    {
        string path = Model(out _, out _);
        (long record, long hash, int nodes) = Find(path);
        byte[] good = File.ReadAllBytes(path);
        Refused(hash, BitConverter.GetBytes(float.NaN));
        Refused(hash, BitConverter.GetBytes(-1f));
        Refused(hash + 4, [1]);
        Refused(hash + 64, [0x80]);
        Refused(hash + 64 + nodes * 64L + 4, BitConverter.GetBytes(float.PositiveInfinity));
        Refused(record + 4, BitConverter.GetBytes(nodes + 1));
        Refused(record + 8, BitConverter.GetBytes(5));
        Refused(record + 8, BitConverter.GetBytes(0));
        Refused(record + 12, BitConverter.GetBytes(65));
        Refused(record + 24, BitConverter.GetBytes(0));
        Refused(record + 24, BitConverter.GetBytes(17));

        void Refused(long at, byte[] bytes)
        {
            byte[] bad = [.. good];
            bytes.CopyTo(bad, at);
            File.WriteAllBytes(path, bad);
            Assert.Equal(ModelError.BadHash, Assert.Throws<ModelFormatException>(() => EdgeSlideModel.Open(path, verifyChecksums: false)).Error);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_model_without_features_answers_as_well_as_its_network_and_the_same_way_twice(bool labelTree)
    {
        string path = Model(out QuantizationReport report, out Dataset held, labelTree);
        byte[] first = File.ReadAllBytes(path);
        Assert.True(report.Fp32Dense!.P1 > 0.7, $"the network itself only reaches {report.Fp32Dense.P1}");
        Assert.True(report.Int8Lsh!.P1 >= report.Int8Dense!.P1 - 0.02, $"selection {report.Int8Lsh.P1}, all neurons {report.Int8Dense.P1}");
        using EdgeSlideModel model = EdgeSlideModel.Open(path);
        using Predictor predictor = model.CreatePredictor();
        predictor.Mode = PredictionMode.Lsh;
        predictor.PredictSparse(held.RowFeatures(0), held.RowValues(0), new Prediction[3]);
        Assert.InRange(predictor.Cost.ActiveNeurons, 1, 32);
        (long _, long hash, int nodes) = Find(path);
        ReadOnlySpan<byte> tree = first.AsSpan((int)hash, (int)CentroidTree.SectionLength(32, nodes));
        Assert.True(tree.SequenceEqual(File.ReadAllBytes(Model(out _, out _, labelTree)).AsSpan((int)hash, tree.Length)), "the same rows gave another tree");
    }

    private string Model(out QuantizationReport report, out Dataset held, bool labelTree = false)
    {
        Dataset train = Samples.Learnable(1, 4000, 4000, 400);
        held = Samples.Learnable(2, 800, 4000, 400);
        TrainingResult trained = new Trainer(new TrainerOptions { HiddenSizes = [32], Epochs = 8, LearningRate = 0.02f, BatchSize = 128, RandomNegatives = 128 }, train, held).Run();
        Featurizer featurizer = Featurizer.Create(new FeaturizerRecord { Kind = FeaturizerKind.Sparse, FeatureCount = 4000 }, null, null);
        var model = new TrainedModel(trained.Network, featurizer, [.. Enumerable.Range(0, 400).Select(i => $"{i}")], false, new TrainingRecord());
        string path = Path.Combine(_folder, "model.eslide");
        report = QuantizationJob.Run(HiddenInput.Of(model), HiddenInput.Of(model, train), HiddenInput.Of(model, held), new SelectorOptions
        {
            Budget = 32, FeatureBuckets = false, LabelTree = labelTree ? new TreeShape(2, 16, 8, 64) : null, Centroids = labelTree ? null : new TreeShape(2, 16, 8, 64),
        }, new StorageOptions(), path);
        held = HiddenInput.Of(model, held);
        return path;
    }

    private static (long Record, long Hash, int Nodes) Find(string path)
    {
        ModelFile file = ModelFile.Open(path, verifyChecksums: true);
        try
        {
            long Start(SectionKind kind) => file.Sections.First(s => s.Kind == kind).Offset;
            return (Start(SectionKind.Selector) + 32, Start(SectionKind.HashPlanes), CentroidTree.NodeCount(16, 2));
        }
        finally
        {
            file.Dispose();
        }
    }

    /// <summary>Section 7.4 of the format, in plain code.</summary>
    private static (int[] Keys, float[] Weights) Reference(byte[] section, ReadOnlySpan<sbyte> x, float scale, int branch, int levels, int beam, int nodes, int stride)
    {
        var keys = new List<int>();
        var weights = new List<float>();
        int[] open = [0];
        int start = 0, width = branch;
        for (int level = 0; level < levels; level++)
        {
            var scored = new List<(int Node, float Score)>();
            foreach (int parent in open)
            {
                for (int child = 0; child < branch; child++)
                {
                    int node = start + parent * branch + child, dot = 0;
                    for (int j = 0; j < stride; j++)
                        dot += x[j] * (sbyte)section[64 + node * stride + j];
                    float s = BitConverter.ToSingle(section, 64 + nodes * stride + node * 8), b = BitConverter.ToSingle(section, 64 + nodes * stride + node * 8 + 4);
                    scored.Add((node, dot * (s * scale) + b));
                }
            }
            (int Node, float Score)[] best = [.. scored.OrderByDescending(n => n.Score).ThenBy(n => n.Node).Take(beam)];
            float[] e = [.. best.Select(n => StableMath.Exp((n.Score - best[0].Score) * BitConverter.ToSingle(section, 0)))];
            float total = 0;
            foreach (float value in e)
                total += value;
            keys.AddRange(best.Select(n => n.Node));
            weights.AddRange(e.Select(value => value / total));
            int origin = start;
            open = [.. best.Select(n => n.Node - origin)];
            start += width;
            width *= branch;
        }
        return ([.. keys], [.. weights]);
    }
}
