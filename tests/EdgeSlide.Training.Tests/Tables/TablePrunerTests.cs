using EdgeSlide.Hashing;
using EdgeSlide.Model;
using EdgeSlide.Training.Export;
using EdgeSlide.Training.Tables;

namespace EdgeSlide.Training.Tests.Tables;

public class TablePrunerTests
{
    [Fact]
    public void The_entries_that_add_least_to_the_votes_go_first_and_the_first_of_equals_stay()
    {
        ExportedSelector selector = Selector(
            [[(1, 255), (2, 100)], [(3, 255), (4, 255)], []], [1f, 10f, 5f],
            [[(5, 255)], [(6, 255), (7, 255)]], [10f, 2f]);
        // Worth: 1, 0.15; 10, 10; 10; 2, 2.
        Assert.Same(selector, TablePruner.Limit(selector, 7 * sizeof(uint)));
        Assert.Equal(["1", "3 4", "", "5", "6 7"], Buckets(TablePruner.Limit(selector, 6 * sizeof(uint))));
        Assert.Equal(["", "3 4", "", "5", "6"], Buckets(TablePruner.Limit(selector, 4 * sizeof(uint) + 3)));
        Assert.Equal(["", "3 4", "", "", ""], Buckets(TablePruner.Limit(selector, 2 * sizeof(uint))));
        Assert.Equal(["", "", "", "", ""], Buckets(TablePruner.Limit(selector, 3)));
    }

    [Fact]
    public void What_is_kept_is_worth_more_than_what_is_dropped_and_keeps_its_order_and_vote()
    {
        var random = new Random(5);
        (int Id, byte Vote)[][] buckets = [.. Enumerable.Range(0, 500).Select(_ => Enumerable.Range(0, random.Next(12)).Select(_ => (random.Next(1000), (byte)random.Next(256))).ToArray())];
        float[] weights = [.. buckets.Select(_ => (float)random.NextDouble() * 100)];
        ExportedSelector selector = Selector(buckets, weights, [[]], [0f]);
        long total = TablePruner.EntryBytes(selector) / sizeof(uint);
        foreach (long wanted in new[] { 0, 1, total / 3, total - 1 })
        {
            ExportedSelector limited = TablePruner.Limit(selector, wanted * sizeof(uint));
            Assert.Equal(wanted * sizeof(uint), TablePruner.EntryBytes(limited));
            double leastKept = double.PositiveInfinity, mostDropped = double.NegativeInfinity;
            FrozenBuckets kept = limited.Sources[0].Buckets;
            for (int key = 0; key < buckets.Length; key++)
            {
                Queue<uint> left = new(kept.Entries[(int)kept.Offsets[key]..(int)kept.Offsets[key + 1]]);
                foreach ((int id, byte vote) in buckets[key])
                {
                    double worth = weights[key] * (double)vote * vote;
                    if (left.Count > 0 && left.Peek() == BucketTable.Pack(id, vote))
                    {
                        left.Dequeue();
                        leastKept = Math.Min(leastKept, worth);
                    }
                    else
                    {
                        mostDropped = Math.Max(mostDropped, worth);
                    }
                }
                Assert.Empty(left);
            }
            Assert.True(leastKept >= mostDropped * 0.9999, $"kept an entry worth {leastKept} and dropped one worth {mostDropped}");
        }
    }

    private static ExportedSelector Selector((int Id, byte Vote)[][] first, float[] firstWeights, (int Id, byte Vote)[][] second, float[] secondWeights)
    {
        return new ExportedSelector(1, 8, 0f, true, [Source(first, firstWeights), Source(second, secondWeights)]);

        static ExportedSource Source((int Id, byte Vote)[][] buckets, float[] weights)
        {
            uint end = 0;
            uint[] offsets = [0, .. buckets.Select(b => end += (uint)b.Length)];
            uint[] entries = [.. buckets.SelectMany(b => b).Select(e => BucketTable.Pack(e.Id, e.Vote))];
            return new ExportedSource(new SourceRecord { Weight = 1f }, new FrozenBuckets(offsets, entries, 1f, weights), null);
        }
    }

    private static string[] Buckets(ExportedSelector selector) => [.. selector.Sources.SelectMany(source => Enumerable.Range(0, source.Buckets.Offsets.Length - 1)
        .Select(key => string.Join(' ', source.Buckets.Entries[(int)source.Buckets.Offsets[key]..(int)source.Buckets.Offsets[key + 1]].Select(e => e >> BucketTable.VoteBits))))];
}
