using System.Runtime.InteropServices;
using EdgeSlide.Training.Data;

namespace EdgeSlide.Training.Training;

/// <summary>
/// Zeroed, aligned, unmanaged memory. Rows of weights start on cache lines, and large arrays on huge-page boundaries,
/// which is what random access to millions of embedding rows needs; managed arrays guarantee neither. Of a large array only
/// what is used takes memory.
/// </summary>
internal sealed unsafe class NativeArray<T> : IDisposable
    where T : unmanaged
{
    private const nuint CacheLine = 64;
    private const nuint HugePage = 2 << 20;

    private readonly void* _memory;
    private T* _items;

    internal NativeArray(long length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        Length = length;
        nuint bytes = checked((nuint)Math.Max(length, 1) * (nuint)sizeof(T));
        nuint alignment = bytes >= 2 * HugePage ? HugePage : CacheLine;
        // Not allocated and then cleared: pages that the system hands out are 0 already, and count from their first use on.
        _memory = NativeMemory.AllocZeroed(checked(bytes + alignment));
        _items = (T*)(((nuint)_memory + alignment - 1) & ~(alignment - 1));
        GC.AddMemoryPressure((long)bytes);
    }

    ~NativeArray() => Free();

    internal long Length { get; }

    internal T* Items => _items;

    internal ref T this[long index] => ref _items[index];

    internal Span<T> Span(long start, int length) => new(_items + start, length);

    internal void Clear() => NativeMemory.Clear(_items, (nuint)Length * (nuint)sizeof(T));

    /// <summary>The whole content as raw bytes in pieces that a stream can take.</summary>
    internal IEnumerable<(long Start, int Length)> Pieces()
    {
        const int Piece = 1 << 22;
        for (long start = 0; start < Length; start += Piece)
            yield return (start, (int)Math.Min(Piece, Length - start));
    }

    /// <summary>Gives the memory back for a while; what it holds is lost.</summary>
    internal void Discard() => Discard(0, Length);

    /// <summary>Gives the memory of some items back to the system, as far as they fill pages; what they hold is lost.</summary>
    internal void Discard(long start, long count) => MemoryPages.Advise(_items + start, count * sizeof(T), MemoryAdvice.DontNeed);

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        if (_items == null)
            return;
        NativeMemory.Free(_memory);
        _items = null;
        GC.RemoveMemoryPressure(Math.Max(Length, 1) * sizeof(T));
    }
}
