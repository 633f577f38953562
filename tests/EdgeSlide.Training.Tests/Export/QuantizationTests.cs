using EdgeSlide.Features;
using EdgeSlide.Model;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Export;
using EdgeSlide.Training.Featurization;
using EdgeSlide.Training.Networks;
using EdgeSlide.Training.Quantization;
using EdgeSlide.Training.Tables;
using EdgeSlide.Training.Training;

namespace EdgeSlide.Training.Tests.Export;

public sealed class QuantizationTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("edgeslide").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(1, 1)]
    [InlineData(5, 64)]
    [InlineData(3000, 100)]
    public void No_weight_moves_by_more_than_half_a_step_and_rows_are_padded_with_zeros(int rows, int width)
    {
        var random = new Random(width);
        float[] weights = [.. Enumerable.Range(0, rows * width).Select(_ => (float)(random.NextDouble() * 4 - 2))];
        QuantizedRows result = Quantizer.Quantize(weights, rows, width);
        Assert.Equal(ModelFormat.RowStride(width), result.Stride);
        double worst = 0;
        for (int r = 0; r < rows; r++)
        {
            for (int j = 0; j < result.Stride; j++)
            {
                sbyte q = (sbyte)result.Rows[r * result.Stride + j];
                Assert.NotEqual(sbyte.MinValue, q);
                if (j >= width)
                    Assert.Equal(0, q);
                else
                    worst = Math.Max(worst, Math.Abs(weights[r * width + j] - q * result.Scales[r]) / result.Scales[r]);
            }
        }
        Assert.InRange(worst, 0, 0.5001);
        Assert.InRange(result.Error.MaxError, 0, 2.0 / 127 * 0.5001);
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(2000, 100)]
    public void Int4_and_fp16_rows_restore_their_weights_within_what_their_bits_allow(int rows, int width)
    {
        var random = new Random(width);
        float[] weights = [.. Enumerable.Range(0, rows * width).Select(_ => (float)((random.NextDouble() * 4 - 2) * Math.Pow(10, random.Next(-2, 2))))];
        foreach (WeightFormat format in new[] { WeightFormat.Int4, WeightFormat.Fp16 })
        {
            QuantizedRows result = Quantizer.Quantize(weights, rows, width, format);
            Assert.Equal(ModelFormat.RowStride(width) * (format == WeightFormat.Int4 ? 1 : 4) / 2, result.Stride);
            for (int r = 0; r < rows; r++)
            {
                ReadOnlySpan<byte> stored = result.Rows.AsSpan(r * result.Stride, result.Stride);
                double squared = 0, largest = weights.AsSpan(r * width, width).ToArray().Max(MathF.Abs);
                for (int j = 0; j < ModelFormat.RowStride(width); j++)
                {
                    float restored = result.Scales[r] * (format == WeightFormat.Int4
                        ? (j % 64 < 32 ? stored[j / 64 * 32 + j % 32] & 15 : stored[j / 64 * 32 + j % 32] >> 4) - 8
                        : (float)System.Buffers.Binary.BinaryPrimitives.ReadHalfLittleEndian(stored[(2 * j)..]));
                    float weight = j < width ? weights[r * width + j] : 0f;
                    double error = Math.Abs(weight - restored);
                    squared += error * error;
                    if (j >= width)
                        Assert.Equal(0f, restored);
                    else if (format == WeightFormat.Fp16)
                        Assert.InRange(error, 0, Math.Max(Math.Abs(weight) / 2048, largest * 1e-7));
                }
                // Clipping may cost the largest weights more than half a step, but never the row as a whole.
                if (format == WeightFormat.Int4)
                    Assert.InRange(squared, 0, width * Math.Pow(largest / 7 / 2, 2) + 1e-12);
            }
        }
        Assert.All(Quantizer.Quantize(new float[8], 2, 4, WeightFormat.Int4).Rows, pair => Assert.Equal(0x88, pair));
        Assert.All(Quantizer.Quantize(new float[8], 2, 4, WeightFormat.Fp16).Scales, scale => Assert.Equal(0f, scale));
    }

    [Fact]
    public void The_budget_is_the_smallest_that_keeps_accuracy_on_held_out_rows_unless_it_is_given()
    {
        Dataset train = Samples.Learnable(1, 3000, 2000, 200), held = Samples.Learnable(2, 600, 2000, 200);
        TrainedModel model = Trained(train, held);
        string path = Path.Combine(_folder, "model.eslide");
        QuantizationReport With(int? budget, Dataset? rows) =>
            QuantizationJob.Run(model, train, rows, new SelectorOptions { Budget = budget, VoteBlend = 1f }, new StorageOptions(), path);

        QuantizationReport chosen = With(null, held), whole = With(SelectorOptions.DefaultBudget, held);
        Assert.Equal(SelectorOptions.DefaultBudget, whole.Budget);
        Assert.InRange(chosen.Budget, 8, SelectorOptions.DefaultBudget);
        bool Keeps(QuantizationReport report) => report.Int8Lsh!.P1 >= whole.Int8Lsh!.P1 - 0.0005 && report.Int8Lsh.P5 >= whole.Int8Lsh.P5 - 0.0005
            && report.Int8Lsh.Psp1 >= whole.Int8Lsh.Psp1 - 0.0005;
        Assert.True(Keeps(chosen));
        foreach (int smaller in new[] { 8, 12, 16, 24 }.Where(b => b < chosen.Budget))
            Assert.False(Keeps(With(smaller, held)), $"a budget of {smaller} would do");

        Assert.Equal(SelectorOptions.DefaultBudget, With(null, null).Budget);
        Assert.Equal(5, With(5, held).Budget);
        using EdgeSlideModel device = EdgeSlideModel.Open(path);
        Assert.Equal(5, device.Layout.Output.Selector!.Budget);
    }

    private static TrainedModel Trained(Dataset train, Dataset held)
    {
        TrainingResult trained = new Trainer(new TrainerOptions { HiddenSizes = [32], Epochs = 8, LearningRate = 0.02f, BatchSize = 128, RandomNegatives = 128 }, train, held).Run();
        Featurizer featurizer = Featurizer.Create(new FeaturizerRecord { Kind = FeaturizerKind.Sparse, FeatureCount = 2000 }, null, null);
        return new TrainedModel(trained.Network, featurizer, [.. Enumerable.Range(0, 200).Select(i => $"{i}")], false, new TrainingRecord());
    }

    [Theory]
    [InlineData("choosing vote blend and budget, and measuring")]
    [InlineData("calibrating probabilities")]
    [InlineData("writing the model")]
    public void An_unfinished_model_is_never_under_its_name(string last)
    {
        Dataset train = Samples.Learnable(1, 3000, 2000, 200), held = Samples.Learnable(2, 600, 2000, 200);
        TrainedModel model = Trained(train, held);
        string path = Path.Combine(_folder, "model.eslide");
        File.WriteAllText(path, "the model before");
        using var cancel = new CancellationTokenSource();
        var stages = new List<string>();
        Assert.ThrowsAny<OperationCanceledException>(() => QuantizationJob.Run(model, train, held, new SelectorOptions { Budget = 16 }, new StorageOptions(), path, stage: stage =>
        {
            stages.Add(stage);
            if (stage == last)
                cancel.Cancel();
        }, cancel: cancel.Token));
        Assert.Equal(last, stages[^1]);
        Assert.Equal([path], Directory.GetFiles(_folder));
        Assert.Equal("the model before", File.ReadAllText(path));
    }

    [Fact]
    public void Other_weight_formats_are_compared_and_the_chosen_one_is_written()
    {
        Dataset train = Samples.Learnable(1, 3000, 2000, 200), held = Samples.Learnable(2, 600, 2000, 200);
        TrainedModel model = Trained(train, held);
        string path = Path.Combine(_folder, "model.eslide");
        QuantizationReport report = QuantizationJob.Run(model, train, held, new SelectorOptions { Budget = 16 },
            new StorageOptions { Rows = WeightFormat.Int4, InputRows = WeightFormat.Int4, CompareRows = true }, path);
        Assert.Equal([path], Directory.GetFiles(_folder));
        Assert.Equal(9, report.Rows.Count);
        RowComparison Of(WeightFormat input, WeightFormat rows) => report.Rows.Single(r => r.InputRows == input && r.Rows == rows);
        // FP16 everywhere is the FP32 network but for the rounding of weights.
        Assert.InRange(Of(WeightFormat.Fp16, WeightFormat.Fp16).Dense.P1, report.Fp32Dense!.P1 - 0.003, report.Fp32Dense.P1 + 0.003);
        Assert.InRange(Of(WeightFormat.Int4, WeightFormat.Int4).Dense.P1, report.Fp32Dense.P1 - 0.05, 1);
        Assert.True(Of(WeightFormat.Int4, WeightFormat.Int4).ModelBytes < 0.75 * Of(WeightFormat.Int8, WeightFormat.Int8).ModelBytes);
        using EdgeSlideModel device = EdgeSlideModel.Open(path);
        Assert.Equal((3, WeightFormat.Int4, WeightFormat.Int4), (device.File.Version, device.Layout.Output.Format, device.Layout.SparseInput!.Format));
        Assert.Equal(report.Int8Dense!.P1, Of(WeightFormat.Int4, WeightFormat.Int4).Dense.P1);
    }

    [Fact]
    public void A_row_of_zeros_stays_zero_and_a_weight_that_is_no_number_is_refused()
    {
        QuantizedRows zeros = Quantizer.Quantize(new float[8], 2, 4);
        Assert.All(zeros.Rows, q => Assert.Equal((byte)0, q));
        Assert.All(zeros.Scales, s => Assert.Equal(0f, s));
        Exception error = Assert.ThrowsAny<Exception>(() => Quantizer.Quantize([1f, float.NaN], 1, 2));
        Assert.Contains("not finite", (error as AggregateException)?.InnerException?.Message ?? error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(true, 0, 0)]
    [InlineData(false, 24, 0)]
    [InlineData(true, 4, 0)]
    [InlineData(true, 0, 0.1)]
    [InlineData(true, 4, 0, Activation.Identity)]
    public void A_quantized_model_with_hashing_answers_as_well_as_its_network(bool featureBuckets, int hiddenTables, double tableShare, Activation activation = Activation.Relu)
    {
        Dataset train = Samples.Learnable(1, 4000, 4000, 400), held = Samples.Learnable(2, 800, 4000, 400);
        TrainingResult trained = new Trainer(new TrainerOptions { HiddenSizes = [32], Activation = activation, Epochs = 12, LearningRate = 0.02f, BatchSize = 128, RandomNegatives = 128 }, train, held).Run();
        Featurizer featurizer = Featurizer.Create(new FeaturizerRecord { Kind = FeaturizerKind.Sparse, FeatureCount = 4000 }, null, null);
        var model = new TrainedModel(trained.Network, featurizer, [.. Enumerable.Range(0, 400).Select(i => $"{i}")], false, new TrainingRecord());
        string path = Path.Combine(_folder, "model.eslide");
        QuantizationReport report = QuantizationJob.Run(model, train, held, new SelectorOptions
        {
            Budget = 16, BucketSize = 16, FeatureBuckets = featureBuckets, HiddenTables = hiddenTables, HiddenBits = 8,
        }, new StorageOptions { TableShare = tableShare }, path);

        Assert.True(report.Fp32Dense!.P1 > 0.8, $"the network itself only reaches {report.Fp32Dense.P1}");
        Assert.InRange(report.Int8Dense!.P1, report.Fp32Dense.P1 - 0.01, report.Fp32Dense.P1 + 0.01);
        Assert.True(report.Int8Lsh!.P1 >= report.Fp32Dense.P1 - 0.02, $"LSH {report.Int8Lsh.P1}, FP32 {report.Fp32Dense.P1}");
        using EdgeSlideModel device = EdgeSlideModel.Open(path);
        Assert.Equal(report.Int8Lsh.P1, PredictorEvaluator.Evaluate(device, held, PredictionMode.Lsh, null).Precision(1));
        using Predictor predictor = device.CreatePredictor();
        predictor.Mode = PredictionMode.Lsh;
        predictor.PredictSparse(held.RowFeatures(0), held.RowValues(0), new Prediction[3]);
        Assert.InRange(predictor.Cost.ActiveNeurons, 1, 16);
        Assert.Contains("p1_int8_lsh", device.Provenance, StringComparison.Ordinal);
        long tables = device.File.Sections.Where(s => s.Kind is SectionKind.Selector or SectionKind.HashPlanes or SectionKind.BucketOffsets or SectionKind.BucketEntries).Sum(s => s.Length);
        Assert.Equal(tables, report.Tables.Bytes);
        if (tableShare > 0)
        {
            Assert.InRange((double)tables / device.File.Length, 0.9 * tableShare, tableShare);
            Assert.True(report.Tables.BytesBefore > tables && report.Tables.Before is not null, "nothing was dropped");
        }
    }

    [Fact]
    public void A_network_file_comes_back_as_it_was()
    {
        TextDataset rows = Samples.Text(["one two", "two three", "three one"]);
        Featurizer featurizer = FeaturizerFit.Fit(rows, new FeatureOptions { Idf = true });
        var model = new TrainedModel(Samples.Network(4, featurizer.FeatureCount, 5, 7, 3), featurizer, ["a", "b", "c"], true, new TrainingRecord { Data = "d", Epochs = 3 })
        { Frequencies = new LabelFrequencies(9, [4, 0, 7]) };
        string path = Path.Combine(_folder, "net.esnet");
        model.Save(path);
        TrainedModel loaded = TrainedModel.Load(path);
        Assert.Equal(model.Record, loaded.Record);
        Assert.Equal(model.Labels, loaded.Labels);
        Assert.Equal(9, loaded.Frequencies!.Rows);
        Assert.Equal([4, 0, 7], loaded.Frequencies.Counts.ToArray());
        for (int i = 0; i < 3; i++)
        {
            Assert.Equal(model.Network.Layers[i].Weights, loaded.Network.Layers[i].Weights);
            Assert.Equal(model.Network.Layers[i].Bias, loaded.Network.Layers[i].Bias);
            Assert.Equal(model.Network.Layers[i].Activation, loaded.Network.Layers[i].Activation);
        }
        Dataset before = featurizer.Featurize(rows), after = loaded.Featurizer.Featurize(rows);
        Assert.Equal(before.FeatureIds, after.FeatureIds);
        Assert.Equal(before.FeatureValues, after.FeatureValues);
    }

    [Fact]
    public void A_damaged_network_file_is_refused_in_one_line_wherever_the_damage_is()
    {
        string path = Path.Combine(_folder, "net.esnet");
        Featurizer featurizer = Featurizer.Create(new FeaturizerRecord { Kind = FeaturizerKind.Sparse, FeatureCount = 3 }, null, null);
        new TrainedModel(Samples.Network(4, 3, 2, 2), featurizer, ["0", "1"], false, new TrainingRecord()).Save(path);
        byte[] bytes = File.ReadAllBytes(path);
        for (int at = 0; at < bytes.Length; at++)
        {
            byte[] flipped = [.. bytes];
            flipped[at] ^= 0x10;
            File.WriteAllBytes(path, flipped);
            Refused();
            File.WriteAllBytes(path, bytes[..at]);
            Refused();
        }

        void Refused() => Assert.DoesNotContain('\n', Assert.Throws<ModelFormatException>(() => TrainedModel.Load(path)).Message);
    }

    [Fact]
    public void A_failed_export_leaves_the_old_model_as_it_was()
    {
        string path = Path.Combine(_folder, "model.eslide");
        File.WriteAllText(path, "old");
        Featurizer featurizer = Featurizer.Create(new FeaturizerRecord { Kind = FeaturizerKind.Sparse, FeatureCount = 3 }, null, null);
        Assert.Throws<ArgumentException>(() => ModelExporter.Write(path, QuantizedNetwork.From(Samples.Network(4, 3, 2, 2), false), featurizer, [], ["fine", "not\nfine"], "{}"u8.ToArray()));
        Assert.Throws<IOException>(() => EdgeSlide.IO.WholeFile.Write(path, stream =>
        {
            stream.Write("half"u8);
            throw new IOException("disk full");
        }));
        Assert.Equal("old", File.ReadAllText(path));
        Assert.Single(Directory.GetFiles(_folder));
    }
}
