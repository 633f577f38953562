using System.Text;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Networks;
using EdgeSlide.Training.Tests.Data;
using EdgeSlide.Training.Training;

namespace EdgeSlide.Training.Tests.Training;

public sealed class TrainerTests : IDisposable
{
    private readonly string _checkpoint = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());

    public void Dispose() => File.Delete(_checkpoint);

    [Fact]
    public void Sampled_training_reaches_the_accuracy_of_the_full_softmax()
    {
        Dataset data = Generated.Topics(rows: 4000, features: 900, labels: 300, seed: 1);
        Dataset held = Generated.Topics(rows: 1000, features: 900, labels: 300, seed: 2);
        TrainerOptions options = Generated.Small with { Epochs = 12, HiddenSizes = [48], FeatureDropout = 0.2f };
        double full = new Trainer(options with { Mode = OutputMode.Full }, data, held).Run().History.Max(epoch => epoch.P1);
        TrainingResult sampled = new Trainer(options, data, held).Run();
        Assert.True(full > 0.4, $"full softmax only reached {full}");
        Assert.True(sampled.History.Max(epoch => epoch.P1) > full - 0.03, $"sampled {sampled.History.Max(epoch => epoch.P1)} against {full}");
        Assert.InRange(sampled.ActiveFraction, 0.05, 0.4);
    }

    [Fact]
    public void The_best_epoch_is_kept()
    {
        Dataset data = Generated.Topics(rows: 600, features: 300, labels: 100, seed: 1);
        Dataset held = Generated.Topics(rows: 300, features: 300, labels: 100, seed: 2);
        TrainingResult result = new Trainer(Generated.Small with { Epochs = 8 }, data, held).Run();
        Assert.Equal(result.History.MaxBy(epoch => epoch.P1)!.Epoch, result.BestEpoch);
        using DenseScorer scorer = new(result.Network, 1);
        RankingMetrics metrics = new([1]);
        metrics.Add(scorer.Score(held, 1), held);
        Assert.Equal(result.History[result.BestEpoch - 1].P1, metrics.Precision(1), 1e-12);
    }

    [Fact]
    public void The_last_epoch_is_kept_where_that_is_wanted_whatever_the_held_out_rows_say()
    {
        Dataset data = Generated.Topics(rows: 300, features: 100, labels: 50, seed: 1);
        Dataset held = Generated.Topics(rows: 100, features: 100, labels: 50, seed: 2);
        TrainerOptions options = Generated.Small with { Epochs = 12, LearningRate = 0.05f };
        Assert.NotEqual(12, new Trainer(options, data, held).Run().BestEpoch);
        TrainingResult last = new Trainer(options with { KeepLast = true }, data, held).Run();
        Assert.Equal((12, 12), (last.BestEpoch, last.History.Count));
        AssertEqual(new Trainer(options, data).Run().Network, last.Network);
    }

    [Fact]
    public void The_same_seed_gives_the_same_network_and_another_seed_does_not()
    {
        Dataset data = Generated.Topics(rows: 300, features: 100, labels: 50);
        Network first = new Trainer(Generated.Small, data).Run().Network;
        AssertEqual(first, new Trainer(Generated.Small with { Threads = 2 }, data).Run().Network);
        Assert.NotEqual(first.Layers[1].Weights, new Trainer(Generated.Small with { Seed = 2 }, data).Run().Network.Layers[1].Weights);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void A_cancelled_run_resumes_bit_for_bit(int epoch)
    {
        Dataset data = Generated.Topics(rows: 300, features: 100, labels: 50, seed: 1);
        Dataset held = Generated.Topics(rows: 100, features: 100, labels: 50, seed: 2);
        TrainerOptions options = Generated.Small with { FeatureDropout = 0.2f, CheckpointPath = _checkpoint, Resume = true };
        TrainingResult whole = new Trainer(options with { CheckpointPath = null }, data, held).Run();

        using CancellationTokenSource source = new();
        TrainingResult part = new Trainer(options, data, held).Run(new CancelAfter(epoch, source), source.Token);
        Assert.True(part.Cancelled);
        AssertEqual(whole.Network, Continue(options, data, held, whole));
    }

    [Fact]
    public void A_run_resumes_bit_for_bit_from_the_middle_of_an_epoch()
    {
        Dataset data = Generated.Topics(rows: 300, features: 100, labels: 50, seed: 1);
        Dataset held = Generated.Topics(rows: 100, features: 100, labels: 50, seed: 2);
        TrainerOptions options = Generated.Small with { FeatureDropout = 0.2f, CheckpointPath = _checkpoint, CheckpointEvery = 4, Resume = true };
        TrainingResult whole = new Trainer(options with { CheckpointPath = null }, data, held).Run();

        // The run breaks after 8 of 10 batches of its second epoch, when a row turns bad; its last checkpoint stays.
        int[] order = [.. Enumerable.Range(0, 300)];
        Noise.Shuffle(order, Noise.Seed((ulong)options.Seed, 2, 1));
        int row = order[^1];
        using CancellationTokenSource source = new();
        new Trainer(options, data, held).Run(new CancelAfter(1, source), source.Token);
        Assert.Throws<TrainingDivergedException>(() => new Trainer(options, new BadRow(data, row), held).Run());
        AssertEqual(whole.Network, Continue(options, data, held, whole));
    }

    /// <summary>The same rows, as far as a checkpoint can tell, but one cannot be read.</summary>
    private sealed class BadRow(Dataset data, int bad) : IRowSource
    {
        public int FeatureCount => data.FeatureCount;

        public int LabelCount => data.LabelCount;

        public int RowCount => data.RowCount;

        public ReadOnlySpan<int> RowLabels(int row) => data.RowLabels(row);

        public RowCursor CreateCursor() => new Cursor(data.CreateCursor(), bad);

        public ulong Fingerprint() => data.Fingerprint();

        private sealed class Cursor(RowCursor inner, int bad) : RowCursor
        {
            private float[]? _broken;

            public override ReadOnlySpan<int> Ids => inner.Ids;

            public override ReadOnlySpan<float> Values => _broken ?? inner.Values;

            public override void MoveTo(int row)
            {
                inner.MoveTo(row);
                _broken = row == bad ? [.. Enumerable.Repeat(float.NaN, inner.Ids.Length)] : null;
            }
        }
    }

    private static Network Continue(TrainerOptions options, Dataset data, Dataset held, TrainingResult whole)
    {
        TrainingResult rest = new Trainer(options, data, held).Run();
        Assert.False(rest.Cancelled);
        Assert.Equal(whole.BestEpoch, rest.BestEpoch);
        Assert.Equal(whole.History.Select(e => e.P1), rest.History.Select(e => e.P1));
        return rest.Network;
    }

    [Fact]
    public void A_checkpoint_of_another_run_is_refused()
    {
        Dataset data = Generated.Topics(rows: 100, features: 100, labels: 50);
        TrainerOptions options = Generated.Small with { Epochs = 1, CheckpointPath = _checkpoint, Resume = true };
        new Trainer(options, data).Run();
        InvalidDataException failure = Assert.Throws<InvalidDataException>(() => new Trainer(options with { LearningRate = 1 }, data).Run());
        Assert.Contains("another run", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_truncated_checkpoint_is_refused()
    {
        Dataset data = Generated.Topics(rows: 100, features: 100, labels: 50);
        TrainerOptions options = Generated.Small with { Epochs = 1, CheckpointPath = _checkpoint, Resume = true };
        new Trainer(options, data).Run();
        byte[] bytes = File.ReadAllBytes(_checkpoint);
        for (int length = 0; length < bytes.Length; length += 997)
        {
            File.WriteAllBytes(_checkpoint, bytes[..length]);
            Assert.Throws<InvalidDataException>(() => new Trainer(options, data).Run());
        }
    }

    [Fact]
    public void A_checkpoint_with_any_byte_changed_is_refused()
    {
        Dataset data = Generated.Topics(rows: 100, features: 100, labels: 50);
        TrainerOptions options = Generated.Small with { Epochs = 1, CheckpointPath = _checkpoint, Resume = true };
        new Trainer(options, data).Run();
        byte[] bytes = File.ReadAllBytes(_checkpoint);
        var random = new Random(3);
        for (int i = 0; i < 50; i++)
        {
            int at = random.Next(bytes.Length);
            byte[] damaged = [.. bytes];
            damaged[at] ^= (byte)(1 << random.Next(8));
            File.WriteAllBytes(_checkpoint, damaged);
            InvalidDataException failure = Assert.Throws<InvalidDataException>(() => new Trainer(options, data).Run());
            Assert.Contains("damaged checkpoint", failure.Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("value")]
    [InlineData("label")]
    public void A_checkpoint_belongs_to_every_row_of_its_data(string change)
    {
        // More rows than could be sampled unnoticed.
        Dataset data = Generated.Topics(rows: 9001, features: 50, labels: 20);
        TrainerOptions options = Generated.Small with { Epochs = 1, BatchSize = 4096, CheckpointPath = _checkpoint, Resume = true };
        new Trainer(options, data).Run();
        int[] labels = data.LabelIds.ToArray();
        float[] values = data.FeatureValues.ToArray();
        if (change == "label")
            labels[5001] = (labels[5001] + 1) % 20;
        else
            values[^7] += 0.5f;
        Dataset other = new()
        {
            FeatureCount = data.FeatureCount,
            LabelCount = data.LabelCount,
            FeatureOffsets = data.FeatureOffsets,
            FeatureIds = data.FeatureIds,
            FeatureValues = values,
            LabelOffsets = data.LabelOffsets,
            LabelIds = labels,
        };
        InvalidDataException failure = Assert.Throws<InvalidDataException>(() => new Trainer(options, other).Run());
        Assert.Contains("another run", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_loss_that_is_not_a_number_names_its_batch()
    {
        Dataset data = Generated.Topics(rows: 96, features: 100, labels: 50);
        Generated.Values(data)[10] = float.NaN;
        TrainingDivergedException failure = Assert.Throws<TrainingDivergedException>(() => new Trainer(Generated.Small, data).Run());
        Assert.Contains("epoch 1, batch", failure.Message, StringComparison.Ordinal);
        int row = data.FeatureOffsets.ToArray().AsSpan().BinarySearch(11L);
        Assert.Contains($"training row {(row < 0 ? ~row : row)} has the value NaN", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_loss_that_is_not_a_number_names_the_line_of_a_row_from_a_file()
    {
        var text = new StringBuilder("64 4 3\n");
        for (int row = 0; row < 64; row++)
            text.Append(row % 3).Append(" 1:1\n");
        using var files = new TemporaryFiles();
        string path = files.Write("rows.txt", text.ToString());
        Dataset data = XcFormat.Read(path).ToDataset();
        Generated.Values(data)[40] = float.NaN;
        TrainingDivergedException failure = Assert.Throws<TrainingDivergedException>(() => new Trainer(Generated.Small, data).Run());
        Assert.Contains($"training row {path}:42 has the value NaN", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_checkpoint_is_not_replaced_by_weights_that_are_no_numbers()
    {
        Dataset data = Generated.Topics(rows: 96, features: 100, labels: 50);
        TrainerOptions options = Generated.Small with { Epochs = 1, CheckpointPath = _checkpoint };
        new Trainer(options, data).Run();
        byte[] before = File.ReadAllBytes(_checkpoint);
        // One batch: its loss is fine, and what it does to the weights is not.
        TrainingDivergedException failure = Assert.Throws<TrainingDivergedException>(
            () => new Trainer(options with { BatchSize = 96, LearningRate = float.MaxValue, WeightDecay = 1e6f, WarmUp = 0 }, data).Run());
        Assert.Contains("weights are no longer numbers", failure.Message, StringComparison.Ordinal);
        Assert.Equal(before, File.ReadAllBytes(_checkpoint));
    }

    [Fact]
    public void Evaluations_within_an_epoch_are_logged_and_change_nothing()
    {
        Dataset data = Generated.Topics(rows: 300, features: 100, labels: 50, seed: 1);
        Dataset held = Generated.Topics(rows: 100, features: 100, labels: 50, seed: 2);
        string log = _checkpoint + ".csv";
        TrainerOptions options = Generated.Small with { FeatureDropout = 0.2f };
        TrainingResult plain = new Trainer(options, data, held).Run();
        TrainingResult logged = new Trainer(options with { EvaluateEvery = 4, LogPath = log }, data, held).Run();
        AssertEqual(plain.Network, logged.Network);
        string[][] lines = [.. File.ReadAllLines(log).Select(line => line.Split(','))];
        File.Delete(log);
        Assert.Equal(["step", "4", "8", "10", "14", "18", "20", "24", "28", "30"], lines.Select(line => line[1]));
        Assert.Equal(plain.History.Select(e => e.P1), lines.Skip(1).Where((_, i) => i % 3 == 2).Select(line => double.Parse(line[7], System.Globalization.CultureInfo.InvariantCulture)), (x, y) => Math.Abs(x - y) < 1e-6);
        Assert.All(lines.Skip(1), line => Assert.Equal(lines[0].Length, line.Length));
        double[] seconds = [.. lines.Skip(1).Select(line => double.Parse(line[3], System.Globalization.CultureInfo.InvariantCulture))];
        Assert.Equal(seconds.Order(), seconds);
    }

    [Fact]
    public void A_resumed_log_has_each_evaluation_once()
    {
        Dataset data = Generated.Topics(rows: 300, features: 100, labels: 50, seed: 1);
        string log = _checkpoint + ".csv";
        TrainerOptions options = Generated.Small with { EvaluateEvery = 4, LogPath = log, CheckpointPath = _checkpoint, Resume = true };
        using CancellationTokenSource source = new();
        new Trainer(options, data, data).Run(new CancelAfter(2, source), source.Token);
        File.AppendAllText(log, "2.9,29,9");
        new Trainer(options, data, data).Run();
        string[] steps = [.. File.ReadAllLines(log).Select(line => line.Split(',')[1])];
        File.Delete(log);
        Assert.Equal(["step", "4", "8", "10", "14", "18", "20", "24", "28", "30"], steps);
    }

    [Fact]
    public void Progress_reports_every_epoch()
    {
        Dataset data = Generated.Topics(rows: 100, features: 100, labels: 50);
        List<TrainingProgress> reports = [];
        new Trainer(Generated.Small, data, data).Run(new Collect(reports));
        Assert.Equal([1, 2, 3], reports.Where(report => report.Validation is not null).Select(report => report.Validation!.Epoch));
        Assert.Equal(TimeSpan.Zero, reports[^1].Remaining);
    }

    [Fact]
    public void The_memory_estimate_grows_with_the_embedding()
    {
        long small = Trainer.EstimateMemory(Generated.Small, 1_000, 1_000);
        long large = Trainer.EstimateMemory(Generated.Small, 1_001_000, 1_000);
        Assert.InRange(large - small, 1_000_000L * 24 * 4 * 3, 1_000_000L * 32 * 4 * 4);
        // Weights alone: no first moment, one second moment a row, no second copy.
        TrainerOptions lean = Generated.Small with { InputMomentum = false, KeepLast = true };
        long least = Trainer.EstimateMemory(lean, 1_001_000, 1_000) - Trainer.EstimateMemory(lean, 1_000, 1_000);
        Assert.InRange(least, 1_000_000L * 24 * 4, 1_000_000L * ((32 * 4) + 12));
    }

    [Fact]
    public void The_memory_estimate_counts_the_logits_of_active_sets()
    {
        TrainerOptions options = Generated.Small with { BatchSize = 100, RandomNegatives = 500 };
        long three = Trainer.EstimateMemory(options, 1_000, 100_000, rows: 1_000, labelPairs: 3_000), four = Trainer.EstimateMemory(options, 1_000, 100_000, rows: 1_000, labelPairs: 4_000);
        // A hundred labels more: their logits in a hundred rows, and their packed weights.
        Assert.InRange(four - three, 100 * 100 * 4, 112 * (100 + 48) * 4);
        long all = Trainer.EstimateMemory(options with { Mode = OutputMode.Full }, 1_000, 100_000, rows: 1_000, labelPairs: 3_000);
        Assert.InRange(all - three, 99_000L * 100 * 4, 100_100L * (100 + 48) * 4);
        Assert.Equal(all, Trainer.EstimateMemory(options, 1_000, 100_000, rows: 1_000));
    }


    private static void AssertEqual(Network expected, Network actual)
    {
        for (int layer = 0; layer < expected.Layers.Count; layer++)
        {
            Assert.Equal(expected.Layers[layer].Weights, actual.Layers[layer].Weights);
            Assert.Equal(expected.Layers[layer].Bias, actual.Layers[layer].Bias);
        }
    }

    private sealed class CancelAfter(int epoch, CancellationTokenSource source) : IProgress<TrainingProgress>
    {
        public void Report(TrainingProgress value)
        {
            if (value.Validation is not null && value.Epoch == epoch)
                source.Cancel();
        }
    }

    private sealed class Collect(List<TrainingProgress> reports) : IProgress<TrainingProgress>
    {
        public void Report(TrainingProgress value) => reports.Add(value);
    }
}
