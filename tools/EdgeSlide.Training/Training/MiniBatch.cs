using EdgeSlide.Training.Data;

namespace EdgeSlide.Training.Training;

/// <summary>
/// The rows of one step: their features after dropout by row, for the forward pass, and split into groups of features, so
/// that the backward pass can work on groups in parallel and sum the gradient of each embedding once, in row order,
/// without locks. Rows are read by all workers. Buffers grow to the largest batch and stay.
/// </summary>
internal sealed class MiniBatch : IDisposable
{
    /// <summary>Groups of features: many more than threads, and a number that never changes a result.</summary>
    internal const int Groups = 1 << GroupBits;

    private const int GroupBits = 4;

    private const int TileRows = 32;

    private readonly WorkerTeam _team;
    private readonly Tile[] _tiles;
    private readonly int[] _rows;
    private readonly int[] _slotOfFeature;
    private readonly FeatureGroup[] _groups;
    private readonly Dictionary<IRowSource, RowCursor[]> _cursors = [];
    private readonly Action<int, int> _readTile;
    private IRowSource _source;
    private RowCursor[] _reading;
    private float _dropout;
    private ulong _seed;
    private bool _grouped;

    /// <param name="source">The rows to train on; others may be loaded, too.</param>
    /// <param name="capacity">Most rows of a batch.</param>
    internal MiniBatch(IRowSource source, int capacity, WorkerTeam team)
    {
        _source = source;
        _team = team;
        _tiles = [.. Enumerable.Range(0, (capacity + TileRows - 1) / TileRows).Select(_ => new Tile())];
        _rows = new int[capacity];
        _slotOfFeature = new int[source.FeatureCount];
        _groups = [.. Enumerable.Range(0, team.Size).Select(_ => new FeatureGroup(_tiles, _slotOfFeature))];
        _reading = Cursors(source);
        _readTile = ReadTile;
    }

    internal int Count { get; private set; }

    internal ReadOnlySpan<int> Features(int row) => _tiles[row / TileRows].Features(row % TileRows);

    internal ReadOnlySpan<float> Values(int row) => _tiles[row / TileRows].Values(row % TileRows);

    internal ReadOnlySpan<int> Labels(int row) => _source.RowLabels(_rows[row]);

    /// <summary>Which row of the data set a row of the batch is.</summary>
    internal int Row(int row) => _rows[row];

    /// <summary>Loads rows; each feature is dropped with the given probability, what remains is scaled up.</summary>
    /// <param name="grouped">Also prepare the groups of features, for a backward pass.</param>
    internal void Load(IRowSource source, ReadOnlySpan<int> rows, float dropout, ulong seed, bool grouped)
    {
        (_source, _dropout, _seed, _grouped) = (source, dropout, seed, grouped);
        _reading = Cursors(source);
        Count = rows.Length;
        rows.CopyTo(_rows);
        _team.Run(UsedTiles, _readTile);
    }

    /// <summary>The different features of a group with their rows; valid for the worker until its next call.</summary>
    internal FeatureGroup Group(int group, int worker)
    {
        _groups[worker].Collect(group, UsedTiles);
        return _groups[worker];
    }

    private int UsedTiles => (Count + TileRows - 1) / TileRows;

    private RowCursor[] Cursors(IRowSource source)
    {
        if (_cursors.TryGetValue(source, out RowCursor[]? cursors))
            return cursors;
        cursors = new RowCursor[_team.Size];
        for (int i = 0; i < cursors.Length; i++)
            cursors[i] = source.CreateCursor();
        return _cursors[source] = cursors;
    }

    private void ReadTile(int index, int worker)
    {
        Tile tile = _tiles[index];
        int first = index * TileRows;
        tile.Read(_reading[worker], _rows.AsSpan(first, Math.Min(TileRows, Count - first)), first, _dropout, _seed);
        if (_grouped)
            tile.Split();
    }

    public void Dispose()
    {
        foreach (RowCursor cursor in _cursors.Values.SelectMany(cursors => cursors))
            cursor.Dispose();
    }

    private static int GroupOf(int feature) => (int)(((uint)feature * 2654435769u) >> (32 - GroupBits));

    /// <summary>A few rows of the batch, and the same entries ordered by group.</summary>
    internal sealed class Tile
    {
        private readonly int[] _offsets = new int[TileRows + 1];
        private readonly int[] _groupOffsets = new int[Groups + 1];
        private int[] _features = new int[TileRows * 16];
        private float[] _values = new float[TileRows * 16];
        private Entry[] _entries = new Entry[TileRows * 16];
        private int _firstRow;
        private int _count;

        internal ReadOnlySpan<int> Features(int row) => _features.AsSpan(_offsets[row], _offsets[row + 1] - _offsets[row]);

        internal ReadOnlySpan<float> Values(int row) => _values.AsSpan(_offsets[row], _offsets[row + 1] - _offsets[row]);

        /// <summary>The entries of a group in row order.</summary>
        internal ReadOnlySpan<Entry> Entries(int group) => _entries.AsSpan(_groupOffsets[group], _groupOffsets[group + 1] - _groupOffsets[group]);

        internal void Read(RowCursor cursor, ReadOnlySpan<int> rows, int firstRow, float dropout, ulong seed)
        {
            _firstRow = firstRow;
            _count = rows.Length;
            uint threshold = (uint)(dropout * 4294967295.0);
            float scale = 1 / (1 - dropout);
            int length = 0;
            for (int i = 0; i < rows.Length; i++)
            {
                cursor.MoveTo(rows[i]);
                ReadOnlySpan<int> ids = cursor.Ids;
                ReadOnlySpan<float> values = cursor.Values;
                Reserve(length + ids.Length);
                ulong key = Noise.Mix(seed ^ ((ulong)rows[i] << 24));
                for (int j = 0; j < ids.Length; j++)
                {
                    if (threshold != 0 && (uint)(Noise.Mix(key + (ulong)j) >> 32) < threshold)
                        continue;
                    _features[length] = ids[j];
                    _values[length++] = values[j] * scale;
                }
                _offsets[i + 1] = length;
            }
        }

        /// <summary>A counting sort by group, which keeps row order.</summary>
        internal void Split()
        {
            Span<int> next = stackalloc int[Groups + 1];
            next.Clear();
            int length = _offsets[_count];
            for (int i = 0; i < length; i++)
                next[GroupOf(_features[i]) + 1]++;
            for (int group = 1; group <= Groups; group++)
                next[group] += next[group - 1];
            next.CopyTo(_groupOffsets);
            for (int row = 0; row < _count; row++)
            {
                for (int i = _offsets[row]; i < _offsets[row + 1]; i++)
                    _entries[next[GroupOf(_features[i])]++] = new Entry(_features[i], _firstRow + row, _values[i]);
            }
        }

        private void Reserve(int length)
        {
            if (length <= _features.Length)
                return;
            int size = Math.Max(length, _features.Length * 2);
            Array.Resize(ref _features, size);
            Array.Resize(ref _values, size);
            Array.Resize(ref _entries, size);
        }
    }

    internal readonly record struct Entry(int Feature, int Row, float Value);

    /// <summary>One worker's buffers: the different features of a group, and the rows of each in order.</summary>
    internal sealed class FeatureGroup(Tile[] tiles, int[] slotOfFeature)
    {
        private int[] _distinct = new int[256];
        private int[] _offsets = new int[257];
        private int[] _slots = new int[256];
        private int[] _rows = new int[256];
        private float[] _values = new float[256];

        /// <summary>Number of different features.</summary>
        internal int Count { get; private set; }

        internal int Feature(int slot) => _distinct[slot];

        internal ReadOnlySpan<int> RowsOf(int slot) => _rows.AsSpan(_offsets[slot], _offsets[slot + 1] - _offsets[slot]);

        internal ReadOnlySpan<float> ValuesOf(int slot) => _values.AsSpan(_offsets[slot], _offsets[slot + 1] - _offsets[slot]);

        internal void Collect(int group, int usedTiles)
        {
            int length = 0;
            for (int t = 0; t < usedTiles; t++)
                length += tiles[t].Entries(group).Length;
            Reserve(length);
            // Slots are kept as slot + 1, so that a zeroed map is an empty one; other groups have other features.
            int distinct = 0, at = 0;
            for (int t = 0; t < usedTiles; t++)
            {
                foreach (ref readonly Entry entry in tiles[t].Entries(group))
                {
                    ref int slot = ref slotOfFeature[entry.Feature];
                    if (slot == 0)
                    {
                        _distinct[distinct] = entry.Feature;
                        slot = ++distinct;
                        _offsets[distinct] = 0;
                    }
                    _slots[at++] = slot - 1;
                    _offsets[slot]++;
                }
            }
            Count = distinct;
            _offsets[0] = 0;
            for (int s = 1; s <= distinct; s++)
            {
                _offsets[s] += _offsets[s - 1];
                slotOfFeature[_distinct[s - 1]] = 0;
            }
            // Filling from the end leaves every offset at its start and rows in increasing order.
            for (int t = usedTiles - 1; t >= 0; t--)
            {
                ReadOnlySpan<Entry> entries = tiles[t].Entries(group);
                for (int i = entries.Length - 1; i >= 0; i--)
                {
                    int to = --_offsets[_slots[--at] + 1];
                    _rows[to] = entries[i].Row;
                    _values[to] = entries[i].Value;
                }
            }
            for (int s = 0; s < distinct; s++)
                _offsets[s] = _offsets[s + 1];
            _offsets[distinct] = length;
        }

        private void Reserve(int length)
        {
            if (length <= _slots.Length)
                return;
            int size = Math.Max(length, _slots.Length * 2);
            Array.Resize(ref _distinct, size);
            Array.Resize(ref _offsets, size + 1);
            Array.Resize(ref _slots, size);
            Array.Resize(ref _rows, size);
            Array.Resize(ref _values, size);
        }
    }
}
