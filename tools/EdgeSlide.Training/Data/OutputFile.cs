using System.Globalization;
using System.IO.Compression;
using EdgeSlide.IO;

namespace EdgeSlide.Training.Data;

/// <summary>Writes files whole or not at all.</summary>
internal static class OutputFile
{
    /// <summary>
    /// Writes beside the target and renames, so that no reader, crash or full disk ever meets half a file. A name that
    /// ends in <c>.gz</c> gets gzip.
    /// </summary>
    public static void Write(string path, Action<Utf8Output> write) =>
        WholeFile.Write(path, file =>
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

    private static void WriteAll(Stream stream, Action<Utf8Output> write)
    {
        var output = new Utf8Output(stream);
        write(output);
        output.Flush();
    }
}

/// <summary>Buffered UTF-8 text without encoder or allocation.</summary>
internal sealed class Utf8Output(Stream stream)
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
        stream.Write(_buffer, 0, _count);
        _count = 0;
    }
}
