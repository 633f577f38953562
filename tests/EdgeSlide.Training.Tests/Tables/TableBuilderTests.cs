using EdgeSlide.Hashing;
using EdgeSlide.Training.Tables;

namespace EdgeSlide.Training.Tests.Tables;

public class TableBuilderTests
{
    [Fact]
    public void A_bucket_keeps_the_labels_with_most_votes_and_softens_rare_keys()
    {
        // Three rows open key 0; the first also opens key 1. Votes: label 4 twice, 2 and 7 once each.
        var keys = new WeightedRows([0, 2, 3, 4], [0, 1, 0, 0], [1f, 0.5f, 1f, 1f]);
        var votes = new WeightedRows([0, 2, 3, 4], [4, 7, 4, 2], [1f, 1f, 1f, 1f]);
        FrozenBuckets buckets = TableBuilder.Build(keys, votes, keyCount: 3, labelCount: 9, cap: 2);

        Assert.Equal([0u, 2u, 4u, 4u], buckets.Offsets);
        Assert.Equal([4u, 2u, 4u, 7u], buckets.Entries.Select(e => e >> BucketTable.VoteBits));
        Assert.Equal(2f / (4f + TableBuilder.Prior), buckets.VoteScale);
        Assert.Equal(255u, buckets.Entries[0] & 0xFF);
        Span<float> values = stackalloc float[256];
        BucketTable.DecodeVotes(buckets.VoteScale, values);
        Assert.Equal(1f / (4f + TableBuilder.Prior), values[(int)(buckets.Entries[1] & 0xFF)], 0.0005f);
        Assert.Equal(0.5f / (1f + TableBuilder.Prior), values[(int)(buckets.Entries[2] & 0xFF)], 0.0005f);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(50)]
    [InlineData(1999)]
    public void Tables_do_not_depend_on_how_many_pairs_are_held_at_once(long pairs)
    {
        var random = new Random(5);
        const int Keys = 700, Labels = 90, Cap = 5;
        WeightedRows keys = RandomRows(random, 6, Keys), votes = RandomRows(random, 8, Labels);
        FrozenBuckets whole = TableBuilder.Build(keys, votes, Keys, Labels, Cap), parts = TableBuilder.Build(keys, votes, Keys, Labels, Cap, pairs, CancellationToken.None);
        Assert.Equal(whole.Offsets, parts.Offsets);
        Assert.Equal(whole.Entries, parts.Entries);
        Assert.Equal(whole.KeyWeights, parts.KeyWeights);
        Assert.Equal(whole.VoteScale, parts.VoteScale);
    }

    [Fact]
    public void Tables_do_not_depend_on_the_number_of_threads_and_match_a_plain_count()
    {
        var random = new Random(3);
        const int Keys = 300, Labels = 120, Cap = 7;
        WeightedRows keys = RandomRows(random, 5, Keys), votes = RandomRows(random, 8, Labels);
        FrozenBuckets buckets = TableBuilder.Build(keys, votes, Keys, Labels, Cap);

        var sums = new double[Keys, Labels];
        for (int row = 0; row < Rows; row++)
        {
            for (long k = keys.Offsets[row]; k < keys.Offsets[row + 1]; k++)
            {
                for (long v = votes.Offsets[row]; v < votes.Offsets[row + 1]; v++)
                    sums[keys.Ids[k], votes.Ids[v]] += Math.Abs(keys.Weights[k]) * votes.Weights[v];
            }
        }
        for (int key = 0; key < Keys; key++)
        {
            int[] expected = [.. Enumerable.Range(0, Labels).Where(l => sums[key, l] > 0).OrderByDescending(l => sums[key, l]).ThenBy(l => l).Take(Cap)];
            uint[] entries = buckets.Entries[(int)buckets.Offsets[key]..(int)buckets.Offsets[key + 1]];
            Assert.Equal(expected, entries.Select(e => (int)(e >> BucketTable.VoteBits)));
        }
    }

    private const int Rows = 2000;

    private static WeightedRows RandomRows(Random random, int most, int idCount)
    {
        var offsets = new long[Rows + 1];
        var ids = new List<int>();
        for (int row = 0; row < Rows; row++)
        {
            ids.AddRange(Enumerable.Range(0, random.Next(most + 1)).Select(_ => random.Next(idCount)).Distinct());
            offsets[row + 1] = ids.Count;
        }
        // Quarters add up exactly in any order, so that ties are real ties.
        return new WeightedRows(offsets, [.. ids], [.. ids.Select(_ => 0.25f * random.Next(1, 9))]);
    }
}
