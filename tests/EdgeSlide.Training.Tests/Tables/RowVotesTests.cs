using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Tables;
using EdgeSlide.Training.Tests.Selection;

namespace EdgeSlide.Training.Tests.Tables;

public sealed class RowVotesTests(SelectionFixture fixture) : IClassFixture<SelectionFixture>
{
    private readonly SelectorOptions _options = new() { TopVote = 1f, NextVote = 0.2f, TrueVote = 2f };

    [Fact]
    public void A_row_votes_for_its_labels_and_the_networks_best()
    {
        WeightedRows votes = Collect(_options);
        Assert.Equal(fixture.Train.RowCount, votes.RowCount);
        for (int row = 0; row < votes.RowCount; row += 97)
        {
            int answers = _options.VoteDepth;
            Assert.Equal(fixture.Train.RowLabels(row).ToArray(), votes.RowIds(row)[answers..].ToArray());
            Assert.Equal([1f, .. Enumerable.Repeat(0.2f, answers - 1), .. Enumerable.Repeat(2f, votes.RowIds(row).Length - answers)], votes.RowWeights(row).ToArray());
        }
    }

    [Fact]
    public void Soft_votes_share_out_what_they_are_given()
    {
        WeightedRows votes = Collect(_options with { SoftVote = 4f, VoteDepth = 6 });
        for (int row = 0; row < votes.RowCount; row += 97)
        {
            float[] answers = votes.RowWeights(row)[..6].ToArray();
            Assert.Equal(4f, answers.Sum(), 1e-4f);
            Assert.Equal(answers.OrderDescending(), answers);
        }
    }

    [Fact]
    public void Votes_for_rare_labels_count_more_in_the_ratio_of_their_rows()
    {
        const float Power = 0.5f;
        int[] counts = [.. LabelFrequencies.Of(fixture.Train).Counts];
        double mean = counts.Average() + 1;
        WeightedRows plain = Collect(_options), favoured = Collect(_options with { TailPower = Power });
        bool raised = false, lowered = false;
        for (int row = 0; row < plain.RowCount; row += 31)
        {
            Assert.Equal(plain.RowIds(row).ToArray(), favoured.RowIds(row).ToArray());
            for (int i = 0; i < plain.RowIds(row).Length; i++)
            {
                float expected = plain.RowWeights(row)[i] * (float)Math.Pow(mean / (counts[plain.RowIds(row)[i]] + 1), Power);
                Assert.Equal(expected, favoured.RowWeights(row)[i], expected * 1e-5f);
                raised |= favoured.RowWeights(row)[i] > plain.RowWeights(row)[i];
                lowered |= favoured.RowWeights(row)[i] < plain.RowWeights(row)[i];
            }
        }
        Assert.True(raised && lowered);
    }

    private WeightedRows Collect(SelectorOptions options) =>
        RowVotes.Collect(fixture.Evidence.Scorer, fixture.Train, SelectionFixture.Labels, options, CancellationToken.None);
}
