using System.Buffers.Binary;
using System.IO.Compression;

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

    private static FileStream OpenRaw(string path)
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

/// <summary>What forward-only streams have in common.</summary>
internal abstract class InputStream : Stream
{
    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public abstract override int Read(Span<byte> buffer);

    public override void Flush() { }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
}

/// <summary>Several streams, one after the other.</summary>
internal sealed class JoinedStream(params Stream[] parts) : InputStream
{
    private int _current;

    /// <summary>Number of the part that the next byte would come from, as far as has been asked.</summary>
    public int CurrentPart => _current;

    public override int Read(Span<byte> buffer)
    {
        for (; _current < parts.Length; _current++)
        {
            int read = parts[_current].Read(buffer);
            if (read > 0) return read;
        }
        return 0;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            foreach (Stream part in parts) part.Dispose();
        }
        base.Dispose(disposing);
    }
}

/// <summary>
/// Gzip that notices when its file was cut short. The framework's GZipStream does not: at the end of its input it
/// reports the end of the data, wherever in the compressed stream that is. So an extra gzip member with known contents
/// is fed to it behind the file's own bytes. It comes out, and is cut off again, only if the last real member was
/// complete; otherwise its bytes are taken for the missing data, and either fail to decode or do not come out.
/// </summary>
internal sealed class GzipStream : InputStream
{
    private static readonly byte[] Seal = [0xE5, 0x11, 0xDE, 0x9A, 0x03, 0xC4, 0x7F, 0x62, 0xB1, 0x58, 0x0D, 0xEA, 0x94, 0x3B, 0xF6, 0x27];
    private static readonly byte[] SealMember = Compress(Seal);

    private readonly JoinedStream _compressed;
    private readonly GZipStream _plain;
    private readonly byte[] _buffer = new byte[1 << 16];
    private int _start, _end;

    /// <param name="head">Bytes already taken from the file.</param>
    /// <param name="rest">The rest of the file.</param>
    public GzipStream(byte[] head, Stream rest)
    {
        _compressed = new JoinedStream(new MemoryStream(head), rest, new MemoryStream(SealMember));
        _plain = new GZipStream(_compressed, CompressionMode.Decompress);
    }

    public static ReadOnlySpan<byte> Magic => [0x1F, 0x8B];

    public override int Read(Span<byte> buffer)
    {
        // The last bytes stay back until it is known whether they are the seal.
        while (_end - _start <= Seal.Length)
        {
            _buffer.AsSpan(_start.._end).CopyTo(_buffer);
            _end -= _start;
            _start = 0;
            int read = Decompress(_buffer.AsSpan(_end));
            if (read == 0)
            {
                if (!_buffer.AsSpan(0, _end).SequenceEqual(Seal)) throw CutShort();
                return 0;
            }
            _end += read;
        }
        int count = Math.Min(buffer.Length, _end - _start - Seal.Length);
        _buffer.AsSpan(_start, count).CopyTo(buffer);
        _start += count;
        return count;
    }

    private int Decompress(Span<byte> buffer)
    {
        try
        {
            return _plain.Read(buffer);
        }
        catch (InvalidDataException e)
        {
            throw _compressed.CurrentPart >= 2 ? CutShort() : new InvalidDataException("gzip data is damaged", e);
        }
    }

    private static InvalidDataException CutShort() => new("gzip data is cut short or followed by other bytes");

    private static byte[] Compress(byte[] bytes)
    {
        var output = new MemoryStream();
        using (var gzip = new GZipStream(output, CompressionLevel.Fastest)) gzip.Write(bytes);
        return output.ToArray();
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing) _plain.Dispose();
        base.Dispose(disposing);
    }
}

/// <summary>
/// LZ4 frames, written from the frame and block format descriptions: package lists are kept so on small installations.
/// Linked and independent blocks and checksums are handled; preset dictionaries and skippable frames are not.
/// </summary>
internal sealed class Lz4Stream(Stream compressed) : InputStream
{
    private const int HistorySize = 1 << 16;
    private const string CutShort = "LZ4 data is cut short";
    private const string Damaged = "LZ4 data is damaged";

    private byte[] _input = [];
    // History of up to 64 KiB that matches may point into, then the current block, of which _start.._end is unread.
    private byte[] _window = [];
    private int _start, _end, _blockLimit;
    private bool _inFrame, _linked, _blockChecksums, _contentChecksum;
    private XxHash32 _content;

    public static ReadOnlySpan<byte> Magic => [0x04, 0x22, 0x4D, 0x18];

    public override int Read(Span<byte> buffer)
    {
        while (_start == _end)
        {
            if (!_inFrame && !TryReadHeader()) return 0;
            ReadBlock();
        }
        int count = Math.Min(buffer.Length, _end - _start);
        _window.AsSpan(_start, count).CopyTo(buffer);
        _start += count;
        return count;
    }

    private bool TryReadHeader()
    {
        Span<byte> head = stackalloc byte[4 + 2 + 8 + 1];
        int got = compressed.ReadAtLeast(head[..4], 4, throwOnEndOfStream: false);
        if (got == 0) return false;
        if (got < 4) throw new InvalidDataException(CutShort);
        if (!head[..4].SequenceEqual(Magic)) throw new InvalidDataException("LZ4 data is followed by other bytes");
        Fill(head.Slice(4, 2));
        int flags = head[4], blockCode = (head[5] >> 4) & 7;
        bool contentSize = (flags & 0x08) != 0;
        if (flags >> 6 != 1 || (flags & 0x02) != 0 || (head[5] & 0x8F) != 0 || blockCode < 4) throw new InvalidDataException(Damaged);
        if ((flags & 0x01) != 0) throw new InvalidDataException("LZ4 data needs a preset dictionary, which is not supported");
        int end = contentSize ? 14 : 6;
        Fill(head[6..(end + 1)]);
        if ((byte)(XxHash32.Compute(head[4..end]) >> 8) != head[end]) throw new InvalidDataException(Damaged);

        _linked = (flags & 0x20) == 0;
        _blockChecksums = (flags & 0x10) != 0;
        _contentChecksum = (flags & 0x04) != 0;
        _blockLimit = 1 << (8 + 2 * blockCode);
        _content = new XxHash32();
        if (_window.Length < HistorySize + _blockLimit)
        {
            _window = new byte[HistorySize + _blockLimit];
            _input = new byte[_blockLimit];
        }
        _start = _end = 0;
        _inFrame = true;
        return true;
    }

    private void ReadBlock()
    {
        Span<byte> word = stackalloc byte[4];
        Fill(word);
        uint header = BinaryPrimitives.ReadUInt32LittleEndian(word);
        if (header == 0)
        {
            _inFrame = false;
            if (!_contentChecksum) return;
            Fill(word);
            if (_content.Digest() != BinaryPrimitives.ReadUInt32LittleEndian(word)) throw new InvalidDataException(Damaged);
            return;
        }
        bool stored = header >> 31 != 0;
        uint size = header & 0x7FFFFFFF;
        if (size > (uint)_blockLimit) throw new InvalidDataException(Damaged);
        Span<byte> block = _input.AsSpan(0, (int)size);
        Fill(block);
        if (_blockChecksums)
        {
            Fill(word);
            if (XxHash32.Compute(block) != BinaryPrimitives.ReadUInt32LittleEndian(word)) throw new InvalidDataException(Damaged);
        }

        int history = _linked ? Math.Min(_end, HistorySize) : 0;
        _window.AsSpan(_end - history, history).CopyTo(_window);
        _start = history;
        if (stored)
        {
            block.CopyTo(_window.AsSpan(history));
            _end = history + block.Length;
        }
        else
        {
            _end = DecodeBlock(block, _window.AsSpan(0, history + _blockLimit), history);
        }
        if (_contentChecksum) _content.Append(_window.AsSpan(_start.._end));
    }

    /// <summary>Decodes one block behind <paramref name="at"/> bytes of history and returns where it ends.</summary>
    private static int DecodeBlock(ReadOnlySpan<byte> source, Span<byte> window, int at)
    {
        int next = 0;
        while (true)
        {
            if (next >= source.Length) throw new InvalidDataException(Damaged);
            int token = source[next++];
            int literals = ReadLength(source, ref next, token >> 4);
            if (literals > source.Length - next || literals > window.Length - at) throw new InvalidDataException(Damaged);
            source.Slice(next, literals).CopyTo(window[at..]);
            next += literals;
            at += literals;
            if (next == source.Length) return at; // The last sequence has no match.

            if (source.Length - next < 2) throw new InvalidDataException(Damaged);
            int offset = source[next] | source[next + 1] << 8;
            next += 2;
            int length = ReadLength(source, ref next, token & 15);
            if (offset == 0 || offset > at || length > window.Length - at - 4) throw new InvalidDataException(Damaged);
            length += 4;
            if (offset >= length)
            {
                window.Slice(at - offset, length).CopyTo(window[at..]);
            }
            else
            {
                // An overlapping match repeats its beginning: byte by byte on purpose.
                for (int i = 0; i < length; i++) window[at + i] = window[at - offset + i];
            }
            at += length;
        }
    }

    private static int ReadLength(ReadOnlySpan<byte> source, ref int next, int nibble)
    {
        int length = nibble;
        if (nibble != 15) return length;
        byte more;
        do
        {
            // A block has at most 4 MiB, so the sum (255 a byte) cannot overflow.
            if (next >= source.Length) throw new InvalidDataException(Damaged);
            length += more = source[next++];
        }
        while (more == 255);
        return length;
    }

    private void Fill(Span<byte> buffer)
    {
        if (compressed.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false) < buffer.Length) throw new InvalidDataException(CutShort);
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing) compressed.Dispose();
        base.Dispose(disposing);
    }
}
