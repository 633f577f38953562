using System.Xml.Linq;

namespace EdgeSlide.Training.Reports;

/// <summary>Points of one meaning.</summary>
/// <param name="Name">For the legend; empty for none.</param>
/// <param name="Tips">One per point, shown on hovering; null for none.</param>
internal sealed record Series(string Name, IReadOnlyList<(double X, double Y)> Points, int Colour)
{
    public IReadOnlyList<string>? Tips { get; init; }

    public bool Line { get; init; }

    public bool Dashed { get; init; }

    /// <summary>The line keeps its height until the next point: what a front reaches at a cost.</summary>
    public bool Steps { get; init; }

    /// <summary>Null for no marks.</summary>
    public MarkShape? Mark { get; init; }

    public double MarkSize { get; init; } = 3;

    public bool Faint { get; init; }
}

/// <summary>Lines and marks over two axes.</summary>
internal sealed record XyChart(string Description, string XLabel, string YLabel, IReadOnlyList<Series> Series)
{
    private const int Width = 620, Height = 380, Left = 66, Right = 14, Bottom = 46;

    public bool LogX { get; init; }

    public bool FromZero { get; init; }

    /// <summary>A dashed line across, with its meaning.</summary>
    public (double Y, string Text)? Limit { get; init; }

    public XElement Draw()
    {
        XElement svg = Svg.Picture(Width, Height, Description);
        List<List<Series>> legend = Legend.Rows([.. Series.Where(s => s.Name.Length > 0)], s => s.Name, Width - Left - Right);
        int top = 14 + 18 * legend.Count;
        var x = new Axis(Series.SelectMany(s => s.Points).Select(p => p.X), Left, Width - Right, LogX);
        var y = new Axis(Series.SelectMany(s => s.Points).Select(p => p.Y).Concat(Limit is { } limit ? [limit.Y] : []), Height - Bottom, top, fromZero: FromZero);
        foreach (double tick in y.Ticks())
        {
            svg.Add(Svg.Line(Left, y.Place(tick), Width - Right, y.Place(tick), "grid"));
            svg.Add(Svg.Text(Left - 7, y.Place(tick) + 4, Html.Number(tick), "end", "muted"));
        }
        foreach (double tick in x.Ticks(6))
        {
            svg.Add(Svg.Line(x.Place(tick), top, x.Place(tick), Height - Bottom, "grid"));
            svg.Add(Svg.Text(x.Place(tick), Height - Bottom + 17, Html.Number(tick), "middle", "muted"));
        }
        svg.Add(Svg.Line(Left, Height - Bottom, Width - Right, Height - Bottom, "axis"));
        svg.Add(Svg.Text((Left + Width - Right) / 2.0, Height - 8, XLabel, "middle", "muted"));
        svg.Add(Svg.Text(14, (top + Height - Bottom) / 2.0, YLabel, "middle", "muted", -90));
        if (Limit is { } line)
        {
            svg.Add(Svg.Line(Left, y.Place(line.Y), Width - Right, y.Place(line.Y), "limit"));
            svg.Add(Svg.Text(Width - Right - 4, y.Place(line.Y) - 5, line.Text, "end", "muted"));
        }
        foreach (Series series in Series)
            Add(svg, series, x, y);
        Legend.Draw(svg, legend, s => (s.Name, s.Colour, s.Mark ?? MarkShape.Dot, s.Faint), Left);
        return svg;
    }

    private void Add(XElement svg, Series series, Axis x, Axis y)
    {
        (double X, double Y, int Index)[] points = [.. series.Points.Select((p, i) => (p.X, p.Y, Index: i)).Where(p => double.IsFinite(p.X) && double.IsFinite(p.Y) && (!LogX || p.X > 0))];
        if (series.Line && points.Length > 1)
            svg.Add(Svg.Path(points.Select(p => (x.Place(p.X), y.Place(p.Y))), series.Colour, series.Dashed ? "line dashed" : "line", series.Steps));
        if (series.Mark is not { } shape)
            return;
        foreach ((double px, double py, int index) in points)
            svg.Add(Svg.Mark(shape, x.Place(px), y.Place(py), series.MarkSize, series.Colour, series.Tips?[index], series.Faint));
    }
}

/// <summary>Names with their colours, in as many rows as the width asks for.</summary>
internal static class Legend
{
    private const double CharacterWidth = 6.4;

    public static List<List<T>> Rows<T>(IReadOnlyList<T> items, Func<T, string> name, double width)
    {
        var rows = new List<List<T>>();
        double used = double.PositiveInfinity;
        foreach (T item in items)
        {
            double wide = Wide(name(item));
            if (used + wide > width)
            {
                rows.Add([]);
                used = 0;
            }
            rows[^1].Add(item);
            used += wide;
        }
        return rows;
    }

    public static void Draw<T>(XElement svg, List<List<T>> rows, Func<T, (string Name, int Colour, MarkShape Shape, bool Faint)> of, double left)
    {
        for (int row = 0; row < rows.Count; row++)
        {
            double at = left, y = 13 + 18 * row;
            foreach (T item in rows[row])
            {
                (string name, int colour, MarkShape shape, bool faint) = of(item);
                svg.Add(Svg.Mark(shape, at + 5, y - 4, 4.5, colour, null, faint));
                svg.Add(Svg.Text(at + 15, y, name));
                at += Wide(name);
            }
        }
    }

    private static double Wide(string name) => 34 + CharacterWidth * name.Length;
}
