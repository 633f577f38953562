using System.Runtime.InteropServices;
using EdgeSlide.Model;

namespace EdgeSlide.Training.Training;

/// <summary>
/// Writes a checkpoint beside its final place and renames it when it is complete and on disk: a reader sees the previous
/// checkpoint or this one, never a part. Layout: magic, then typed records that the reader asks for in the same order, then
/// the magic again, then the CRC-32C of all before.
/// </summary>
internal sealed class CheckpointWriter : IDisposable
{
    internal const ulong Magic = 0x31_50_43_45_44_53_45; // "ESDECP1"

    private readonly string _path;
    private readonly string _temporary;
    private readonly FileStream _stream;
    private uint _crc = ~0u;
    private bool _committed;

    internal CheckpointWriter(string path)
    {
        _path = path;
        _temporary = path + ".part";
        _stream = new FileStream(_temporary, FileMode.Create, FileAccess.Write, FileShare.None, 1 << 16);
        Write(Magic);
    }

    internal void Write<T>(T value)
        where T : unmanaged => WriteBytes(MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)));

    internal void Write<T>(ReadOnlySpan<T> values)
        where T : unmanaged
    {
        Write(values.Length);
        WriteBytes(MemoryMarshal.AsBytes(values));
    }

    internal void Write<T>(NativeArray<T> array)
        where T : unmanaged
    {
        Write(array.Length);
        foreach ((long start, int length) in array.Pieces())
            WriteBytes(MemoryMarshal.AsBytes(array.Span(start, length)));
    }

    private void WriteBytes(ReadOnlySpan<byte> bytes)
    {
        _crc = Crc32C.Append(_crc, bytes);
        _stream.Write(bytes);
    }

    internal void Commit()
    {
        Write(Magic);
        uint crc = ~_crc;
        _stream.Write(MemoryMarshal.AsBytes(new ReadOnlySpan<uint>(in crc)));
        _stream.Flush(flushToDisk: true);
        _stream.Dispose();
        File.Move(_temporary, _path, overwrite: true);
        _committed = true;
    }

    public void Dispose()
    {
        if (_committed)
            return;
        try
        {
            _stream.Dispose();
        }
        catch (IOException)
        {
            // What is still in the buffer fits no better than what failed before; the half file goes all the same.
        }
        File.Delete(_temporary);
    }
}

/// <summary>Reads what <see cref="CheckpointWriter"/> wrote; every mismatch is an <see cref="InvalidDataException"/>.</summary>
internal sealed class CheckpointReader : IDisposable
{
    private readonly string _path;
    private readonly FileStream _stream;

    internal CheckpointReader(string path)
    {
        _path = path;
        _stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16);
        try
        {
            VerifyChecksum();
            Expect(CheckpointWriter.Magic, "magic number");
        }
        catch
        {
            _stream.Dispose();
            throw;
        }
    }

    /// <summary>Once this has passed, the file is what was written.</summary>
    private void VerifyChecksum()
    {
        byte[] buffer = new byte[1 << 20];
        uint crc = ~0u, stored = 0;
        for (long left = _stream.Length - sizeof(uint); left > 0;)
        {
            int count = (int)Math.Min(left, buffer.Length);
            Fill(buffer.AsSpan(0, count));
            crc = Crc32C.Append(crc, buffer.AsSpan(0, count));
            left -= count;
        }
        Fill(MemoryMarshal.AsBytes(new Span<uint>(ref stored)));
        if (stored != ~crc)
            throw new InvalidDataException($"{_path}: damaged checkpoint, or one of an earlier version (checksum)");
        _stream.Position = 0;
    }

    internal T Read<T>()
        where T : unmanaged
    {
        T value = default;
        Fill(MemoryMarshal.AsBytes(new Span<T>(ref value)));
        return value;
    }

    internal void Expect<T>(T expected, string what)
        where T : unmanaged, IEquatable<T>
    {
        T found = Read<T>();
        if (!found.Equals(expected))
            throw new InvalidDataException($"{_path}: checkpoint of another run: {what} is {found}, expected {expected}");
    }

    internal void Read<T>(Span<T> values)
        where T : unmanaged
    {
        Expect(values.Length, "array length");
        Fill(MemoryMarshal.AsBytes(values));
    }

    internal void Read<T>(NativeArray<T> array)
        where T : unmanaged
    {
        Expect(array.Length, "matrix size");
        foreach ((long start, int length) in array.Pieces())
            Fill(MemoryMarshal.AsBytes(array.Span(start, length)));
    }

    internal void End() => Expect(CheckpointWriter.Magic, "end mark");

    private void Fill(Span<byte> bytes)
    {
        if (_stream.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false) < bytes.Length)
            throw new InvalidDataException($"{_path}: damaged checkpoint: ends after {_stream.Length} bytes");
    }

    public void Dispose() => _stream.Dispose();
}
