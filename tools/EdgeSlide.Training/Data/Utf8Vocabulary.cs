using System.Text;

namespace EdgeSlide.Training.Data;

/// <summary>Distinct UTF-8 strings numbered 0, 1, 2, ... in order of arrival, found by their bytes without decoding them.</summary>
internal sealed class Utf8Vocabulary
{
    private readonly Dictionary<byte[], int> _ids = new(new Comparer());
    private readonly Dictionary<byte[], int>.AlternateLookup<ReadOnlySpan<byte>> _lookup;
    private readonly List<byte[]> _entries = [];

    public Utf8Vocabulary() => _lookup = _ids.GetAlternateLookup<ReadOnlySpan<byte>>();

    public int Count => _entries.Count;

    public ReadOnlySpan<byte> this[int id] => _entries[id];

    public string Text(int id) => Encoding.UTF8.GetString(_entries[id]);

    public bool TryGetId(ReadOnlySpan<byte> entry, out int id) => _lookup.TryGetValue(entry, out id);

    public int GetOrAdd(ReadOnlySpan<byte> entry)
    {
        TryAdd(entry, out int id);
        return id;
    }

    /// <summary>True when the entry is new.</summary>
    public bool TryAdd(ReadOnlySpan<byte> entry, out int id)
    {
        if (_lookup.TryGetValue(entry, out id)) return false;
        id = _entries.Count;
        byte[] bytes = entry.ToArray();
        _ids.Add(bytes, id);
        _entries.Add(bytes);
        return true;
    }

    /// <summary>Takes the latest entries back.</summary>
    public void Truncate(int count)
    {
        for (int id = count; id < _entries.Count; id++) _ids.Remove(_entries[id]);
        _entries.RemoveRange(count, _entries.Count - count);
    }

    private sealed class Comparer : IEqualityComparer<byte[]>, IAlternateEqualityComparer<ReadOnlySpan<byte>, byte[]>
    {
        public byte[] Create(ReadOnlySpan<byte> alternate) => alternate.ToArray();

        public bool Equals(ReadOnlySpan<byte> alternate, byte[] other) => alternate.SequenceEqual(other);

        public int GetHashCode(ReadOnlySpan<byte> alternate) => (int)StableHash.Compute(alternate);

        public bool Equals(byte[]? x, byte[]? y) => x.AsSpan().SequenceEqual(y);

        public int GetHashCode(byte[] obj) => (int)StableHash.Compute(obj);
    }
}
