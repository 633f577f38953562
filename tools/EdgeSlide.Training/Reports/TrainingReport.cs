using System.Globalization;
using System.Xml.Linq;
using EdgeSlide.Model;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Export;
using EdgeSlide.Training.Networks;
using EdgeSlide.Training.Quantization;
using EdgeSlide.Training.Training;

namespace EdgeSlide.Training.Reports;

/// <summary>A run of training and what came of it, as one page. Parts whose data was not given are left out.</summary>
internal sealed class TrainingReport(TrainedModel network)
{
    private const int LongestText = 300;
    private const int MostLabels = 8;

    /// <summary>Phases and lines of the log.</summary>
    public (IReadOnlyList<string> Phases, IReadOnlyList<TrainingLogLine> Lines)? Log { get; init; }

    public ModelMeasurement? Measurement { get; init; }

    /// <summary>The rows that were measured, and a row's input in words.</summary>
    public (Dataset Rows, string Name, Func<int, string> Describe)? Test { get; init; }

    /// <summary>The device model's file name, size and the part that tables take.</summary>
    public (string Name, long Bytes, long TableBytes)? Model { get; init; }

    /// <summary>How the layers' weights are stored and what that changed.</summary>
    public IReadOnlyList<(WeightFormat Format, QuantizationError Error)>? Layers { get; init; }

    public TuningReport? Tuning { get; init; }

    public void WriteHtml(Stream stream)
    {
        TrainingRecord record = network.Record;
        var page = new List<XElement> { Html.E("h1", $"Training on {(record.Data.Length > 0 ? record.Data : "an unnamed file")}"), Html.Note($"{record.Tool}{(record.Trained.Length > 0 ? $", {record.Trained}" : "")}{(record.Options.Length > 0 ? $": {record.Options}" : "")}") };
        page.Add(Facts());
        if (Log is { } log)
            page.AddRange(Curves(log.Phases, log.Lines));
        if (Measurement is { } measured)
            page.AddRange(Accuracy(measured));
        if (Layers is { } layers)
            page.AddRange(Quantization(layers));
        if (Tuning is { } tuning)
            page.AddRange(tuning.Sections().Prepend(Html.Note($"Tuned on {tuning.Result.Rows:N0} rows of {tuning.Validation}.")).Prepend(Html.E("h2", "Candidate selection")));
        if (Measurement is { Mistakes.Count: > 0 } wrong && Test is { } test)
            page.AddRange(Mistakes(wrong.Mistakes, test.Rows, test.Describe));
        Html.Write(stream, $"Training on {record.Data}", page);
    }

    private XElement Facts()
    {
        IReadOnlyList<NetworkLayer> layers = network.Network.Layers;
        XElement facts = Html.E("div", Html.A("class", "facts"),
            Html.Fact(string.Join(" - ", layers.Select(l => l.Inputs.ToString("N0", CultureInfo.InvariantCulture)).Append(network.Network.OutputCount.ToString("N0", CultureInfo.InvariantCulture))), "inputs, hidden, labels"),
            Html.Fact(network.Record.TrainingRows.ToString("N0", CultureInfo.InvariantCulture), "training rows"),
            Html.Fact($"{Html.Number(network.Record.TrainingSeconds)} s", $"of training, epoch {network.Record.Epochs} kept"));
        if (Measurement is { } measured)
        {
            MeasuredWay last = measured.Ways[^1];
            facts.Add(Html.Fact($"{Html.Share(last.Metrics.Precision(1))} / {Html.Share(last.Metrics.Precision(5))}", $"P@1 / P@5 on test rows, {last.Name}"));
        }
        if (Model is { } model)
            facts.Add(Html.Fact($"{model.Bytes / 1e6:0.0} MB", $"{model.Name}, of which tables {model.TableBytes / 1e6:0.0} MB"));
        return facts;
    }

    private static IEnumerable<XElement> Curves(IReadOnlyList<string> phases, IReadOnlyList<TrainingLogLine> lines)
    {
        List<Series> Curve(params (string Name, Func<TrainingLogLine, double> Y)[] curves)
            => [.. curves.Select((curve, i) => One(curve.Name, i, l => l.Seconds, curve.Y))];
        Series One(string name, int colour, Func<TrainingLogLine, double> x, Func<TrainingLogLine, double> y)
        {
            TrainingLogLine[] known = [.. lines.Where(l => double.IsFinite(y(l)))];
            return new Series(name, [.. known.Select(l => (x(l), y(l)))], colour)
            {
                Line = true,
                Mark = known.Length <= 60 ? MarkShape.Dot : null,
                Tips = [.. known.Select(l => $"epoch {l.Epoch:0.##}, {l.Rows:N0} rows, {l.Seconds:0.#} s: {Html.Number(y(l))}")],
            };
        }
        yield return Html.E("h2", "Learning curves");
        yield return Html.Note("Seconds are training alone: evaluations and checkpoints are left out. Accuracy is measured on held-out rows.");
        bool scored = lines.Any(l => double.IsFinite(l.P1));
        var figures = new List<XElement> { Html.Figure("Loss", new XyChart("Loss over seconds", "seconds", "mean loss of a row", Curve(("", l => l.Loss))).Draw()) };
        if (scored)
        {
            figures.Add(Html.Figure("Accuracy over time", new XyChart("Accuracy over seconds", "seconds", "precision", Curve(("P@1", l => l.P1), ("P@5", l => l.P5))) { FromZero = true }.Draw()));
            figures.Add(Html.Figure("Accuracy over rows", new XyChart("Accuracy over rows", "million rows", "precision",
                [One("P@1", 0, l => l.Rows / 1e6, l => l.P1), One("P@5", 1, l => l.Rows / 1e6, l => l.P5)]) { FromZero = true }.Draw()));
        }
        figures.Add(Html.Figure("Share of output neurons that a batch evaluates", new XyChart("Active fraction over seconds", "seconds", "percent", Curve(("", l => 100 * l.ActiveFraction))) { FromZero = true }.Draw()));
        yield return Html.E("div", [Html.A("class", "row"), .. figures]);
        yield return Html.E("h2", "Where the time went");
        TrainingLogLine end = lines[^1];
        (string, double)[] split = [.. phases.Select((phase, i) => (phase, i < end.Split.Count && double.IsFinite(end.Split[i]) ? end.Split[i] : 0))];
        yield return Html.E("figure", new StackedBar("Seconds by phase", split, s => $"{s.ToString("0.#", CultureInfo.InvariantCulture)} s").Draw());
        yield return Html.Note("labels: update of output neurons; features: update of embeddings; select: choosing the active set; evaluate and checkpoint are not part of the seconds above.");
    }

    private IEnumerable<XElement> Accuracy(ModelMeasurement measured)
    {
        yield return Html.E("h2", "Accuracy");
        if (Test is { } test)
            yield return Html.Note($"{measured.Rows:N0} rows of {test.Name}.");
        bool tail = network.Frequencies is not null || measured.Ways[0].Deciles is not null;
        string[] psp = tail ? ["PSP@1", "PSP@3", "PSP@5"] : [];
        yield return Html.Table([" ", "P@1", "P@3", "P@5", "nDCG@5", .. psp], measured.Ways.Select(way =>
        {
            RankingMetrics m = way.Metrics;
            object[] scores = tail ? [Html.Share(m.PropensityScoredPrecision(1)), Html.Share(m.PropensityScoredPrecision(3)), Html.Share(m.PropensityScoredPrecision(5))] : [];
            return (IReadOnlyList<object>)[way.Name, Html.Share(m.Precision(1)), Html.Share(m.Precision(3)), Html.Share(m.Precision(5)), Html.Share(m.Ndcg(5)), .. scores];
        }));
        var figures = new List<XElement>();
        if (measured.Ways[0].Deciles is not null)
        {
            string[] groups = [.. Enumerable.Range(1, LabelFrequencies.Groups).Select(g => g == 1 ? "rarest" : g == LabelFrequencies.Groups ? "top" : g.ToString(CultureInfo.InvariantCulture))];
            BarChart Bars(string what, Func<DecileMetrics, int, double> value) => new(what, "labels by frequency in training, tenths", what, groups, [.. measured.Ways.Select(w => w.Name)],
                [.. measured.Ways.Select(w => (IReadOnlyList<double>)[.. Enumerable.Range(0, LabelFrequencies.Groups).Select(g => value(w.Deciles!, g))])]);
            figures.Add(Html.Figure("P@1 by label frequency", Bars("P@1", (d, g) => d.PrecisionAt1(g)).Draw()));
            figures.Add(Html.Figure("Recall among the first five by label frequency", Bars("recall@5", (d, g) => d.RecallAt5(g)).Draw()));
        }
        if (measured.Reliability.Count > 0)
        {
            figures.Add(Html.Figure(measured.Calibrated ? "Probabilities against how often the answer is right" : "Probabilities against how often the answer is right (not calibrated)",
                new XyChart("Reliability", "probability of the first answer", "share of right answers",
                [
                    new Series("as it should be", [(0, 0), (1, 1)], 7) { Line = true, Dashed = true },
                    new Series("measured", [.. measured.Reliability.Select(r => (r.Confidence, r.Correct))], 0) { Line = true, Mark = MarkShape.Dot, MarkSize = 4, Tips = [.. measured.Reliability.Select(r => $"{r.Rows:N0} rows, mean probability {r.Confidence:0.000}, right {r.Correct:0.000}")] },
                ]) { FromZero = true }.Draw()));
        }
        if (figures.Count > 0)
            yield return Html.E("div", [Html.A("class", "row"), .. figures]);
    }

    private IEnumerable<XElement> Quantization(IReadOnlyList<(WeightFormat Format, QuantizationError Error)> stored)
    {
        IReadOnlyList<NetworkLayer> layers = network.Network.Layers;
        yield return Html.E("h2", "Quantization");
        yield return Html.Note("Every row of weights has a scale of its own; errors are distances from the FP32 weights.");
        yield return Html.Table(["layer", " shape", "format", "FP32 bytes", "stored bytes", "largest error", "mean error", "mean weight", "error of weight"], stored.Select((layer, i) =>
        {
            QuantizationError e = layer.Error;
            return (IReadOnlyList<object>)[$"{i}", $"{layers[i].Inputs:N0} to {layers[i].Outputs:N0}", layer.Format.ToString().ToUpperInvariant(), $"{e.FloatBytes:N0}", $"{e.QuantizedBytes:N0}",
                Html.Number(e.MaxError), Html.Number(e.MeanError), Html.Number(e.MeanMagnitude), e.MeanMagnitude > 0 ? $"{100 * e.MeanError / e.MeanMagnitude:0.0}%" : "-"];
        }));
    }

    private IEnumerable<XElement> Mistakes(IReadOnlyList<Mistake> mistakes, Dataset rows, Func<int, string> describe)
    {
        string Name(int label) => Short(network.Labels[label]);
        yield return Html.E("h2", "Surest mistakes");
        yield return Html.Note("Test rows whose first answer is wrong, the most probable first. They show what the network confuses, or where a true label is missing.");
        yield return Html.Table(["row", " input", " answers with probabilities", " true labels"], mistakes.Select(mistake => (IReadOnlyList<object>)
        [
            (mistake.Row + 1).ToString(CultureInfo.InvariantCulture), Short(describe(mistake.Row)),
            string.Join("; ", mistake.Answers.Select(a => $"{Name(a.Label)} {a.Probability.ToString("0.00", CultureInfo.InvariantCulture)}{(rows.RowLabels(mistake.Row).Contains(a.Label) ? " (right)" : "")}")),
            string.Join("; ", rows.RowLabels(mistake.Row).ToArray().Take(MostLabels).Select(Name)) + (rows.RowLabels(mistake.Row).Length > MostLabels ? "; ..." : ""),
        ]));
    }

    private static string Short(string text) => text.Length <= LongestText ? text : string.Concat(text.AsSpan(0, LongestText), "...");
}
