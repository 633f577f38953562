using System.Runtime.InteropServices;
using EdgeSlide.Model;
using EdgeSlide.Runtime.Tests.Support;

namespace EdgeSlide.Runtime.Tests.Model;

/// <summary>Networks of every shape, written and opened again, answer as the plain reference does, with every kernel.</summary>
public sealed class RoundTripTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    /// <summary>Every combination of input, depth, selection and output activation that a model file can hold.</summary>
    internal static IEnumerable<TestNetwork> Networks()
    {
        ulong seed = 100;
        foreach (FeaturizerKind kind in new[] { FeaturizerKind.Sparse, FeaturizerKind.Dense })
        {
            foreach (int[] hidden in new int[][] { [], [40], [64, 20], [100, 70, 33] })
            {
                foreach ((bool features, bool simHash, float blend, int budget) in new[] { (false, false, 0f, 0), (true, false, 0f, 16), (false, true, 0.4f, 9), (true, true, 1f, 24) })
                {
                    var random = new TestRandom(seed++);
                    LayerActivation output = (LayerActivation)(seed % 3 == 0 ? 0 : 2 + seed % 2);
                    TestNetwork network = TestNetwork.OfNumbers(kind, 50 + random.Below(40))
                        .WithLayers(random, hidden, 150 + random.Below(200), output, (seed % 4) switch { 0 => LayerActivation.Sigmoid, 3 => LayerActivation.Identity, _ => LayerActivation.Relu });
                    if (features || simHash)
                        network.WithSelector(random, budget, features, simHash, blend);
                    // A hidden layer stored neuron by neuron may select too, if 0 stands for "not evaluated".
                    int inner = network.Layers.FindIndex(l => l.Order == RowOrder.NeuronMajor && l != network.Output && l.Activation == LayerActivation.Relu);
                    if (inner >= 0 && features)
                        network.WithSelector(random, 12, features: true, simHash, layer: inner, perBucket: 5);
                    if (seed % 2 == 0)
                        network.WithLabels();
                    if (output == LayerActivation.Softmax && seed % 4 < 2)
                        network.WithCalibration(random);
                    yield return network;
                }
            }
        }
    }

    [Theory, ClassData(typeof(SupportedKernels))]
    public void Answers_equal_the_reference_in_every_mode(string kernel)
    {
        int networks = 0;
        foreach (TestNetwork network in Networks())
        {
            networks++;
            using EdgeSlideModel model = network.Open(_folder);
            using Predictor predictor = model.CreatePredictor(kernel);
            var random = new TestRandom((ulong)networks);
            for (int query = 0; query < Effort.Times(12); query++)
            {
                List<(int Id, float Value)> features = RandomQuery(random, network);
                foreach (PredictionMode mode in Enum.GetValues<PredictionMode>())
                    AssertEqualsReference(network, predictor, features, mode);
            }
        }
        Assert.Equal(32, networks);
    }

    /// <summary>Every pair of formats of the first and the last layer, with and without a label map.</summary>
    internal static IEnumerable<TestNetwork> NetworksOfOtherFormats()
    {
        ulong seed = 500;
        WeightFormat[] formats = Enum.GetValues<WeightFormat>();
        foreach (FeaturizerKind kind in new[] { FeaturizerKind.Sparse, FeaturizerKind.Dense })
        {
            foreach ((WeightFormat first, WeightFormat last) in formats.SelectMany(_ => formats, (first, last) => (first, last)).Where(p => p != default))
            {
                var random = new TestRandom(seed++);
                TestNetwork network = TestNetwork.OfNumbers(kind, 50 + random.Below(100))
                    .WithLayers(random, seed % 3 == 0 ? [130] : [70, 64], 150 + random.Below(200)).WithFormats(random, first, last)
                    .WithSelector(random, 16, features: true, simHash: seed % 2 == 0, blend: seed % 2);
                if (seed % 2 == 0)
                    network.WithLabelMap(random);
                if (seed % 4 < 2)
                    network.WithCalibration(random).WithLabels();
                if (kind == FeaturizerKind.Dense)
                    network.WithSelector(random, 12, features: true, simHash: true, layer: 0, perBucket: 5);
                yield return network;
            }
        }
        yield return TestNetwork.OfNumbers(FeaturizerKind.Sparse, 30).WithLayers(new TestRandom(seed), [20], 90).WithSelector(new TestRandom(seed), 16, true, false).WithLabelMap(new TestRandom(seed));
    }

    [Theory, ClassData(typeof(SupportedKernels))]
    public void Answers_equal_the_reference_in_every_weight_format(string kernel)
    {
        int networks = 0;
        foreach (TestNetwork network in NetworksOfOtherFormats())
        {
            networks++;
            using EdgeSlideModel model = network.Open(_folder);
            Assert.Equal(ModelFormat.Version, model.File.Version);
            using Predictor predictor = model.CreatePredictor(kernel);
            var random = new TestRandom((ulong)networks);
            for (int query = 0; query < Effort.Times(8); query++)
            {
                List<(int Id, float Value)> features = RandomQuery(random, network);
                foreach (PredictionMode mode in new[] { PredictionMode.Lsh, PredictionMode.Dense })
                    AssertEqualsReference(network, predictor, features, mode);
            }
        }
        Assert.Equal(17, networks);
    }

    [Theory, ClassData(typeof(SupportedKernels))]
    public void A_budget_that_covers_every_label_gives_the_dense_ranking(string kernel)
    {
        foreach (FeaturizerKind kind in new[] { FeaturizerKind.Sparse, FeaturizerKind.Dense })
        {
            var random = new TestRandom(3);
            TestNetwork network = TestNetwork.OfNumbers(kind, 60).WithLayers(random, [48], 300).WithSelector(random, 300, features: true, simHash: false);
            foreach (List<(int, byte)> bucket in network.Output.Selector!.Sources[0].Buckets)
            {
                bucket.Clear();
                bucket.AddRange(Enumerable.Range(0, 300).Select(id => (id, (byte)1)));
            }
            using EdgeSlideModel model = network.Open(_folder);
            using Predictor predictor = model.CreatePredictor(kernel);
            var lsh = new Prediction[300];
            var dense = new Prediction[300];
            for (int query = 0; query < 10; query++)
            {
                List<(int Id, float Value)> features = RandomQuery(random, network);
                Assert.Equal(300, Predict(predictor, features, PredictionMode.Lsh, lsh));
                Assert.Equal(300, predictor.Cost.ActiveNeurons);
                Assert.Equal(300, Predict(predictor, features, PredictionMode.Dense, dense));
                Assert.Equal(dense.Select(p => (p.Label, p.Logit, p.Score)), lsh.Select(p => (p.Label, p.Logit, p.Score)));
            }
        }
    }

    [Theory]
    [InlineData(false, "d8a7309f")]
    [InlineData(true, "7c838132")]
    public void All_kernels_give_the_same_bits(bool otherFormats, string expected)
    {
        var crcs = new Dictionary<string, uint>();
        foreach (string kernel in SupportedKernels.All)
        {
            uint crc = ~0u;
            int networks = 0;
            foreach (TestNetwork network in otherFormats ? NetworksOfOtherFormats() : Networks())
            {
                using EdgeSlideModel model = network.Open(_folder);
                using Predictor predictor = model.CreatePredictor(kernel);
                var random = new TestRandom((ulong)++networks);
                var top = new Prediction[20];
                for (int query = 0; query < 5; query++)
                {
                    List<(int Id, float Value)> features = RandomQuery(random, network);
                    foreach (PredictionMode mode in new[] { PredictionMode.Lsh, PredictionMode.Dense })
                        crc = Crc32C.Append(crc, MemoryMarshal.AsBytes(top.AsSpan(0, Predict(predictor, features, mode, top))));
                }
            }
            crcs[kernel] = crc;
        }
        // One literal for all machines: x64 and Arm64 must agree with each other, not only with themselves.
        Assert.All(crcs, c => Assert.Equal(expected, $"{c.Value:x8}"));
        Assert.True(crcs.Count >= 3);
    }

    [Fact]
    public void A_query_that_opens_no_bucket_is_answered_densely()
    {
        var random = new TestRandom(5);
        TestNetwork network = TestNetwork.OfNumbers(FeaturizerKind.Sparse, 30).WithLayers(random, [20], 90).WithSelector(random, 8, features: true, simHash: false);
        foreach (List<(int, byte)> bucket in network.Output.Selector!.Sources[0].Buckets)
            bucket.Clear();
        using EdgeSlideModel model = network.Open(_folder);
        using Predictor predictor = model.CreatePredictor();
        AssertEqualsReference(network, predictor, [(3, 1f), (7, -2f)], PredictionMode.Lsh);
        Assert.Equal(90, predictor.Cost.ActiveNeurons);
    }

    [Fact]
    public void Auto_mode_follows_what_was_measured_when_the_model_was_built()
    {
        foreach (bool pays in new[] { true, false })
        {
            var random = new TestRandom(6);
            TestNetwork network = TestNetwork.OfNumbers(FeaturizerKind.Sparse, 30).WithLayers(random, [20], 90).WithSelector(random, 8, features: true, simHash: false);
            network.Output.Selector!.Pays = pays;
            network.Output.Selector.Sources[0].Buckets[3].Add((5, 200));
            using EdgeSlideModel model = network.Open(_folder);
            using Predictor predictor = model.CreatePredictor();
            Predict(predictor, [(3, 1f)], PredictionMode.Auto, new Prediction[5]);
            Assert.Equal(!pays, predictor.Cost.ActiveNeurons == 90);
            Predict(predictor, [(3, 1f)], PredictionMode.Lsh, new Prediction[5]);
            Assert.InRange(predictor.Cost.ActiveNeurons, 1, 8);
        }
    }

    [Fact]
    public void The_cost_counts_every_layer_and_every_vote()
    {
        var random = new TestRandom(7);
        TestNetwork network = TestNetwork.OfNumbers(FeaturizerKind.Sparse, 30).WithLayers(random, [70], 90).WithSelector(random, 4, features: true, simHash: true);
        TestSource features = network.Output.Selector!.Sources[0], hidden = network.Output.Selector.Sources[1];
        foreach (List<(int, byte)> bucket in features.Buckets.Concat(hidden.Buckets))
        {
            bucket.Clear();
            bucket.AddRange([(1, 10), (2, 20), (3, 30), (4, 40), (5, 50)]);
        }
        using EdgeSlideModel model = network.Open(_folder);
        using Predictor predictor = model.CreatePredictor();
        Predict(predictor, [(3, 1f), (9, 2f)], PredictionMode.Lsh, new Prediction[3]);
        // 2 features x 70 hidden, 5 entries from each of 2 + 6 buckets, one round of hashing in 128 dimensions (two sign
        // flips, two transforms of 7 x 128 additions), 4 neurons x 70.
        Assert.Equal(new PredictionCost
        {
            Features = 2,
            ActiveNeurons = 4,
            Multiplications = 2 * 70 + 8 * 5 + 128 * (2 * 7 + 2) + 4 * 70,
            BytesTouched = 2 * (128 + 4) + 8 * 5 * 4 + 8 * 8 + 4 * (128 + 8),
        }, predictor.Cost);
        Predict(predictor, [(3, 1f), (9, 2f)], PredictionMode.Dense, new Prediction[3]);
        Assert.Equal(2 * 70 + 90 * 70, predictor.Cost.Multiplications);
        Assert.Equal(90, predictor.Cost.ActiveNeurons);
    }

    [Fact]
    public void Probabilities_can_be_left_out()
    {
        var random = new TestRandom(8);
        using EdgeSlideModel model = TestNetwork.OfNumbers(FeaturizerKind.Sparse, 30).WithLayers(random, [20], 90).Open(_folder);
        using Predictor predictor = model.CreatePredictor();
        predictor.Probabilities = false;
        var top = new Prediction[90];
        Assert.Equal(90, Predict(predictor, [(3, 1f)], PredictionMode.Dense, top));
        Assert.All(top, p => Assert.True(float.IsNaN(p.Probability)));
    }

    [Fact]
    public void Names_and_provenance_come_back_as_they_were_written()
    {
        var random = new TestRandom(9);
        TestNetwork network = TestNetwork.OfNumbers(FeaturizerKind.Sparse, 30).WithLayers(random, [], 90).WithLabels();
        network.Labels![7] = "";
        using EdgeSlideModel model = network.Open(_folder);
        Assert.Equal(network.Provenance, model.Provenance);
        Assert.Equal(90, model.LabelCount);
        Assert.Equal(30, model.FeatureCount);
        Assert.False(model.TakesText);
        for (int i = 0; i < 90; i++)
            Assert.Equal(i == 7 ? "7" : network.Labels[i], model.LabelName(i));
        Assert.Throws<ArgumentOutOfRangeException>(() => model.LabelName(90));
        Assert.Throws<ArgumentOutOfRangeException>(() => model.LabelName(-1));
    }

    [Fact]
    public void A_model_without_names_answers_with_ids()
    {
        using EdgeSlideModel model = TestNetwork.OfNumbers(FeaturizerKind.Sparse, 30).WithLayers(new TestRandom(9), [], 90).Open(_folder);
        Assert.Equal("42", model.LabelName(42));
    }

    [Fact]
    public void A_label_with_a_control_character_is_not_written() =>
        Assert.Throws<ArgumentException>(() => LabelNames.ToSections(["fine", "forged\nline"]).ToList());

    internal static List<(int Id, float Value)> RandomQuery(TestRandom random, TestNetwork network)
    {
        int count = network.Featurizer.Kind == FeaturizerKind.Dense ? (int)network.Featurizer.FeatureCount : 1 + random.Below(20);
        var features = new SortedDictionary<int, float>();
        for (int i = 0; i < count; i++)
            features[random.Below((int)network.Featurizer.FeatureCount)] = random.Float(-1f, 2f);
        return [.. features.Where(f => f.Value != 0f).Select(f => (f.Key, f.Value))];
    }

    internal static int Predict(Predictor predictor, List<(int Id, float Value)> features, PredictionMode mode, Prediction[] top)
    {
        predictor.Mode = mode;
        if (predictor.Model.Featurizer.Kind == FeaturizerKind.Sparse)
            return predictor.PredictSparse([.. features.Select(f => f.Id)], [.. features.Select(f => f.Value)], top);
        var values = new float[predictor.Model.FeatureCount];
        foreach ((int id, float value) in features)
            values[id] = value;
        return predictor.PredictDense(values, top);
    }

    private static void AssertEqualsReference(TestNetwork network, Predictor predictor, List<(int Id, float Value)> features, PredictionMode mode)
    {
        List<ReferenceAnswer> expected = ReferencePredictor.Predict(network, features, mode);
        var top = new Prediction[network.Output.Outputs];
        int count = Predict(predictor, features, mode, top);
        Assert.Equal(expected.Select(a => (a.Label, a.Logit, a.Score)), top.Take(count).Select(p => (p.Label, p.Logit, p.Score)));
        foreach ((ReferenceAnswer reference, Prediction answer) in expected.Zip(top))
        {
            if (double.IsNaN(reference.Probability))
                Assert.True(float.IsNaN(answer.Probability));
            else
                Assert.InRange(Math.Abs(answer.Probability - reference.Probability), 0, 2e-5 * reference.Probability + (network.Calibration is null ? 1e-37 : 1e-6));
        }
        Assert.Equal(expected.Count, predictor.Cost.ActiveNeurons);
        // Fewer answers are a prefix of more.
        var five = new Prediction[5];
        int some = Predict(predictor, features, mode, five);
        Assert.Equal(top.Take(some), five.Take(some));
    }
}
