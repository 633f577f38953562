using System.Xml.Linq;

namespace EdgeSlide.Training.Reports;

/// <summary>Groups of bars: a group per category, a bar per series.</summary>
/// <param name="Values">[series][category]; NaN leaves a bar out.</param>
internal sealed record BarChart(string Description, string XLabel, string YLabel, IReadOnlyList<string> Categories, IReadOnlyList<string> Series, IReadOnlyList<IReadOnlyList<double>> Values)
{
    private const int Width = 620, Height = 320, Left = 56, Right = 12, Bottom = 46;

    public XElement Draw()
    {
        XElement svg = Svg.Picture(Width, Height, Description);
        List<List<int>> legend = Legend.Rows([.. Enumerable.Range(0, Series.Count)], i => Series[i], Width - Left - Right);
        int top = 14 + 18 * legend.Count;
        var y = new Axis(Values.SelectMany(v => v), Height - Bottom, top, fromZero: true);
        foreach (double tick in y.Ticks())
        {
            svg.Add(Svg.Line(Left, y.Place(tick), Width - Right, y.Place(tick), "grid"));
            svg.Add(Svg.Text(Left - 7, y.Place(tick) + 4, Html.Number(tick), "end", "muted"));
        }
        double group = (Width - Left - Right) / (double)Math.Max(1, Categories.Count), bar = group * 0.8 / Math.Max(1, Series.Count);
        for (int c = 0; c < Categories.Count; c++)
        {
            double start = Left + (c + 0.1) * group;
            for (int s = 0; s < Series.Count; s++)
            {
                double value = Values[s][c];
                if (double.IsFinite(value))
                    svg.Add(Svg.Rectangle(start + s * bar, y.Place(Math.Max(0, value)), bar * 0.92, Math.Abs(y.Place(0) - y.Place(value)), s, $"{Categories[c]}, {Series[s]}: {Html.Number(value)}"));
            }
            svg.Add(Svg.Text(start + group * 0.4, Height - Bottom + 17, Categories[c], "middle", "muted"));
        }
        svg.Add(Svg.Line(Left, y.Place(0), Width - Right, y.Place(0), "axis"));
        svg.Add(Svg.Text((Left + Width - Right) / 2.0, Height - 8, XLabel, "middle", "muted"));
        svg.Add(Svg.Text(14, (top + Height - Bottom) / 2.0, YLabel, "middle", "muted", -90));
        Legend.Draw(svg, legend, i => (Series[i], i, MarkShape.Square, false), Left);
        return svg;
    }
}

/// <summary>One bar whose parts add up to a whole.</summary>
internal sealed record StackedBar(string Description, IReadOnlyList<(string Name, double Value)> Parts, Func<double, string> Format)
{
    private const int Width = 1080, Bar = 30;

    public XElement Draw()
    {
        (string Name, double Value, int Colour)[] parts = [.. Parts.Select((p, i) => (p.Name, p.Value, Colour: i)).Where(p => p.Value > 0)];
        double total = parts.Sum(p => p.Value);
        string Caption((string Name, double Value, int Colour) p) => $"{p.Name} {Format(p.Value)} ({100 * p.Value / total:0.#}%)";
        List<List<(string, double, int)>> legend = Legend.Rows(parts, Caption, Width);
        XElement svg = Svg.Picture(Width, Bar + 12 + 18 * legend.Count, Description);
        double at = 0;
        foreach ((string Name, double Value, int Colour) part in parts)
        {
            double wide = Width * part.Value / total;
            svg.Add(Svg.Rectangle(at, 18 * legend.Count + 6, Math.Max(0.5, wide - 1.5), Bar, part.Colour, Caption(part)));
            at += wide;
        }
        Legend.Draw(svg, legend, p => (Caption(p), p.Item3, MarkShape.Square, false), 0);
        return svg;
    }
}
