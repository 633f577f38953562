using System.Runtime.InteropServices;
using EdgeSlide.Features;
using EdgeSlide.IO;

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
            return new LineReader(StandardStreams.OpenInput(), "standard input", beforeWait);
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
        catch (IOException e)
        {
            throw new CommandException(ExitCodes.BadInput, $"{path}: cannot be read: {Reason(e)}");
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
        catch (InvalidDataException e)
        {
            throw new InputException($"{name}: {e.Message}");
        }
        catch (IOException e)
        {
            throw new InputException($"{name}: cannot be read: {Reason(e)}");
        }
    }

    /// <summary>The system's words: on Unix an error number is all that the framework's exception is sure to hold.</summary>
    private static string Reason(IOException e) => e.HResult > 0 ? Marshal.GetPInvokeErrorMessage(e.HResult) : e.GetType().Name;

    private Stream Unwrap()
    {
        var magic = new byte[GzipStream.Magic.Length];
        // Byte by byte: an interactive user's first line may be empty, and waits for its answer.
        int have = source.Read(magic, 0, 1);
        if (have == 1 && magic[0] == GzipStream.Magic[0])
            have += source.Read(magic, 1, 1);
        byte[] head = magic[..have];
        return head.AsSpan().SequenceEqual(GzipStream.Magic)
            ? new GzipStream(head, source)
            : new JoinedStream(new MemoryStream(head), source);
    }

    private static ReadOnlySpan<byte> Trim(ReadOnlySpan<byte> line) => line.EndsWith("\r"u8) ? line[..^1] : line;
}
