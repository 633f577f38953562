using System.Buffers.Binary;
using EdgeSlide.IO;

namespace EdgeSlide.Training.Data;

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
