using System.Collections;
using System.Runtime.CompilerServices;

namespace EdgeSlide.Training.Data;

/// <summary>
/// Values end to end: in an array, or in a temporary file that is mapped into memory, so that there can be more of them than
/// memory holds. For any number of threads. Spans of a mapped file are valid until <see cref="Dispose"/>, which only frees
/// disk space early: without it the file goes with the process.
/// </summary>
[CollectionBuilder(typeof(Items), nameof(Items.Of))]
public sealed class Items<T> : IEnumerable<T>, IDisposable where T : unmanaged
{
    private readonly T[]? _array;
    private readonly SpillFile? _file;

    internal Items(T[] array) => (_array, Length, Storage) = (array, array.Length, RowStorage.Memory);

    /// <param name="file">A mapped file of this many values.</param>
    /// <param name="storage">What made the file.</param>
    internal Items(SpillFile file, long length, RowStorage storage) => (_file, Length, Storage) = (file, length, storage);

    /// <summary>What keeps the values; whatever is made of them goes there, too.</summary>
    internal RowStorage Storage { get; }

    public long Length { get; }

    public T this[long index]
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => _array is { } array ? array[index] : Mapped(index, 1)[0];
    }

    /// <summary>Some neighbouring values.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ReadOnlySpan<T> Slice(long start, int count) => _array is { } array ? array.AsSpan(checked((int)start), count) : Mapped(start, count);

    /// <summary>The values of one list of those that <paramref name="offsets"/> divide these into: each offset starts a list and ends the one before.</summary>
    internal ReadOnlySpan<T> List(Items<long> offsets, int list)
    {
        long start = offsets[list];
        return Slice(start, (int)(offsets[list + 1L] - start));
    }

    /// <summary>All values in pieces of moderate size.</summary>
    internal IEnumerable<ReadOnlyMemory<T>> Pieces()
    {
        const int Piece = 1 << 16;
        var piece = new T[(int)Math.Min(Piece, Length)];
        for (long start = 0; start < Length; start += piece.Length)
        {
            int count = (int)Math.Min(piece.Length, Length - start);
            Slice(start, count).CopyTo(piece);
            yield return piece.AsMemory(0, count);
        }
    }

    /// <summary>Prepares for reads in no order.</summary>
    internal void ReadAtRandom() => _file?.ReadAtRandom();

    /// <summary>Starts reading values that are not in memory.</summary>
    internal unsafe void WillNeed(long start, int count) => _file?.WillNeed(start * sizeof(T), (long)count * sizeof(T));

    public IEnumerator<T> GetEnumerator()
    {
        for (long i = 0; i < Length; i++)
            yield return this[i];
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    public void Dispose() => _file?.Dispose();

    /// <summary>The array's values; the array is not copied.</summary>
    public static implicit operator Items<T>(T[] array)
    {
        ArgumentNullException.ThrowIfNull(array);
        return new Items<T>(array);
    }

    private unsafe ReadOnlySpan<T> Mapped(long start, int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(start, Length - count);
        return count == 0 ? default : new ReadOnlySpan<T>((T*)_file!.Pointer + start, count);
    }
}

/// <summary>Makes <see cref="Items{T}"/> of a few values.</summary>
public static class Items
{
    public static Items<T> Of<T>(ReadOnlySpan<T> items) where T : unmanaged => new(items.ToArray());
}

/// <summary>Where rows are kept: in arrays, or in temporary files of a folder.</summary>
internal sealed class RowStorage
{
    private readonly string? _folder;

    private RowStorage(string? folder) => _folder = folder;

    public static RowStorage Memory { get; } = new(null);

    public static RowStorage In(string folder) => new(folder);

    public ItemsWriter<T> Create<T>() where T : unmanaged => new(this, _folder is null ? null : new SpillFile(_folder));
}

/// <summary>Values under construction, appended from first to last.</summary>
internal sealed class ItemsWriter<T> where T : unmanaged
{
    private const int FirstBuffer = 1 << 8, LargestBuffer = 1 << 17;

    private readonly RowStorage _storage;
    private readonly SpillFile? _file;
    private readonly List<T[]> _full = [];
    private T[] _buffer = new T[FirstBuffer];
    private int _count;

    /// <param name="file">Takes the values; null keeps them in memory.</param>
    internal ItemsWriter(RowStorage storage, SpillFile? file) => (_storage, _file) = (storage, file);

    public long Length { get; private set; }

    public void Append(T item)
    {
        if (_count == _buffer.Length)
            Flush();
        _buffer[_count++] = item;
        Length++;
    }

    public void Append(ReadOnlySpan<T> items)
    {
        Length += items.Length;
        while (!items.IsEmpty)
        {
            if (_count == _buffer.Length)
                Flush();
            int count = Math.Min(items.Length, _buffer.Length - _count);
            items[..count].CopyTo(_buffer.AsSpan(_count));
            _count += count;
            items = items[count..];
        }
    }

    /// <summary>Ends the writing.</summary>
    public Items<T> ToItems()
    {
        if (_file is not null)
        {
            Flush();
            _file.Map();
            return new Items<T>(_file, Length, _storage);
        }
        T[] array = GC.AllocateUninitializedArray<T>((int)Length);
        int at = 0;
        for (int i = 0; i < _full.Count; i++)
        {
            _full[i].CopyTo(array, at);
            at += _full[i].Length;
            _full[i] = [];
        }
        _buffer.AsSpan(0, _count).CopyTo(array.AsSpan(at));
        return new Items<T>(array);
    }

    private void Flush()
    {
        if (_file is not null)
        {
            _file.Append(System.Runtime.InteropServices.MemoryMarshal.AsBytes(_buffer.AsSpan(0, _count)));
        }
        else
        {
            if (Length > Array.MaxLength)
                throw new InsufficientMemoryException("more rows than fit in arrays");
            _full.Add(_buffer);
        }
        // Grows, so that a small store does not cost a large buffer.
        if (_file is null || _buffer.Length < LargestBuffer)
            _buffer = new T[Math.Min(2 * _buffer.Length, LargestBuffer)];
        _count = 0;
    }
}

/// <summary>Lists of different lengths under construction, end to end.</summary>
internal sealed class ListWriter<T> where T : unmanaged
{
    private readonly ItemsWriter<long> _offsets;
    private readonly ItemsWriter<T> _items;

    public ListWriter(RowStorage storage)
    {
        (_offsets, _items) = (storage.Create<long>(), storage.Create<T>());
        _offsets.Append(0);
    }

    public long Count => _offsets.Length - 1;

    /// <summary>Appends one list.</summary>
    public void Append(ReadOnlySpan<T> list)
    {
        _items.Append(list);
        _offsets.Append(_items.Length);
    }

    /// <summary>Appends some lists, given by their items and where each ends in them.</summary>
    public void Append(ReadOnlySpan<T> items, ReadOnlySpan<int> ends)
    {
        long start = _items.Length;
        foreach (int end in ends)
            _offsets.Append(start + end);
        _items.Append(items);
    }

    /// <summary>Ends the writing: [lists + 1] offsets, and the items.</summary>
    public (Items<long> Offsets, Items<T> Items) ToItems() => (_offsets.ToItems(), _items.ToItems());
}
