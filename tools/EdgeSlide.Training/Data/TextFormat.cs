using System.Text;

namespace EdgeSlide.Training.Data;

/// <summary>
/// Rows <c>label,label TAB text</c>, UTF-8. Labels are names, or, with a label file, the numbers it explains. The list may
/// be empty, the text may not; further tabs belong to the text.
/// </summary>
internal static class TextFormat
{
    /// <summary>Reads one file; see <see cref="Read(IReadOnlyList{string}, LabelVocabulary?, bool, SkippedRows?, RowStorage?, CancellationToken)"/>.</summary>
    public static TextDataset Read(string path, LabelVocabulary? labels = null, bool dropUnknownLabels = false, SkippedRows? skipped = null, RowStorage? storage = null) =>
        Read([path], labels, dropUnknownLabels, skipped, storage)[0];

    /// <summary>Reads the files of one data set under one vocabulary.</summary>
    /// <param name="labels">The vocabulary; without one, it is made of all labels in all the files.</param>
    /// <param name="dropUnknownLabels">Leave labels out that the vocabulary lacks, and count them, instead of calling the row bad.</param>
    /// <param name="skipped">Takes bad rows; without it the first one is fatal.</param>
    /// <param name="storage">Where the rows are kept; by default in memory.</param>
    public static IReadOnlyList<TextDataset> Read(
        IReadOnlyList<string> paths, LabelVocabulary? labels = null, bool dropUnknownLabels = false, SkippedRows? skipped = null, RowStorage? storage = null, CancellationToken cancel = default)
    {
        storage ??= RowStorage.Memory;
        var join = new LabelJoin(labels);
        var files = new List<(ListWriter<int> Labels, ListWriter<byte> Texts, long Unknown, RowOrigin Origin)>();
        foreach (string path in paths)
        {
            using var source = new LineSource(path, cancel);
            ListWriter<int> lists = new(storage);
            ListWriter<byte> texts = new(storage);
            long unknown = 0;
            RowOrigin origin = RowReader.Read(source, () => new Block(labels, dropUnknownLabels), skipped, block =>
            {
                join.Append(block.Labels, lists);
                texts.Append(block.Texts.Items, block.Texts.Ends);
                unknown += block.Labels.UnknownCount;
            });
            if (texts.Count == 0) throw source.Problem(0, "no rows");
            files.Add((lists, texts, unknown, origin));
        }

        (labels, (Items<long> Offsets, Items<int> Ids)[] labelLists) = join.Finish(files.Select(file => file.Labels));
        return [.. files.Select((file, i) =>
        {
            (Items<long> offsets, Items<byte> bytes) = file.Texts.ToItems();
            return new TextDataset
            {
                Labels = labels,
                LabelOffsets = labelLists[i].Offsets,
                LabelIds = labelLists[i].Ids,
                UnknownLabelCount = file.Unknown,
                FileOrigin = file.Origin,
                TextOffsets = offsets,
                Text = bytes,
            };
        })];
    }

    /// <summary>Writes a file that reads back as the same rows; gzip if the name ends in .gz.</summary>
    public static void Write(string path, TextDataset data, OutputFiles? files = null) => OutputFile.Write(path, output =>
    {
        byte[][] keys = [.. Enumerable.Range(0, data.Labels.Count).Select(id => Encoding.UTF8.GetBytes(data.Labels.Key(id)))];
        for (int row = 0; row < data.RowCount; row++)
        {
            ReadOnlySpan<int> labels = data.RowLabels(row);
            for (int i = 0; i < labels.Length; i++)
            {
                ReadOnlySpan<byte> key = keys[labels[i]];
                if (key.IsEmpty || key.IndexOfAny(",\t\r\n"u8) >= 0)
                    throw new DataFormatException(path, 0, $"label {Field.Quote(key)} cannot be written: it is empty or has a comma, a tab or a line end");
                if (i > 0) output.Append((byte)',');
                output.Append(key);
            }
            ReadOnlySpan<byte> text = data.RowText(row);
            if (text.IsEmpty || text.Contains((byte)'\n') || text[^1] == '\r')
                throw new DataFormatException(path, 0, $"text {Field.Quote(text)} cannot be written: it is empty or has a line end");
            output.Append((byte)'\t').Append(text).Append((byte)'\n');
        }
    }, files);

    private sealed class Block(LabelVocabulary? labels, bool dropUnknown) : RowBlock
    {
        public LabelColumn Labels { get; } = new(labels);

        public ListBuilder<byte> Texts { get; } = new();

        public override string? Add(ReadOnlySpan<byte> line)
        {
            if (line.IsEmpty) return "empty line";
            int tab = line.IndexOf((byte)'\t');
            if (tab < 0) return "no tab between labels and text";
            ReadOnlySpan<byte> text = line[(tab + 1)..];
            if (text.IndexOfAnyExcept(" \t"u8) < 0) return "no text after the labels";
            if (Labels.Add(line[..tab], dropUnknown) is { } problem) return problem;
            Texts.Add(text);
            Texts.Close();
            return null;
        }
    }
}
