using EdgeSlide.Evaluation;

namespace EdgeSlide.Runtime.Tests.Evaluation;

public sealed class RankingMetricsTests
{
    [Fact]
    public void Precision_and_gain_follow_their_definitions()
    {
        var metrics = new RankingMetrics();
        metrics.Add(Ranked(7, 3, 9, 1, 5), [3, 1, 8]);
        Assert.Equal([0.0, 1 / 2.0, 1 / 3.0, 2 / 4.0, 2 / 5.0], Enumerable.Range(1, 5).Select(metrics.PrecisionAt));
        double second = 1 / Math.Log2(3), third = 1 / Math.Log2(4), fourth = 1 / Math.Log2(5);
        Assert.Equal(0, metrics.NdcgAt(1));
        Assert.Equal(second / (1 + second + third), metrics.NdcgAt(3), 12);
        Assert.Equal((second + fourth) / (1 + second + third), metrics.NdcgAt(5), 12);
    }

    [Fact]
    public void A_perfect_ranking_has_a_gain_of_one()
    {
        var metrics = new RankingMetrics();
        metrics.Add(Ranked(1, 2), [2, 1]);
        Assert.All(Enumerable.Range(1, 5), k => Assert.Equal(1, metrics.NdcgAt(k), 12));
        Assert.Equal(2 / 5.0, metrics.PrecisionAt(5));
    }

    [Fact]
    public void Examples_without_labels_are_left_out_and_those_without_answers_count_as_wrong()
    {
        var metrics = new RankingMetrics();
        Assert.True(double.IsNaN(metrics.PrecisionAt(1)));
        metrics.Add(Ranked(1), []);
        Assert.Equal(0, metrics.Examples);
        metrics.Add(Ranked(1), [1]);
        metrics.Add([], [1]);
        metrics.Add(Ranked(1), [-1]);
        metrics.Add(Ranked(1), [1]);
        Assert.Equal(4, metrics.Examples);
        Assert.Equal(0.5, metrics.PrecisionAt(1));
    }

    private static Prediction[] Ranked(params int[] labels) => [.. labels.Select(l => new Prediction(l, 0, 0, 0))];
}
