using EdgeSlide.Model;

namespace EdgeSlide.Training.Data;

/// <summary>The words of a token stream by id.</summary>
internal sealed class TokenVocabulary
{
    public static ReadOnlySpan<byte> EndOfLine => "<eos>"u8;

    public static ReadOnlySpan<byte> Unknown => "<unk>"u8;

    public TokenVocabulary(Utf8Vocabulary words)
    {
        if (!words.TryGetId(EndOfLine, out int endOfLine)) throw new InvalidDataException("the vocabulary has no <eos>, which ends a line");
        Words = words;
        EndOfLineId = endOfLine;
        UnknownId = words.TryGetId(Unknown, out int unknown) ? unknown : null;
    }

    public Utf8Vocabulary Words { get; }

    public int Count => Words.Count;

    /// <summary>Stands for the end of each line.</summary>
    public int EndOfLineId { get; }

    /// <summary>Stands for words that the vocabulary lacks, if it has such an entry.</summary>
    public int? UnknownId { get; }

    /// <summary>The words as labels of next-word prediction.</summary>
    public LabelVocabulary ToLabels() => LabelVocabulary.FromNames(Enumerable.Range(0, Count).Select(Words.Text));
}

/// <summary>A running text as word ids: the material of next-word prediction.</summary>
internal sealed class TokenStream
{
    public required TokenVocabulary Vocabulary { get; init; }

    public required int[] Ids { get; init; }

    /// <summary>Words that were replaced by the entry for unknown ones.</summary>
    public long UnknownCount { get; init; }

    /// <summary>
    /// Holds the last part out for validation, about <paramref name="fraction"/> of the words, cut at the end of a line.
    /// A stream is split by place and not by hash: neighbouring lines belong to one article and would give each other away.
    /// </summary>
    public (TokenStream Train, TokenStream Validation) Split(double fraction)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(fraction);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(fraction, 1);
        int target = (int)(Ids.Length * (1 - fraction));
        int cut = Ids.AsSpan(0, target).LastIndexOf(Vocabulary.EndOfLineId) + 1;
        return (new TokenStream { Vocabulary = Vocabulary, Ids = Ids[..cut] }, new TokenStream { Vocabulary = Vocabulary, Ids = Ids[cut..] });
    }
}

/// <summary>Token streams: words separated by white space, the end of each line being a word of its own, <c>&lt;eos&gt;</c>.</summary>
internal static class TokenFormat
{
    /// <summary>Reads a vocabulary: one word per line, the line's number (from 0) being its id.</summary>
    public static TokenVocabulary ReadVocabulary(string path)
    {
        using var source = new LineSource(path);
        var words = new Utf8Vocabulary();
        while (source.TryReadLine(out ReadOnlyMemory<byte> line))
        {
            if (!System.Text.Unicode.Utf8.IsValid(line.Span)) throw source.Problem(source.LinesRead, "not valid UTF-8");
            if (line.IsEmpty) throw source.Problem(source.LinesRead, "empty line");
            if (line.Span.IndexOfAny(WhiteSpace) >= 0) throw source.Problem(source.LinesRead, $"word {Field.Quote(line.Span)} contains white space");
            if (LabelNames.HasControls(line.Span)) throw source.Problem(source.LinesRead, $"word {Field.Quote(line.Span)} contains a control character");
            if (!words.TryAdd(line.Span, out _)) throw source.Problem(source.LinesRead, $"word {Field.Quote(line.Span)} occurs twice");
        }
        if (!words.TryGetId(TokenVocabulary.EndOfLine, out _)) throw source.Problem(0, "vocabulary has no <eos>");
        return new TokenVocabulary(words);
    }

    /// <summary>
    /// Makes a vocabulary of the words that occur at least <paramref name="minimumCount"/> times, most frequent first,
    /// behind <c>&lt;eos&gt;</c> (0) and <c>&lt;unk&gt;</c> (1). A word with a control character, which cannot be an answer's
    /// name, is left out like a rare one.
    /// </summary>
    public static TokenVocabulary BuildVocabulary(string path, int minimumCount = 1, SkippedRows? skipped = null, CancellationToken cancel = default)
    {
        using var source = new LineSource(path, cancel);
        var all = new Utf8Vocabulary();
        var counts = new List<long>();
        RowReader.Read(source, () => new CountingBlock(), skipped, block =>
        {
            for (int i = 0; i < block.Words.Count; i++)
            {
                if (all.TryAdd(block.Words[i], out int id)) counts.Add(0);
                counts[id] += block.Counts[i];
            }
        });
        int[] order = [.. Enumerable.Range(0, all.Count).Where(id => counts[id] >= minimumCount && !LabelNames.HasControls(all[id]))];
        Array.Sort(order, (x, y) => counts[x] != counts[y] ? counts[y].CompareTo(counts[x]) : all[x].SequenceCompareTo(all[y]));
        var words = new Utf8Vocabulary();
        words.GetOrAdd(TokenVocabulary.EndOfLine);
        words.GetOrAdd(TokenVocabulary.Unknown);
        foreach (int id in order) words.GetOrAdd(all[id]);
        return new TokenVocabulary(words);
    }

    /// <summary>Reads a text. A word that the vocabulary lacks becomes <c>&lt;unk&gt;</c>, or makes its line bad if there is no such entry.</summary>
    public static TokenStream Read(string path, TokenVocabulary vocabulary, SkippedRows? skipped = null, CancellationToken cancel = default)
    {
        using var source = new LineSource(path, cancel);
        var ids = new List<int>();
        long unknown = 0;
        RowReader.Read(source, () => new Block(vocabulary), skipped, block =>
        {
            ids.AddRange(block.Ids);
            unknown += block.UnknownCount;
        });
        if (ids.Count == 0) throw source.Problem(0, "no rows");
        return new TokenStream { Vocabulary = vocabulary, Ids = [.. ids], UnknownCount = unknown };
    }

    /// <summary>Writes a text, one space between words; gzip if the name ends in .gz.</summary>
    public static void Write(string path, TokenStream tokens) => OutputFile.Write(path, output =>
    {
        bool startOfLine = true;
        foreach (int id in tokens.Ids)
        {
            if (id == tokens.Vocabulary.EndOfLineId)
            {
                output.Append((byte)'\n');
                startOfLine = true;
                continue;
            }
            if (!startOfLine) output.Append((byte)' ');
            output.Append(tokens.Vocabulary.Words[id]);
            startOfLine = false;
        }
        if (!startOfLine) throw new DataFormatException(path, 0, "tokens cannot be written: the last line has no <eos>");
    });

    /// <summary>Only ASCII: in other scripts' spaces, as in "10 000" with a no-break space, a word may continue.</summary>
    private static ReadOnlySpan<byte> WhiteSpace => " \t\r\v\f"u8;

    private static bool TryTakeWord(ref ReadOnlySpan<byte> rest, out ReadOnlySpan<byte> word)
    {
        int start = rest.IndexOfAnyExcept(WhiteSpace);
        rest = start < 0 ? default : rest[start..];
        int end = rest.IndexOfAny(WhiteSpace);
        word = end < 0 ? rest : rest[..end];
        rest = rest[word.Length..];
        return !word.IsEmpty;
    }

    private sealed class CountingBlock : RowBlock
    {
        public Utf8Vocabulary Words { get; } = new();

        public List<long> Counts { get; } = [];

        public override string? Add(ReadOnlySpan<byte> line)
        {
            ReadOnlySpan<byte> rest = line;
            while (TryTakeWord(ref rest, out ReadOnlySpan<byte> word))
            {
                if (Words.TryAdd(word, out int id)) Counts.Add(0);
                Counts[id]++;
            }
            return null;
        }
    }

    private sealed class Block(TokenVocabulary vocabulary) : RowBlock
    {
        public List<int> Ids { get; } = [];

        public long UnknownCount { get; private set; }

        public override string? Add(ReadOnlySpan<byte> line)
        {
            int before = Ids.Count;
            ReadOnlySpan<byte> rest = line;
            while (TryTakeWord(ref rest, out ReadOnlySpan<byte> word))
            {
                if (vocabulary.Words.TryGetId(word, out int id))
                {
                    Ids.Add(id);
                }
                else if (vocabulary.UnknownId is { } unknown)
                {
                    Ids.Add(unknown);
                    UnknownCount++;
                }
                else
                {
                    Ids.RemoveRange(before, Ids.Count - before);
                    return $"word {Field.Quote(word)} is not in the vocabulary, which has no <unk>";
                }
            }
            Ids.Add(vocabulary.EndOfLineId);
            return null;
        }
    }
}
