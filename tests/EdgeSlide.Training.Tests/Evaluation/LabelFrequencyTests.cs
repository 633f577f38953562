using EdgeSlide.Training.Evaluation;

namespace EdgeSlide.Training.Tests.Evaluation;

public sealed class LabelFrequencyTests
{
    [Theory]
    [InlineData(10)]
    [InlineData(57)]
    [InlineData(1003)]
    [InlineData(3)]
    public void Deciles_are_tenths_of_the_labels_in_order_of_frequency(int labels)
    {
        var random = new Random(labels);
        int[] counts = [.. Enumerable.Range(0, labels).Select(_ => random.Next(12))];
        byte[] groups = new LabelFrequencies(1000, counts).Deciles();
        for (int group = 0; group < LabelFrequencies.Groups; group++)
            Assert.InRange(groups.Count(g => g == group), labels / 10, (labels + 9) / 10);
        for (int x = 0; x < labels; x++)
            for (int y = 0; y < labels; y++)
                if (counts[x] < counts[y] || (counts[x] == counts[y] && x < y))
                    Assert.True(groups[x] <= groups[y], $"labels {x} and {y}");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void Of_no_row_to_two_every_label_has_the_propensity_one(int rows)
    {
        float[] inverse = new LabelFrequencies(rows, [0, rows, Math.Min(rows, 1)]).InversePropensities();
        Assert.Equal([1f, 1f, 1f], inverse);
        var metrics = new RankingMetrics([1], inverse);
        metrics.Add([1], [0]);
        metrics.Add([2], [2]);
        Assert.Equal(0.5, metrics.PropensityScoredPrecision(1), 12);
    }

    [Fact]
    public void From_three_rows_on_propensities_are_probabilities_and_rare_labels_have_the_smaller_ones()
    {
        foreach (int rows in new[] { 3, 4, 10, 1_000_000, int.MaxValue })
        {
            float[] inverse = new LabelFrequencies(rows, [0, 1, 3, rows]).InversePropensities();
            Assert.All(inverse, value => Assert.InRange(value, 1f, float.MaxValue));
            Assert.Equal(inverse.OrderDescending(), inverse);
            Assert.True(inverse[0] > inverse[1]);
        }
    }

    [Fact]
    public void Accuracy_by_decile_counts_rows_and_pairs_of_the_tenth_alone()
    {
        // Twenty labels of rising frequency: labels 0 and 1 are the rarest tenth, 18 and 19 the most frequent.
        byte[] groups = new LabelFrequencies(100, [.. Enumerable.Range(0, 20)]).Deciles();
        var metrics = new DecileMetrics(groups);
        metrics.Add([18, 0, 5, 6, 7], [0, 1, 18, 19]);
        metrics.Add([1, 2, 3, 4, 5], [1]);
        metrics.Add([4, 18, -1, -1, -1], [18]);
        Assert.Equal((2, 2), (metrics.Rows(0), metrics.Rows(9)));
        Assert.Equal(0.5, metrics.PrecisionAt1(0), 1e-12);
        Assert.Equal(0.5, metrics.PrecisionAt1(9), 1e-12);
        Assert.Equal(2 / 3.0, metrics.RecallAt5(0), 1e-12);
        Assert.Equal(2 / 3.0, metrics.RecallAt5(9), 1e-12);
        Assert.True(double.IsNaN(metrics.PrecisionAt1(5)));
    }
}
