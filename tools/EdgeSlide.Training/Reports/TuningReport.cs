using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Xml.Linq;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Tuning;

namespace EdgeSlide.Training.Reports;

/// <summary>What a search found, as a page, as JSON and as text.</summary>
internal sealed record TuningReport(string Model, string Validation, TuningResult Result)
{
    /// <summary>More notes than this make pages large.</summary>
    private const int MostTips = 200;

    private static readonly JsonSerializerOptions Json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        WriteIndented = true,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.SnakeCaseLower) },
    };

    public string ToJson() => JsonSerializer.Serialize(this, Json);

    /// <exception cref="DataFormatException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file is not what `tune --json` prints.</exception>
    public static TuningReport Read(string path)
    {
        try
        {
            using FileStream file = InputFile.OpenRaw(path);
            TuningReport? report = JsonSerializer.Deserialize<TuningReport>(file, Json);
            if (report is { Model: not null, Validation: not null, Result: { Dense: not null, Front: not null, Points: not null, Sources: not null, Options: not null } result }
                && result.Sources.All(name => name is not null) && result.Front.Concat(result.Points).All(IsWhole) && new[] { result.Current, result.Chosen }.All(p => p is null || IsWhole(p)))
            {
                return report;
            }
        }
        catch (Exception e) when (e is JsonException or NotSupportedException)
        {
            throw new InvalidDataException($"{path}: is not what tune --json prints", e);
        }
        throw new InvalidDataException($"{path}: is not what tune --json prints");
    }

    private static bool IsWhole(TuningPoint? point) => point is not null && (point.Setting is null || (point.Setting.Sources is not null && point.Setting.Sources.All(s => s is not null)));

    public void Print(Action<string> line)
    {
        line(string.Create(CultureInfo.InvariantCulture, $"{Result.Trials} settings tried on {Result.Rows:N0} validation rows in {Result.Seconds:F0} s"));
        line($"{"",-12}{"P@1",8}{"P@5",8}{"neurons",9}{"mults",10}{"bytes",10}{"tables",12}{"time",9}");
        foreach ((string name, TuningPoint? p) in Named())
        {
            if (p is not null)
                line(string.Create(CultureInfo.InvariantCulture, $"{name,-12}{p.P1,8:F4}{p.P5,8:F4}{p.ActiveNeurons,9:N1}{p.Multiplications,10:N0}{p.Bytes,10:N0}{p.TableBytes,12:N0}{(p.Nanoseconds is { } ns ? $"{ns / 1000:F2} us" : "-"),9}"));
        }
        if (Result.Chosen is { } chosen)
        {
            line(string.Create(CultureInfo.InvariantCulture, $"loses {chosen.LossP1:F2} (standard error {Result.ChosenError:F2}) points of P@1 and {chosen.LossP5:F2} of P@5{(chosen.LossPsp1 is { } tail ? $", {tail:F2} of PSP@1" : "")}; {Result.Options.MaxLoss} were allowed"));
            line(Describe(chosen));
        }
    }

    public void WriteHtml(Stream stream)
    {
        var content = new List<XElement> { Html.E("h1", $"Tuning {Model}"), Html.Note($"on {Result.Rows:N0} rows of {Validation}; {Result.Trials:N0} settings tried in {Result.Seconds:F0} s") };
        content.AddRange(Sections());
        Html.Write(stream, $"Tuning {Model}", content);
    }

    /// <summary>The content below the title, for pages that have more.</summary>
    public IEnumerable<XElement> Sections()
    {
        TuningPoint? chosen = Result.Chosen, before = Result.Current;
        if (chosen is not null)
        {
            yield return Html.E("div", Html.A("class", "facts"),
                Html.Fact(Html.Number(chosen.Bytes), $"bytes a query{Change(before?.Bytes, chosen.Bytes)}"),
                Html.Fact(Html.Number(chosen.Multiplications), $"multiplications a query{Change(before?.Multiplications, chosen.Multiplications)}"),
                Html.Fact(Html.Share(chosen.P1), $"P@1 on validation rows{Loss(chosen.LossP1)}"),
                Html.Fact(Html.Share(chosen.P5), $"P@5{Loss(chosen.LossP5)}"),
                Html.Fact(Html.Number(chosen.TableBytes / 1e6), $"MB of tables{Change(before?.TableBytes, chosen.TableBytes)}"));
            yield return Html.E("p", $"Chosen: {Describe(chosen)}.");
        }
        else
        {
            yield return Html.E("p", $"No setting keeps the loss of {Result.Options.MaxLoss} points.");
        }
        yield return Html.E("h2", "Pareto front");
        yield return Html.Note("A point is a setting that was tried on all rows; the line is what no other setting beats. Hover for the setting. Counts are means over the rows and the same in every run; times are medians measured in turns within one run.");
        yield return Html.E("div", Html.A("class", "row"),
            Html.Figure("P@1 against bytes of the model that a query reads", Scatter("bytes a query", p => p.Bytes, p => p.P1, "P@1")),
            Html.Figure("P@5 against bytes", Scatter("bytes a query", p => p.Bytes, p => p.P5, "P@5")),
            Html.Figure("P@1 against multiplications", Scatter("multiplications a query", p => p.Multiplications, p => p.P1, "P@1")),
            Html.Figure("P@1 against the median time of a query", Scatter("microseconds a query", p => p.Nanoseconds is { } ns ? ns / 1000 : double.NaN, p => p.P1, "P@1")));
        yield return Html.E("h2", "Settings on the front");
        yield return Table();
    }

    private XElement Table()
    {
        (string Name, TuningPoint Point)[] rows =
        [
            .. Named().Where(n => n.Point is not null).Select(n => (n.Name, n.Point!)),
            .. Result.Front.Where(p => p.Setting != Result.Chosen?.Setting && p.Loss <= Result.Options.MaxLoss + 2).Select(p => ("", p)),
        ];
        return Html.Table([" ", "P@1", "P@5", .. Result.Dense.Psp1 is null ? Array.Empty<string>() : ["PSP@1"], "loss", "neurons", "multiplications", "bytes", "tables", "time", " setting"],
            rows.Select(r => (IReadOnlyList<object>)[r.Name, Html.Share(r.Point.P1), Html.Share(r.Point.P5), .. r.Point.Psp1 is { } psp ? new object[] { Html.Share(psp) } : [],
                Html.E("span", Html.A("class", r.Point.Loss <= Result.Options.MaxLoss + 1e-9 ? "good" : "bad"), r.Point.Loss.ToString("0.00", CultureInfo.InvariantCulture)),
                Html.Number(r.Point.ActiveNeurons), Html.Number(r.Point.Multiplications), Html.Number(r.Point.Bytes), $"{r.Point.TableBytes / 1e6:0.00} MB",
                r.Point.Nanoseconds is { } ns ? $"{ns / 1000:0.00} us" : "-", Describe(r.Point)]),
            i => rows[i].Name == "chosen");
    }

    private XElement Scatter(string xLabel, Func<TuningPoint, double> cost, Func<TuningPoint, double> accuracy, string yLabel)
    {
        // Far below what is wanted, settings only squeeze the picture.
        TuningPoint[] shown = [.. Result.Points.Where(p => p.Loss <= Result.Options.MaxLoss + 3 && double.IsFinite(cost(p)))];
        var front = new List<TuningPoint>();
        foreach (TuningPoint point in shown.OrderBy(cost).ThenByDescending(accuracy))
        {
            if (front.Count == 0 || accuracy(point) > accuracy(front[^1]))
                front.Add(point);
        }
        Series Points(string name, IReadOnlyList<TuningPoint> points, int colour) => new(name, [.. points.Select(p => (cost(p), accuracy(p)))], colour) { Tips = [.. points.Select(Tip)] };
        var series = new List<Series>
        {
            Points("tried", shown, 7) with { Mark = MarkShape.Dot, MarkSize = 2.5, Faint = true, Tips = shown.Length > MostTips ? null : [.. shown.Select(Tip)] },
            Points("front", front, 0) with { Line = true, Steps = true, Mark = MarkShape.Dot, MarkSize = 3.5 },
            Points("all neurons", [Result.Dense], 3) with { Mark = MarkShape.Square, MarkSize = 5 },
        };
        if (Result.Current is { } before)
            series.Add(Points("before", [before], 1) with { Mark = MarkShape.Ring, MarkSize = 6 });
        if (Result.Chosen is { } chosen)
            series.Add(Points("chosen", [chosen], 2) with { Mark = MarkShape.Star, MarkSize = 7 });
        double reference = Math.Max(accuracy(Result.Dense), Result.Current is null ? 0 : accuracy(Result.Current));
        return new XyChart($"{yLabel} against {xLabel}", xLabel, yLabel, series)
        {
            LogX = true,
            Limit = (reference - Result.Options.MaxLoss / 100, "the least that is allowed"),
        }.Draw();
    }

    private string Tip(TuningPoint p) => $"{Describe(p)}\nP@1 {Html.Share(p.P1)}, P@5 {Html.Share(p.P5)}\n{Html.Number(p.ActiveNeurons)} neurons, {Html.Number(p.Multiplications)} multiplications, {Html.Number(p.Bytes)} bytes{(p.Nanoseconds is { } ns ? $", {ns / 1000:0.00} us" : "")}";

    private (string Name, TuningPoint? Point)[] Named() => [("all neurons", Result.Dense), ("before", Result.Current), ("chosen", Result.Chosen)];

    private string Describe(TuningPoint point)
    {
        if (point.Setting is not { } setting)
            return "every neuron";
        string text = string.Create(CultureInfo.InvariantCulture, $"budget {setting.Budget}, vote blend {setting.VoteBlend:0.###}");
        for (int i = 0; i < setting.Sources.Count; i++)
        {
            SourceSetting source = setting.Sources[i];
            if (source.Cap == 0)
                continue;
            text += string.Create(CultureInfo.InvariantCulture, $"; {(i < Result.Sources.Count ? Result.Sources[i] : "source")}: {source.Cap} a bucket");
            if (source.MinVote > 1)
                text += string.Create(CultureInfo.InvariantCulture, $", stored votes from {source.MinVote}");
            if (source.Weight != 1f)
                text += string.Create(CultureInfo.InvariantCulture, $", weight {source.Weight:0.###}");
            if (i < Result.Sources.Count && Result.Sources[i].StartsWith("centroid", StringComparison.Ordinal))
                text += string.Create(CultureInfo.InvariantCulture, $", beam {source.Beam}");
        }
        return text;
    }

    private static string Change(double? before, double after) => before is > 0 ? string.Create(CultureInfo.InvariantCulture, $" ({100 * (after / before.Value - 1):+0;-0;0}%)") : "";

    private static string Loss(double points) => string.Create(CultureInfo.InvariantCulture, $" ({-points:+0.00;-0.00;0.00} points)");
}
