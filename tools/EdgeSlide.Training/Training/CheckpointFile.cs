using System.Runtime.InteropServices;

namespace EdgeSlide.Training.Training;

/// <summary>
/// Writes a checkpoint beside its final place and renames it when it is complete and on disk: a reader sees the previous
/// checkpoint or this one, never a part. Layout: magic, then typed records that the reader asks for in the same order, then
/// the magic again.
/// </summary>
internal sealed class CheckpointWriter : IDisposable
{
    internal const ulong Magic = 0x31_50_43_45_44_53_45; // "ESDECP1"

    private readonly string _path;
    private readonly string _temporary;
    private readonly FileStream _stream;
    private bool _committed;

    internal CheckpointWriter(string path)
    {
        _path = path;
        _temporary = path + ".part";
        _stream = new FileStream(_temporary, FileMode.Create, FileAccess.Write, FileShare.None, 1 << 16);
        Write(Magic);
    }

    internal void Write<T>(T value)
        where T : unmanaged => _stream.Write(MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)));

    internal void Write<T>(ReadOnlySpan<T> values)
        where T : unmanaged
    {
        Write(values.Length);
        _stream.Write(MemoryMarshal.AsBytes(values));
    }

    internal void Write<T>(NativeArray<T> array)
        where T : unmanaged
    {
        Write(array.Length);
        foreach ((long start, int length) in array.Pieces())
            _stream.Write(MemoryMarshal.AsBytes(array.Span(start, length)));
    }

    internal void Commit()
    {
        Write(Magic);
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
        Expect(CheckpointWriter.Magic, "magic number");
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
