using EdgeSlide.IO;

namespace EdgeSlide.Training.Data;

/// <summary>Opens a data file for reading and undoes its compression, recognised by magic bytes, never by name.</summary>
internal static class InputFile
{
    /// <summary>
    /// The plain bytes of a plain, gzip or LZ4 file. Damage found on the way surfaces as
    /// <see cref="InvalidDataException"/> from Read, with a message that says what is wrong but not where.
    /// </summary>
    /// <exception cref="DataFormatException">No such file, no permission, or a compression that is not read.</exception>
    public static Stream Open(string path)
    {
        FileStream file = OpenRaw(path);
        try
        {
            // Through a buffer rather than by seeking back: the path may name a pipe.
            byte[] magic = new byte[6];
            magic = magic[..file.ReadAtLeast(magic, magic.Length, throwOnEndOfStream: false)];
            if (magic.AsSpan().StartsWith(GzipStream.Magic)) return new GzipStream(magic, file);
            if (magic.AsSpan().StartsWith(Lz4Stream.Magic)) return new Lz4Stream(new JoinedStream(new MemoryStream(magic), file));
            if (NameOtherCompression(magic) is { } other)
                throw new DataFormatException(path, 0, $"{other}-compressed; only plain, gzip and LZ4 files are read");
            return new JoinedStream(new MemoryStream(magic), file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>The bytes of a file as they are.</summary>
    /// <exception cref="DataFormatException">No such file, or no permission.</exception>
    public static FileStream OpenRaw(string path)
    {
        try
        {
            return new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16, FileOptions.SequentialScan);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new DataFormatException(path, 0, "no such file", e);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new DataFormatException(path, 0, Directory.Exists(path) ? "is a directory, not a file" : "permission denied", e);
        }
    }

    private static string? NameOtherCompression(ReadOnlySpan<byte> magic) =>
        magic.StartsWith((ReadOnlySpan<byte>)[0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00]) ? "xz"
        : magic.StartsWith((ReadOnlySpan<byte>)[0x28, 0xB5, 0x2F, 0xFD]) ? "zstd"
        : magic.StartsWith("BZh"u8) ? "bzip2"
        : magic.StartsWith("PK\x03\x04"u8) ? "zip"
        : null;
}
