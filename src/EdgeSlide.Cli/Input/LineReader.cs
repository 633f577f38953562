using System.IO.Compression;
using EdgeSlide.Features;

namespace EdgeSlide.Cli.Input;

/// <summary>
/// Cuts a stream into lines without allocating per line. Gzip is recognised by its first bytes. Before it waits for more
/// input it calls <paramref name="beforeWait"/>, so that answers to earlier lines reach an interactive reader.
/// </summary>
internal sealed class LineReader(Stream source, string name, Action? beforeWait = null) : IDisposable
{
    private const int MaxLine = 1 << 24;

    private Stream? _stream;
    private byte[] _buffer = new byte[1 << 16];
    private int _start;
    private int _end;
    private bool _ended;

    public string Name => name;

    /// <summary>Number of the line last read, from 1.</summary>
    public long LineNumber { get; private set; }

    public static LineReader Open(string path, Action? beforeWait = null)
    {
        if (path == "-")
            return new LineReader(Console.OpenStandardInput(), "standard input", beforeWait);
        if (Directory.Exists(path))
            throw new CommandException(ExitCodes.BadInput, $"{path}: is a directory");
        try
        {
            return new LineReader(new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0), path, beforeWait);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new CommandException(ExitCodes.BadInput, $"{path}: no such file");
        }
        catch (UnauthorizedAccessException)
        {
            throw new CommandException(ExitCodes.BadInput, $"{path}: no permission to read it");
        }
    }

    /// <summary>The next line without its line end; valid until the next call.</summary>
    public bool TryRead(out ReadOnlySpan<byte> line)
    {
        int searched = 0;
        while (true)
        {
            int newline = _buffer.AsSpan(_start + searched, _end - _start - searched).IndexOf((byte)'\n');
            if (newline >= 0)
            {
                line = Trim(_buffer.AsSpan(_start, searched + newline));
                _start += searched + newline + 1;
                LineNumber++;
                return true;
            }
            searched = _end - _start;
            if (_ended || !Fill())
            {
                line = Trim(_buffer.AsSpan(_start, _end - _start));
                bool any = _end > _start;
                _start = _end;
                LineNumber += any ? 1 : 0;
                return any;
            }
        }
    }

    public void Dispose()
    {
        _stream?.Dispose();
        source.Dispose();
    }

    private bool Fill()
    {
        if (_start > 0)
        {
            _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
            _end -= _start;
            _start = 0;
        }
        if (_end == _buffer.Length)
        {
            if (_buffer.Length >= MaxLine)
                throw new InputException($"{name}:{LineNumber + 1}: a line is longer than {MaxLine} bytes");
            Array.Resize(ref _buffer, 2 * _buffer.Length);
        }
        beforeWait?.Invoke();
        try
        {
            _stream ??= Unwrap();
            int read = _stream.Read(_buffer, _end, _buffer.Length - _end);
            _end += read;
            _ended = read == 0;
            return read > 0;
        }
        catch (InvalidDataException)
        {
            throw new InputException($"{name}: the gzip data is damaged or cut short");
        }
    }

    private Stream Unwrap()
    {
        int have = source.ReadAtLeast(_buffer.AsSpan(0, 2), 2, throwOnEndOfStream: false);
        if (have == 2 && _buffer[0] == 0x1F && _buffer[1] == 0x8B)
            return new GZipStream(new PrefixedStream([0x1F, 0x8B], source), CompressionMode.Decompress);
        return new PrefixedStream(_buffer[..have], source);
    }

    private static ReadOnlySpan<byte> Trim(ReadOnlySpan<byte> line) => line.EndsWith("\r"u8) ? line[..^1] : line;

    /// <summary>Gives back the bytes that were read ahead, then the rest of the stream.</summary>
    private sealed class PrefixedStream(byte[] prefix, Stream rest) : Stream
    {
        private int _given;

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

        public override int Read(Span<byte> buffer)
        {
            if (_given == prefix.Length)
                return rest.Read(buffer);
            int count = Math.Min(buffer.Length, prefix.Length - _given);
            prefix.AsSpan(_given, count).CopyTo(buffer);
            _given += count;
            return count;
        }

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
