using System.Globalization;
using System.Xml.Linq;

namespace EdgeSlide.Training.Reports;

/// <summary>Elements of drawings. Colours are classes' business, so that drawings follow the page's light or dark.</summary>
internal static class Svg
{
    public static readonly XNamespace Space = "http://www.w3.org/2000/svg";

    public const int Colours = 10;

    public static XElement Picture(int width, int height, string description) =>
        new(Space + "svg", new XAttribute("viewBox", string.Create(CultureInfo.InvariantCulture, $"0 0 {width} {height}")), new XAttribute("role", "img"), Html.A("aria-label", description));

    public static XElement Line(double x1, double y1, double x2, double y2, string style) =>
        new(Space + "line", At("x1", x1), At("y1", y1), At("x2", x2), At("y2", y2), new XAttribute("class", style));

    public static XElement Text(double x, double y, string text, string anchor = "start", string style = "", double turn = 0)
    {
        XElement element = new(Space + "text", At("x", x), At("y", y), new XAttribute("text-anchor", anchor), Html.A("class", style));
        if (turn != 0)
            element.Add(new XAttribute("transform", string.Create(CultureInfo.InvariantCulture, $"rotate({turn} {x:0.##} {y:0.##})")));
        element.Add(Html.Clean(text));
        return element;
    }

    public static XElement Rectangle(double x, double y, double width, double height, int colour, string? tip)
    {
        XElement element = new(Space + "rect", At("x", x), At("y", y), At("width", Math.Max(0, width)), At("height", Math.Max(0, height)), Fill(colour));
        return WithTip(element, tip);
    }

    public static XElement Path(IEnumerable<(double X, double Y)> points, int colour, string style, bool steps = false)
    {
        var data = new System.Text.StringBuilder();
        (double X, double Y) last = default;
        foreach ((double X, double Y) point in points)
        {
            if (data.Length == 0)
                data.Append(CultureInfo.InvariantCulture, $"M{point.X:0.##} {point.Y:0.##}");
            else if (steps)
                data.Append(CultureInfo.InvariantCulture, $"L{point.X:0.##} {last.Y:0.##}L{point.X:0.##} {point.Y:0.##}");
            else
                data.Append(CultureInfo.InvariantCulture, $"L{point.X:0.##} {point.Y:0.##}");
            last = point;
        }
        return new XElement(Space + "path", new XAttribute("d", data.ToString()), new XAttribute("class", style), Stroke(colour));
    }

    public static XElement Mark(MarkShape shape, double x, double y, double size, int colour, string? tip, bool faint = false)
    {
        XElement element;
        if (shape == MarkShape.Dot)
            element = new XElement(Space + "circle", At("cx", x), At("cy", y), At("r", size), Fill(colour));
        else if (shape == MarkShape.Ring)
            element = new XElement(Space + "circle", At("cx", x), At("cy", y), At("r", size), new XAttribute("class", "ring"), Stroke(colour));
        else if (shape == MarkShape.Square)
            element = new XElement(Space + "rect", At("x", x - size), At("y", y - size), At("width", 2 * size), At("height", 2 * size), Fill(colour));
        else
            element = new XElement(Space + "path", new XAttribute("d", Star(x, y, size * 1.6)), Fill(colour));
        if (faint)
            element.Add(new XAttribute("class", "faint"));
        return WithTip(element, tip);
    }

    private static XElement WithTip(XElement element, string? tip)
    {
        if (tip is not null)
            element.Add(new XElement(Space + "title", Html.Clean(tip)));
        return element;
    }

    private static string Star(double x, double y, double size)
    {
        var data = new System.Text.StringBuilder();
        for (int i = 0; i < 10; i++)
        {
            (double sin, double cos) = Math.SinCos((Math.PI * i / 5) - (Math.PI / 2));
            double r = i % 2 == 0 ? size : size * 0.45;
            data.Append(CultureInfo.InvariantCulture, $"{(i == 0 ? 'M' : 'L')}{x + r * cos:0.##} {y + r * sin:0.##}");
        }
        return data.Append('Z').ToString();
    }

    private static XAttribute Fill(int colour) => new("style", $"fill:var(--c{colour % Colours})");

    private static XAttribute Stroke(int colour) => new("style", $"stroke:var(--c{colour % Colours})");

    private static XAttribute At(string name, double value) => new(name, value.ToString("0.##", CultureInfo.InvariantCulture));
}

internal enum MarkShape
{
    Dot,
    Ring,
    Square,
    Star,
}
