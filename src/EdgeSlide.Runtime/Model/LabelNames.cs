using System.Globalization;
using System.Text;
using System.Text.Unicode;

namespace EdgeSlide.Model;

/// <summary>The labels' names: offsets into one run of UTF-8. A model without names answers with ids.</summary>
internal sealed unsafe class LabelNames
{
    private readonly View<uint> _offsets;
    private readonly View<byte> _text;
    private readonly int _count;

    private LabelNames(int count, View<uint> offsets, View<byte> text)
    {
        _count = count;
        _offsets = offsets;
        _text = text;
    }

    public bool HasNames => !_offsets.IsEmpty;

    public static LabelNames Load(ModelFile file, int count)
    {
        if (!file.Has(SectionKind.LabelOffsets) && !file.Has(SectionKind.LabelText))
            return new LabelNames(count, default, default);
        View<uint> offsets = file.Get<uint>(SectionKind.LabelOffsets, 0, 0, count + 1L);
        View<byte> text = file.GetAll<byte>(SectionKind.LabelText);
        uint previous = 0;
        foreach (uint offset in offsets.Span)
        {
            if (offset < previous)
                throw file.Error(ModelError.BadLabels, "label offsets do not ascend");
            previous = offset;
        }
        if (offsets.Pointer[0] != 0 || previous != text.Length)
            throw file.Error(ModelError.BadLabels, $"label offsets do not end at the text's {text.Length} bytes");
        if (text.Length > int.MaxValue)
            throw file.Error(ModelError.BadLabels, $"{text.Length} bytes of label names are more than 2 GiB");
        if (!Utf8.IsValid(text.Span) || HasControls(text.Span))
            throw file.Error(ModelError.BadLabels, "a label is not plain UTF-8 text");
        foreach (uint offset in offsets.Span)
        {
            if (offset < text.Length && (text.Pointer[offset] & 0xC0) == 0x80)
                throw file.Error(ModelError.BadLabels, "a label begins within a character");
        }
        return new LabelNames(count, offsets, text);
    }

    /// <summary>The name's bytes; empty for a model without names.</summary>
    public ReadOnlySpan<byte> Utf8Name(int label)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)label, (uint)_count, nameof(label));
        if (!HasNames)
            return default;
        uint start = _offsets.Pointer[label];
        return new ReadOnlySpan<byte>(_text.Pointer + start, (int)(_offsets.Pointer[label + 1] - start));
    }

    public string Name(int label)
    {
        ReadOnlySpan<byte> utf8 = Utf8Name(label);
        return utf8.IsEmpty ? label.ToString(CultureInfo.InvariantCulture) : Encoding.UTF8.GetString(utf8);
    }

    /// <summary>The sections that store names.</summary>
    public static IEnumerable<SectionContent> ToSections(IReadOnlyList<string> names)
    {
        var offsets = new uint[names.Count + 1];
        using var text = new MemoryStream();
        for (int i = 0; i < names.Count; i++)
        {
            byte[] utf8 = Encoding.UTF8.GetBytes(names[i]);
            if (HasControls(utf8))
                throw new ArgumentException($"label {i} contains a control character");
            text.Write(utf8);
            offsets[i + 1] = checked((uint)text.Length);
        }
        yield return SectionContent.Of(SectionKind.LabelOffsets, 0, 0, offsets);
        yield return new SectionContent(SectionKind.LabelText, 0, 0, text.ToArray());
    }

    /// <summary>Control characters (C0, DEL, C1) in a name could forge lines of output or drive the terminal.</summary>
    public static bool HasControls(ReadOnlySpan<byte> utf8)
    {
        if (utf8.ContainsAnyInRange((byte)0, (byte)0x1F) || utf8.Contains((byte)0x7F))
            return true;
        // C1 controls, U+0080 to U+009F, are C2 80 to C2 9F.
        for (int at; (at = utf8.IndexOf((byte)0xC2)) >= 0 && at + 1 < utf8.Length; utf8 = utf8[(at + 1)..])
        {
            if (utf8[at + 1] < 0xA0)
                return true;
        }
        return false;
    }
}
