using EdgeSlide.Features;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Featurization;
using EdgeSlide.Workbench.Console;

namespace EdgeSlide.Workbench;

/// <summary>How data files are read.</summary>
internal enum DataFormat
{
    /// <summary>XC, label-tab-text or dense, told by the first line.</summary>
    Auto,

    /// <summary>A running text for next-word prediction.</summary>
    Tokens,
}

/// <summary>Raw training data in one of the two shapes that the featurizer is fitted to: labelled rows, or a text.</summary>
internal abstract record LoadedData
{
    public abstract IReadOnlyList<string> Labels { get; }

    public abstract bool HasLabelNames { get; }

    public abstract Featurizer Fit(FeatureOptions options);

    public abstract Dataset Featurize(Featurizer featurizer, CancellationToken cancel);

    /// <summary>The rows for training, which may be made one by one as they are read.</summary>
    public abstract IRowSource Source(Featurizer featurizer, CancellationToken cancel);

    public abstract (LoadedData Train, LoadedData Validation) Split(double fraction, ulong seed);

    /// <summary>The same rows in every command and in every run, whatever its seed: those that train left out are those that the others judge on.</summary>
    public (LoadedData Train, LoadedData Validation) HoldOut(double fraction) => Split(fraction, 1);

    /// <summary>A row's input in words, for people.</summary>
    public abstract string Describe(int row);

    /// <summary>Reads files of one data set under one set of labels.</summary>
    /// <param name="labelFile">A vocabulary: label names by id, or the words of a text.</param>
    /// <param name="labels">The labels of a trained network, for later files of the same data set.</param>
    /// <param name="skipped">Takes bad rows; without it the first one is fatal.</param>
    /// <param name="storage">Where rows are kept. (A text is 4 bytes a word in memory; its rows, where they are kept at all, go there.)</param>
    public static IReadOnlyList<LoadedData> Read(IReadOnlyList<string> paths, DataFormat format, string? labelFile, IReadOnlyList<string>? labels,
        int minimumCount, SkippedRows? skipped, RowStorage storage, CancellationToken cancel)
    {
        foreach (string path in paths)
            RefusePipe(path);
        if (format == DataFormat.Tokens)
        {
            TokenVocabulary vocabulary = labels is not null ? FromLabels(labels)
                : labelFile is not null ? TokenFormat.ReadVocabulary(labelFile)
                // Its bad lines are counted when the text is read again.
                : TokenFormat.BuildVocabulary(paths[0], minimumCount, skipped is null ? null : new SkippedRows(), cancel);
            return [.. paths.Select(path => new LoadedText(TokenFormat.Read(path, vocabulary, skipped, cancel), storage))];
        }
        LabelVocabulary? known = labelFile is not null ? LabelVocabulary.Read(labelFile, distinct: labels is null)
            : labels is not null ? LabelVocabulary.OfNetwork(labels)
            : null;
        return [.. RowFormats.Read(paths, known, skipped, storage, cancel).Select(rows => new LoadedRows(rows, skipped is not null))];
    }

    /// <summary>Its beginning tells the format, and for the rows it is opened again: of a pipe, that part would be lost.</summary>
    private static void RefusePipe(string path)
    {
        if (!File.Exists(path))
            return;
        try
        {
            using FileStream file = File.OpenRead(path);
            if (!file.CanSeek)
                throw new DataFormatException(path, 0, "is a pipe; data is read more than once, so it must be a file");
        }
        catch (UnauthorizedAccessException)
        {
            // Told where the rows are read.
        }
    }

    private static TokenVocabulary FromLabels(IReadOnlyList<string> labels)
    {
        var words = new Utf8Vocabulary();
        foreach (string label in labels)
            words.GetOrAdd(System.Text.Encoding.UTF8.GetBytes(label));
        return new TokenVocabulary(words);
    }
}

/// <param name="Rows">As a file holds them.</param>
/// <param name="SkipBad">Leave rows out that cannot become features, instead of stopping at the first.</param>
internal sealed record LoadedRows(RawDataset Rows, bool SkipBad = false) : LoadedData
{
    /// <summary>Without those that were left out as they were featurized.</summary>
    public RawDataset Rows { get; private set; } = Rows;

    public override IReadOnlyList<string> Labels => Rows.Labels.Names;

    public override bool HasLabelNames => Labels.Where((name, id) => name != id.ToString()).Any();

    public override Featurizer Fit(FeatureOptions options) => FeaturizerFit.Fit(Rows, options);

    public override Dataset Featurize(Featurizer featurizer, CancellationToken cancel) 
    {
        SkippedRows? skipped = SkipBad ? new SkippedRows() : null;
        Dataset rows = featurizer.Featurize(Rows, skipped, out RawDataset kept, cancel);
        Rows = kept;
        if (skipped is { Count: > 0 })
            Screen.Say($"left out {skipped.Count} rows that cannot become features, the first: {skipped.First!.Message}");
        return rows;
    }

    public override IRowSource Source(Featurizer featurizer, CancellationToken cancel) => Featurize(featurizer, cancel);

    public override (LoadedData, LoadedData) Split(double fraction, ulong seed)
    {
        (RawDataset train, RawDataset validation) = Rows switch
        {
            TextDataset text => Both(text.Split(fraction, seed)),
            SparseDataset sparse => Both(sparse.Split(fraction, seed)),
            _ => Both(((DenseDataset)Rows).Split(fraction, seed)),
        };
        return (new LoadedRows(train, SkipBad), new LoadedRows(validation, SkipBad));
    }

    public override string Describe(int row)
    {
        if (Rows is TextDataset text)
            return System.Text.Encoding.UTF8.GetString(text.RowText(row));
        if (Rows is not SparseDataset sparse)
            return $"{((DenseDataset)Rows).ValueCount:N0} values";
        const int Most = 12;
        int[] ids = sparse.RowFeatures(row).ToArray();
        float[] values = sparse.RowValues(row).ToArray();
        return "features " + string.Join(", ", Enumerable.Range(0, ids.Length).OrderByDescending(i => Math.Abs(values[i])).Take(Most).Select(i => values[i] == 1f ? $"{ids[i]}" : $"{ids[i]} ({values[i]:0.##})"))
            + (ids.Length > Most ? $" and {ids.Length - Most} more" : "");
    }

    private static (RawDataset, RawDataset) Both<T>((T Train, T Validation) split) where T : RawDataset => (split.Train, split.Validation);
}

internal sealed record LoadedText(TokenStream Stream, RowStorage Storage) : LoadedData
{
    private readonly LabelVocabulary _labels = Stream.Vocabulary.ToLabels();

    public override IReadOnlyList<string> Labels => _labels.Names;

    public override bool HasLabelNames => true;

    public override Featurizer Fit(FeatureOptions options) => FeaturizerFit.Fit(Stream.Vocabulary, options);

    public override Dataset Featurize(Featurizer featurizer, CancellationToken cancel) => featurizer.Featurize(Stream, Storage, cancel);

    public override IRowSource Source(Featurizer featurizer, CancellationToken cancel) => new ContextRows(featurizer, Stream);

    public override (LoadedData, LoadedData) Split(double fraction, ulong seed)
    {
        (TokenStream train, TokenStream validation) = Stream.Split(fraction);
        return (new LoadedText(train, Storage), new LoadedText(validation, Storage));
    }

    /// <summary>The words before the one to be told.</summary>
    public override string Describe(int row)
    {
        const int Most = 24;
        int start = row;
        while (start > 0 && row - start < Most && Stream.Ids[start - 1] != Stream.Vocabulary.EndOfLineId)
            start--;
        return start == row ? "(start of line)" : string.Join(' ', Enumerable.Range(start, row - start).Select(i => _labels.Names[Stream.Ids[i]])) + " ...";
    }
}
