using System.Runtime.InteropServices;
using System.Text;

namespace EdgeSlide.Training.Data;

/// <summary>Rows <c>label,value,value,...</c> of the same number of values each, without header line.</summary>
internal static class DenseFormat
{
    /// <summary>Reads one file; see <see cref="Read(IReadOnlyList{string}, LabelVocabulary?, int?, SkippedRows?, RowStorage?, CancellationToken)"/>.</summary>
    public static DenseDataset Read(string path, LabelVocabulary? labels = null, int? valueCount = null, SkippedRows? skipped = null, RowStorage? storage = null) =>
        Read([path], labels, valueCount, skipped, storage)[0];

    /// <summary>Reads the files of one data set under one vocabulary.</summary>
    /// <param name="labels">The vocabulary; without one, it is made of all labels in all the files.</param>
    /// <param name="valueCount">Values in a row; by default as many as the first row has.</param>
    /// <param name="skipped">Takes bad rows; without it the first one is fatal.</param>
    /// <param name="storage">Where the rows are kept; by default in memory.</param>
    public static IReadOnlyList<DenseDataset> Read(
        IReadOnlyList<string> paths, LabelVocabulary? labels = null, int? valueCount = null, SkippedRows? skipped = null, RowStorage? storage = null, CancellationToken cancel = default)
    {
        storage ??= RowStorage.Memory;
        var join = new LabelJoin(labels);
        var files = new List<(ListWriter<int> Labels, ItemsWriter<float> Values, RowOrigin Origin)>();
        int width = valueCount ?? 0;
        foreach (string path in paths)
        {
            using var source = new LineSource(path, cancel);
            if (width == 0)
            {
                if (!source.TryPeekLine(out ReadOnlyMemory<byte> first) || (width = first.Span.Count((byte)',')) == 0)
                    throw source.Problem(1, $"a row must be label,value,value,..., found {Field.Quote(first.Span)}");
            }
            ListWriter<int> lists = new(storage);
            ItemsWriter<float> values = storage.Create<float>();
            RowOrigin origin = RowReader.Read(source, () => new Block(labels, width), skipped, block =>
            {
                join.Append(block.Labels, lists);
                values.Append(CollectionsMarshal.AsSpan(block.Values));
            });
            if (lists.Count == 0) throw source.Problem(0, "no rows");
            files.Add((lists, values, origin));
        }

        (labels, (Items<long> Offsets, Items<int> Ids)[] labelLists) = join.Finish(files.Select(file => file.Labels));
        return [.. files.Select((file, i) => new DenseDataset
        {
            Labels = labels,
            LabelOffsets = labelLists[i].Offsets,
            LabelIds = labelLists[i].Ids,
            FileOrigin = file.Origin,
            ValueCount = width,
            Values = file.Values.ToItems(),
        })];
    }

    /// <summary>Writes a file that reads back as the same rows, bit by bit; gzip if the name ends in .gz.</summary>
    public static void Write(string path, DenseDataset data, OutputFiles? files = null) => OutputFile.Write(path, output =>
    {
        for (int row = 0; row < data.RowCount; row++)
        {
            if (data.RowLabels(row).Length != 1) throw new DataFormatException(path, 0, $"row {row} cannot be written: it has {data.RowLabels(row).Length} labels");
            string key = data.Labels.Key(data.RowLabels(row)[0]);
            if (key.Length == 0 || key.AsSpan().IndexOfAny(",\r\n") >= 0)
                throw new DataFormatException(path, 0, $"label '{key}' cannot be written: it is empty or has a comma or a line end");
            output.Append(Encoding.UTF8.GetBytes(key));
            foreach (float value in data.RowValues(row)) output.Append((byte)',').Append(value);
            output.Append((byte)'\n');
        }
    }, files);

    private sealed class Block(LabelVocabulary? labels, int width) : RowBlock
    {
        public LabelColumn Labels { get; } = new(labels);

        public List<float> Values { get; } = [];

        public override string? Add(ReadOnlySpan<byte> line)
        {
            int before = Values.Count;
            string? problem = Parse(line);
            if (problem is not null) CollectionsMarshal.SetCount(Values, before);
            return problem;
        }

        private string? Parse(ReadOnlySpan<byte> rest)
        {
            if (rest.IsEmpty) return "empty line";
            int found = rest.Count((byte)',');
            if (found != width) return $"{found} values, expected {width}";
            Field.TryTake(ref rest, (byte)',', out ReadOnlySpan<byte> label);
            if (label.IsEmpty) return "no label";
            for (int i = 1; i <= width; i++)
            {
                Field.TryTake(ref rest, (byte)',', out ReadOnlySpan<byte> text);
                if (!Field.TryParseValue(text, out float value)) return $"value {i}, {Field.Quote(text)}, is not a number";
                if (!float.IsFinite(value)) return $"value {i}, {Field.Quote(text)}, is not finite";
                Values.Add(value);
            }
            return Labels.Add(label, dropUnknown: false);
        }
    }
}
