using System.Text.Json;
using EdgeSlide.Calibration;
using EdgeSlide.Features;
using EdgeSlide.Model;
using EdgeSlide.Training.Calibration;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Export;
using EdgeSlide.Training.Networks;
using EdgeSlide.Training.Tables;
using EdgeSlide.Training.Tests.Export;
using EdgeSlide.Training.Training;
using EdgeSlide.Training.Tuning;

namespace EdgeSlide.Training.Tests.Calibration;

public sealed class CalibrationSourceTests(CalibrationSourceTests.CalibratedModel made) : IClassFixture<CalibrationSourceTests.CalibratedModel>, IDisposable
{
    private const int Features = 2000, Labels = 200;

    private readonly string _folder = Directory.CreateTempSubdirectory("edgeslide").FullName;

    private string Output => Path.Combine(_folder, "model.eslide");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void The_same_network_gets_the_same_probabilities_in_whatever_order_its_neurons_are(bool reorderedSource, bool reordered)
    {
        QuantizationReport report = Quantize(reorderedSource ? made.Reordered : made.Path, new StorageOptions { TableShare = 0, Reorder = reordered });
        using EdgeSlideModel source = EdgeSlideModel.Open(reorderedSource ? made.Reordered : made.Path), device = EdgeSlideModel.Open(Output);
        Assert.Equal((source.Layout.Output.Selector!.VoteBlend, source.Layout.Output.Selector.Budget), (report.VoteBlend, report.Budget));
        (OutputCalibration there, OutputCalibration here) = (source.Layout.Calibration!, device.Layout.Calibration!);
        Assert.Equal((there.Lsh, there.Dense, there.InverseTemperature), (here.Lsh, here.Dense, here.InverseTemperature));
        Assert.True(here.Neurons.Length > 20);
        Assert.Equal(Sample(source), Sample(device));
        using Predictor expected = source.CreatePredictor(), actual = device.CreatePredictor();
        var (top, other) = (new Prediction[5], new Prediction[5]);
        foreach (PredictionMode mode in new[] { PredictionMode.Lsh, PredictionMode.Dense })
        {
            (expected.Mode, actual.Mode) = (mode, mode);
            for (int row = 0; row < 100; row++)
            {
                int count = expected.PredictSparse(made.Held.RowFeatures(row), made.Held.RowValues(row), top);
                Assert.Equal(count, actual.PredictSparse(made.Held.RowFeatures(row), made.Held.RowValues(row), other));
                Assert.Equal(top[0].Label, other[0].Label);
                Assert.Equal(top[0].Probability, other[0].Probability, 1e-4);
            }
        }
    }

    [Fact]
    public void What_was_taken_over_stands_in_the_provenance_until_tuning_fits_it_anew()
    {
        QuantizationReport report = Quantize(made.Path);
        Assert.IsNotType<FittedCalibration>(report.Calibration);
        string tuned = Path.Combine(_folder, "tuned.eslide");
        using (EdgeSlideModel device = EdgeSlideModel.Open(Output))
        {
            JsonElement from = JsonDocument.Parse(device.Provenance).RootElement.GetProperty("calibration_from");
            Assert.Equal("calibrated.eslide", from.GetProperty("model").GetString());
            Assert.Equal(64, from.GetProperty("sha256").GetString()!.Length);
            TuningJob.Run(device, made.Held, null, new TuningOptions { Trials = 30, MaxLoss = 50 }, tuned);
        }
        using EdgeSlideModel small = EdgeSlideModel.Open(tuned);
        Assert.DoesNotContain("calibration_from", small.Provenance, StringComparison.Ordinal);
        Assert.NotNull(small.Layout.Calibration);
        Assert.Contains("was tuned", Assert.Throws<ModelFormatException>(() => CalibrationSource.Read(tuned)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Options_other_than_those_that_the_curves_were_fitted_with_are_refused_and_nothing_is_written()
    {
        CalibrationSource source = CalibrationSource.Read(made.Path);
        foreach ((SelectorOptions options, string message) in new[]
        {
            (made.Options with { VoteBlend = source.VoteBlend + 0.5f }, "a vote blend of "),
            (made.Options with { Budget = source.Budget + 1 }, "a budget of "),
            (made.Options with { BucketSize = 8 }, "a bucket size of 16, not 8"),
            (made.Options with { HiddenTables = 4, HiddenBits = 6 }, "candidates from Features, not from Features and SimHash"),
        })
        {
            ArgumentException error = Assert.Throws<ArgumentException>(() => QuantizationJob.Run(made.Network, made.Train, null, options, new StorageOptions(), Output, source));
            Assert.Contains($"{made.Path}: was calibrated for {message}", error.Message, StringComparison.Ordinal);
        }
        Assert.Throws<ArgumentException>(() => QuantizationJob.Run(made.Network, made.Train, made.Held, made.Options, new StorageOptions(), Output, source));
        Assert.Empty(Directory.GetFiles(_folder));
        Quantize(made.Path, options: made.Options with { VoteBlend = source.VoteBlend, Budget = source.Budget });
    }

    [Fact]
    public void Networks_of_another_kind_are_refused()
    {
        CalibrationSource source = CalibrationSource.Read(made.Path);
        TrainedModel model = made.Network;
        foreach ((TrainedModel other, string message) in new[]
        {
            (With(Samples.Network(1, Features, 32, Labels + 1)), "has 200 labels, the network 201"),
            (With(Samples.Network(1, Features, 16, Labels)), "another kind of network"),
            (With(new Network([model.Network.Layers[0], new NetworkLayer(32, Labels, Activation.Sigmoid)])), "calibrates a softmax, but the network ends in Sigmoid"),
            (model with { HasLabelNames = true }, "has other labels"),
            (HiddenInput.Of(model), "another kind of network"),
        })
        {
            Assert.Contains($"{made.Path}: {message}".Replace(": another", ": was made of another", StringComparison.Ordinal),
                Assert.Throws<ModelFormatException>(() => source.Adopt(other, made.Options)).Message, StringComparison.Ordinal);
        }

        TrainedModel With(Network network) => model with { Network = network, Labels = [.. Enumerable.Range(0, network.OutputCount).Select(i => $"{i}")] };
    }

    [Fact]
    public void Named_labels_must_be_the_same_in_the_same_order()
    {
        string[] names = [.. Enumerable.Range(0, Labels).Select(i => $"label {i}")];
        TrainedModel named = made.Network with { Labels = names, HasLabelNames = true };
        QuantizationJob.Run(named, made.Train, made.Held, made.Options with { VoteBlend = 1f }, new StorageOptions(), Output);
        CalibrationSource source = CalibrationSource.Read(Output);
        source.Adopt(named, made.Options);
        Assert.Contains("other labels", Assert.Throws<ModelFormatException>(() => source.Adopt(named with { Labels = [.. names.Reverse()] }, made.Options)).Message, StringComparison.Ordinal);
        Assert.Contains("other labels", Assert.Throws<ModelFormatException>(() => source.Adopt(made.Network, made.Options)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_model_without_calibration_and_a_damaged_one_are_refused()
    {
        QuantizationJob.Run(made.Network, made.Train, null, made.Options, new StorageOptions(), Output);
        Assert.Contains("has no calibration to take over", Assert.Throws<ModelFormatException>(() => CalibrationSource.Read(Output)).Message, StringComparison.Ordinal);
        byte[] bytes = File.ReadAllBytes(made.Path);
        bytes[bytes.Length / 2] ^= 1;
        File.WriteAllBytes(Output, bytes);
        Assert.DoesNotContain('\n', Assert.Throws<ModelFormatException>(() => CalibrationSource.Read(Output)).Message);
        File.WriteAllBytes(Output, bytes[..^1]);
        Assert.Throws<ModelFormatException>(() => CalibrationSource.Read(Output));
    }

    /// <summary>The sampled labels, ascending, with their weights.</summary>
    private static IEnumerable<(int, float)> Sample(EdgeSlideModel model)
    {
        int[]? labels = model.Layout.LabelMap?.Labels();
        return model.Layout.Calibration!.Neurons.Zip(model.Layout.Calibration.LogWeights, (neuron, weight) => (labels?[neuron] ?? neuron, weight)).Order();
    }

    private QuantizationReport Quantize(string source, StorageOptions? storage = null, SelectorOptions? options = null) =>
        QuantizationJob.Run(made.Network, made.Train, null, options ?? made.Options, storage ?? new StorageOptions { TableShare = 0 }, Output, CalibrationSource.Read(source));

    /// <summary>A network and its models with a calibration by held-out rows, made once.</summary>
    public sealed class CalibratedModel : IDisposable
    {
        private readonly string _folder = Directory.CreateTempSubdirectory("edgeslide").FullName;

        public CalibratedModel()
        {
            TrainingResult trained = new Trainer(new TrainerOptions { HiddenSizes = [32], Epochs = 6, LearningRate = 0.02f, BatchSize = 128, RandomNegatives = 128 }, Train, Held).Run();
            Featurizer featurizer = Featurizer.Create(new FeaturizerRecord { Kind = FeaturizerKind.Sparse, FeatureCount = Features }, null, null);
            Network = new TrainedModel(trained.Network, featurizer, [.. Enumerable.Range(0, Labels).Select(i => $"{i}")], false, new TrainingRecord());
            QuantizationJob.Run(Network, Train, Held, Options, new StorageOptions { TableShare = 0 }, Path);
            QuantizationJob.Run(Network, Train, Held, Options, new StorageOptions { TableShare = 0, Reorder = true }, Reordered);
        }

        internal Dataset Train { get; } = Samples.Learnable(1, 3000, Features, Labels);

        internal Dataset Held { get; } = Samples.Learnable(2, 600, Features, Labels);

        internal TrainedModel Network { get; }

        internal SelectorOptions Options { get; } = new();

        internal string Path => System.IO.Path.Combine(_folder, "calibrated.eslide");

        internal string Reordered => System.IO.Path.Combine(_folder, "reordered.eslide");

        public void Dispose() => Directory.Delete(_folder, recursive: true);
    }
}
