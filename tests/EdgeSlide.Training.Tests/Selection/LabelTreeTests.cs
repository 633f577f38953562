using EdgeSlide.Hashing;
using EdgeSlide.Model;
using EdgeSlide.Training.Selection;
using EdgeSlide.Training.Tables;

namespace EdgeSlide.Training.Tests.Selection;

[Collection(nameof(SharedSelection))]
public sealed class LabelTreeTests(SelectionFixture fixture)
{
    private static readonly TreeShape Shape = new(2, 6, 2, 64);

    [Fact]
    public void Every_label_has_a_leaf_and_no_leaf_has_too_many()
    {
        (_, SourceRecord record, int[] leaves) = Learn();
        int first = (int)record.KeyCount - 36;
        Assert.Equal(SelectionFixture.Labels, leaves.Length);
        Assert.All(leaves, leaf => Assert.InRange(leaf, first, (int)record.KeyCount - 1));
        // 1.25 times the even share, rounded up, twice over.
        int most = (int)Math.Ceiling(1.25 * Math.Ceiling(1.25 * SelectionFixture.Labels / 6) / 6);
        Assert.InRange(leaves.GroupBy(leaf => leaf).Max(group => group.Count()), 1, most);
    }

    [Fact]
    public void A_query_is_sent_to_the_leaf_of_its_label()
    {
        (byte[] section, SourceRecord record, int[] leaves) = Learn();
        var keys = new CentroidKeys(section, record, fixture.Evidence.Width);
        using var query = new QueryVector(fixture.Evidence.Width);
        int found = 0;
        var opened = new int[keys.MaxKeys];
        for (int row = 0; row < 500; row++)
        {
            query.Load(null, 0, fixture.Evidence.Hidden.AsSpan(row * query.Width, query.Width));
            int count = keys.Keys(query, training: false, opened, new float[keys.MaxKeys], out long operations);
            Assert.Equal(4, count);
            Assert.Equal((6 + 2 * 6) * query.Width, operations);
            found += opened[..count].Contains(leaves[fixture.Train.RowLabels(row)[0]]) ? 1 : 0;
        }
        // Two of 36 leaves are opened: chance finds 28 of 500.
        Assert.InRange(found, 350, 500);
    }

    [Fact]
    public void The_same_rows_give_the_same_tree()
    {
        (byte[] section, _, int[] leaves) = Learn();
        (byte[] again, _, int[] leavesAgain) = Learn();
        Assert.Equal(section, again);
        Assert.Equal(leaves, leavesAgain);
    }

    [Fact]
    public void Every_label_is_in_a_bucket_even_if_no_row_votes_for_it()
    {
        var none = new WeightedRows(new long[fixture.Train.RowCount + 1], [], []);
        (byte[] section, SourceRecord record, int[] leaves) = LabelTreeBuilder.Learn(fixture.Evidence.Hidden, fixture.Evidence.Width, none, fixture.Model.Network.Layers[^1].Weights, Shape, new SelectorOptions(), default);
        KeyedBuckets buckets = KeyedBuckets.Fill(new CentroidKeys(section, record, fixture.Evidence.Width), fixture.Evidence, none, 64, leaves);
        Assert.Equal(section.Length + sizeof(uint) * (record.KeyCount + 1L + SelectionFixture.Labels), buckets.Bytes);
    }

    private (byte[] Section, SourceRecord Record, int[] Leaves) Learn() =>
        LabelTreeBuilder.Learn(fixture.Evidence.Hidden, fixture.Evidence.Width, fixture.Evidence.Votes, fixture.Model.Network.Layers[^1].Weights, Shape, new SelectorOptions(), default);
}
