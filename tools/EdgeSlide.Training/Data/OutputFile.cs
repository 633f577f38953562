using System.Globalization;
using System.IO.Compression;
using System.Runtime.InteropServices;
using EdgeSlide.IO;

namespace EdgeSlide.Training.Data;

/// <summary>Writes files whole or not at all.</summary>
internal static class OutputFile
{
    /// <summary>
    /// Writes beside the target and renames, so that no reader, crash or full disk ever meets half a file. A name that
    /// ends in <c>.gz</c> gets gzip.
    /// </summary>
    /// <param name="files">Whose file it is, if it is one of several; it then appears with the others.</param>
    public static void Write(string path, Action<Utf8Output> write, OutputFiles? files = null)
    {
        if (files is not null)
        {
            files.Write(path, write);
            return;
        }
        using var alone = new OutputFiles(CancellationToken.None);
        alone.Write(path, write);
        alone.Commit();
    }
}

/// <summary>The files that a command writes: all of them appear at its end, or, if it fails or is cancelled, none.</summary>
internal sealed class OutputFiles(CancellationToken cancel) : IDisposable
{
    private readonly WholeFiles _files = new();

    /// <summary>Writes text; a name that ends in <c>.gz</c> gets gzip.</summary>
    public void Write(string path, Action<Utf8Output> write) => _files.Write(path, file =>
    {
        if (path.EndsWith(".gz", StringComparison.OrdinalIgnoreCase))
        {
            using var gzip = new GZipStream(file, CompressionLevel.Optimal, leaveOpen: true);
            WriteAll(gzip, write);
        }
        else
        {
            WriteAll(file, write);
        }
    });

    /// <summary>Writes a header, then items that come in parts; each part is used up before the next is asked for.</summary>
    public void Write<T>(string path, byte[] header, IEnumerable<ReadOnlyMemory<T>> parts) where T : unmanaged => _files.Write(path, file =>
    {
        file.Write(header);
        foreach (ReadOnlyMemory<T> part in parts)
        {
            cancel.ThrowIfCancellationRequested();
            file.Write(MemoryMarshal.AsBytes(part.Span));
        }
    });

    public void Commit()
    {
        cancel.ThrowIfCancellationRequested();
        _files.Commit();
    }

    public void Dispose() => _files.Dispose();

    private void WriteAll(Stream stream, Action<Utf8Output> write)
    {
        var output = new Utf8Output(stream, cancel);
        write(output);
        output.Flush();
    }
}

/// <summary>Buffered UTF-8 text without encoder or allocation.</summary>
/// <param name="cancel">Stops at the next full buffer.</param>
internal sealed class Utf8Output(Stream stream, CancellationToken cancel = default)
{
    private readonly byte[] _buffer = new byte[1 << 16];
    private int _count;

    public Utf8Output Append(byte value)
    {
        if (_count == _buffer.Length) Flush();
        _buffer[_count++] = value;
        return this;
    }

    public Utf8Output Append(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > _buffer.Length - _count) Flush();
        if (bytes.Length > _buffer.Length)
        {
            stream.Write(bytes);
            return this;
        }
        bytes.CopyTo(_buffer.AsSpan(_count));
        _count += bytes.Length;
        return this;
    }

    /// <summary>A number in its shortest form that reads back as the same value, whatever the culture.</summary>
    public Utf8Output Append<T>(T number) where T : IUtf8SpanFormattable
    {
        const int longest = 32;
        if (_buffer.Length - _count < longest) Flush();
        number.TryFormat(_buffer.AsSpan(_count), out int written, default, CultureInfo.InvariantCulture);
        _count += written;
        return this;
    }

    public void Flush()
    {
        cancel.ThrowIfCancellationRequested();
        stream.Write(_buffer, 0, _count);
        _count = 0;
    }
}
