using EdgeSlide.Training.Data;
using FsCheck;
using FsCheck.Fluent;

namespace EdgeSlide.Training.Tests.Data;

public sealed class ItemsTests : IDisposable
{
    private readonly TemporaryFiles _files = new();

    public void Dispose() => _files.Dispose();

    [Fact]
    public void Items_read_back_as_they_were_appended_from_memory_and_from_a_file() => Prop.ForAll<(int[] Items, bool OneByOne)[], ushort>((parts, repeat) =>
    {
        List<int> expected = [];
        foreach (RowStorage storage in new[] { RowStorage.Memory, RowStorage.In(_files.Folder) })
        {
            expected.Clear();
            ItemsWriter<int> writer = storage.Create<int>();
            foreach ((int[] part, bool oneByOne) in parts)
            {
                // Some parts are longer than any buffer.
                int[] items = [.. Enumerable.Repeat(part, 1 + repeat % 50).SelectMany(p => p)];
                expected.AddRange(items);
                if (!oneByOne)
                    writer.Append(items);
                foreach (int item in oneByOne ? items : [])
                    writer.Append(item);
            }
            using Items<int> all = writer.ToItems();
            int from = expected.Count / 3, count = expected.Count / 2;
            if (all.Length != expected.Count || all.Storage != storage || !all.SequenceEqual(expected)
                || !all.Slice(from, count).SequenceEqual(expected.GetRange(from, count).ToArray())
                || !all.Pieces().SelectMany(piece => piece.ToArray()).SequenceEqual(expected))
            {
                return false;
            }
        }
        return true;
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void Lists_keep_their_ends()
    {
        foreach (RowStorage storage in new[] { RowStorage.Memory, RowStorage.In(_files.Folder) })
        {
            ListWriter<byte> writer = new(storage);
            writer.Append("abc"u8);
            writer.Append([]);
            writer.Append("defgh"u8, [2, 2, 5]);
            Assert.Equal(5, writer.Count);
            (Items<long> offsets, Items<byte> bytes) = writer.ToItems();
            Assert.Equal<long>([0, 3, 3, 5, 5, 8], offsets.ToArray());
            Assert.Equal("fgh"u8, bytes.List(offsets, 4));
        }
    }

    [Theory]
    [InlineData(-1, 1)]
    [InlineData(0, -1)]
    [InlineData(3, 1)]
    [InlineData(1, 3)]
    [InlineData(1L << 62, 2)]
    public void Nothing_beyond_the_ends_is_read(long start, int count)
    {
        foreach (RowStorage storage in new[] { RowStorage.Memory, RowStorage.In(_files.Folder) })
        {
            ItemsWriter<int> writer = storage.Create<int>();
            writer.Append([1, 2, 3]);
            Items<int> items = writer.ToItems();
            Assert.ThrowsAny<Exception>(() => items.Slice(start, count).Length);
            Assert.ThrowsAny<Exception>(() => items[start < 0 ? start : 3]);
            items.WillNeed(0, 3);
        }
    }

    [Fact]
    public void A_file_has_no_name_while_it_is_used_and_nothing_is_left_of_it()
    {
        ItemsWriter<long> writer = RowStorage.In(_files.Folder).Create<long>();
        for (long i = 0; i < 300_000; i++)
            writer.Append(i * i);
        if (!OperatingSystem.IsWindows())
            Assert.Empty(Directory.GetFiles(_files.Folder));
        Items<long> items = writer.ToItems();
        Assert.Equal(299_999L * 299_999L, items[299_999]);
        if (!OperatingSystem.IsWindows())
            Assert.Empty(Directory.GetFiles(_files.Folder));
        items.Dispose();
        items.Dispose();
        Assert.Empty(Directory.GetFiles(_files.Folder));
        Assert.ThrowsAny<Exception>(() => items[0]);
    }

    [Fact]
    public void A_folder_that_takes_no_files_is_named()
    {
        string folder = _files.Path("nowhere");
        IOException failure = Assert.Throws<IOException>(() => RowStorage.In(folder).Create<int>());
        Assert.StartsWith($"{folder}: cannot keep rows there: ", failure.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(".tmp", failure.Message, StringComparison.Ordinal);
    }
}
