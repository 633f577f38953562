using System.Text;
using EdgeSlide.Model;

namespace EdgeSlide.Training.Data;

/// <summary>
/// The labels of a data set: ids 0, 1, 2, ..., the key by which rows refer to each, and the name that people read. Key and
/// name differ only where a label file gives names to numbers.
/// </summary>
internal sealed class LabelVocabulary
{
    private const int Ambiguous = -1;

    private readonly Utf8Vocabulary? _keys;
    private readonly string[] _names;
    // The label of each key; null where that is the key's own number.
    private readonly int[]? _ids;

    private LabelVocabulary(string[] names, Utf8Vocabulary? keys, int[]? ids = null)
    {
        _names = names;
        _keys = keys;
        _ids = ids;
    }

    public int Count => _names.Length;

    public IReadOnlyList<string> Names => _names;

    /// <summary>Labels whose key is their name.</summary>
    public static LabelVocabulary FromNames(IEnumerable<string> names)
    {
        var keys = new Utf8Vocabulary();
        foreach (string name in names)
        {
            if (!keys.TryAdd(Encoding.UTF8.GetBytes(name), out _)) throw new InvalidDataException($"label '{name}' occurs twice");
        }
        return FromKeys(keys);
    }

    /// <summary>
    /// The labels of a network, by their names. Whether these came from a label file, and rows number labels, is not known;
    /// equal names are no key.
    /// </summary>
    public static LabelVocabulary OfNetwork(IReadOnlyList<string> names)
    {
        if (names.Select((name, id) => name == id.ToString()).All(numbered => numbered)) return Numbered(names.Count);
        var keys = new Utf8Vocabulary();
        var ids = new List<int>();
        for (int id = 0; id < names.Count; id++)
        {
            if (keys.TryAdd(Encoding.UTF8.GetBytes(names[id]), out int key)) ids.Add(id);
            else ids[key] = Ambiguous;
        }
        return new LabelVocabulary([.. names], keys, [.. ids]);
    }

    /// <summary>Labels 0 to count - 1, which have no other name.</summary>
    public static LabelVocabulary Numbered(int count)
    {
        string[] names = new string[count];
        for (int id = 0; id < count; id++) names[id] = id.ToString();
        return new LabelVocabulary(names, keys: null);
    }

    /// <summary>
    /// Reads a label file: one label per line, either <c>id TAB ... </c> with ids 0 to n - 1 in any order, or just the
    /// name, the line's number being the id.
    /// </summary>
    /// <param name="nameColumn">1-based column of the readable name; by default the third where there is one, else the last.</param>
    /// <param name="distinct">Refuse equal names where no id tells them apart.</param>
    public static LabelVocabulary Read(string path, int? nameColumn = null, bool distinct = false)
    {
        using var source = new LineSource(path);
        var names = new Dictionary<int, string>();
        var lines = new Dictionary<string, long>();
        bool? withIds = null;
        while (source.TryReadLine(out ReadOnlyMemory<byte> line))
        {
            int id = names.Count;
            string name;
            try
            {
                name = StrictUtf8.GetString(line.Span);
            }
            catch (DecoderFallbackException e)
            {
                throw new DataFormatException(path, source.LinesRead, "not valid UTF-8", e);
            }
            string[] columns = name.Split('\t');
            withIds ??= columns.Length > 1;
            if (withIds.Value)
            {
                if (!Field.TryParseId(Encoding.UTF8.GetBytes(columns[0]), out id))
                    throw source.Problem(source.LinesRead, $"label id {Field.Quote(Encoding.UTF8.GetBytes(columns[0]))} is not a number");
                int column = nameColumn ?? Math.Min(columns.Length, 3);
                if (column < 2 || column > columns.Length)
                    throw source.Problem(source.LinesRead, $"{columns.Length} columns, the name is expected in column {Math.Max(column, 2)}");
                name = columns[column - 1];
            }
            else if (columns.Length > 1)
            {
                throw source.Problem(source.LinesRead, "a tab, but the first line has no id");
            }
            if (name.Length == 0) throw source.Problem(source.LinesRead, "label has no name");
            byte[] utf8 = Encoding.UTF8.GetBytes(name);
            if (LabelNames.HasControls(utf8)) throw source.Problem(source.LinesRead, $"label {Field.Quote(utf8)} contains a control character");
            if (distinct && !withIds.Value && !lines.TryAdd(name, source.LinesRead))
                throw source.Problem(source.LinesRead, $"label {Field.Quote(utf8)} is in line {lines[name]}, too; equal names need ids (id<TAB>name)");
            if (!names.TryAdd(id, name)) throw source.Problem(source.LinesRead, $"label id {id} occurs twice");
        }
        for (int id = 0; id < names.Count; id++)
        {
            if (!names.ContainsKey(id)) throw source.Problem(0, $"label ids must be 0 to {names.Count - 1}, {id} is missing");
        }
        return new LabelVocabulary([.. Enumerable.Range(0, names.Count).Select(id => names[id])], keys: null);
    }

    /// <summary>Finds a label by its key in a row.</summary>
    public bool TryGetId(ReadOnlySpan<byte> key, out int id)
    {
        if (_keys is null) return Field.TryParseId(key, out id) && id < Count;
        bool found = _keys.TryGetId(key, out id);
        if (!found || _ids is null) return found;
        id = _ids[id];
        return id != Ambiguous;
    }

    /// <summary>What is wrong with a key that <see cref="TryGetId"/> does not find.</summary>
    public string Problem(ReadOnlySpan<byte> key)
    {
        if (_keys is not null && _keys.TryGetId(key, out _))
            return $"label {Field.Quote(key)} is the name of several labels; number them, and give --labels FILE as for train";
        bool number = _ids is not null && Field.TryParseId(key, out int id) && id < Count;
        return $"label {Field.Quote(key)} is not one of the {Count} known labels{(number ? "; if rows number their labels, give --labels FILE as for train" : "")}";
    }

    /// <summary>What a row says for this label.</summary>
    public string Key(int id) => _keys is not null ? _names[id] : id.ToString();

    /// <summary>Writes <c>id TAB name</c> lines, which <see cref="Read"/> understands.</summary>
    public void Write(string path) => OutputFile.Write(path, output =>
    {
        for (int id = 0; id < Count; id++)
        {
            if (_names[id].AsSpan().IndexOfAny("\t\n\r") >= 0)
                throw new DataFormatException(path, 0, $"label {id} cannot be written: its name has a tab or a line end");
            output.Append(id).Append((byte)'\t').Append(Encoding.UTF8.GetBytes(_names[id])).Append((byte)'\n');
        }
    });

    /// <summary>
    /// Makes labels of keys in the order in which they were found, and gives them ids that do not depend on that order:
    /// numbers first, by value, then names, by their bytes.
    /// </summary>
    /// <returns>The vocabulary, and the id of each key.</returns>
    internal static (LabelVocabulary Labels, int[] Ids) Sort(Utf8Vocabulary found)
    {
        int[] order = [.. Enumerable.Range(0, found.Count)];
        Array.Sort(order, (x, y) => Compare(found[x], found[y]));
        var keys = new Utf8Vocabulary();
        int[] ids = new int[order.Length];
        foreach (int key in order) ids[key] = keys.GetOrAdd(found[key]);
        return (FromKeys(keys), ids);

        static int Compare(ReadOnlySpan<byte> x, ReadOnlySpan<byte> y)
        {
            bool xIsNumber = Field.TryParseId(x, out int a), yIsNumber = Field.TryParseId(y, out int b);
            if (xIsNumber && yIsNumber && a != b) return a.CompareTo(b);
            return xIsNumber != yIsNumber ? (xIsNumber ? -1 : 1) : x.SequenceCompareTo(y);
        }
    }

    private static LabelVocabulary FromKeys(Utf8Vocabulary keys) =>
        new([.. Enumerable.Range(0, keys.Count).Select(keys.Text)], keys);

    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);
}

/// <summary>The label lists of the rows of one block, read against a given vocabulary or collecting their own keys.</summary>
internal sealed class LabelColumn(LabelVocabulary? labels)
{
    private readonly ListBuilder<int> _lists = new();
    private readonly Utf8Vocabulary _found = new();

    /// <summary>The ids in the given vocabulary, or positions in <see cref="Found"/>.</summary>
    public ListBuilder<int> Lists => _lists;

    public Utf8Vocabulary Found => _found;

    public long UnknownCount { get; private set; }

    public int Count => _lists.Count;

    /// <summary>Adds the comma-separated labels of one row; an empty list is a list. On a problem nothing is added.</summary>
    public string? Add(ReadOnlySpan<byte> list, bool dropUnknown)
    {
        long unknown = 0;
        int knownKeys = _found.Count;
        string? problem = null;
        if (!list.IsEmpty && list[^1] == ',') problem = "label list ends with a comma";
        while (problem is null && Field.TryTake(ref list, (byte)',', out ReadOnlySpan<byte> key))
        {
            if (key.IsEmpty) problem = "empty label in the label list";
            else if (labels is null)
            {
                if (_found.TryAdd(key, out int found) && LabelNames.HasControls(key)) problem = $"label {Field.Quote(key)} contains a control character";
                _lists.Add(found);
            }
            else if (labels.TryGetId(key, out int id)) _lists.Add(id);
            else if (dropUnknown) unknown++;
            else problem = labels.Problem(key);
        }
        if (problem is null && Field.FindDuplicate(_lists.Open) is >= 0 and int twice)
            problem = $"label {(labels is null ? Field.Quote(_found[twice]) : $"'{labels.Key(twice)}'")} occurs twice";
        if (problem is not null)
        {
            _lists.DropOpen();
            _found.Truncate(knownKeys);
            return problem;
        }
        _lists.Close();
        UnknownCount += unknown;
        return null;
    }
}

/// <summary>Joins the label lists of all blocks of a data set's files, under a given vocabulary or one made of all keys found.</summary>
internal sealed class LabelJoin(LabelVocabulary? labels)
{
    private readonly Utf8Vocabulary _found = new();

    /// <summary>Appends a block's lists to those of its file.</summary>
    public void Append(LabelColumn block, ListWriter<int> file)
    {
        if (labels is null)
        {
            int[] ids = new int[block.Found.Count];
            for (int i = 0; i < ids.Length; i++) ids[i] = _found.GetOrAdd(block.Found[i]);
            foreach (ref int id in block.Lists.Items) id = ids[id];
        }
        file.Append(block.Lists.Items, block.Lists.Ends);
    }

    /// <summary>The vocabulary, and the lists of each file with its ids. The ids of keys are known only when all were found.</summary>
    public (LabelVocabulary Labels, (Items<long> Offsets, Items<int> Ids)[] Files) Finish(IEnumerable<ListWriter<int>> files)
    {
        (Items<long> Offsets, Items<int> Ids)[] lists = [.. files.Select(file => file.ToItems())];
        if (labels is not null) return (labels, lists);
        (LabelVocabulary sorted, int[] final) = LabelVocabulary.Sort(_found);
        return (sorted, [.. lists.Select(file => (file.Offsets, Renumber(file.Ids, final)))]);
    }

    private static Items<int> Renumber(Items<int> ids, int[] final)
    {
        ItemsWriter<int> renumbered = ids.Storage.Create<int>();
        foreach (ReadOnlyMemory<int> piece in ids.Pieces())
        {
            foreach (int id in piece.Span) renumbered.Append(final[id]);
        }
        ids.Dispose();
        return renumbered.ToItems();
    }
}
