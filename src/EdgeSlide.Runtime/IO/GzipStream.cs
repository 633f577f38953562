using System.IO.Compression;

namespace EdgeSlide.IO;

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
