using System.Buffers;
using System.Buffers.Text;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace EdgeSlide.Cli.Output;

/// <summary>Standard output as buffered UTF-8 bytes, with a JSON writer on the same buffer.</summary>
/// <param name="flushAt">Written bytes that are sent by themselves; from int.MaxValue on only <see cref="Flush"/> sends.</param>
internal sealed class OutputWriter(int flushAt = 1 << 15) : IDisposable
{
    private readonly ArrayBufferWriter<byte> _buffer = new(1 << 14);
    private Utf8JsonWriter? _json;

    public Utf8JsonWriter Json => _json ??= new Utf8JsonWriter(_buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });

    /// <summary>Bytes that wait to be sent.</summary>
    public int Length => _buffer.WrittenCount;

    public ReadOnlySpan<byte> Written => _buffer.WrittenSpan;

    public void Write(ReadOnlySpan<byte> bytes)
    {
        _buffer.Write(bytes);
        if (_buffer.WrittenCount > flushAt)
            Flush();
    }

    public void Write(string text) => Write(Encoding.UTF8.GetBytes(text));

    public void WriteNumber(int value)
    {
        Span<byte> digits = stackalloc byte[16];
        Utf8Formatter.TryFormat(value, digits, out int written);
        Write(digits[..written]);
    }

    public void WriteNumber(float value, string format)
    {
        Span<byte> digits = stackalloc byte[64];
        value.TryFormat(digits, out int written, format, System.Globalization.CultureInfo.InvariantCulture);
        Write(digits[..written]);
    }

    public void EndJsonLine()
    {
        Json.Flush();
        Json.Reset();
        Write("\n"u8);
    }

    public void Flush()
    {
        if (_buffer.WrittenCount == 0)
            return;
        StandardStreams.Write(_buffer.WrittenSpan);
        _buffer.ResetWrittenCount();
    }

    /// <summary>Forgets what waits.</summary>
    public void Clear() => _buffer.ResetWrittenCount();

    public void Dispose() => _json?.Dispose();
}
