namespace EdgeSlide.Training.Data;

/// <summary>Some whole lines of a file, and the number of the first.</summary>
internal readonly record struct LineBlock(ReadOnlyMemory<byte> Bytes, long FirstLine)
{
    /// <summary>Takes the first line off, without its line end. False when none is left.</summary>
    public static bool TryTakeLine(ref ReadOnlyMemory<byte> bytes, out ReadOnlyMemory<byte> line)
    {
        line = default;
        if (bytes.IsEmpty) return false;
        int end = bytes.Span.IndexOf((byte)'\n');
        line = end < 0 ? bytes : bytes[..end];
        bytes = end < 0 ? default : bytes[(end + 1)..];
        if (line.Length > 0 && line.Span[^1] == '\r') line = line[..^1];
        return true;
    }
}

/// <summary>
/// The lines of one data file, plain or compressed, in blocks that keep their own memory. A byte order mark is dropped;
/// lines end with LF or CR LF; the last one may lack its end.
/// </summary>
internal sealed class LineSource : IDisposable
{
    private const int FirstBlockSize = 1 << 14, BlockSize = 1 << 20;
    private const int LongestLine = 1 << 28;

    private readonly Stream _stream;
    private readonly CancellationToken _cancel;
    private ReadOnlyMemory<byte> _carry;
    private long _line = 1;
    private bool _ended;
    // Grows, so that a small file does not cost a large buffer.
    private int _blockSize = FirstBlockSize;

    /// <param name="cancel">Stops at the next block.</param>
    /// <exception cref="DataFormatException">The file cannot be opened, or is empty.</exception>
    public LineSource(string path, CancellationToken cancel = default)
    {
        (Path, _cancel) = (path, cancel);
        _stream = InputFile.Open(path);
        try
        {
            Fill(minimum: 3);
            if (_carry.IsEmpty) throw new DataFormatException(path, 0, "file is empty");
            if (_carry.Span.StartsWith("\uFEFF"u8)) _carry = _carry[3..];
        }
        catch
        {
            _stream.Dispose();
            throw;
        }
    }

    public string Path { get; }

    /// <summary>Lines handed out so far.</summary>
    public long LinesRead => _line - 1;

    /// <summary>The next line alone.</summary>
    public bool TryReadLine(out ReadOnlyMemory<byte> line)
    {
        FillLine();
        if (!LineBlock.TryTakeLine(ref _carry, out line)) return false;
        _line++;
        return true;
    }

    /// <summary>The next line, which stays the next one.</summary>
    public bool TryPeekLine(out ReadOnlyMemory<byte> line)
    {
        FillLine();
        ReadOnlyMemory<byte> bytes = _carry;
        return LineBlock.TryTakeLine(ref bytes, out line);
    }

    /// <summary>The next lines, about one block of them.</summary>
    public bool TryReadBlock(out LineBlock block)
    {
        int end;
        Fill(_blockSize);
        while ((end = _carry.Span.LastIndexOf((byte)'\n') + 1) == 0 && !_ended) Fill(_carry.Length + 1);
        if (_ended) end = _carry.Length;
        ReadOnlyMemory<byte> bytes = _carry[..end];
        _carry = _carry[end..];
        block = new LineBlock(bytes, _line);
        if (end == 0) return false;
        _line += bytes.Span.Count((byte)'\n') + (bytes.Span[^1] == '\n' ? 0 : 1);
        return true;
    }

    public DataFormatException Problem(long line, string problem) => new(Path, line, problem);

    public void Dispose() => _stream.Dispose();

    private void FillLine()
    {
        while (!_ended && _carry.Span.IndexOf((byte)'\n') < 0) Fill(_carry.Length + 1);
    }

    /// <summary>Makes at least <paramref name="minimum"/> bytes available in <see cref="_carry"/>, in memory of their own, unless the file ends.</summary>
    private void Fill(int minimum)
    {
        if (_ended || _carry.Length >= minimum) return;
        _cancel.ThrowIfCancellationRequested();
        if (minimum > LongestLine) throw Problem(_line, $"line is longer than {LongestLine >> 20} MiB");
        // Doubling for a line longer than a block keeps the copying linear.
        byte[] buffer = GC.AllocateUninitializedArray<byte>(minimum > _blockSize ? 2 * minimum : _blockSize);
        _blockSize = Math.Min(2 * _blockSize, BlockSize);
        _carry.CopyTo(buffer);
        try
        {
            int read = _stream.ReadAtLeast(buffer.AsSpan(_carry.Length), buffer.Length - _carry.Length, throwOnEndOfStream: false);
            _carry = buffer.AsMemory(0, _carry.Length + read);
            _ended = _carry.Length < buffer.Length;
        }
        catch (InvalidDataException e)
        {
            throw new DataFormatException(Path, 0, e.Message, e);
        }
    }
}
