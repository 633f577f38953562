using EdgeSlide.Features;
using EdgeSlide.Hashing;
using EdgeSlide.Model;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Export;
using EdgeSlide.Training.Networks;
using EdgeSlide.Training.Tables;
using EdgeSlide.Training.Tests.Export;

namespace EdgeSlide.Training.Tests.Tables;

public sealed class NeuronOrderTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("edgeslide").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    /// <summary>Keys that each name most of one hidden group of neurons, whose ids are scattered, and a few others.</summary>
    private static ExportedSelector Grouped(int neurons, int groups, int keys)
    {
        var random = new Random(3);
        int[] ids = [.. Enumerable.Range(0, neurons).OrderBy(_ => random.Next())];
        int size = neurons / groups;
        var offsets = new uint[keys + 1];
        var entries = new List<uint>();
        for (int key = 0; key < keys; key++)
        {
            int group = random.Next(groups);
            HashSet<int> named = [.. Enumerable.Range(0, 12).Select(_ => ids[group * size + random.Next(size)]), ids[random.Next(neurons)]];
            entries.AddRange(named.Select(id => BucketTable.Pack(id, (byte)random.Next(1, 256))));
            offsets[key + 1] = (uint)entries.Count;
        }
        float[] weights = [.. Enumerable.Range(0, keys).Select(_ => 1f + random.Next(5))];
        return new ExportedSelector(1, 16, 0f, true, [new ExportedSource(new SourceRecord { Kind = SourceKind.Features, Weight = 1f }, new FrozenBuckets(offsets, [.. entries], 1f, weights), null)]);
    }

    [Fact]
    public void The_order_is_a_permutation_that_brings_together_what_buckets_name_together()
    {
        const int Neurons = 4096, Keys = 3000;
        ExportedSelector selector = Grouped(Neurons, 128, Keys);
        int[] order = NeuronOrder.Of(selector, Neurons);
        Assert.Equal(Enumerable.Range(0, Neurons), order.Order());
        Assert.Equal(order, NeuronOrder.Of(selector, Neurons));
        Dataset queries = OneKeyEach(Keys);
        PlacesTouched before = PlacesTouched.Measure(selector, queries, 128), after = PlacesTouched.Measure(selector.Reordered(order), queries, 128);
        Assert.True(after.RowPages < 0.5 * before.RowPages, $"{before} became {after}");
        Assert.True(after.ScaleLines < before.ScaleLines, $"{before} became {after}");
        Assert.Equal(before.RowLines, after.RowLines);
    }

    [Fact]
    public void A_reordered_model_gives_the_same_labels()
    {
        const int Features = 3000, Labels = 300;
        Network network = Samples.Network(5, Features, 24, Labels);
        Featurizer featurizer = Featurizer.Create(new FeaturizerRecord { Kind = FeaturizerKind.Sparse, FeatureCount = Features }, null, null);
        var model = new TrainedModel(network, featurizer, [.. Enumerable.Range(0, Labels).Select(i => $"label {i}")], true, new TrainingRecord());
        Dataset train = Samples.Learnable(1, 2000, Features, Labels), held = Samples.Learnable(2, 300, Features, Labels);
        string plain = Path.Combine(_folder, "plain.eslide"), reordered = Path.Combine(_folder, "reordered.eslide");
        var options = new SelectorOptions { Budget = 400, VoteBlend = 0.5f };
        QuantizationJob.Run(model, train, held, options, new StorageOptions { TableShare = 0 }, plain);
        QuantizationReport report = QuantizationJob.Run(model, train, held, options, new StorageOptions { TableShare = 0, Reorder = true }, reordered);
        Assert.NotNull(report.Reordered);
        using EdgeSlideModel a = EdgeSlideModel.Open(plain), b = EdgeSlideModel.Open(reordered);
        Assert.Equal((2, 3), (a.File.Version, b.File.Version));
        using Predictor first = a.CreatePredictor(), second = b.CreatePredictor();
        for (int row = 0; row < held.RowCount; row++)
        {
            foreach (PredictionMode mode in new[] { PredictionMode.Lsh, PredictionMode.Dense })
            {
                first.Mode = second.Mode = mode;
                Prediction[] one = new Prediction[Labels], other = new Prediction[Labels];
                int count = first.PredictSparse(held.RowFeatures(row), held.RowValues(row), one);
                Assert.Equal(count, second.PredictSparse(held.RowFeatures(row), held.RowValues(row), other));
                // Equal scores are ranked by neuron, so they may change places.
                Assert.Equal(one.Take(count).OrderByDescending(p => p.Score).ThenBy(p => p.Label).Select(p => (p.Label, p.Logit, p.Score)),
                    other.Take(count).OrderByDescending(p => p.Score).ThenBy(p => p.Label).Select(p => (p.Label, p.Logit, p.Score)));
                Assert.Equal(a.LabelName(one[0].Label), b.LabelName(one[0].Label));
            }
        }
        Assert.Equal(PredictorEvaluator.Evaluate(a, held, PredictionMode.Lsh, null).Precision(5), PredictorEvaluator.Evaluate(b, held, PredictionMode.Lsh, null).Precision(5), 3);
    }

    private static Dataset OneKeyEach(int keys)
    {
        float[] values = new float[keys];
        Array.Fill(values, 1f);
        return new Dataset
        {
            FeatureCount = keys,
            LabelCount = 1,
            FeatureOffsets = [.. Enumerable.Range(0, keys + 1).Select(i => (long)i)],
            FeatureIds = [.. Enumerable.Range(0, keys)],
            FeatureValues = values,
            LabelOffsets = new long[keys + 1],
            LabelIds = [],
        };
    }
}
