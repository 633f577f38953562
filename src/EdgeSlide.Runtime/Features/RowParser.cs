using System.Buffers.Text;

namespace EdgeSlide.Features;

/// <summary>Reads one line of numbers: a sparse row as in the XC repository, or comma-separated dense values.</summary>
internal static class RowParser
{
    /// <summary>
    /// <c>[labels] id:value id:value ...</c>, ids from 0. The label list (<c>1,2,3</c>) is optional: the first word is one
    /// if it has no colon. The features go to <paramref name="output"/>, unchecked against any model.
    /// </summary>
    /// <returns>The label list's bytes, empty if there is none.</returns>
    /// <exception cref="InputException">The line is not such a row.</exception>
    public static ReadOnlySpan<byte> Sparse(ReadOnlySpan<byte> line, FeatureVector output)
    {
        output.Clear();
        ReadOnlySpan<byte> labels = default;
        bool first = true;
        while (!line.IsEmpty)
        {
            int space = line.IndexOfAny((byte)' ', (byte)'\t');
            ReadOnlySpan<byte> word = space < 0 ? line : line[..space];
            line = space < 0 ? default : line[(space + 1)..];
            bool mayBeLabels = first;
            first = false;
            if (word.IsEmpty)
                continue;
            int colon = word.IndexOf((byte)':');
            if (colon < 0)
            {
                if (!mayBeLabels)
                    throw new InputException($"'{Show(word)}' is not id:value");
                labels = word;
                continue;
            }
            if (!Utf8Parser.TryParse(word[..colon], out int id, out int used) || used != colon || id < 0)
                throw new InputException($"'{Show(word)}' does not begin with a feature id");
            output.Add(id, Number(word[(colon + 1)..], word));
        }
        return labels;
    }

    /// <summary><c>v,v,...</c>; returns how many values there were. Zeros are left out of <paramref name="output"/>.</summary>
    /// <exception cref="InputException">A field is not a finite number.</exception>
    public static int Dense(ReadOnlySpan<byte> line, FeatureVector output)
    {
        output.Clear();
        int index = 0;
        while (true)
        {
            int comma = line.IndexOf((byte)',');
            ReadOnlySpan<byte> field = (comma < 0 ? line : line[..comma]).Trim(" \t"u8);
            float value = Number(field, field);
            if (value != 0f)
                output.Add(index, value);
            index++;
            if (comma < 0)
                return index;
            line = line[(comma + 1)..];
        }
    }

    private static float Number(ReadOnlySpan<byte> field, ReadOnlySpan<byte> context)
    {
        if (field.IsEmpty || !Utf8Parser.TryParse(field, out float value, out int used) || used != field.Length)
            throw new InputException($"'{Show(context)}' is not a number");
        return float.IsFinite(value) ? value : throw new InputException($"'{Show(context)}' is not a finite number");
    }

    /// <summary>The start of a word, with anything unprintable replaced.</summary>
    private static string Show(ReadOnlySpan<byte> word)
    {
        Span<char> text = stackalloc char[Math.Min(word.Length, 24)];
        for (int i = 0; i < text.Length; i++)
            text[i] = word[i] is >= 0x20 and < 0x7F ? (char)word[i] : '?';
        return new string(text);
    }
}
