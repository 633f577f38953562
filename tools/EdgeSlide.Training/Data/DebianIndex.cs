using System.Buffers;
using System.Text;
using System.Text.Unicode;

namespace EdgeSlide.Training.Data;

/// <summary>What the demo needs of one entry of a package index.</summary>
/// <param name="Name">Empty in an index of translations that does not say it.</param>
/// <param name="Source">Source package, which several binary packages may share.</param>
/// <param name="Description">Short and, where the index has it, long description, as one line.</param>
/// <param name="DescriptionMd5">Key into the indices of translations.</param>
/// <param name="Depends">Names of the packages in Depends, each once: alternatives side by side, versions and architectures left out.</param>
internal sealed record DebianPackage(string Name, string Source, string Description, string DescriptionMd5, IReadOnlyList<string> Depends);

/// <summary>Reads Debian control files: apt's lists of packages and of translated descriptions.</summary>
internal static class DebianIndex
{
    private static readonly SearchValues<char> EndsOfName = SearchValues.Create(" \t\n(:[<");

    /// <summary>Reads the stanzas of one file, plain, gzip or LZ4.</summary>
    /// <param name="skipped">Takes bad stanzas; without it the first one is fatal.</param>
    public static IEnumerable<DebianPackage> Read(string path, SkippedRows? skipped = null, CancellationToken cancel = default)
    {
        using var source = new LineSource(path, cancel);
        var fields = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        DataFormatException? problem = null;
        string? field = null;
        long firstLine = 1;
        bool more = true;
        while (more)
        {
            more = source.TryReadLine(out ReadOnlyMemory<byte> line);
            if (more && line.Span.IndexOfAnyExcept(" \t"u8) >= 0)
            {
                if (problem is null && ReadField(line.Span, fields, ref field) is { } what) problem = source.Problem(source.LinesRead, what);
                continue;
            }
            if (fields.Count > 0 || problem is not null)
            {
                DebianPackage? package = problem is null ? ToPackage(fields) : null;
                if (problem is null && package is null) problem = source.Problem(firstLine, "stanza has no Package and no Description-md5");
                if (package is not null) yield return package;
                else if (skipped is not null) skipped.Add(problem!);
                else throw problem!;
            }
            fields.Clear();
            field = null;
            problem = null;
            firstLine = source.LinesRead + 1;
        }
    }

    /// <summary>Names in a relation field such as <c>a (>= 1) | b:any, c [amd64]</c>, each once, in order.</summary>
    public static IReadOnlyList<string> ParseRelations(string value)
    {
        var names = new List<string>();
        foreach (string alternative in value.Split(',', '|'))
        {
            string trimmed = alternative.Trim();
            int end = trimmed.AsSpan().IndexOfAny(EndsOfName);
            string name = end < 0 ? trimmed : trimmed[..end];
            if (name.Length > 0 && !names.Contains(name)) names.Add(name);
        }
        return names;
    }

    private static string? ReadField(ReadOnlySpan<byte> line, Dictionary<string, string> fields, ref string? field)
    {
        if (!Utf8.IsValid(line)) return "not valid UTF-8";
        if (line[0] is (byte)' ' or (byte)'\t')
        {
            if (field is null) return "continuation line without a field";
            if (fields.TryGetValue(field, out string? value)) fields[field] = $"{value}\n{Encoding.UTF8.GetString(line)}";
            return null;
        }
        int colon = line.IndexOf((byte)':');
        if (colon <= 0) return $"{Field.Quote(line)} is not a field";
        field = Encoding.UTF8.GetString(line[..colon]);
        // Most of an index are checksums, tags and versions: keep only what is used.
        if (field.Equals("Package", StringComparison.OrdinalIgnoreCase) || field.Equals("Source", StringComparison.OrdinalIgnoreCase)
            || field.Equals("Depends", StringComparison.OrdinalIgnoreCase) || field.StartsWith("Description", StringComparison.OrdinalIgnoreCase))
        {
            if (!fields.TryAdd(field, Encoding.UTF8.GetString(line[(colon + 1)..]).Trim())) return $"field {Field.Quote(line[..colon])} occurs twice";
        }
        return null;
    }

    private static DebianPackage? ToPackage(Dictionary<string, string> fields)
    {
        string name = fields.GetValueOrDefault("Package", "");
        string md5 = fields.GetValueOrDefault("Description-md5", "");
        if (name.Length == 0 && md5.Length == 0) return null;
        string source = fields.GetValueOrDefault("Source", name);
        int version = source.IndexOf(' ');
        string description = fields.GetValueOrDefault("Description") ?? fields.GetValueOrDefault("Description-en", "");
        return new DebianPackage(
            name, version < 0 ? source : source[..version], ToLine(description), md5, ParseRelations(fields.GetValueOrDefault("Depends", "")));
    }

    /// <summary>Joins a folded description; a line with only a full stop stands for an empty one.</summary>
    private static string ToLine(string description)
    {
        string[] lines = description.Split('\n');
        var text = new StringBuilder();
        for (int i = 0; i < lines.Length; i++)
        {
            string[] words = lines[i].Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries);
            if (words is [] or ["."]) continue;
            if (text.Length > 0) text.Append(i == 1 ? ". " : " ");
            text.AppendJoin(' ', words);
        }
        return text.ToString();
    }
}
