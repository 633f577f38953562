namespace EdgeSlide.Training.Data;

/// <summary>
/// Labelled rows in compressed sparse row form, ready for the first layer: the featurizer has already run, so ids are
/// input features and values are what the network multiplies. Dense rows are stored by their non-zero values.
/// Feature ids are strictly increasing within a row; label ids are distinct within a row.
/// </summary>
public sealed class Dataset : IRowSource
{
    private bool _readAtRandom;

    /// <summary>Number of possible input features; every id is below it.</summary>
    public required int FeatureCount { get; init; }

    /// <summary>Number of possible labels; every label id is below it.</summary>
    public required int LabelCount { get; init; }

    /// <summary>[rows + 1] start of each row in <see cref="FeatureIds"/> and <see cref="FeatureValues"/>.</summary>
    public required Items<long> FeatureOffsets { get; init; }

    public required Items<int> FeatureIds { get; init; }

    public required Items<float> FeatureValues { get; init; }

    /// <summary>[rows + 1] start of each row in <see cref="LabelIds"/>.</summary>
    public required Items<long> LabelOffsets { get; init; }

    public required Items<int> LabelIds { get; init; }

    /// <summary>Where the rows stand in their file; null if they come from none.</summary>
    internal RowOrigin? Origin { get; init; }

    public int RowCount => checked((int)(FeatureOffsets.Length - 1));

    public ReadOnlySpan<int> RowFeatures(int row) => FeatureIds.List(FeatureOffsets, row);

    public ReadOnlySpan<float> RowValues(int row) => FeatureValues.List(FeatureOffsets, row);

    public ReadOnlySpan<int> RowLabels(int row) => LabelIds.List(LabelOffsets, row);

    /// <summary>What keeps the rows; rows made of them go there, too.</summary>
    internal RowStorage Storage => FeatureIds.Storage;

    /// <summary>Some of the rows, in the given order.</summary>
    internal Dataset Take(IReadOnlyList<int> rows)
    {
        var features = new ListWriter<int>(Storage);
        ItemsWriter<float> values = Storage.Create<float>();
        var labels = new ListWriter<int>(Storage);
        foreach (int row in rows)
        {
            features.Append(RowFeatures(row));
            values.Append(RowValues(row));
            labels.Append(RowLabels(row));
        }
        (Items<long> featureOffsets, Items<int> featureIds) = features.ToItems();
        (Items<long> labelOffsets, Items<int> labelIds) = labels.ToItems();
        return new Dataset
        {
            FeatureCount = FeatureCount,
            LabelCount = LabelCount,
            FeatureOffsets = featureOffsets,
            FeatureIds = featureIds,
            FeatureValues = values.ToItems(),
            LabelOffsets = labelOffsets,
            LabelIds = labelIds,
        };
    }

    public RowCursor CreateCursor() => new Cursor(this);

    public string? RowPlace(int row) => Origin?.Describe(row);

    public bool IsInMemory => Storage == RowStorage.Memory;

    public void WillNeed(ReadOnlySpan<int> rows)
    {
        if (IsInMemory)
            return;
        if (!_readAtRandom)
        {
            _readAtRandom = true;
            FeatureOffsets.ReadAtRandom();
            FeatureIds.ReadAtRandom();
            FeatureValues.ReadAtRandom();
            LabelOffsets.ReadAtRandom();
            LabelIds.ReadAtRandom();
        }
        foreach (int row in rows)
        {
            long start = FeatureOffsets[row];
            int count = (int)(FeatureOffsets[row + 1L] - start);
            FeatureIds.WillNeed(start, count);
            FeatureValues.WillNeed(start, count);
            LabelIds.WillNeed(LabelOffsets[row], RowLabels(row).Length);
        }
    }

    public ulong Fingerprint()
    {
        ulong hash = StableHash.Add((ulong)FeatureCount << 32 | (uint)LabelCount, (ulong)RowCount);
        hash = StableHash.Add(StableHash.Add(hash, (ulong)FeatureIds.Length), (ulong)LabelIds.Length);
        for (int row = 0; row < RowCount; row++)
        {
            ReadOnlySpan<int> ids = RowFeatures(row), labels = RowLabels(row);
            ReadOnlySpan<float> values = RowValues(row);
            hash = StableHash.Add(hash, (ulong)ids.Length << 32 | (uint)labels.Length);
            for (int i = 0; i < ids.Length; i++)
                hash = StableHash.Add(hash, (ulong)(uint)ids[i] << 32 | BitConverter.SingleToUInt32Bits(values[i]));
            foreach (int id in labels)
                hash = StableHash.Add(hash, (ulong)(uint)id);
        }
        return hash;
    }

    private sealed class Cursor(Dataset data) : RowCursor
    {
        private int _row;

        public override ReadOnlySpan<int> Ids => data.RowFeatures(_row);

        public override ReadOnlySpan<float> Values => data.RowValues(_row);

        public override void MoveTo(int row) => _row = row;
    }
}
