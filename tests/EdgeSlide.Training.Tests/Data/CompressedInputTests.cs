using System.Text;
using EdgeSlide.Training.Data;
using FsCheck;
using FsCheck.Fluent;

namespace EdgeSlide.Training.Tests.Data;

public sealed class CompressedInputTests : IDisposable
{
    private readonly TemporaryFiles _files = new();

    public void Dispose() => _files.Dispose();

    // The seal behind a member must be found wherever the member ends in the decompressor's buffer (8 KiB).
    [Fact]
    public void Gzip_of_every_size_reads_back()
    {
        var random = new Xoshiro256(3);
        byte[] noise = new byte[40_000];
        for (int i = 0; i < noise.Length; i++) noise[i] = (byte)random.Below(256);
        foreach (int size in Enumerable.Range(1, 300).Concat(Enumerable.Range(8_100, 120)).Concat(Enumerable.Range(16_320, 90)).Append(40_000))
        {
            byte[] bytes = noise[..size];
            Assert.Equal(bytes, ReadAll(_files.Write("a", TemporaryFiles.Gzip(bytes))));
        }
    }

    [Fact]
    public void Gzip_members_one_after_the_other_are_one_file()
    {
        byte[] two = [.. TemporaryFiles.Gzip("one "u8.ToArray()), .. TemporaryFiles.Gzip("two"u8.ToArray())];
        Assert.Equal("one two"u8.ToArray(), ReadAll(_files.Write("a", two)));
    }

    [Fact]
    public void Gzip_cut_anywhere_is_noticed()
    {
        byte[] whole = TemporaryFiles.Gzip(Encoding.UTF8.GetBytes(string.Concat(Enumerable.Range(0, 300).Select(i => $"line {i * 7919 % 1000}\n"))));
        for (int length = 2; length < whole.Length; length++)
        {
            string path = _files.Write("a", whole[..length]);
            string message = Assert.Throws<InvalidDataException>(() => ReadAll(path)).Message;
            Assert.Equal("gzip data is cut short or followed by other bytes", message);
        }
    }

    [Fact]
    public void Gzip_with_a_flipped_bit_is_noticed()
    {
        byte[] whole = TemporaryFiles.Gzip(Encoding.UTF8.GetBytes(string.Concat(Enumerable.Range(0, 300).Select(i => $"line {i * 7919 % 1000}\n"))));
        for (int at = 10; at < whole.Length; at++) // Behind the header, whose time stamp and system mean nothing.
        {
            byte[] damaged = [.. whole];
            damaged[at] ^= 4;
            string path = _files.Write("a", damaged);
            Assert.StartsWith("gzip data is", Assert.Throws<InvalidDataException>(() => ReadAll(path)).Message);
        }
    }

    // Made with lz4 1.9.4: "-1 --no-frame-crc", "-9 -BD -B4 -BX --content-size".
    [Theory]
    [InlineData(Lz4Plain)]
    [InlineData(Lz4Checked)]
    public void Lz4_frames_read_back(string frame)
    {
        Assert.Equal(Lz4Text, Encoding.UTF8.GetString(ReadAll(_files.Write("a", Convert.FromBase64String(frame)))));
        byte[] twice = [.. Convert.FromBase64String(frame), .. Convert.FromBase64String(frame)];
        Assert.Equal(Lz4Text + Lz4Text, Encoding.UTF8.GetString(ReadAll(_files.Write("a", twice))));
    }

    [Fact]
    public void Lz4_cut_anywhere_or_with_any_flipped_bit_is_noticed()
    {
        byte[] whole = Convert.FromBase64String(Lz4Checked);
        for (int length = 4; length < whole.Length; length++)
        {
            string path = _files.Write("a", whole[..length]);
            Assert.Equal("LZ4 data is cut short", Assert.Throws<InvalidDataException>(() => ReadAll(path)).Message);
        }
        for (int bit = 32; bit < 8 * whole.Length; bit++)
        {
            byte[] damaged = [.. whole];
            damaged[bit / 8] ^= (byte)(1 << (bit % 8));
            string path = _files.Write("a", damaged);
            Assert.StartsWith("LZ4 data", Assert.Throws<InvalidDataException>(() => ReadAll(path)).Message);
        }
    }

    [Fact]
    public void Lz4_with_random_blocks_never_does_worse_than_complain()
    {
        var random = new Xoshiro256(5);
        byte[] whole = Convert.FromBase64String(Lz4Plain);
        for (int i = 0; i < 20_000; i++)
        {
            byte[] damaged = [.. whole];
            for (int n = 1 + random.Below(4); n > 0; n--) damaged[7 + random.Below(whole.Length - 7)] = (byte)random.Below(256);
            try
            {
                using Stream stream = new Lz4Stream(new MemoryStream(damaged));
                stream.CopyTo(Stream.Null);
            }
            catch (InvalidDataException)
            {
            }
        }
    }

    [Theory]
    [InlineData(new byte[] { 0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00, 0 }, "xz")]
    [InlineData(new byte[] { 0x28, 0xB5, 0x2F, 0xFD, 0 }, "zstd")]
    [InlineData(new byte[] { 0x42, 0x5A, 0x68, 0x39 }, "bzip2")]
    [InlineData(new byte[] { 0x50, 0x4B, 3, 4, 0 }, "zip")]
    public void Other_compressions_are_named(byte[] bytes, string name)
    {
        string path = _files.Write("a.gz", bytes);
        Assert.Equal($"{path}: {name}-compressed; only plain, gzip and LZ4 files are read", Assert.Throws<DataFormatException>(() => InputFile.Open(path)).Message);
    }

    [Fact]
    public void Missing_files_and_folders_are_named()
    {
        Assert.Equal("/nowhere/x: no such file", Assert.Throws<DataFormatException>(() => InputFile.Open("/nowhere/x")).Message);
        Assert.Equal($"{_files.Folder}: is a directory, not a file", Assert.Throws<DataFormatException>(() => InputFile.Open(_files.Folder)).Message);
    }

    [Fact]
    public void Plain_files_shorter_than_any_magic_read_back()
    {
        foreach (byte[] bytes in new byte[][] { [], [0x1F], [1, 2, 3], [1, 2, 3, 4, 5, 6, 7] }) Assert.Equal(bytes, ReadAll(_files.Write("a", bytes)));
    }

    // Reference values of xxHash32, seed 0, from its published test vectors.
    [Theory]
    [InlineData("", 0x02CC5D05u)]
    [InlineData("a", 0x550D7456u)]
    [InlineData("abc", 0x32D153FFu)]
    [InlineData("Nobody inspects the spammish repetition", 0xE2293B2Fu)]
    public void XxHash32_gives_the_reference_values(string text, uint expected) => Assert.Equal(expected, XxHash32.Compute(Encoding.UTF8.GetBytes(text)));

    [Fact]
    public void XxHash32_does_not_depend_on_the_pieces() => Prop.ForAll<byte[], byte[]>((first, second) =>
    {
        var hash = new XxHash32();
        hash.Append(first);
        hash.Append(second);
        return hash.Digest() == XxHash32.Compute([.. first, .. second]);
    }).QuickCheckThrowOnFailure();

    private static byte[] ReadAll(string path)
    {
        using Stream stream = InputFile.Open(path);
        var output = new MemoryStream();
        stream.CopyTo(output);
        return output.ToArray();
    }

    private const string Lz4Plain = "BCJNGGBAgvAAAADxBlBhY2thZ2U6IGxpYjAKRGVwZW5kcw4AyGM2LCB6bGliMWcKCiYAHzEmABIfMiYAEh8zJgASHzQmABIfNSYAEh82JgASHzcmABIfOCYAEh85JgASHzF9ARQPfgETHzF/ARMfMYABEx8xgQETHzGCARMfMYMBEx8xhAETHzGFARMfMYYBEx8yhgETHzKGARMfMoYBEx8yhgETHzKGARMfMoYBEx8yhgETHzKGARMfMoYBEx8yhgETHzOGARMfM4YBEx8zhgETHzOGARMfM4YBEx8zhgETHzOGARMfM4YBEx8zhgETHzOGAQJQYjFnCgoAAAAA";

    private const string Lz4Checked = "BCJNGHxADgYAAAAAAAD47QAAAPEGUGFja2FnZTogbGliMApEZXBlbmRzDgDIYzYsIHpsaWIxZwoKJgAfMSYAEh8yJgASHzMmABIfNCYAEh81JgASHzYmABIfNyYAEh84JgASHzlWARMPfQEUD34BEx8xfwETHzGAARMfMYEBEx8xggETHzGDARMfMYQBEx8xhQETHzGGARMfMoYBEx8yBAMUD4YBEx8yhgETHzKGARMfMoYBEx8yhgETHzKGARMfMoYBEx8yhgETHzOGARMfM4YBEx8ziwQUD4YBEx8zhgETHzOGARMfM4YBEx8zhgETHzOGARMfM4YBAlBiMWcKCl4oB3wAAAAAqw7BDA==";

    private static readonly string Lz4Text = string.Concat(Enumerable.Range(0, 40).Select(i => $"Package: lib{i}\nDepends: libc6, zlib1g\n\n"));
}
