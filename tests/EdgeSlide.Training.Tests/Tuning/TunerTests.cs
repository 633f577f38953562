using EdgeSlide.Features;
using EdgeSlide.Hashing;
using EdgeSlide.Model;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Export;
using EdgeSlide.Training.Tables;
using EdgeSlide.Training.Tests.Export;
using EdgeSlide.Training.Training;
using EdgeSlide.Training.Tuning;

namespace EdgeSlide.Training.Tests.Tuning;

public sealed class TunerTests : IClassFixture<TunerTests.TrainedFixture>
{
    private const int Features = 4000, Labels = 400;

    // Neurons in another order, so that neurons and labels are told apart.
    private static readonly StorageOptions Storage = new() { TableShare = 0, Reorder = true };

    private readonly TrainedFixture _trained;

    public TunerTests(TrainedFixture trained) => _trained = trained;

    [Theory]
    [InlineData(0.0)]
    [InlineData(0.5)]
    [InlineData(3.0)]
    public void The_tuned_model_keeps_the_loss_as_the_device_engine_measures_it_and_costs_no_more(double maxLoss)
    {
        string output = _trained.Path($"loss{maxLoss}.eslide");
        TuningResult result = Tune(output, new TuningOptions { MaxLoss = maxLoss, Trials = 400 });
        using EdgeSlideModel before = EdgeSlideModel.Open(_trained.Model), after = EdgeSlideModel.Open(output);
        RankingMetrics dense = PredictorEvaluator.Evaluate(before, _trained.Held, PredictionMode.Dense, null);
        RankingMetrics lsh = PredictorEvaluator.Evaluate(before, _trained.Held, PredictionMode.Lsh, null);
        RankingMetrics tuned = PredictorEvaluator.Evaluate(after, _trained.Held, PredictionMode.Lsh, null);
        foreach (int k in new[] { 1, 5 })
        {
            double reference = Math.Max(dense.Precision(k), lsh.Precision(k));
            Assert.True(tuned.Precision(k) >= reference - maxLoss / 100 - 1e-12, $"P@{k} {tuned.Precision(k)} after, {reference} before, {maxLoss} points allowed");
        }
        Assert.Equal(result.Chosen!.P1, tuned.Precision(1), 12);
        Assert.Equal(result.Chosen.P5, tuned.Precision(5), 12);
        Assert.True(result.Chosen.Bytes <= result.Current!.Bytes, $"{result.Chosen.Bytes} bytes a query after, {result.Current.Bytes} before");
        Assert.Equal(result.Chosen.Bytes, MeanBytes(after), 6);
        Assert.Contains("\"tuning\"", after.Provenance, StringComparison.Ordinal);
    }

    [Fact]
    public void More_loss_never_costs_more()
    {
        double[] bytes = [.. new[] { 0.0, 0.5, 3.0 }.Select(loss => Tune(_trained.Path("more.eslide"), new TuningOptions { MaxLoss = loss, Trials = 400 }).Chosen!.Bytes)];
        Assert.True(bytes[1] <= bytes[0] && bytes[2] <= bytes[1], string.Join(", ", bytes));
        Assert.True(bytes[2] < bytes[0], "three points of loss save nothing");
    }

    [Fact]
    public void The_same_search_writes_the_same_file_whatever_the_number_of_threads()
    {
        string first = _trained.Path("first.eslide"), second = _trained.Path("second.eslide");
        Tune(first, new TuningOptions { Trials = 200, Threads = 1 });
        Tune(second, new TuningOptions { Trials = 200, Threads = 4 });
        Assert.Equal(File.ReadAllBytes(first), File.ReadAllBytes(second));
    }

    [Fact]
    public void Tables_that_the_model_does_not_have_are_built_and_chosen_where_they_are_cheaper()
    {
        // A model with nothing but SimHash tables: feature buckets are far cheaper for the same answers.
        string poor = _trained.Path("poor.eslide"), output = _trained.Path("rich.eslide");
        QuantizationJob.Run(_trained.Network, _trained.Train, _trained.Held, new SelectorOptions { FeatureBuckets = false, HiddenTables = 24, HiddenBits = 8, BucketSize = 16 }, Storage, poor);
        using EdgeSlideModel model = EdgeSlideModel.Open(poor);
        var network = new TuningNetwork(_trained.Network, _trained.Train, LabelFrequencies.Of(_trained.Train));
        TuningResult result = TuningJob.Run(model, _trained.Held, network, new TuningOptions { Trials = 500, MaxLoss = 1 }, output);
        Assert.NotNull(result.Chosen);
        Assert.True(result.Chosen.Bytes < 0.15 * result.Dense.Bytes, $"{result.Chosen.Bytes} of {result.Dense.Bytes} bytes a query");
        using EdgeSlideModel tuned = EdgeSlideModel.Open(output);
        Assert.Contains(tuned.Layout.Output.Selector!.Sources.ToArray(), s => s.Record.Kind == SourceKind.Features);
        Assert.Equal(result.Chosen.P1, PredictorEvaluator.Evaluate(tuned, _trained.Held, PredictionMode.Lsh, null).Precision(1), 12);
        Assert.True(result.Chosen.LossPsp1 <= 0.5 + 1e-9, $"the tail loses {result.Chosen.LossPsp1} points");
    }

    [Fact]
    public void The_front_has_no_point_that_another_one_beats()
    {
        TuningResult result = Tune(_trained.Path("front.eslide"), new TuningOptions { Trials = 300 });
        Assert.NotEmpty(result.Front);
        foreach (TuningPoint point in result.Front)
            Assert.DoesNotContain(result.Points, other => other.Bytes < point.Bytes - 2 && other.LossP1 + other.LossP5 < point.LossP1 + point.LossP5 - 1e-9);
    }

    [Fact]
    public void A_cancelled_search_writes_nothing()
    {
        string output = _trained.Path("cancelled.eslide");
        using var cancel = new CancellationTokenSource();
        using EdgeSlideModel model = EdgeSlideModel.Open(_trained.Model);
        Assert.ThrowsAny<OperationCanceledException>(() => TuningJob.Run(model, _trained.Held, null, new TuningOptions(), output, p =>
        {
            if (p.Done > 20)
                cancel.Cancel();
        }, cancel.Token));
        Assert.False(File.Exists(output));
        Assert.DoesNotContain(Directory.GetFiles(Path.GetDirectoryName(output)!), f => f.EndsWith(".tuning", StringComparison.Ordinal));
    }

    [Fact]
    public void Nothing_is_written_if_no_setting_keeps_the_loss()
    {
        string output = _trained.Path("impossible.eslide");
        TuningResult result = Tune(output, new TuningOptions { MaxTableShare = 1e-6, Trials = 50 });
        Assert.Null(result.Chosen);
        Assert.NotNull(result.Nearest);
        Assert.False(File.Exists(output));
    }

    [Fact]
    public void Cut_buckets_keep_their_largest_votes_in_their_order()
    {
        using EdgeSlideModel model = EdgeSlideModel.Open(_trained.Model);
        using TuningSource source = TuningSource.Of(model, 1, 0);
        BucketTable full = model.Layout.Output.Selector!.Sources[0].Buckets;
        foreach ((int cap, int minVote) in new[] { (1, 1), (3, 1), (1000, 40), (2, 60) })
        {
            PrunedBuckets pruned = source.Prune(cap, minVote);
            BucketTable cut = pruned.Table;
            for (int key = 0; key < full.KeyCount; key++)
            {
                uint[] all = Bucket(full, key), kept = Bucket(cut, key);
                uint[] wanted = [.. all.Select((entry, i) => (entry, i)).Where(e => (e.entry & 0xFF) >= minVote).OrderByDescending(e => e.entry & 0xFF).ThenBy(e => e.i).Take(cap).OrderBy(e => e.i).Select(e => e.entry)];
                Assert.Equal(wanted, kept);
            }
            GC.KeepAlive(pruned);
        }
    }

    private static unsafe uint[] Bucket(BucketTable table, int key) => new ReadOnlySpan<uint>(table.Entries + table.Offsets[key], (int)(table.Offsets[key + 1] - table.Offsets[key])).ToArray();

    private TuningResult Tune(string output, TuningOptions options)
    {
        using EdgeSlideModel model = EdgeSlideModel.Open(_trained.Model);
        return TuningJob.Run(model, _trained.Held, null, options, output);
    }

    private double MeanBytes(EdgeSlideModel model)
    {
        using Predictor predictor = model.CreatePredictor();
        predictor.Mode = PredictionMode.Lsh;
        predictor.Probabilities = false;
        var top = new Prediction[5];
        double sum = 0;
        for (int row = 0; row < _trained.Held.RowCount; row++)
        {
            predictor.PredictSparse(_trained.Held.RowFeatures(row), _trained.Held.RowValues(row), top);
            sum += predictor.Cost.BytesTouched;
        }
        return sum / _trained.Held.RowCount;
    }

    /// <summary>One network and model for all tests.</summary>
    public sealed class TrainedFixture : IDisposable
    {
        private readonly string _folder = Directory.CreateTempSubdirectory("edgeslide").FullName;

        public TrainedFixture()
        {
            TrainingResult result = new Trainer(new TrainerOptions { HiddenSizes = [32], Epochs = 6, LearningRate = 0.02f, BatchSize = 128, RandomNegatives = 128 }, Train, Held).Run();
            Network = new TrainedModel(result.Network, Featurizer.Create(new FeaturizerRecord { Kind = FeaturizerKind.Sparse, FeatureCount = Features }, null, null),
                [.. Enumerable.Range(0, Labels).Select(i => $"{i}")], false, new TrainingRecord());
            QuantizationJob.Run(Network, Train, Held, new SelectorOptions { Budget = 24, BucketSize = 16 }, Storage, Model);
        }

        internal Dataset Train { get; } = Samples.Learnable(1, 4000, Features, Labels);

        internal Dataset Held { get; } = Samples.Learnable(2, 1000, Features, Labels);

        internal TrainedModel Network { get; }

        internal string Model => Path("model.eslide");

        internal string Path(string name) => System.IO.Path.Combine(_folder, name);

        public void Dispose() => Directory.Delete(_folder, recursive: true);
    }
}
