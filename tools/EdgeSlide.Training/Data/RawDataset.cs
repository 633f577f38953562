namespace EdgeSlide.Training.Data;

/// <summary>Labelled rows as a file holds them, before the featurizer: all of them, or some that are picked by their places.</summary>
internal abstract class RawDataset
{
    public required LabelVocabulary Labels { get; init; }

    /// <summary>[places + 1] start of each place's list in <see cref="LabelIds"/>.</summary>
    public required Items<long> LabelOffsets { get; init; }

    public required Items<int> LabelIds { get; init; }

    /// <summary>Labels left out because the vocabulary that the file was read with does not have them.</summary>
    public long UnknownLabelCount { get; init; }

    /// <summary>Where the places stand in the file that was read; null if they come from none.</summary>
    public RowOrigin? FileOrigin { get; init; }

    /// <summary>The same for the rows.</summary>
    public RowOrigin? Origin => Places is null ? FileOrigin : FileOrigin?.At(Places);

    /// <summary>Where each row is among those that were read; null if every row is at its own place.</summary>
    protected int[]? Places { get; init; }

    public int RowCount => Places?.Length ?? checked((int)(LabelOffsets.Length - 1));

    /// <summary>What keeps the rows; rows made of them go there, too.</summary>
    public RowStorage Storage => LabelIds.Storage;

    /// <summary>The row's labels, all different.</summary>
    public ReadOnlySpan<int> RowLabels(int row) => LabelIds.List(LabelOffsets, Place(row));

    /// <summary>The labels of all rows, end to end.</summary>
    public (Items<long> Offsets, Items<int> Ids) LabelLists() => Places is null ? (LabelOffsets, LabelIds) : Copy<int>(RowLabels);

    /// <summary>In how many rows each label occurs.</summary>
    public int[] CountLabels()
    {
        int[] counts = new int[Labels.Count];
        for (int row = 0; row < RowCount; row++)
        {
            foreach (int id in RowLabels(row)) counts[id]++;
        }
        return counts;
    }

    /// <summary>A hash of the row's input, without its labels: equal on every machine.</summary>
    public abstract ulong HashRow(int row, ulong seed);

    /// <summary>Some of the rows, in the given order; no row is copied.</summary>
    public abstract RawDataset Select(ReadOnlySpan<int> rows);

    protected int Place(int row) => Places is null ? row : Places[row];

    protected int[] PlacesOf(ReadOnlySpan<int> rows)
    {
        int[] places = rows.ToArray();
        foreach (ref int place in places.AsSpan()) place = Place(place);
        return places;
    }

    /// <summary>A list of every row, end to end.</summary>
    protected (Items<long> Offsets, Items<T> Items) Copy<T>(RowList<T> list) where T : unmanaged
    {
        var copy = new ListWriter<T>(Storage);
        for (int row = 0; row < RowCount; row++) copy.Append(list(row));
        return copy.ToItems();
    }

    protected delegate ReadOnlySpan<T> RowList<T>(int row);
}

/// <summary>Rows of sparse features, as in an XC repository file.</summary>
internal sealed class SparseDataset : RawDataset
{
    public required int FeatureCount { get; init; }

    public required Items<long> FeatureOffsets { get; init; }

    /// <summary>Strictly increasing within a row.</summary>
    public required Items<int> FeatureIds { get; init; }

    public required Items<float> FeatureValues { get; init; }

    public ReadOnlySpan<int> RowFeatures(int row) => FeatureIds.List(FeatureOffsets, Place(row));

    public ReadOnlySpan<float> RowValues(int row) => FeatureValues.List(FeatureOffsets, Place(row));

    /// <summary>The same rows under the trainer's contract.</summary>
    public Dataset ToDataset()
    {
        (Items<long> labelOffsets, Items<int> labelIds) = LabelLists();
        (Items<long> offsets, Items<int> ids) = Places is null ? (FeatureOffsets, FeatureIds) : Copy<int>(RowFeatures);
        return new Dataset
        {
            FeatureCount = FeatureCount,
            LabelCount = Labels.Count,
            Origin = Origin,
            FeatureOffsets = offsets,
            FeatureIds = ids,
            FeatureValues = Places is null ? FeatureValues : Copy<float>(RowValues).Items,
            LabelOffsets = labelOffsets,
            LabelIds = labelIds,
        };
    }

    public override ulong HashRow(int row, ulong seed)
    {
        ulong hash = seed;
        ReadOnlySpan<int> ids = RowFeatures(row);
        ReadOnlySpan<float> values = RowValues(row);
        for (int i = 0; i < ids.Length; i++)
            hash = StableHash.Add(hash, (ulong)(uint)ids[i] << 32 | BitConverter.SingleToUInt32Bits(values[i]));
        return StableHash.Add(hash, (ulong)ids.Length);
    }

    public override SparseDataset Select(ReadOnlySpan<int> rows) => new()
    {
        Labels = Labels,
        LabelOffsets = LabelOffsets,
        LabelIds = LabelIds,
        FileOrigin = FileOrigin,
        Places = PlacesOf(rows),
        FeatureCount = FeatureCount,
        FeatureOffsets = FeatureOffsets,
        FeatureIds = FeatureIds,
        FeatureValues = FeatureValues,
    };
}

/// <summary>Rows of text, one line each.</summary>
internal sealed class TextDataset : RawDataset
{
    /// <summary>[places + 1] start of each place's text in <see cref="Text"/>.</summary>
    public required Items<long> TextOffsets { get; init; }

    /// <summary>Valid UTF-8 without line ends.</summary>
    public required Items<byte> Text { get; init; }

    public ReadOnlySpan<byte> RowText(int row) => Text.List(TextOffsets, Place(row));

    public override ulong HashRow(int row, ulong seed) => StableHash.Compute(RowText(row), seed);

    public override TextDataset Select(ReadOnlySpan<int> rows) => new()
    {
        Labels = Labels,
        LabelOffsets = LabelOffsets,
        LabelIds = LabelIds,
        FileOrigin = FileOrigin,
        Places = PlacesOf(rows),
        TextOffsets = TextOffsets,
        Text = Text,
    };
}

/// <summary>Rows of the same number of values each.</summary>
internal sealed class DenseDataset : RawDataset
{
    public required int ValueCount { get; init; }

    /// <summary>[places x <see cref="ValueCount"/>], one after the other.</summary>
    public required Items<float> Values { get; init; }

    public ReadOnlySpan<float> RowValues(int row) => Values.Slice((long)Place(row) * ValueCount, ValueCount);

    /// <summary>Keeps the non-zero values only.</summary>
    public SparseDataset ToSparse()
    {
        ItemsWriter<long> offsets = Storage.Create<long>();
        ItemsWriter<int> ids = Storage.Create<int>();
        ItemsWriter<float> values = Storage.Create<float>();
        offsets.Append(0);
        for (int row = 0; row < RowCount; row++)
        {
            ReadOnlySpan<float> dense = RowValues(row);
            for (int i = 0; i < dense.Length; i++)
            {
                if (dense[i] == 0) continue;
                ids.Append(i);
                values.Append(dense[i]);
            }
            offsets.Append(ids.Length);
        }
        (Items<long> labelOffsets, Items<int> labelIds) = LabelLists();
        return new SparseDataset
        {
            Labels = Labels,
            LabelOffsets = labelOffsets,
            LabelIds = labelIds,
            UnknownLabelCount = UnknownLabelCount,
            FileOrigin = Origin,
            FeatureCount = ValueCount,
            FeatureOffsets = offsets.ToItems(),
            FeatureIds = ids.ToItems(),
            FeatureValues = values.ToItems(),
        };
    }

    public override ulong HashRow(int row, ulong seed)
    {
        ulong hash = seed;
        foreach (float value in RowValues(row)) hash = StableHash.Add(hash, BitConverter.SingleToUInt32Bits(value));
        return hash;
    }

    public override DenseDataset Select(ReadOnlySpan<int> rows) => new()
    {
        Labels = Labels,
        LabelOffsets = LabelOffsets,
        LabelIds = LabelIds,
        FileOrigin = FileOrigin,
        Places = PlacesOf(rows),
        ValueCount = ValueCount,
        Values = Values,
    };
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
