using System.Text;
using System.Text.Unicode;

namespace EdgeSlide.Training.Data;

/// <summary>
/// Turns prose (books, letters, speeches: lines broken anywhere) into running text for next-word prediction: one sentence
/// a line, words in lower case with one space between them. A word is a run of letters with apostrophes inside; all else
/// separates. A sentence ends at . ! or ? before a capital letter, unless an abbreviation stands before the dot, and at an
/// empty line.
/// </summary>
internal static class ProseFormat
{
    private static readonly HashSet<string> Abbreviations = ["mr", "mrs", "ms", "dr", "st", "messrs", "esq", "rev", "hon", "capt", "col", "gen", "prof", "vol", "no"];

    /// <summary>Which part of a data set a file belongs to, by lines <c>file TAB part</c>; further columns are ignored.</summary>
    /// <exception cref="DataFormatException">A line has no part, or one that is not train, valid or test, or is not UTF-8.</exception>
    public static Dictionary<string, string> ReadSplit(string path)
    {
        using var source = new LineSource(path);
        var parts = new Dictionary<string, string>(StringComparer.Ordinal);
        while (source.TryReadLine(out ReadOnlyMemory<byte> line))
        {
            string[] cells = Text(source, line).Split('\t');
            if (cells.Length < 2 || cells[1] is not ("train" or "valid" or "test"))
                throw source.Problem(source.LinesRead, $"not 'file<TAB>train|valid|test': {Field.Quote(line.Span)}");
            parts[cells[0]] = cells[1];
        }
        return parts;
    }

    /// <summary>Appends a file's sentences; returns how many words they have.</summary>
    /// <exception cref="DataFormatException">A line is not UTF-8.</exception>
    public static long Convert(string path, Utf8Output output, CancellationToken cancel = default)
    {
        using var source = new LineSource(path, cancel);
        var sentence = new Sentence(output);
        while (source.TryReadLine(out ReadOnlyMemory<byte> line))
        {
            string text = Text(source, line);
            if (string.IsNullOrWhiteSpace(text))
                sentence.End();
            else
                sentence.Add(text);
        }
        sentence.End();
        return sentence.Words;
    }

    private static string Text(LineSource source, ReadOnlyMemory<byte> line) => Utf8.IsValid(line.Span)
        ? Encoding.UTF8.GetString(line.Span)
        : throw source.Problem(source.LinesRead, "not valid UTF-8");

    private sealed class Sentence(Utf8Output output)
    {
        private readonly StringBuilder _word = new();
        private string _last = "";
        private bool _open;
        private bool _mayEnd;

        public long Words { get; private set; }

        public void Add(string line)
        {
            for (int i = 0; i < line.Length; i++)
            {
                char c = line[i] == '\u2019' ? '\'' : line[i];
                bool inner = c == '\'' && _word.Length > 0 && i + 1 < line.Length && char.IsLetter(line[i + 1]);
                if (!char.IsLetter(c) && !inner)
                {
                    CloseWord();
                    bool abbreviated = c == '.' && (_last.Length == 1 || Abbreviations.Contains(_last));
                    _mayEnd |= c is '!' or '?' || (c == '.' && !abbreviated);
                    continue;
                }
                if (_mayEnd && _word.Length == 0 && char.IsUpper(c))
                    End();
                _mayEnd = false;
                _word.Append(char.ToLowerInvariant(c));
            }
            CloseWord();
        }

        public void End()
        {
            CloseWord();
            if (_open)
                output.Append((byte)'\n');
            (_open, _mayEnd, _last) = (false, false, "");
        }

        private void CloseWord()
        {
            if (_word.Length == 0)
                return;
            _last = _word.ToString();
            _word.Clear();
            if (_open)
                output.Append((byte)' ');
            output.Append(Encoding.UTF8.GetBytes(_last));
            _open = true;
            Words++;
        }
    }
}
