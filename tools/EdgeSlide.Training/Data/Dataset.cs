namespace EdgeSlide.Training.Data;

/// <summary>
/// Labelled rows in compressed sparse row form, ready for the first layer: the featurizer has already run, so ids are
/// input features and values are what the network multiplies. Dense rows are stored by their non-zero values.
/// Feature ids are strictly increasing within a row; label ids are distinct within a row.
/// </summary>
public sealed class Dataset : IRowSource
{
    /// <summary>Number of possible input features; every id is below it.</summary>
    public required int FeatureCount { get; init; }

    /// <summary>Number of possible labels; every label id is below it.</summary>
    public required int LabelCount { get; init; }

    /// <summary>[rows + 1] start of each row in <see cref="FeatureIds"/> and <see cref="FeatureValues"/>.</summary>
    public required long[] FeatureOffsets { get; init; }

    public required int[] FeatureIds { get; init; }

    public required float[] FeatureValues { get; init; }

    /// <summary>[rows + 1] start of each row in <see cref="LabelIds"/>.</summary>
    public required long[] LabelOffsets { get; init; }

    public required int[] LabelIds { get; init; }

    public int RowCount => FeatureOffsets.Length - 1;

    public ReadOnlySpan<int> RowFeatures(int row) => Slice(FeatureIds, FeatureOffsets, row);

    public ReadOnlySpan<float> RowValues(int row) => Slice(FeatureValues, FeatureOffsets, row);

    public ReadOnlySpan<int> RowLabels(int row) => Slice(LabelIds, LabelOffsets, row);

    /// <summary>Some of the rows, in the given order.</summary>
    internal Dataset Take(IReadOnlyList<int> rows)
    {
        var featureOffsets = new long[rows.Count + 1];
        var labelOffsets = new long[rows.Count + 1];
        for (int i = 0; i < rows.Count; i++)
        {
            featureOffsets[i + 1] = featureOffsets[i] + RowFeatures(rows[i]).Length;
            labelOffsets[i + 1] = labelOffsets[i] + RowLabels(rows[i]).Length;
        }
        var taken = new Dataset
        {
            FeatureCount = FeatureCount,
            LabelCount = LabelCount,
            FeatureOffsets = featureOffsets,
            FeatureIds = new int[featureOffsets[^1]],
            FeatureValues = new float[featureOffsets[^1]],
            LabelOffsets = labelOffsets,
            LabelIds = new int[labelOffsets[^1]],
        };
        for (int i = 0; i < rows.Count; i++)
        {
            RowFeatures(rows[i]).CopyTo(taken.FeatureIds.AsSpan((int)featureOffsets[i]));
            RowValues(rows[i]).CopyTo(taken.FeatureValues.AsSpan((int)featureOffsets[i]));
            RowLabels(rows[i]).CopyTo(taken.LabelIds.AsSpan((int)labelOffsets[i]));
        }
        return taken;
    }

    public RowCursor CreateCursor() => new Cursor(this);

    public ulong Fingerprint()
    {
        ulong hash = StableHash.Add((ulong)FeatureCount << 32 | (uint)LabelCount, (ulong)RowCount);
        hash = StableHash.Add(StableHash.Add(hash, (ulong)FeatureIds.Length), (ulong)LabelIds.Length);
        int step = Math.Max(1, RowCount / 4096);
        for (int row = 0; row < RowCount; row += step)
        {
            foreach (int id in RowFeatures(row))
                hash = StableHash.Add(hash, (ulong)(uint)id);
            foreach (int id in RowLabels(row))
                hash = StableHash.Add(hash, (ulong)(uint)id);
        }
        return hash;
    }

    private static ReadOnlySpan<T> Slice<T>(T[] items, long[] offsets, int row) =>
        items.AsSpan(checked((int)offsets[row]), (int)(offsets[row + 1] - offsets[row]));

    private sealed class Cursor(Dataset data) : RowCursor
    {
        private int _row;

        public override ReadOnlySpan<int> Ids => data.RowFeatures(_row);

        public override ReadOnlySpan<float> Values => data.RowValues(_row);

        public override void MoveTo(int row) => _row = row;
    }
}
