using System.Buffers.Text;
using System.Text;
using EdgeSlide.Features;
using EdgeSlide.Model;

namespace EdgeSlide.Cli.Input;

/// <summary>How labels are written in an evaluation file.</summary>
internal enum LabelNotation
{
    Auto,
    Names,
    Ids,
}

/// <summary>
/// Reads labelled examples in the form that goes with the model: <c>label,label&lt;TAB&gt;text</c>, a stream of tokens of
/// which each is predicted from those before it, XC rows, or <c>label,v,v,...</c>. The features go to a caller's vector.
/// </summary>
internal sealed class LabelledReader : IDisposable
{
    private readonly EdgeSlideModel _model;
    private readonly Featurizer _featurizer;
    private readonly LineReader _lines;
    private readonly bool _ignoreLabels;
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _names;
    private readonly List<int> _lineTokens = [];
    private LabelNotation _notation;
    private int _position;
    private char[] _chars = new char[256];

    public LabelledReader(EdgeSlideModel model, string path, LabelNotation notation, bool ignoreLabels = false)
    {
        _ignoreLabels = ignoreLabels;
        _model = model;
        _featurizer = model.Featurizer;
        _lines = LineReader.Open(path);
        _notation = model.Labels.HasNames ? notation : LabelNotation.Ids;
        var names = new Dictionary<string, int>(model.LabelCount, StringComparer.Ordinal);
        if (_notation != LabelNotation.Ids && _featurizer.Kind is not (FeaturizerKind.Sparse or FeaturizerKind.Context))
        {
            for (int label = 0; label < model.LabelCount; label++)
                names.TryAdd(model.LabelName(label), label);
        }
        _names = names.GetAlternateLookup<ReadOnlySpan<char>>();
    }

    /// <summary>True labels of the last example; -1 stands for one that the model does not have.</summary>
    public List<int> Labels { get; } = [];

    /// <summary>The next example's features and <see cref="Labels"/>; false at the end.</summary>
    /// <exception cref="InputException">A bad line; the message names it.</exception>
    public bool TryRead(FeatureVector features)
    {
        if (_featurizer.Kind == FeaturizerKind.Context)
            return TryReadNextWord(features);
        while (_lines.TryRead(out ReadOnlySpan<byte> line))
        {
            try
            {
                Labels.Clear();
                if (Parse(line, features))
                    return true;
            }
            catch (InputException e)
            {
                throw new InputException($"{_lines.Name}:{_lines.LineNumber}: {e.Message}");
            }
        }
        return false;
    }

    public void Dispose() => _lines.Dispose();

    /// <summary>False for a line that holds no example: the header of an XC file.</summary>
    private bool Parse(ReadOnlySpan<byte> line, FeatureVector features)
    {
        switch (_featurizer.Kind)
        {
            case FeaturizerKind.Text:
                int tab = line.IndexOf((byte)'\t');
                if (tab < 0)
                    throw new InputException("no tab between labels and text");
                ParseLabels(line[..tab]);
                _featurizer.FromText(line[(tab + 1)..], features);
                return true;
            case FeaturizerKind.Sparse:
                if (_lines.LineNumber == 1 && XcHeader.Is(line))
                    return false;
                ParseIds(RowParser.Sparse(line, features));
                _featurizer.FromRaw(features);
                return true;
            default:
                int comma = line.IndexOf((byte)',');
                if (comma < 0)
                    throw new InputException("no comma between label and values");
                ParseLabels(line[..comma]);
                int count = RowParser.Dense(line[(comma + 1)..], features);
                if (count != _featurizer.FeatureCount)
                    throw new InputException($"{count} values where the model takes {_featurizer.FeatureCount}");
                _featurizer.FromRaw(features);
                return true;
        }
    }

    private bool TryReadNextWord(FeatureVector features)
    {
        int lineStart = _featurizer.Record.LineStartToken == FeaturizerRecord.NoToken ? 0 : 1;
        while (_position >= _lineTokens.Count)
        {
            if (!_lines.TryRead(out ReadOnlySpan<byte> line))
                return false;
            _lineTokens.Clear();
            if (lineStart != 0)
                _lineTokens.Add((int)_featurizer.Record.LineStartToken);
            var reader = new TokenReader(line, _featurizer.Record.Tokenizer, _featurizer.Record.HashSeed);
            try
            {
                while (reader.TryRead(out ulong hash))
                    _lineTokens.Add(_featurizer.TokenId(hash));
            }
            catch (InputException e)
            {
                throw new InputException($"{_lines.Name}:{_lines.LineNumber}: {e.Message}");
            }
            // A line's end is a word to be predicted too.
            if (lineStart != 0)
                _lineTokens.Add((int)_featurizer.Record.LineStartToken);
            _position = Math.Max(1, lineStart);
        }
        ReadOnlySpan<int> tokens = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_lineTokens);
        Labels.Clear();
        Labels.Add(tokens[_position]);
        _featurizer.FromContext(tokens, _position++, features);
        return true;
    }

    private void ParseLabels(ReadOnlySpan<byte> list)
    {
        // Without labels a row says nothing about how they are written.
        if (_ignoreLabels || list.IsEmpty)
            return;
        if (_notation == LabelNotation.Auto)
            _notation = AllNames(list) ? LabelNotation.Names : LabelNotation.Ids;
        if (_notation == LabelNotation.Ids)
        {
            ParseIds(list);
            return;
        }
        while (!list.IsEmpty)
            Labels.Add(Lookup(Next(ref list)));
    }

    private void ParseIds(ReadOnlySpan<byte> list)
    {
        while (!list.IsEmpty)
        {
            ReadOnlySpan<byte> word = Next(ref list).Trim((byte)' ');
            if (!Utf8Parser.TryParse(word, out int id, out int used) || used != word.Length || id < 0)
                throw new InputException($"'{Encoding.UTF8.GetString(word[..Math.Min(24, word.Length)])}' is neither a label of the model nor an id");
            Labels.Add(id < _model.LabelCount ? id : -1);
        }
    }

    private bool AllNames(ReadOnlySpan<byte> list)
    {
        while (!list.IsEmpty)
        {
            if (Lookup(Next(ref list)) < 0)
                return false;
        }
        return true;
    }

    private int Lookup(ReadOnlySpan<byte> name)
    {
        if (_chars.Length < name.Length)
            _chars = new char[name.Length * 2];
        int length = Encoding.UTF8.GetChars(name, _chars);
        return _names.TryGetValue(_chars.AsSpan(0, length), out int label) ? label : -1;
    }

    private static ReadOnlySpan<byte> Next(ref ReadOnlySpan<byte> list)
    {
        int comma = list.IndexOf((byte)',');
        ReadOnlySpan<byte> word = comma < 0 ? list : list[..comma];
        list = comma < 0 ? default : list[(comma + 1)..];
        return word;
    }
}

internal static class XcHeader
{
    /// <summary>True for the three counts that begin an XC file.</summary>
    public static bool Is(ReadOnlySpan<byte> line)
    {
        int words = 0;
        foreach (Range range in line.Split((byte)' '))
        {
            ReadOnlySpan<byte> word = line[range];
            if (word.IsEmpty || word.ContainsAnyExceptInRange((byte)'0', (byte)'9'))
                return false;
            words++;
        }
        return words == 3;
    }
}
