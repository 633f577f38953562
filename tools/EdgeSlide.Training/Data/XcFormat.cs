using System.Runtime.InteropServices;
using EdgeSlide.Model;

namespace EdgeSlide.Training.Data;

/// <summary>
/// The format of the Extreme Classification repository: a header <c>rows features labels</c>, then one row per line,
/// <c>label,label feature:value feature:value</c> with 0-based ids. A row without labels begins with a space.
/// </summary>
internal static class XcFormat
{
    /// <summary>Reads a file. Features come out sorted, values as they are.</summary>
    /// <param name="labels">Names for the labels, as many as the header says; numbers without.</param>
    /// <param name="featureCount">Features that the header must agree with: those of the training set, for a test set.</param>
    /// <param name="skipped">Takes bad rows; without it the first one is fatal.</param>
    /// <param name="storage">Where the rows are kept; by default in memory.</param>
    public static SparseDataset Read(string path, LabelVocabulary? labels = null, int? featureCount = null, SkippedRows? skipped = null, RowStorage? storage = null, CancellationToken cancel = default)
    {
        using var source = new LineSource(path, cancel);
        (int rows, int features, int labelCount) = ReadHeader(source);
        if (featureCount is { } expected && expected != features) throw source.Problem(1, $"header says {features} features, expected {expected}");
        if (labels is not null && labels.Count != labelCount) throw source.Problem(1, $"header says {labelCount} labels, expected {labels.Count}");

        storage ??= RowStorage.Memory;
        ListWriter<int> labelLists = new(storage), featureLists = new(storage);
        ItemsWriter<float> values = storage.Create<float>();
        RowOrigin origin = RowReader.Read(source, () => new Block(features, labelCount), skipped, block =>
        {
            labelLists.Append(block.Labels.Items, block.Labels.Ends);
            featureLists.Append(block.Features.Items, block.Features.Ends);
            values.Append(CollectionsMarshal.AsSpan(block.Values));
        });
        long found = source.LinesRead - 1;
        if (found != rows) throw source.Problem(0, $"header says {rows} rows, file has {found}");
        if (featureLists.Count == 0) throw source.Problem(0, "no rows");

        (Items<long> labelOffsets, Items<int> labelIds) = labelLists.ToItems();
        (Items<long> offsets, Items<int> ids) = featureLists.ToItems();
        return new SparseDataset
        {
            Labels = labels ?? LabelVocabulary.Numbered(labelCount),
            LabelOffsets = labelOffsets,
            LabelIds = labelIds,
            FileOrigin = origin,
            FeatureCount = features,
            FeatureOffsets = offsets,
            FeatureIds = ids,
            FeatureValues = values.ToItems(),
        };
    }

    /// <summary>Writes a file that reads back as the same rows, bit by bit; gzip if the name ends in .gz.</summary>
    public static void Write(string path, IRowSource data, OutputFiles? files = null) => OutputFile.Write(path, output =>
    {
        using RowCursor cursor = data.CreateCursor();
        output.Append(data.RowCount).Append((byte)' ').Append(data.FeatureCount).Append((byte)' ').Append(data.LabelCount).Append((byte)'\n');
        for (int row = 0; row < data.RowCount; row++)
        {
            ReadOnlySpan<int> labels = data.RowLabels(row);
            for (int i = 0; i < labels.Length; i++)
            {
                if (i > 0) output.Append((byte)',');
                output.Append(labels[i]);
            }
            cursor.MoveTo(row);
            ReadOnlySpan<int> ids = cursor.Ids;
            ReadOnlySpan<float> values = cursor.Values;
            if (labels.IsEmpty && ids.IsEmpty) output.Append((byte)' ');
            for (int i = 0; i < ids.Length; i++) output.Append((byte)' ').Append(ids[i]).Append((byte)':').Append(values[i]);
            output.Append((byte)'\n');
        }
    }, files);

    private static (int Rows, int Features, int Labels) ReadHeader(LineSource source)
    {
        source.TryReadLine(out ReadOnlyMemory<byte> line);
        ReadOnlySpan<byte> rest = line.Span;
        if (Field.TryTake(ref rest, (byte)' ', out ReadOnlySpan<byte> first) && Field.TryParseId(first, out int rows)
            && Field.TryTake(ref rest, (byte)' ', out ReadOnlySpan<byte> second) && Field.TryParseId(second, out int features)
            && Field.TryParseId(rest.TrimEnd((byte)' '), out int labels) && features > 0 && labels > 0)
        {
            return Math.Max(features, labels) <= ModelFormat.MaxWidth
                ? (rows, features, labels)
                : throw source.Problem(1, $"header says {features:N0} features and {labels:N0} labels, more than the {ModelFormat.MaxWidth:N0} that a layer can have");
        }
        throw source.Problem(1, $"header must be 'rows features labels', found {Field.Quote(line.Span)}");
    }

    private sealed class Block(int featureCount, int labelCount) : RowBlock
    {
        public ListBuilder<int> Labels { get; } = new();

        public ListBuilder<int> Features { get; } = new();

        public List<float> Values { get; } = [];

        public override string? Add(ReadOnlySpan<byte> line)
        {
            int valueCount = Values.Count;
            string? problem = Parse(line);
            if (problem is null)
            {
                Labels.Close();
                Features.Close();
                return null;
            }
            Labels.DropOpen();
            Features.DropOpen();
            CollectionsMarshal.SetCount(Values, valueCount);
            return problem;
        }

        private string? Parse(ReadOnlySpan<byte> line)
        {
            if (line.IsEmpty) return "empty line";
            int space = line.IndexOf((byte)' ');
            ReadOnlySpan<byte> list = space < 0 ? line : line[..space];
            ReadOnlySpan<byte> rest = space < 0 ? default : line[(space + 1)..];

            if (!list.IsEmpty && list[^1] == ',') return "label list ends with a comma";
            while (Field.TryTake(ref list, (byte)',', out ReadOnlySpan<byte> label))
            {
                if (!Field.TryParseId(label, out int id)) return $"label {Field.Quote(label)} is not a number";
                if (id >= labelCount) return $"label {id} is out of range, the header says {labelCount} labels";
                Labels.Add(id);
            }
            if (Field.FindDuplicate(Labels.Open) is >= 0 and int twice) return $"label {twice} occurs twice";

            int firstValue = Values.Count;
            int previous = -1;
            bool sorted = true;
            while (Field.TryTake(ref rest, (byte)' ', out ReadOnlySpan<byte> pair))
            {
                if (pair.IsEmpty) continue;
                int colon = pair.IndexOf((byte)':');
                if (colon < 0) return $"{Field.Quote(pair)} is not feature:value";
                if (!Field.TryParseId(pair[..colon], out int id)) return $"feature {Field.Quote(pair[..colon])} is not a number";
                if (id >= featureCount) return $"feature {id} is out of range, the header says {featureCount} features";
                if (!Field.TryParseValue(pair[(colon + 1)..], out float value)) return $"value {Field.Quote(pair[(colon + 1)..])} of feature {id} is not a number";
                if (!float.IsFinite(value)) return $"value {Field.Quote(pair[(colon + 1)..])} of feature {id} is not finite";
                Features.Add(id);
                Values.Add(value);
                sorted &= id > previous;
                previous = id;
            }
            if (sorted) return null;

            Span<int> ids = Features.Open;
            ids.Sort(CollectionsMarshal.AsSpan(Values)[firstValue..]);
            for (int i = 1; i < ids.Length; i++)
            {
                if (ids[i - 1] == ids[i]) return $"feature {ids[i]} occurs twice";
            }
            return null;
        }
    }
}
