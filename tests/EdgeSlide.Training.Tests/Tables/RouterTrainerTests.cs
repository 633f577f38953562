using EdgeSlide.Training.Tables;

namespace EdgeSlide.Training.Tests.Tables;

public sealed class RouterTrainerTests
{
    [Theory]
    [InlineData(100)]
    [InlineData(1100)]
    public void Separable_groups_are_told_apart_by_rows_of_less_than_a_batch_and_of_more(int rows)
    {
        const int Width = 8, Groups = 2, Epochs = 20;
        var random = new Random(1);
        var hidden = new float[rows * Width];
        var labels = new int[rows];
        for (int row = 0; row < rows; row++)
        {
            labels[row] = row % Groups;
            for (int j = 0; j < Width; j++)
                hidden[row * Width + j] = random.NextSingle() + (j % Groups == labels[row] ? 1f : 0f);
        }
        var votes = new WeightedRows([.. Enumerable.Range(0, rows + 1).Select(i => (long)i)], labels, [.. labels.Select(_ => 1f)]);
        var weights = new float[Groups * Width];
        var bias = new float[Groups];
        new RouterTrainer(hidden, Width, votes, seed: 1).Train([0, 1], Groups, Epochs, weights, bias, default);
        int right = 0;
        for (int row = 0; row < rows; row++)
        {
            float Score(int group) => bias[group] + Enumerable.Range(0, Width).Sum(j => weights[group * Width + j] * hidden[row * Width + j]);
            right += Score(labels[row]) > Score(1 - labels[row]) ? 1 : 0;
        }
        Assert.True(right >= 0.98 * rows, $"{right} of {rows} rows go to their group");
    }
}
