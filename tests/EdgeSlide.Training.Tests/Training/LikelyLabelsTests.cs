using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Networks;
using EdgeSlide.Training.Training;

namespace EdgeSlide.Training.Tests.Training;

public sealed class LikelyLabelsTests
{
    private static readonly TrainerOptions Options = Generated.Small with { TableNegatives = 8, NegativePower = 0, Epochs = 8, HiddenSizes = [48] };

    [Theory]
    [InlineData(TableKeys.Features)]
    [InlineData(TableKeys.HiddenVector)]
    public void Candidates_contain_what_the_model_ranks_high(TableKeys keys)
    {
        Dataset data = Generated.Topics(rows: 2000, features: 900, labels: 300);
        TrainerOptions options = Options with { TableKeys = keys };
        int[] rows = [.. Enumerable.Range(0, data.RowCount)];
        using WorkerTeam team = new(1);
        using TrainingCore core = new(options, data, team);
        using LikelyLabels tables = new(options, data, rows, team);
        for (int step = 0; step < 600; step++)
        {
            if (step % 100 == 0)
                tables.Rebuild(core);
            core.Step(Batch(step), (ulong)step, 0.01f, tables);
        }
        tables.Rebuild(core);
        core.Step(Batch(0), 0, 1e-9f, tables);

        Network network = core.CreateNetwork();
        core.CopyTo(network);
        using DenseScorer scorer = new(network, 1);
        TopLabels top = scorer.Score(data, 0, options.BatchSize, 4);
        int wrong = 0, found = 0, foundByChance = 0;
        for (int row = 0; row < options.BatchSize; row++)
        {
            foreach (int label in top.RowLabels(row))
            {
                if (data.RowLabels(row).Contains(label))
                    continue;
                wrong++;
                found += tables.Candidates(row).Contains(label) ? 1 : 0;
                foundByChance += tables.Candidates((row + 7) % options.BatchSize).Contains(label) ? 1 : 0;
            }
            foreach (int label in data.RowLabels(row))
                Assert.False(tables.Candidates(row).Contains(label), $"row {row} has its own label {label} as a negative");
        }
        Assert.True(found > wrong / 3, $"{found} of the model's {wrong} best wrong labels are candidates");
        Assert.True(found > 4 * foundByChance, $"{found} against {foundByChance} among another row's");

        int[] Batch(int step) => [.. Enumerable.Range(0, options.BatchSize).Select(i => ((step * options.BatchSize) + i) % data.RowCount)];
    }

    [Fact]
    public void Table_labels_count_as_certain_and_not_as_drawn()
    {
        Dataset data = Generated.Topics(rows: 200, features: 900, labels: 300);
        int[] rows = [.. Enumerable.Range(0, data.RowCount)];
        using WorkerTeam team = new(1);
        using TrainingCore core = new(Options, data, team);
        using LikelyLabels tables = new(Options, data, rows, team);
        tables.Rebuild(core);
        core.Step(rows.AsSpan(0, Options.BatchSize), 1, 0.01f, tables);
        int own = rows.Take(Options.BatchSize).SelectMany(row => data.RowLabels(row).ToArray()).Distinct().Count();
        Assert.InRange(core.Active.CertainCount, own + 1, own + (Options.BatchSize * Options.TableNegatives));
        Assert.Equal(core.Active.CertainCount + Options.RandomNegatives, core.Active.Count);
        Assert.Equal((float)(data.LabelCount - core.Active.CertainCount) / Options.RandomNegatives, core.Active.DrawnWeight);
        for (int row = 0; row < Options.BatchSize; row++)
        {
            foreach (int label in tables.Candidates(row))
                Assert.True(label < 0 || core.Active.SlotOf(label) < core.Active.CertainCount);
        }
    }

    [Fact]
    public void Rebuilds_come_at_growing_gaps()
    {
        RebuildSchedule schedule = new(FirstGap: 10, Growth: 2);
        Assert.Equal([0, 10, 30, 70, 150], Enumerable.Range(0, 200).Where(step => schedule.IsDue(step)));
        Assert.Equal([0, 1, 3, 5], Enumerable.Range(0, 9).Where(step => new RebuildSchedule(1, 1.5).IsDue(step)));
    }

    [Theory]
    [InlineData(TableKeys.Features)]
    [InlineData(TableKeys.HiddenVector)]
    public void Training_with_tables_reaches_the_accuracy_of_all_labels(TableKeys keys)
    {
        Dataset data = Generated.Topics(rows: 4000, features: 900, labels: 300, seed: 1);
        Dataset held = Generated.Topics(rows: 1000, features: 900, labels: 300, seed: 2);
        TrainerOptions options = Options with { Epochs = 10, TableKeys = keys, FeatureDropout = 0.2f };
        double full = Best(options with { Mode = OutputMode.Full, TableNegatives = 0 });
        double tables = Best(options);
        Assert.True(full > 0.4, $"all labels only reached {full}");
        Assert.True(tables > full - 0.03, $"{tables} against {full}");

        double Best(TrainerOptions o) => new Trainer(o, data, held).Run().History.Max(epoch => epoch.P1);
    }

    [Fact]
    public void Tables_help_sigmoids_with_few_random_negatives()
    {
        Dataset data = Generated.Topics(rows: 4000, features: 900, labels: 300, seed: 1);
        Dataset held = Generated.Topics(rows: 1000, features: 900, labels: 300, seed: 2);
        TrainerOptions options = Options with { Loss = OutputLoss.Sigmoid, FeatureDropout = 0.2f };
        double tables = new Trainer(options, data, held).Run().History.Max(epoch => epoch.P1);
        double drawn = new Trainer(options with { TableNegatives = 0 }, data, held).Run().History.Max(epoch => epoch.P1);
        Assert.True(tables > drawn, $"{tables} against {drawn}");
    }

    [Theory]
    [InlineData(TableKeys.Features)]
    [InlineData(TableKeys.HiddenVector)]
    public void The_number_of_threads_changes_nothing(TableKeys keys)
    {
        Dataset data = Generated.Topics(rows: 300, features: 900, labels: 300);
        TrainerOptions options = Options with { TableKeys = keys, HiddenDropout = 0.1f, Epochs = 2, TableRebuildSteps = 2 };
        Network one = new Trainer(options, data).Run().Network;
        Network three = new Trainer(options with { Threads = 3 }, data).Run().Network;
        Network without = new Trainer(options with { TableNegatives = 0 }, data).Run().Network;
        Assert.Equal(one.Layers[1].Weights, three.Layers[1].Weights);
        Assert.NotEqual(one.Layers[1].Weights, without.Layers[1].Weights);
    }

    [Theory]
    [InlineData(TableKeys.Features)]
    [InlineData(TableKeys.HiddenVector)]
    public void A_cancelled_run_resumes_bit_for_bit(TableKeys keys) =>
        Resumption.AssertBitForBit(Options with { TableKeys = keys, Epochs = 4, TableRebuildSteps = 7 }, Generated.Topics(rows: 300, features: 100, labels: 50));

    [Theory]
    [InlineData(TableKeys.Features)]
    [InlineData(TableKeys.HiddenVector)]
    public void A_step_with_tables_allocates_nothing(TableKeys keys)
    {
        Dataset data = Generated.Topics(rows: 128, features: 300, labels: 700);
        TrainerOptions options = Options with { BatchSize = 128, RandomNegatives = 100, TableKeys = keys };
        int[] rows = [.. Enumerable.Range(0, 128)];
        using WorkerTeam team = new(1);
        using TrainingCore core = new(options, data, team);
        using LikelyLabels tables = new(options, data, rows, team);
        tables.Rebuild(core);
        for (int i = 0; i < 3; i++)
            core.Step(rows, (ulong)i, 0.01f, tables);
        // The least of several tries: the runtime itself may allocate once on this thread while it compiles better code.
        long least = long.MaxValue;
        for (int attempt = 0; attempt < 5; attempt++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 10; i++)
                core.Step(rows, (ulong)i, 0.01f, tables);
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }
        Assert.Equal(0, least);
    }
}
