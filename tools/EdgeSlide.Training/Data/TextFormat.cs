using System.Text;

namespace EdgeSlide.Training.Data;

/// <summary>
/// Rows <c>label,label TAB text</c>, UTF-8. Labels are names, or, with a label file, the numbers it explains. The list may
/// be empty, the text may not; further tabs belong to the text.
/// </summary>
internal static class TextFormat
{
    /// <summary>Reads one file; see <see cref="Read(IReadOnlyList{string}, LabelVocabulary?, bool, SkippedRows?)"/>.</summary>
    public static TextDataset Read(string path, LabelVocabulary? labels = null, bool dropUnknownLabels = false, SkippedRows? skipped = null) =>
        Read([path], labels, dropUnknownLabels, skipped)[0];

    /// <summary>Reads the files of one data set under one vocabulary.</summary>
    /// <param name="labels">The vocabulary; without one, it is made of all labels in all the files.</param>
    /// <param name="dropUnknownLabels">Leave labels out that the vocabulary lacks, and count them, instead of calling the row bad.</param>
    /// <param name="skipped">Takes bad rows; without it the first one is fatal.</param>
    public static IReadOnlyList<TextDataset> Read(
        IReadOnlyList<string> paths, LabelVocabulary? labels = null, bool dropUnknownLabels = false, SkippedRows? skipped = null)
    {
        var files = new List<List<Block>>();
        foreach (string path in paths)
        {
            using var source = new LineSource(path);
            List<Block> blocks = RowReader.Read(source, () => new Block(labels, dropUnknownLabels), skipped);
            if (blocks.Sum(b => b.Texts.Count) == 0) throw source.Problem(0, "no rows");
            files.Add(blocks);
        }

        (labels, long[] offsets, int[] ids) = LabelColumn.Join([.. files.SelectMany(blocks => blocks).Select(b => b.Labels)], labels);
        var sets = new List<TextDataset>();
        int row = 0;
        foreach (List<Block> blocks in files)
        {
            ReadOnlyMemory<byte>[] texts = [.. blocks.SelectMany(b => b.Texts)];
            long start = offsets[row];
            sets.Add(new TextDataset
            {
                Labels = labels,
                LabelOffsets = [.. offsets.Skip(row).Take(texts.Length + 1).Select(offset => offset - start)],
                LabelIds = ids[(int)start..(int)offsets[row + texts.Length]],
                UnknownLabelCount = blocks.Sum(b => b.Labels.UnknownCount),
                Texts = texts,
            });
            row += texts.Length;
        }
        return sets;
    }

    /// <summary>Writes a file that reads back as the same rows; gzip if the name ends in .gz.</summary>
    public static void Write(string path, TextDataset data) => OutputFile.Write(path, output =>
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
    });

    private sealed class Block(LabelVocabulary? labels, bool dropUnknown) : RowBlock
    {
        public LabelColumn Labels { get; } = new(labels);

        public List<ReadOnlyMemory<byte>> Texts { get; } = [];

        public override string? Add(ReadOnlyMemory<byte> line)
        {
            if (line.IsEmpty) return "empty line";
            int tab = line.Span.IndexOf((byte)'\t');
            if (tab < 0) return "no tab between labels and text";
            ReadOnlyMemory<byte> text = line[(tab + 1)..];
            if (text.Span.IndexOfAnyExcept(" \t"u8) < 0) return "no text after the labels";
            string? problem = Labels.Add(line.Span[..tab], dropUnknown);
            if (problem is null) Texts.Add(text);
            return problem;
        }
    }
}
