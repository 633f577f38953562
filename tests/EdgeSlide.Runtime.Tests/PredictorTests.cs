using System.Text;
using EdgeSlide.Features;
using EdgeSlide.Kernels;
using EdgeSlide.Model;
using EdgeSlide.Runtime.Tests.Model;
using EdgeSlide.Runtime.Tests.Support;

namespace EdgeSlide.Runtime.Tests;

/// <summary>The facade: text in, arguments, memory, threads, disposal.</summary>
[Collection("alone")]
public sealed class PredictorTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_text_is_answered_from_its_words_alone()
    {
        TestNetwork network = TestNetwork.OfText(40, hashed: false).WithLayers(new TestRandom(1), [24], 80).WithSelector(new TestRandom(2), 10, true, false);
        using EdgeSlideModel model = network.Open(_folder);
        using Predictor predictor = model.CreatePredictor();
        Assert.True(model.TakesText);
        var top = new Prediction[5];
        int count = predictor.PredictText("W3 unheard-of, w9", top);
        float unit = 1f / MathF.Sqrt(2f);
        List<ReferenceAnswer> expected = ReferencePredictor.Predict(network, [(3, unit), (9, unit)], PredictionMode.Auto);
        Assert.Equal(expected.Take(5).Select(a => (a.Label, a.Logit)), top.Take(count).Select(p => (p.Label, p.Logit)));
        var again = new Prediction[5];
        Assert.Equal(count, predictor.PredictText("w9 w3"u8, again));
        Assert.Equal(top, again);
    }

    [Fact]
    public void Nothing_known_gives_no_answer()
    {
        using EdgeSlideModel text = TestNetwork.OfText(40, hashed: false).WithLayers(new TestRandom(1), [24], 80).Open(_folder);
        using Predictor predictor = text.CreatePredictor();
        var top = new Prediction[5];
        Assert.Equal(0, predictor.PredictText("", top));
        Assert.Equal(0, predictor.PredictText("nothing known", top));
        using EdgeSlideModel dense = TestNetwork.OfNumbers(FeaturizerKind.Dense, 8).WithLayers(new TestRandom(1), [24], 80).Open(_folder);
        using Predictor densePredictor = dense.CreatePredictor();
        Assert.Equal(0, densePredictor.PredictDense(new float[8], top));
    }

    [Fact]
    public void A_very_long_text_is_answered()
    {
        using EdgeSlideModel model = TestNetwork.OfText(40, hashed: false).WithLayers(new TestRandom(1), [24], 80).Open(_folder);
        using Predictor predictor = model.CreatePredictor();
        var top = new Prediction[5];
        Assert.Equal(5, predictor.PredictText(string.Join(' ', Enumerable.Range(0, 50_000).Select(i => $"w{i % 40}")), top));
        Assert.Equal(40, predictor.Cost.Features);
    }

    [Fact]
    public void Arguments_are_checked()
    {
        using EdgeSlideModel model = TestNetwork.OfText(40, hashed: false).WithLayers(new TestRandom(1), [24], 80).Open(_folder);
        using Predictor predictor = model.CreatePredictor();
        Assert.Throws<ArgumentNullException>(() => predictor.PredictText((string)null!, new Prediction[1]));
        Assert.Throws<ArgumentOutOfRangeException>(() => predictor.PredictText("w1", []));
        Assert.Throws<InputException>(() => predictor.PredictSparse([1], [1f], new Prediction[1]));
        Assert.Throws<InputException>(() => predictor.PredictDense([1f], new Prediction[1]));
        Assert.Throws<InputException>(() => predictor.PredictText([0xFF], new Prediction[1]));
        Assert.Throws<ArgumentException>(() => EdgeSlideModel.Open(""));
        Assert.Throws<ArgumentNullException>(() => EdgeSlideModel.Open(null!));
    }

    [Fact]
    public void Values_that_overflow_the_network_are_refused_and_the_next_query_is_answered()
    {
        TestNetwork network = TestNetwork.OfNumbers(FeaturizerKind.Sparse, 40).WithLayers(new TestRandom(1), [24], 80);
        network.Output.Scales.AsSpan().Fill(1e10f);
        network.Layers[0].Scales.AsSpan().Fill(1e10f);
        using EdgeSlideModel model = network.Open(_folder);
        using Predictor predictor = model.CreatePredictor();
        var top = new Prediction[5];
        Assert.Equal("the input's values are too large for this model",
            Assert.Throws<InputException>(() => predictor.PredictSparse([1, 2], [1e19f, -1e19f], top)).Message);
        Assert.Equal(5, predictor.PredictSparse([1, 2], [1f, -1f], top));
        Assert.All(top, p => Assert.True(float.IsFinite(p.Logit)));
    }

    [Theory, ClassData(typeof(SupportedKernels))]
    public void A_warm_predictor_allocates_nothing(string kernel)
    {
        var random = new TestRandom(5);
        TestNetwork[] networks =
        [
            TestNetwork.OfText(60, hashed: false, maxGram: 1).WithLayers(random, [32], 200).WithSelector(random, 20, true, true, blend: 0.5f),
            TestNetwork.OfText(500, hashed: true, maxGram: 3).WithLayers(random, [32, 16], 200).WithSelector(random, 20, true, false),
            TestNetwork.OfContext(30, 2, 8).WithLayers(random, [32], 200).WithSelector(random, 20, true, false),
            TestNetwork.OfNumbers(FeaturizerKind.Sparse, 60).WithLayers(random, [], 200, LayerActivation.Sigmoid).WithSelector(random, 20, true, true),
            TestNetwork.OfNumbers(FeaturizerKind.Dense, 60).WithLayers(random, [32], 200).WithSelector(random, 20, false, true),
        ];
        foreach (TestNetwork network in networks)
        {
            using EdgeSlideModel model = network.Open(_folder);
            using Predictor predictor = model.CreatePredictor(kernel);
            var top = new Prediction[10];
            const string Text = "w3 w17 Größe w29, W5 unknown ÀÉ 漢字 w41";
            int[] ids = [3, 17, 29, 5];
            float[] values = [1, 2, 3, -4], dense = [.. Enumerable.Range(0, 60).Select(i => i - 30f)];
            foreach (PredictionMode mode in Enum.GetValues<PredictionMode>())
            {
                predictor.Mode = mode;
                for (int i = 0; i < 100; i++)
                    Ask();
                long before = GC.GetAllocatedBytesForCurrentThread();
                for (int i = 0; i < 100; i++)
                    Ask();
                Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
            }

            void Ask()
            {
                int count = network.TakesText ? predictor.PredictText(Text, top)
                    : network.Featurizer.Kind == FeaturizerKind.Sparse ? predictor.PredictSparse(ids, values, top)
                    : predictor.PredictDense(dense, top);
                if (count == 0)
                    throw new InvalidOperationException("no answer");
            }
        }
    }

    [Fact]
    public void Many_threads_share_a_model_and_get_the_same_answers()
    {
        var random = new TestRandom(6);
        TestNetwork network = TestNetwork.OfNumbers(FeaturizerKind.Sparse, 300).WithLayers(random, [64], 2000).WithSelector(random, 40, true, true, blend: 0.5f);
        using EdgeSlideModel model = network.Open(_folder);
        List<(int, float)>[] queries = [.. Enumerable.Range(0, 50).Select(_ => RoundTripTests.RandomQuery(random, network))];
        Prediction[][] expected = Answers();
        int rounds = Effort.Times(40);
        Exception? failure = null;
        Thread[] threads = [.. Enumerable.Range(0, 8).Select(_ => new Thread(() =>
        {
            try
            {
                for (int round = 0; round < rounds; round++)
                    Assert.Equal(expected, Answers());
            }
            catch (Exception e)
            {
                failure = e;
            }
        }))];
        foreach (Thread thread in threads)
            thread.Start();
        foreach (Thread thread in threads)
            thread.Join();
        Assert.Null(failure);

        Prediction[][] Answers()
        {
            using Predictor predictor = model.CreatePredictor();
            return [.. queries.Select(query =>
            {
                var top = new Prediction[5];
                return top[..RoundTripTests.Predict(predictor, query, PredictionMode.Auto, top)];
            })];
        }
    }

    [Fact]
    public void A_predictor_outlives_its_model()
    {
        EdgeSlideModel model = TestNetwork.OfText(40, hashed: false).WithLayers(new TestRandom(1), [24], 80).WithLabels().Open(_folder);
        Predictor first = model.CreatePredictor(), second = model.CreatePredictor();
        var before = new Prediction[5];
        var after = new Prediction[5];
        first.PredictText("w1 w2", before);
        model.Dispose();
        model.Dispose();
        first.PredictText("w1 w2", after);
        Assert.Equal(before, after);
        first.Dispose();
        first.Dispose(); // Once more must not release the second one's hold on the file.
        second.PredictText("w1 w2", after);
        Assert.Equal(before, after);
        second.Dispose();
        Assert.Throws<ObjectDisposedException>(() => second.PredictText("w1 w2", after));
        Assert.Throws<ObjectDisposedException>(() => model.CreatePredictor());
        Assert.Throws<ObjectDisposedException>(() => model.LabelName(1));
        Assert.DoesNotContain(_folder.Path, MappedFiles(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_refused_model_is_not_left_mapped()
    {
        string path = _folder.Write("bad.eslide", [.. TestNetwork.OfText(40, hashed: false).WithLayers(new TestRandom(1), [24], 80).ToBytes().SkipLast(1)]);
        Assert.Throws<ModelFormatException>(() => EdgeSlideModel.Open(path));
        Assert.DoesNotContain(_folder.Path, MappedFiles(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_model_can_be_replaced_by_renaming_while_it_is_open()
    {
        string path = _folder.File("model.eslide");
        ModelWriter.Write(path, TestNetwork.OfText(40, hashed: false).WithLayers(new TestRandom(1), [24], 80).ToSections());
        using EdgeSlideModel old = EdgeSlideModel.Open(path);
        using Predictor predictor = old.CreatePredictor();
        var before = new Prediction[5];
        predictor.PredictText("w1 w2", before);
        ModelWriter.Write(path, TestNetwork.OfText(40, hashed: false).WithLayers(new TestRandom(2), [24], 90).ToSections());
        var after = new Prediction[5];
        predictor.PredictText("w1 w2", after);
        Assert.Equal(before, after);
        using EdgeSlideModel replaced = EdgeSlideModel.Open(path);
        Assert.Equal(90, replaced.LabelCount);
        Assert.Equal([path], Directory.GetFiles(_folder.Path)); // No temporary file is left.
    }

    [Fact]
    public void A_kernel_forced_by_the_environment_is_the_one_used()
    {
        using EdgeSlideModel model = TestNetwork.OfText(40, hashed: false).WithLayers(new TestRandom(1), [24], 80).Open(_folder);
        string? before = Environment.GetEnvironmentVariable(KernelSelector.Variable);
        try
        {
            foreach (string kernel in SupportedKernels.All)
            {
                Environment.SetEnvironmentVariable(KernelSelector.Variable, kernel);
                using Predictor predictor = model.CreatePredictor();
                Assert.Equal(kernel, predictor.Kernel);
            }
            Environment.SetEnvironmentVariable(KernelSelector.Variable, "fpga");
            Assert.Throws<NotSupportedException>(() => model.CreatePredictor());
        }
        finally
        {
            Environment.SetEnvironmentVariable(KernelSelector.Variable, before);
        }
    }

    private static string MappedFiles() => File.Exists("/proc/self/maps") ? File.ReadAllText("/proc/self/maps", Encoding.UTF8) : "";
}

/// <summary>For tests that measure the process or change its environment.</summary>
[CollectionDefinition("alone", DisableParallelization = true)]
public sealed class RunAlone;
