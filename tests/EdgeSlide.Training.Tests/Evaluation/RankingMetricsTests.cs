using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Tests.Training;
using EdgeSlide.Training.Training;

namespace EdgeSlide.Training.Tests.Evaluation;

public sealed class RankingMetricsTests
{
    [Fact]
    public void Worked_example()
    {
        float[] inverse = [1, 2, 4, 8, 1, 1, 1, 1];
        RankingMetrics metrics = new([1, 3, 5], inverse);
        metrics.Add([7, 1, 0, 5, 2], [0, 1, 3]);  // hits at ranks 2 and 3
        metrics.Add([2, 6, 5, 4, 7], [2]);        // hit at rank 1
        metrics.Add([1, 2, 3, 4, 5], []);         // skipped
        Assert.Equal(2, metrics.Rows);
        Assert.Equal(1 / 2.0, metrics.Precision(1), 12);
        Assert.Equal((2 + 1) / 6.0, metrics.Precision(3), 12);
        Assert.Equal((2 + 1) / 10.0, metrics.Precision(5), 12);
        double first = ((1 / Math.Log2(3)) + 0.5) / (1 + (1 / Math.Log2(3)) + 0.5);
        Assert.Equal((first + 1) / 2, metrics.Ndcg(5), 12);
        Assert.Equal(4 / (8.0 + 4), metrics.PropensityScoredPrecision(1), 12);
        Assert.Equal((2 + 1 + 4) / (8.0 + 2 + 1 + 4), metrics.PropensityScoredPrecision(3), 12);
    }

    [Fact]
    public void Missing_predictions_are_misses()
    {
        RankingMetrics metrics = new([1, 5]);
        metrics.Add([3, -1, -1, -1, -1], [3]);
        metrics.Add([], [3]);
        Assert.Equal(0.5, metrics.Precision(1));
        Assert.Equal(0.1, metrics.Precision(5), 12);
    }

    [Fact]
    public void Inverse_propensity_follows_the_paper()
    {
        Dataset data = Generated.Topics(rows: 1000, features: 50, labels: 20);
        int count = data.LabelIds.Count(label => label == 3);
        double c = (Math.Log(1000) - 1) * Math.Pow(2.5, 0.55);
        Assert.Equal(1 + (c * Math.Exp(-0.55 * Math.Log(count + 1.5))), LabelFrequencies.Of(data).InversePropensities()[3], 1e-4);
    }

    [Fact]
    public void The_dense_scorer_ranks_like_a_full_sort()
    {
        Dataset data = Generated.Topics(rows: 300, features: 200, labels: 333);
        var network = new Trainer(Generated.Small with { HiddenSizes = [21, 13], Epochs = 1 }, data).Run().Network;
        using DenseScorer scorer = new(network, 2);
        TopLabels top = scorer.Score(data, 7, 290, 11);
        float[] hidden = new float[290 * 13];
        scorer.Hidden(data, 7, 290, hidden);
        float[] weights = network.Layers[^1].Weights;
        for (int row = 0; row < top.Rows; row++)
        {
            double Logit(int label) => network.Layers[^1].Bias[label] + Enumerable.Range(0, 13).Sum(i => (double)hidden[(row * 13) + i] * weights[(label * 13) + i]);
            double[] expected = [.. Enumerable.Range(0, 333).Select(Logit).OrderDescending().Take(11)];
            for (int i = 0; i < 11; i++)
            {
                Assert.Equal(expected[i], top.RowLogits(row)[i], 1e-4);
                Assert.Equal(Logit(top.RowLabels(row)[i]), top.RowLogits(row)[i], 1e-4);
            }
            Assert.Equal(11, top.RowLabels(row).ToArray().Distinct().Count());
        }
    }

    [Fact]
    public void Fewer_labels_than_asked_for_are_filled_up()
    {
        Dataset data = Generated.Topics(rows: 50, features: 30, labels: 3, featuresPerRow: 3);
        var network = new Trainer(Generated.Small with { Epochs = 1 }, data).Run().Network;
        using DenseScorer scorer = new(network, 1);
        Assert.Equal(-1, scorer.Score(data, 5).RowLabels(0)[4]);
    }
}
