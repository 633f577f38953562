using System.Text;

namespace EdgeSlide.Training.Data;

/// <summary>The formats of labelled rows. (Token streams have no labels and nothing to tell them by.)</summary>
internal enum RowFormat
{
    Xc,
    Text,
    Dense,
}

internal static class RowFormats
{
    /// <summary>Tells the format of a file from its first line.</summary>
    /// <exception cref="DataFormatException">The line fits none of them.</exception>
    public static RowFormat Detect(string path)
    {
        using var source = new LineSource(path);
        source.TryReadLine(out ReadOnlyMemory<byte> line);
        string text = Encoding.UTF8.GetString(line.Span);
        if (text.Contains('\t')) return RowFormat.Text;
        if (text.Trim().Split(' ') is { Length: 3 } header && header.All(part => Field.TryParseId(Encoding.UTF8.GetBytes(part), out _))) return RowFormat.Xc;
        if (text.Split(',') is { Length: >= 2 } cells && cells.Skip(1).All(cell => Field.TryParseValue(Encoding.UTF8.GetBytes(cell), out _))) return RowFormat.Dense;
        throw source.Problem(1, $"neither 'rows features labels' (XC), nor 'label,label<TAB>text', nor 'label,value,value,...': {Field.Quote(line.Span)}");
    }

    /// <summary>Reads one data set's files, whose format is that of the first, under one vocabulary.</summary>
    /// <param name="labels">The vocabulary; without one, it comes from the files.</param>
    /// <param name="skipped">Takes bad rows; without it the first one is fatal.</param>
    /// <param name="storage">Where the rows are kept; by default in memory.</param>
    public static IReadOnlyList<RawDataset> Read(IReadOnlyList<string> paths, LabelVocabulary? labels = null, SkippedRows? skipped = null, RowStorage? storage = null, CancellationToken cancel = default)
    {
        switch (Detect(paths[0]))
        {
            case RowFormat.Text:
                return TextFormat.Read(paths, labels, skipped: skipped, storage: storage, cancel: cancel);
            case RowFormat.Dense:
                return DenseFormat.Read(paths, labels, skipped: skipped, storage: storage, cancel: cancel);
            default:
                var sets = new List<SparseDataset>();
                foreach (string path in paths)
                    sets.Add(XcFormat.Read(path, labels ?? sets.FirstOrDefault()?.Labels, sets.FirstOrDefault()?.FeatureCount, skipped, storage, cancel));
                return sets;
        }
    }
}
