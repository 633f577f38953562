using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Networks;
using EdgeSlide.Training.Training;

namespace EdgeSlide.Training.Tests.Training;

public sealed class NegativesComparisonTests
{
    [Fact]
    public void Estimates_are_unbiased_and_better_the_nearer_the_draws_are_to_the_ideal()
    {
        Dataset data = Generated.Topics(rows: 1000, features: 900, labels: 300, seed: 1);
        Dataset held = Generated.Topics(rows: 100, features: 900, labels: 300, seed: 2);
        Network network = new Trainer(Generated.Small with { Mode = OutputMode.Full, Epochs = 2 }, data).Run().Network;
        TrainerOptions options = Generated.Small with { BatchSize = 40 };
        using NegativesComparison comparison = new(options, network, LabelFrequencies.Of(data), held);
        NegativesFigures[] figures = comparison.Run(
        [
            new("all", 300, 0, 0),
            new("uniform", 30, 0, 0),
            new("frequency", 30, 0.5f, 0),
            new("half by LSH", 15, 0.5f, 15),
            new("ideal", 30, 1, 0, Ideal: true),
        ], 80, 200, default);
        NegativesFigures all = figures[0];
        Assert.Equal(300, all.Labels);
        Assert.True(all.PartitionError < 1e-4 && all.GradientError < 1e-3, $"all labels: {all}");
        Assert.Equal(1, all.Cosine, 1e-5);
        foreach (NegativesFigures f in figures[1..])
        {
            Assert.True(f.PartitionError > 0.01 && f.GradientError > 0.01 && f.Labels < 150, $"{f}");
            Assert.True(Math.Abs(f.Bias) < 4 * f.BiasError, $"{f}");
        }
        Assert.True(figures[4].PartitionError < 0.9 * figures[1].PartitionError, $"ideal {figures[4]}, uniform {figures[1]}");
    }
}
