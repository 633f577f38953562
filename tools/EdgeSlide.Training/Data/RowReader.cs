using System.Buffers.Text;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Unicode;

namespace EdgeSlide.Training.Data;

/// <summary>The rows of one block of lines: what a file format adds to the common reader.</summary>
internal abstract class RowBlock
{
    /// <summary>Appends a row and returns null, or leaves the block as it was and returns what is wrong with the row.</summary>
    /// <param name="line">Valid UTF-8 without line end.</param>
    public abstract string? Add(ReadOnlySpan<byte> line);
}

/// <summary>Reads the rows of a file: blocks of lines are parsed in parallel and handed over in the order of the file.</summary>
internal static class RowReader
{
    /// <summary>Reads all remaining lines of the source, one row each.</summary>
    /// <param name="take">Gets the blocks one by one, in the order of the file; what it does not keep is forgotten.</param>
    /// <returns>Where the rows stand in the file.</returns>
    /// <exception cref="DataFormatException">The first bad row in the order of the file, unless <paramref name="skipped"/> takes it.</exception>
    public static RowOrigin Read<TBlock>(LineSource source, Func<TBlock> create, SkippedRows? skipped, Action<TBlock> take) where TBlock : RowBlock
    {
        long firstLine = source.LinesRead + 1;
        List<long> without = [];
        InOrder.Run(Jobs(), parsed =>
        {
            if (parsed.FirstProblem is not null)
            {
                if (skipped is null) throw parsed.FirstProblem;
                skipped.Add(parsed.FirstProblem, parsed.BadLines.Count);
                without.AddRange(parsed.BadLines);
            }
            take(parsed.Block);
        });
        return new RowOrigin(source.Path, firstLine, without);

        IEnumerable<Func<Parsed<TBlock>>> Jobs()
        {
            while (source.TryReadBlock(out LineBlock lines))
            {
                LineBlock block = lines;
                yield return () => Parse(source, block, create(), skipped is not null);
            }
        }
    }

    private static Parsed<TBlock> Parse<TBlock>(LineSource source, LineBlock lines, TBlock block, bool skipBad) where TBlock : RowBlock
    {
        DataFormatException? first = null;
        List<long> bad = [];
        long number = lines.FirstLine;
        ReadOnlyMemory<byte> bytes = lines.Bytes;
        // One pass over the whole block; only a block that fails is searched for the line.
        bool valid = Utf8.IsValid(bytes.Span);
        for (; LineBlock.TryTakeLine(ref bytes, out ReadOnlyMemory<byte> line); number++)
        {
            string? problem = valid || Utf8.IsValid(line.Span) ? block.Add(line.Span) : "not valid UTF-8";
            if (problem is null) continue;
            first ??= source.Problem(number, problem);
            bad.Add(number);
            if (!skipBad) break;
        }
        return new Parsed<TBlock>(block, first, bad);
    }

    private sealed record Parsed<TBlock>(TBlock Block, DataFormatException? FirstProblem, List<long> BadLines);
}

/// <summary>Parsing and quoting of the pieces of a row.</summary>
internal static class Field
{
    /// <summary>A plain decimal integer of at most nine digits, which is all that ids and counts need.</summary>
    public static bool TryParseId(ReadOnlySpan<byte> text, out int value)
    {
        value = 0;
        if (text.Length is 0 or > 9) return false;
        foreach (byte c in text)
        {
            uint digit = (uint)(c - '0');
            if (digit > 9) return false;
            value = value * 10 + (int)digit;
        }
        return true;
    }

    /// <summary>Any decimal number, including the spellings of infinity and NaN, which the caller has to refuse.</summary>
    public static bool TryParseValue(ReadOnlySpan<byte> text, out float value)
    {
        if (TryParseId(text, out int integer))
        {
            value = integer;
            return true;
        }
        return float.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out value);
    }

    /// <summary>A piece of the input for an error message: short, on one line, without control characters.</summary>
    public static string Quote(ReadOnlySpan<byte> text)
    {
        const int longest = 40;
        var quoted = new StringBuilder("'");
        foreach (Rune rune in Encoding.UTF8.GetString(text[..Math.Min(text.Length, 4 * longest)]).EnumerateRunes())
        {
            if (quoted.Length > longest) return quoted.Append("...'").ToString();
            quoted.Append(Rune.IsControl(rune) ? "?" : rune.ToString());
        }
        return quoted.Append('\'').ToString();
    }

    /// <summary>Takes the part before the separator off the front. False when nothing is left.</summary>
    public static bool TryTake(ref ReadOnlySpan<byte> rest, byte separator, out ReadOnlySpan<byte> part)
    {
        part = default;
        if (rest.IsEmpty) return false;
        int end = rest.IndexOf(separator);
        part = end < 0 ? rest : rest[..end];
        rest = end < 0 ? default : rest[(end + 1)..];
        return true;
    }

    /// <summary>The first number that occurs again, or -1. Ids come sorted as a rule, which costs one pass.</summary>
    public static int FindDuplicate(ReadOnlySpan<int> ids)
    {
        int i = 1;
        while (i < ids.Length && ids[i - 1] < ids[i]) i++;
        if (i >= ids.Length) return -1;
        int[] sorted = ids.ToArray();
        Array.Sort(sorted);
        for (i = 1; i < sorted.Length; i++)
        {
            if (sorted[i - 1] == sorted[i]) return sorted[i];
        }
        return -1;
    }
}

/// <summary>The lists of one block of rows, end to end.</summary>
internal sealed class ListBuilder<T>
{
    private readonly List<T> _items = [];
    private readonly List<int> _ends = [];

    public int Count => _ends.Count;

    public Span<T> Items => CollectionsMarshal.AsSpan(_items);

    /// <summary>Where each list ends in <see cref="Items"/>.</summary>
    public ReadOnlySpan<int> Ends => CollectionsMarshal.AsSpan(_ends);

    /// <summary>Items added since the last list was closed.</summary>
    public Span<T> Open => Items[(_ends.Count == 0 ? 0 : _ends[^1])..];

    public void Add(T item) => _items.Add(item);

    public void Add(ReadOnlySpan<T> items) => _items.AddRange(items);

    public void Close() => _ends.Add(_items.Count);

    public void DropOpen() => CollectionsMarshal.SetCount(_items, _items.Count - Open.Length);
}
