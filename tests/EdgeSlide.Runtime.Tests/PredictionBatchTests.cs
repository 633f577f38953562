using EdgeSlide.Features;
using EdgeSlide.Model;
using EdgeSlide.Runtime.Tests.Model;
using EdgeSlide.Runtime.Tests.Support;

namespace EdgeSlide.Runtime.Tests;

/// <summary>Queries that are answered together get what they get one by one.</summary>
[Collection("alone")]
public sealed class PredictionBatchTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory, ClassData(typeof(SupportedKernels))]
    public void Answers_and_costs_are_those_of_the_queries_one_by_one(string kernel)
    {
        ulong seed = 0;
        foreach (TestNetwork network in RoundTripTests.Networks().Concat(RoundTripTests.NetworksOfOtherFormats()))
        {
            using EdgeSlideModel model = network.Open(_folder);
            using Predictor alone = model.CreatePredictor(kernel), together = model.CreatePredictor(kernel);
            var random = new TestRandom(++seed);
            using PredictionBatch batch = together.CreateBatch(70);
            for (int round = 0; round < Effort.Times(8); round++)
            {
                // All sizes around those of lanes, groups and tiles, and more or fewer answers than there are labels.
                int size = 1 + random.Below(round % 3 == 0 ? 70 : 20), k = random.Chance(90) ? 1 + random.Below(12) : 400;
                alone.Mode = together.Mode = (PredictionMode)random.Below(3);
                alone.Probabilities = together.Probabilities = random.Chance(70);
                var expected = new List<(Prediction[] Answers, PredictionCost Cost)>();
                for (int i = 0; i < size; i++)
                {
                    List<(int Id, float Value)> features = random.Chance(10) ? [] : RoundTripTests.RandomQuery(random, network);
                    var top = new Prediction[k];
                    int count = RoundTripTests.Predict(alone, features, alone.Mode, top);
                    expected.Add((top[..count], alone.Cost));
                    Assert.Equal(i, batch.AddSparse([.. features.Select(f => f.Id)], [.. features.Select(f => f.Value)]));
                }
                Assert.Equal(size, batch.Count);
                var answers = new Prediction[size * k];
                var counts = new int[size];
                batch.Predict(k, answers, counts);
                Assert.Equal(0, batch.Count);
                for (int i = 0; i < size; i++)
                {
                    Assert.Equal(expected[i].Answers, answers.AsSpan(i * k, counts[i]).ToArray());
                    Assert.Equal(expected[i].Cost, batch.Cost(i));
                }
            }
        }
    }

    [Theory, ClassData(typeof(SupportedKernels))]
    public void Texts_are_answered_together_too(string kernel)
    {
        var random = new TestRandom(3);
        foreach (TestNetwork network in new[]
        {
            TestNetwork.OfText(60, hashed: false).WithLayers(random, [32], 2000).WithSelector(random, 20, true, false, blend: 0.5f).WithCalibration(random),
            TestNetwork.OfContext(30, 2, 8).WithLayers(random, [32], 2000).WithSelector(random, 20, true, false),
        })
        {
            using EdgeSlideModel model = network.Open(_folder);
            using Predictor predictor = model.CreatePredictor(kernel);
            using PredictionBatch batch = predictor.CreateBatch(16);
            string[] texts = [.. Enumerable.Range(0, 16).Select(i => i == 5 ? "" : $"w{i} w{2 * i} unknown w3")];
            foreach (PredictionMode mode in Enum.GetValues<PredictionMode>())
            {
                predictor.Mode = mode;
                var answers = new Prediction[16 * 5];
                var counts = new int[16];
                for (int i = 0; i < texts.Length; i++)
                    _ = i % 2 == 0 ? batch.AddText(texts[i]) : batch.AddText(System.Text.Encoding.UTF8.GetBytes(texts[i]));
                batch.Predict(5, answers, counts);
                for (int i = 0; i < texts.Length; i++)
                {
                    var top = new Prediction[5];
                    int count = predictor.PredictText(texts[i], top);
                    Assert.Equal(top[..count], answers.AsSpan(5 * i, counts[i]).ToArray());
                }
            }
        }
    }

    [Fact]
    public void A_refused_query_is_not_added_and_a_query_that_overflows_harms_no_other()
    {
        TestNetwork network = TestNetwork.OfNumbers(FeaturizerKind.Sparse, 40).WithLayers(new TestRandom(1), [24], 80);
        network.Output.Scales.AsSpan().Fill(1e10f);
        network.Layers[0].Scales.AsSpan().Fill(1e10f);
        using EdgeSlideModel model = network.Open(_folder);
        using Predictor predictor = model.CreatePredictor();
        using PredictionBatch batch = predictor.CreateBatch(8);
        var expected = new Prediction[3];
        predictor.PredictSparse([1, 2], [1f, -1f], expected);
        batch.AddSparse([1, 2], [1f, -1f]);
        Assert.Throws<InputException>(() => batch.AddSparse([40], [1f]));
        Assert.Throws<InputException>(() => batch.AddSparse([1], [float.NaN]));
        Assert.Throws<InputException>(() => batch.AddDense([1f]));
        Assert.Throws<InputException>(() => batch.AddText("w1"));
        Assert.Equal(1, batch.Count);
        Assert.Equal(1, batch.AddSparse([1, 2], [1e19f, -1e19f]));
        Assert.Equal(2, batch.AddSparse([1, 2], [1f, -1f]));
        var answers = new Prediction[9];
        var counts = new int[3];
        batch.Predict(3, answers, counts);
        Assert.Equal([3, PredictionBatch.TooLarge, 3], counts);
        Assert.Equal(expected, answers[..3]);
        Assert.Equal(expected, answers[6..]);
    }

    [Fact]
    public void Arguments_are_checked()
    {
        using EdgeSlideModel model = TestNetwork.OfText(40, hashed: false).WithLayers(new TestRandom(1), [24], 80).Open(_folder);
        using Predictor predictor = model.CreatePredictor();
        Assert.Throws<ArgumentOutOfRangeException>(() => predictor.CreateBatch(0));
        Assert.Throws<ArgumentOutOfRangeException>(() => predictor.CreateBatch(PredictionBatch.MaxCapacity + 1));
        using PredictionBatch batch = predictor.CreateBatch(2);
        Assert.Throws<ArgumentNullException>(() => batch.AddText((string)null!));
        batch.AddText("w1");
        batch.AddText("w2");
        Assert.Throws<InvalidOperationException>(() => batch.AddText("w3"));
        Assert.Throws<ArgumentOutOfRangeException>(() => batch.Predict(0, new Prediction[2], new int[2]));
        Assert.Throws<ArgumentOutOfRangeException>(() => batch.Predict(1, new Prediction[1], new int[2]));
        Assert.Throws<ArgumentOutOfRangeException>(() => batch.Predict(1, new Prediction[2], new int[1]));
        Assert.Throws<ArgumentOutOfRangeException>(() => batch.Predict(int.MaxValue, new Prediction[2], new int[2]));
        Assert.Throws<ArgumentOutOfRangeException>(() => batch.Cost(0));
        batch.Predict(1, new Prediction[2], new int[2]);
        Assert.True(batch.Cost(1).ActiveNeurons > 0);
        Assert.Throws<ArgumentOutOfRangeException>(() => batch.Cost(2));
        Assert.Throws<ArgumentOutOfRangeException>(() => batch.Cost(-1));
        batch.Predict(1, [], []); // Nothing waits.
        batch.AddText("w1");
        batch.Clear();
        Assert.Equal(0, batch.Count);
    }

    [Fact]
    public void A_disposed_batch_or_predictor_is_refused_and_the_predictor_outlives_its_batches()
    {
        using EdgeSlideModel model = TestNetwork.OfText(40, hashed: false).WithLayers(new TestRandom(1), [24], 80).Open(_folder);
        Predictor predictor = model.CreatePredictor();
        PredictionBatch first = predictor.CreateBatch(2), second = predictor.CreateBatch(2);
        first.AddText("w1");
        first.Dispose();
        first.Dispose();
        Assert.Throws<ObjectDisposedException>(() => first.AddText("w1"));
        Assert.Throws<ObjectDisposedException>(() => first.Predict(1, new Prediction[1], new int[1]));
        second.AddText("w1");
        var top = new Prediction[1];
        Assert.Equal(1, predictor.PredictText("w1", top));
        var answers = new Prediction[1];
        var counts = new int[1];
        second.Predict(1, answers, counts);
        Assert.Equal(top, answers);
        predictor.Dispose();
        Assert.Throws<ObjectDisposedException>(() => second.AddText("w1"));
        Assert.Throws<ObjectDisposedException>(() => second.Predict(1, answers, counts));
        Assert.Throws<ObjectDisposedException>(() => predictor.CreateBatch(1));
        second.Dispose();
    }

    [Theory, ClassData(typeof(SupportedKernels))]
    public void A_warm_batch_allocates_nothing(string kernel)
    {
        var random = new TestRandom(5);
        TestNetwork[] networks =
        [
            TestNetwork.OfText(60, hashed: false).WithLayers(random, [32], 300).WithSelector(random, 20, true, true, blend: 0.5f).WithCalibration(random),
            TestNetwork.OfNumbers(FeaturizerKind.Sparse, 60).WithLayers(random, [32], 300).WithSelector(random, 20, true, false),
            TestNetwork.OfNumbers(FeaturizerKind.Dense, 60).WithLayers(random, [32], 300).WithSelector(random, 20, false, true),
        ];
        foreach (TestNetwork network in networks)
        {
            using EdgeSlideModel model = network.Open(_folder);
            using Predictor predictor = model.CreatePredictor(kernel);
            using PredictionBatch batch = predictor.CreateBatch(13);
            var answers = new Prediction[13 * 10];
            var counts = new int[13];
            const string Text = "w3 w17 Größe w29, W5 unknown ÀÉ 漢字 w41";
            int[] ids = [3, 17, 29, 5];
            float[] values = [1, 2, 3, -4], dense = [.. Enumerable.Range(0, 60).Select(i => i - 30f)];
            foreach (PredictionMode mode in Enum.GetValues<PredictionMode>())
            {
                predictor.Mode = mode;
                for (int i = 0; i < 20; i++)
                    Ask();
                long before = GC.GetAllocatedBytesForCurrentThread();
                for (int i = 0; i < 20; i++)
                    Ask();
                Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
            }

            void Ask()
            {
                while (batch.Count < batch.Capacity)
                {
                    _ = network.TakesText ? batch.AddText(Text)
                        : network.Featurizer.Kind == FeaturizerKind.Sparse ? batch.AddSparse(ids, values)
                        : batch.AddDense(dense);
                }
                batch.Predict(10, answers, counts);
                if (counts.AsSpan().Contains(0))
                    throw new InvalidOperationException("no answer");
            }
        }
    }
}
