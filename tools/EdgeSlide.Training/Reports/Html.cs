using System.Globalization;
using System.Text;
using System.Xml;
using System.Xml.Linq;

namespace EdgeSlide.Training.Reports;

/// <summary>
/// Pages as trees of elements. Text becomes text whatever is in it: escaping is the writer's business, and characters that no
/// XML may hold are replaced. A page is well-formed XML as well as HTML, needs no network and runs no script.
/// </summary>
internal static class Html
{
    private static readonly HashSet<string> Void = ["meta", "br", "hr", "img", "link"];

    private const string Style = """
        :root { color-scheme: light dark; --paper: #ffffff; --ink: #1d2126; --muted: #646c76; --grid: #e4e7eb; --panel: #f6f7f9;
          --c0: #2563c9; --c1: #d4581f; --c2: #1f8a5b; --c3: #8048c0; --c4: #a87b00; --c5: #bf3a78; --c6: #2b93a8; --c7: #7b828b; --c8: #5b6fd6; --c9: #9a5a34; }
        @media (prefers-color-scheme: dark) { :root { --paper: #15181c; --ink: #e4e7eb; --muted: #98a1ac; --grid: #2b3037; --panel: #1d2126;
          --c0: #6ea3ff; --c1: #ff9257; --c2: #52c792; --c3: #b98cf0; --c4: #e0b53a; --c5: #f07fb2; --c6: #62c7da; --c7: #99a1ab; --c8: #93a2ff; --c9: #cf9068; } }
        body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; max-width: 1120px; margin: 2em auto; padding: 0 1.2em; }
        h1 { font-size: 1.55em; margin: 0 0 .2em; } h2 { font-size: 1.15em; margin: 2em 0 .4em; }
        p { margin: .4em 0; max-width: 48em; } .note { color: var(--muted); font-size: .92em; }
        .row { display: flex; flex-wrap: wrap; gap: 1.2em; } .row figure { flex: 1 1 480px; min-width: 0; max-width: 550px; }
        figure { margin: .8em 0; } figcaption { font-weight: 600; margin-bottom: .2em; }
        .facts { display: flex; flex-wrap: wrap; gap: .8em; margin: 1em 0; } .fact { background: var(--panel); border-radius: 6px; padding: .6em 1em; }
        .fact b { display: block; font-size: 1.35em; font-weight: 600; } .fact span { color: var(--muted); font-size: .88em; }
        .scroll { overflow-x: auto; }
        table { border-collapse: collapse; font-size: .92em; font-variant-numeric: tabular-nums; }
        th, td { padding: .3em .6em; text-align: right; border-bottom: 1px solid var(--grid); vertical-align: top; }
        th { color: var(--muted); font-weight: 600; } .text { text-align: left; } tr.mark td { background: var(--panel); font-weight: 600; }
        th, td { white-space: nowrap; } td.text { white-space: normal; overflow-wrap: anywhere; min-width: 7em; } td.text:last-child { min-width: 18em; } .good { color: var(--c2); } .bad { color: var(--c1); }
        svg { width: 100%; height: auto; display: block; font: 12px system-ui, sans-serif; }
        svg text { fill: var(--ink); } svg text.muted { fill: var(--muted); } svg .grid { stroke: var(--grid); } svg .axis { stroke: var(--muted); }
        svg .limit { stroke: var(--muted); stroke-dasharray: 5 4; } svg .line { fill: none; stroke-width: 2; stroke-linejoin: round; } svg .dashed { stroke-dasharray: 6 4; }
        svg .faint { opacity: .28; } svg .ring { fill: var(--paper); stroke-width: 2.5; }
        """ + "\n";

    /// <summary>An element; strings in <paramref name="content"/> become text, attributes attributes.</summary>
    public static XElement E(string name, params object?[] content)
    {
        var element = new XElement(name);
        foreach (object? item in content)
            element.Add(item is string text ? Clean(text) : item);
        // An empty pair of tags: HTML takes <td/> for an opening tag.
        if (element.IsEmpty && !Void.Contains(name))
            element.Add("");
        return element;
    }

    public static XAttribute A(string name, string value) => new(name, Clean(value));

    public static XElement Note(string text) => E("p", A("class", "note"), text);

    /// <summary>A figure that stands out.</summary>
    public static XElement Fact(string value, string what) => E("div", A("class", "fact"), E("b", value), E("span", what));

    public static XElement Figure(string caption, XElement svg) => E("figure", E("figcaption", caption), svg);

    /// <param name="headers">Column titles; those that begin with a blank are for text and aligned left.</param>
    /// <param name="rows">Cells: strings or elements.</param>
    /// <param name="mark">Rows that stand out.</param>
    public static XElement Table(IReadOnlyList<string> headers, IEnumerable<IReadOnlyList<object>> rows, Func<int, bool>? mark = null)
    {
        bool IsText(int column) => headers[column].StartsWith(' ');
        var head = E("tr", [.. headers.Select((h, i) => IsText(i) ? E("th", A("class", "text"), h[1..]) : E("th", h))]);
        var body = rows.Select((row, r) => E("tr", [mark?.Invoke(r) == true ? A("class", "mark") : null,
            .. row.Select((cell, i) => IsText(i) ? E("td", A("class", "text"), cell) : E("td", cell))]));
        return E("div", A("class", "scroll"), E("table", E("thead", head), E("tbody", [.. body])));
    }

    /// <summary>Writes a whole page.</summary>
    public static void Write(Stream stream, string title, IEnumerable<XElement> content)
    {
        XElement page = E("html", A("lang", "en"),
            E("head", E("meta", A("charset", "utf-8")), E("meta", A("name", "viewport"), A("content", "width=device-width, initial-scale=1")), E("title", title), E("style", Style)),
            E("body", [.. content]));
        stream.Write("<!DOCTYPE html>\n"u8);
        using var writer = XmlWriter.Create(stream, new XmlWriterSettings { OmitXmlDeclaration = true, Encoding = new UTF8Encoding(false), CloseOutput = false });
        page.Save(writer);
    }

    /// <summary>A number with its thousands apart and no more digits than are of use.</summary>
    public static string Number(double value) => Math.Abs(value) switch
    {
        0 => "0",
        >= 100 => value.ToString("N0", CultureInfo.InvariantCulture),
        >= 10 => value.ToString("0.#", CultureInfo.InvariantCulture),
        >= 1 => value.ToString("0.##", CultureInfo.InvariantCulture),
        >= 1e-4 => value.ToString("0.####", CultureInfo.InvariantCulture),
        _ => value.ToString("0.##E0", CultureInfo.InvariantCulture),
    };

    public static string Share(double? value) => value is { } known && double.IsFinite(known) ? known.ToString("0.0000", CultureInfo.InvariantCulture) : "-";

    /// <summary>The text without characters that XML cannot hold.</summary>
    public static string Clean(string text)
    {
        for (int i = 0; i < text.Length; i++)
        {
            if (!XmlConvert.IsXmlChar(text[i]) && !IsPair(i))
                return string.Concat(text.Select((c, at) => XmlConvert.IsXmlChar(c) || IsPair(at) ? c : '\uFFFD'));
        }
        return text;

        bool IsPair(int at) => (char.IsHighSurrogate(text[at]) && at + 1 < text.Length && char.IsLowSurrogate(text[at + 1]))
            || (char.IsLowSurrogate(text[at]) && at > 0 && char.IsHighSurrogate(text[at - 1]));
    }
}
