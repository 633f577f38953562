namespace EdgeSlide.Training.Data;

/// <summary>Labelled rows as a file holds them, before the featurizer.</summary>
internal abstract class RawDataset
{
    public required LabelVocabulary Labels { get; init; }

    /// <summary>[rows + 1] start of each row in <see cref="LabelIds"/>.</summary>
    public required long[] LabelOffsets { get; init; }

    public required int[] LabelIds { get; init; }

    /// <summary>Labels left out because the vocabulary that the file was read with does not have them.</summary>
    public long UnknownLabelCount { get; init; }

    public int RowCount => LabelOffsets.Length - 1;

    /// <summary>The row's labels, all different.</summary>
    public ReadOnlySpan<int> RowLabels(int row) =>
        LabelIds.AsSpan(checked((int)LabelOffsets[row]), (int)(LabelOffsets[row + 1] - LabelOffsets[row]));

    /// <summary>In how many rows each label occurs.</summary>
    public int[] CountLabels()
    {
        int[] counts = new int[Labels.Count];
        foreach (int id in LabelIds) counts[id]++;
        return counts;
    }

    /// <summary>A hash of the row's input, without its labels: equal on every machine.</summary>
    public abstract ulong HashRow(int row, ulong seed);

    /// <summary>Some of the rows, in the given order.</summary>
    public abstract RawDataset Select(ReadOnlySpan<int> rows);

    protected (long[] Offsets, int[] Ids) SelectLabels(ReadOnlySpan<int> rows) => SelectLists(rows, LabelOffsets, LabelIds);

    protected static (long[] Offsets, T[] Items) SelectLists<T>(ReadOnlySpan<int> rows, long[] offsets, T[] items)
    {
        long[] newOffsets = new long[rows.Length + 1];
        for (int i = 0; i < rows.Length; i++) newOffsets[i + 1] = newOffsets[i] + offsets[rows[i] + 1] - offsets[rows[i]];
        var newItems = new T[newOffsets[^1]];
        for (int i = 0; i < rows.Length; i++)
        {
            items.AsSpan((int)offsets[rows[i]], (int)(newOffsets[i + 1] - newOffsets[i])).CopyTo(newItems.AsSpan((int)newOffsets[i]));
        }
        return (newOffsets, newItems);
    }
}

/// <summary>Rows of sparse features, as in an XC repository file.</summary>
internal sealed class SparseDataset : RawDataset
{
    public required int FeatureCount { get; init; }

    public required long[] FeatureOffsets { get; init; }

    /// <summary>Strictly increasing within a row.</summary>
    public required int[] FeatureIds { get; init; }

    public required float[] FeatureValues { get; init; }

    public ReadOnlySpan<int> RowFeatures(int row) => FeatureIds.AsSpan(Start(row), Length(row));

    public ReadOnlySpan<float> RowValues(int row) => FeatureValues.AsSpan(Start(row), Length(row));

    /// <summary>The same arrays under the trainer's contract.</summary>
    public Dataset ToDataset() => new()
    {
        FeatureCount = FeatureCount,
        LabelCount = Labels.Count,
        FeatureOffsets = FeatureOffsets,
        FeatureIds = FeatureIds,
        FeatureValues = FeatureValues,
        LabelOffsets = LabelOffsets,
        LabelIds = LabelIds,
    };

    public override ulong HashRow(int row, ulong seed)
    {
        ulong hash = seed;
        ReadOnlySpan<int> ids = RowFeatures(row);
        ReadOnlySpan<float> values = RowValues(row);
        for (int i = 0; i < ids.Length; i++)
            hash = StableHash.Add(hash, (ulong)(uint)ids[i] << 32 | BitConverter.SingleToUInt32Bits(values[i]));
        return StableHash.Add(hash, (ulong)ids.Length);
    }

    public override SparseDataset Select(ReadOnlySpan<int> rows)
    {
        (long[] labelOffsets, int[] labelIds) = SelectLabels(rows);
        (long[] offsets, int[] ids) = SelectLists(rows, FeatureOffsets, FeatureIds);
        return new SparseDataset
        {
            Labels = Labels,
            LabelOffsets = labelOffsets,
            LabelIds = labelIds,
            FeatureCount = FeatureCount,
            FeatureOffsets = offsets,
            FeatureIds = ids,
            FeatureValues = SelectLists(rows, FeatureOffsets, FeatureValues).Items,
        };
    }

    private int Start(int row) => checked((int)FeatureOffsets[row]);

    private int Length(int row) => (int)(FeatureOffsets[row + 1] - FeatureOffsets[row]);
}

/// <summary>Rows of text, one line each.</summary>
internal sealed class TextDataset : RawDataset
{
    /// <summary>Valid UTF-8 without line ends; rows share the memory that the file was read into.</summary>
    public required ReadOnlyMemory<byte>[] Texts { get; init; }

    public ReadOnlySpan<byte> RowText(int row) => Texts[row].Span;

    public override ulong HashRow(int row, ulong seed) => StableHash.Compute(RowText(row), seed);

    public override TextDataset Select(ReadOnlySpan<int> rows)
    {
        (long[] labelOffsets, int[] labelIds) = SelectLabels(rows);
        var texts = new ReadOnlyMemory<byte>[rows.Length];
        for (int i = 0; i < rows.Length; i++) texts[i] = Texts[rows[i]];
        return new TextDataset { Labels = Labels, LabelOffsets = labelOffsets, LabelIds = labelIds, Texts = texts };
    }
}

/// <summary>Rows of the same number of values each.</summary>
internal sealed class DenseDataset : RawDataset
{
    public required int ValueCount { get; init; }

    /// <summary>[rows x <see cref="ValueCount"/>], row by row.</summary>
    public required float[] Values { get; init; }

    public ReadOnlySpan<float> RowValues(int row) => Values.AsSpan(checked(row * ValueCount), ValueCount);

    /// <summary>Keeps the non-zero values only.</summary>
    public SparseDataset ToSparse()
    {
        long[] offsets = new long[RowCount + 1];
        int nonZero = Values.AsSpan().Length - Values.AsSpan().Count(0f);
        int[] ids = new int[nonZero];
        float[] values = new float[nonZero];
        int next = 0;
        for (int row = 0; row < RowCount; row++)
        {
            ReadOnlySpan<float> dense = RowValues(row);
            for (int i = 0; i < dense.Length; i++)
            {
                if (dense[i] == 0) continue;
                ids[next] = i;
                values[next++] = dense[i];
            }
            offsets[row + 1] = next;
        }
        return new SparseDataset
        {
            Labels = Labels,
            LabelOffsets = LabelOffsets,
            LabelIds = LabelIds,
            UnknownLabelCount = UnknownLabelCount,
            FeatureCount = ValueCount,
            FeatureOffsets = offsets,
            FeatureIds = ids,
            FeatureValues = values,
        };
    }

    public override ulong HashRow(int row, ulong seed)
    {
        ulong hash = seed;
        foreach (float value in RowValues(row)) hash = StableHash.Add(hash, BitConverter.SingleToUInt32Bits(value));
        return hash;
    }

    public override DenseDataset Select(ReadOnlySpan<int> rows)
    {
        (long[] labelOffsets, int[] labelIds) = SelectLabels(rows);
        float[] values = new float[checked(rows.Length * ValueCount)];
        for (int i = 0; i < rows.Length; i++) RowValues(rows[i]).CopyTo(values.AsSpan(i * ValueCount));
        return new DenseDataset { Labels = Labels, LabelOffsets = labelOffsets, LabelIds = labelIds, ValueCount = ValueCount, Values = values };
    }
}

internal static class RawDatasetSplit
{
    /// <summary>
    /// Holds out about <paramref name="fraction"/> of the rows for validation. Each row is placed by a hash of its own
    /// input and the seed: the split does not change when rows are added or reordered, and equal inputs stay together.
    /// </summary>
    public static (T Train, T Validation) Split<T>(this T data, double fraction, ulong seed) where T : RawDataset
    {
        ArgumentOutOfRangeException.ThrowIfNegative(fraction);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(fraction, 1);
        var train = new List<int>();
        var validation = new List<int>();
        for (int row = 0; row < data.RowCount; row++)
        {
            bool heldOut = StableHash.ToFraction(data.HashRow(row, seed)) < fraction;
            (heldOut ? validation : train).Add(row);
        }
        return ((T)data.Select(train.ToArray()), (T)data.Select(validation.ToArray()));
    }
}
