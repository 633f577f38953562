using EdgeSlide.Training.Data;

namespace EdgeSlide.Training.Training;

/// <summary>
/// The rows of one step: their features after dropout by row (for the forward pass) and by feature (so that the backward
/// pass sums the gradient of each embedding once, in row order, without locks). Buffers grow to the largest batch and stay.
/// </summary>
internal sealed class MiniBatch(Dataset data, int capacity)
{
    private Dataset _data = data;
    private readonly int[] _slotOfFeature = new int[data.FeatureCount];
    private int[] _features = new int[capacity * 16];
    private float[] _values = new float[capacity * 16];
    private int[] _slots = new int[capacity * 16];
    private int[] _rowsOfFeature = new int[capacity * 16];
    private float[] _valuesOfFeature = new float[capacity * 16];
    private int[] _distinct = new int[capacity * 16];
    private int[] _distinctOffsets = new int[(capacity * 16) + 1];
    private readonly int[] _offsets = new int[capacity + 1];
    private readonly int[] _rows = new int[capacity];

    internal int Count { get; private set; }

    /// <summary>Number of different features in the batch.</summary>
    internal int DistinctCount { get; private set; }

    internal ReadOnlySpan<int> Features(int row) => _features.AsSpan(_offsets[row], _offsets[row + 1] - _offsets[row]);

    internal ReadOnlySpan<float> Values(int row) => _values.AsSpan(_offsets[row], _offsets[row + 1] - _offsets[row]);

    internal ReadOnlySpan<int> Labels(int row) => _data.RowLabels(_rows[row]);

    /// <summary>Which row of the data set a row of the batch is.</summary>
    internal int Row(int row) => _rows[row];

    internal int DistinctFeature(int slot) => _distinct[slot];

    internal ReadOnlySpan<int> RowsOf(int slot) =>
        _rowsOfFeature.AsSpan(_distinctOffsets[slot], _distinctOffsets[slot + 1] - _distinctOffsets[slot]);

    internal ReadOnlySpan<float> ValuesOf(int slot) =>
        _valuesOfFeature.AsSpan(_distinctOffsets[slot], _distinctOffsets[slot + 1] - _distinctOffsets[slot]);

    /// <summary>Loads rows; each feature is dropped with the given probability, what remains is scaled up.</summary>
    /// <param name="group">Also list the rows of each feature, for a backward pass.</param>
    internal void Load(Dataset data, ReadOnlySpan<int> rows, float dropout, ulong seed, bool group = true)
    {
        _data = data;
        Count = rows.Length;
        rows.CopyTo(_rows);
        int length = 0;
        uint threshold = (uint)(dropout * 4294967295.0);
        float scale = 1 / (1 - dropout);
        for (int i = 0; i < rows.Length; i++)
        {
            _offsets[i] = length;
            ReadOnlySpan<int> features = _data.RowFeatures(rows[i]);
            ReadOnlySpan<float> values = _data.RowValues(rows[i]);
            Reserve(length + features.Length);
            ulong key = Noise.Mix(seed ^ ((ulong)rows[i] << 24));
            for (int j = 0; j < features.Length; j++)
            {
                if (threshold != 0 && (uint)(Noise.Mix(key + (ulong)j) >> 32) < threshold)
                    continue;
                _features[length] = features[j];
                _values[length++] = values[j] * scale;
            }
        }
        _offsets[rows.Length] = length;
        if (group)
            GroupByFeature(length);
    }

    private void GroupByFeature(int length)
    {
        // Slots are kept as slot + 1, so that a zeroed map is an empty one.
        int distinct = 0;
        for (int i = 0; i < length; i++)
        {
            ref int slot = ref _slotOfFeature[_features[i]];
            if (slot == 0)
            {
                _distinct[distinct] = _features[i];
                slot = ++distinct;
                _distinctOffsets[distinct] = 0;
            }
            _slots[i] = slot;
            _distinctOffsets[slot]++;
        }
        DistinctCount = distinct;
        _distinctOffsets[0] = 0;
        for (int s = 1; s <= distinct; s++)
            _distinctOffsets[s] += _distinctOffsets[s - 1];
        // Filling from the end leaves every offset at its start and rows in increasing order.
        for (int row = Count - 1; row >= 0; row--)
        {
            for (int i = _offsets[row + 1] - 1; i >= _offsets[row]; i--)
            {
                int to = --_distinctOffsets[_slots[i]];
                _rowsOfFeature[to] = row;
                _valuesOfFeature[to] = _values[i];
            }
        }
        for (int s = 0; s < distinct; s++)
        {
            _distinctOffsets[s] = _distinctOffsets[s + 1];
            _slotOfFeature[_distinct[s]] = 0;
        }
        _distinctOffsets[distinct] = length;
    }

    private void Reserve(int length)
    {
        if (length <= _features.Length)
            return;
        int size = Math.Max(length, _features.Length * 2);
        Array.Resize(ref _features, size);
        Array.Resize(ref _values, size);
        Array.Resize(ref _slots, size);
        Array.Resize(ref _rowsOfFeature, size);
        Array.Resize(ref _valuesOfFeature, size);
        Array.Resize(ref _distinct, size);
        Array.Resize(ref _distinctOffsets, size + 1);
    }
}
