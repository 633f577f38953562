using EdgeSlide.IO;
using EdgeSlide.Runtime.Tests.Support;

namespace EdgeSlide.Runtime.Tests.IO;

/// <summary>A file appears whole or not at all.</summary>
public sealed class WholeFileTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_finished_write_replaces_the_old_file()
    {
        string path = _folder.Write("model", "old"u8);
        WholeFile.Write(path, stream => stream.Write("new"u8));
        Assert.Equal("new", File.ReadAllText(path));
        Assert.Equal([path], Directory.GetFiles(_folder.Path));
    }

    [Fact]
    public void A_write_that_fails_half_way_leaves_the_old_file_and_nothing_else()
    {
        string path = _folder.Write("model", "old"u8);
        Assert.Throws<IOException>(() => WholeFile.Write(path, stream =>
        {
            stream.Write(new byte[1 << 20]);
            throw new IOException("No space left on device");
        }));
        Assert.Equal("old", File.ReadAllText(path));
        Assert.Equal([path], Directory.GetFiles(_folder.Path));
    }

    [Fact]
    public void Until_the_write_is_finished_readers_see_the_old_file()
    {
        string path = _folder.Write("model", "old"u8);
        WholeFile.Write(path, stream =>
        {
            stream.Write("new"u8);
            stream.Flush();
            Assert.Equal("old", File.ReadAllText(path));
        });
        Assert.Equal("new", File.ReadAllText(path));
    }

    [Fact]
    public void Files_that_belong_together_appear_together_or_not_at_all()
    {
        string old = _folder.Write("b", "old"u8);
        using (var files = new WholeFiles())
        {
            files.Write(_folder.File("a"), stream => stream.Write("new"u8));
            Assert.Throws<IOException>(() => files.Write(old, _ => throw new IOException("No space left on device")));
        }
        Assert.Equal([old], Directory.GetFiles(_folder.Path));
        Assert.Equal("old", File.ReadAllText(old));
        using (var files = new WholeFiles())
        {
            files.Write(_folder.File("a"), stream => stream.Write("new a"u8));
            files.Write(old, stream => stream.Write("new b"u8));
            Assert.Equal("old", File.ReadAllText(old));
            files.Commit();
        }
        Assert.Equal([_folder.File("a"), old], Directory.GetFiles(_folder.Path).Order());
        Assert.Equal(("new a", "new b"), (File.ReadAllText(_folder.File("a")), File.ReadAllText(old)));
    }

    [Fact]
    public void Trying_whether_a_file_can_be_written_changes_nothing()
    {
        string old = _folder.Write("b", "old"u8);
        WholeFile.Try(old);
        WholeFile.Try(_folder.File("a"));
        Assert.Equal([old], Directory.GetFiles(_folder.Path));
        Assert.Equal("old", File.ReadAllText(old));
        Assert.Throws<DirectoryNotFoundException>(() => WholeFile.Try(_folder.File("nowhere/model")));
        Assert.Throws<IOException>(() => WholeFile.Try(_folder.Path));
    }

    [Fact]
    public void A_link_stays_and_its_file_is_replaced()
    {
        string file = _folder.File("real"), link = _folder.File("link");
        File.WriteAllText(file, "old");
        File.CreateSymbolicLink(link, "real");
        WholeFile.Try(link);
        WholeFile.Write(link, stream => stream.Write("new"u8));
        Assert.Equal("new", File.ReadAllText(file));
        Assert.NotNull(new FileInfo(link).LinkTarget);
        Assert.Equal(WholeFile.Target(file), WholeFile.Target(link));
    }

    [Fact]
    public void A_folder_in_the_place_of_one_file_keeps_all_of_them()
    {
        string first = _folder.File("first"), second = _folder.File("second");
        File.WriteAllText(first, "old");
        Directory.CreateDirectory(second);
        using (var files = new WholeFiles())
        {
            files.Write(first, stream => stream.Write("new"u8));
            files.Write(second, stream => stream.Write("new"u8));
            Assert.Throws<IOException>(files.Commit);
        }
        Assert.Equal("old", File.ReadAllText(first));
        Assert.Single(Directory.GetFiles(Path.GetDirectoryName(first)!));
    }

    [Fact]
    public void A_device_is_no_place_for_a_file()
    {
        Assert.Contains("is a device", Assert.Throws<IOException>(() => WholeFile.Try("/dev/null")).Message, StringComparison.Ordinal);
        File.CreateSymbolicLink(_folder.File("link"), "/dev/null");
        Assert.Throws<IOException>(() => WholeFile.Try(_folder.File("link")));
    }

    [Fact]
    public void A_folder_that_does_not_exist_is_an_error() =>
        Assert.Throws<DirectoryNotFoundException>(() => WholeFile.Write(_folder.File("nowhere/model"), stream => stream.WriteByte(1)));
}
