using System.Xml.Linq;
using EdgeSlide.Features;
using EdgeSlide.Model;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Export;
using EdgeSlide.Training.Reports;
using EdgeSlide.Training.Tables;
using EdgeSlide.Training.Tests.Export;
using EdgeSlide.Training.Training;
using EdgeSlide.Training.Tuning;

namespace EdgeSlide.Training.Tests.Reports;

public sealed class ReportTests : IDisposable
{
    private const string Hostile = "</td><script>alert('x')</script>&\"'\u0001\uD800 \U0001F600";

    private readonly string _folder = Directory.CreateTempSubdirectory("edgeslide").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_page_with_everything_is_well_formed_shows_it_and_takes_hostile_names_for_text()
    {
        const int Labels = 40;
        Dataset train = Samples.Learnable(1, 800, 400, Labels), test = Samples.Learnable(2, 200, 400, Labels);
        string logPath = Path.Combine(_folder, "log.csv"), modelPath = Path.Combine(_folder, "model.eslide");
        TrainingResult trained = new Trainer(new TrainerOptions { HiddenSizes = [16], Epochs = 2, BatchSize = 64, RandomNegatives = 16, LogPath = logPath, EvaluateEvery = 5 }, train, test).Run();
        string[] names = [.. Enumerable.Range(0, Labels).Select(i => $"{Hostile} {i}")];
        var network = new TrainedModel(trained.Network, Featurizer.Create(new FeaturizerRecord { Kind = FeaturizerKind.Sparse, FeatureCount = 400 }, null, null),
            names, false, new TrainingRecord { Data = Hostile, Options = Hostile }) { Frequencies = LabelFrequencies.Of(train) };
        QuantizationReport quantized = QuantizationJob.Run(network, train, test, new SelectorOptions { Budget = 8, BucketSize = 8 }, new StorageOptions(), modelPath);
        using EdgeSlideModel device = EdgeSlideModel.Open(modelPath);
        TuningResult tuned = TuningJob.Run(device, test, null, new TuningOptions { Trials = 60, MaxLoss = 5 }, Path.Combine(_folder, "tuned.eslide"));
        string json = Path.Combine(_folder, "tuning.json");
        File.WriteAllText(json, new TuningReport(Hostile, Hostile, tuned).ToJson());

        XDocument page = Page(new TrainingReport(network)
        {
            Log = TrainingLogReader.Read(logPath),
            Measurement = ModelMeasurement.Of(network, device, test, network.Frequencies, default),
            Test = (test, Hostile, _ => Hostile),
            Model = (Hostile, 1, 1),
            Layers = [.. quantized.Layers.Select(error => (WeightFormat.Int8, error))],
            Tuning = TuningReport.Read(json),
        }.WriteHtml);

        Assert.DoesNotContain(page.Descendants(), e => e.Name.LocalName is "script" or "link" or "img" or "iframe");
        Assert.DoesNotContain(page.Descendants().Attributes(), a => a.Name.LocalName.StartsWith("on", StringComparison.Ordinal) || a.Name.LocalName is "href" or "src");
        string text = page.Root!.Value;
        foreach (string expected in new[] { "Learning curves", "Where the time went", "by label frequency", "Quantization", "Pareto front", "Surest mistakes", "<script>alert('x')</script>", "\U0001F600" })
            Assert.Contains(expected, text, StringComparison.Ordinal);
        Assert.True(page.Descendants().Count(e => e.Name.LocalName == "svg") >= 10);
        foreach (XElement mark in page.Descendants().Where(e => e.Name.LocalName is "circle" or "rect" or "line"))
        {
            foreach (XAttribute at in mark.Attributes().Where(a => a.Name.LocalName is "x" or "y" or "cx" or "cy" or "x1" or "y1" or "width" or "height"))
                Assert.InRange(double.Parse(at.Value, System.Globalization.CultureInfo.InvariantCulture), -1, 1100);
        }
    }

    [Fact]
    public void Html_closes_what_browsers_would_leave_open()
    {
        using var stream = new MemoryStream();
        Html.Write(stream, "t", [Html.E("div"), Html.E("td", "")]);
        string html = System.Text.Encoding.UTF8.GetString(stream.ToArray());
        Assert.StartsWith("<!DOCTYPE html>", html, StringComparison.Ordinal);
        Assert.Contains("<div></div>", html, StringComparison.Ordinal);
        // The style is raw text to a browser: nothing in it may need escaping.
        Assert.DoesNotContain("&gt;", html, StringComparison.Ordinal);
        Assert.DoesNotContain("&lt;", html, StringComparison.Ordinal);
    }

    [Fact]
    public void A_log_comes_back_as_it_was_written_and_bad_ones_are_refused_with_their_line()
    {
        string path = Path.Combine(_folder, "log.csv");
        using (var log = new TrainingLog(path, -1))
        {
            log.Write(new TrainingLogLine(0.5, 10, 640, 1.25, 6.5, 0.01, 0.125, double.NaN, double.NaN, [.. Enumerable.Range(0, 10).Select(i => i / 4.0)]));
            log.Write(new TrainingLogLine(1, 20, 1280, 2.5, 5.5, 0.005, 0.25, 0.5, 0.25, [.. Enumerable.Range(0, 10).Select(i => i / 2.0)]));
        }
        (IReadOnlyList<string> phases, IReadOnlyList<TrainingLogLine> lines) = TrainingLogReader.Read(path);
        Assert.Equal(Enum.GetNames<TrainingPhase>().Select(n => n.ToLowerInvariant()), phases);
        Assert.Equal((2, 1280L, 0.5, 2.0), (lines.Count, lines[1].Rows, lines[1].P1, lines[1].Split[4]));
        Assert.True(double.IsNaN(lines[0].P1));

        string whole = File.ReadAllText(path);
        File.WriteAllText(path, whole[..^20]);
        Assert.Single(TrainingLogReader.Read(path).Lines);
        Refused("epoch,step\n1,2\n", ":1: is not a log");
        Refused("", "is not a log");
        Refused(whole.Replace("1280", "many", StringComparison.Ordinal), ":3: 19 numbers belong");
        Refused(whole[..(whole.IndexOf('\n', StringComparison.Ordinal) + 1)], "no line yet");

        void Refused(string text, string message)
        {
            File.WriteAllText(path, text);
            Assert.Contains(message, Assert.Throws<DataFormatException>(() => TrainingLogReader.Read(path)).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_log_or_a_tuning_result_that_is_no_file_is_bad_input()
    {
        string missing = Path.Combine(_folder, "nothing");
        foreach (Action<string> read in new Action<string>[] { path => TrainingLogReader.Read(path), path => TuningReport.Read(path) })
        {
            Assert.Equal($"{missing}: no such file", Assert.Throws<DataFormatException>(() => read(missing)).Message);
            Assert.Equal($"{_folder}: is a directory, not a file", Assert.Throws<DataFormatException>(() => read(_folder)).Message);
        }
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("[1]")]
    [InlineData("no json")]
    [InlineData("{\"result\":{\"dense\":{}}}")]
    [InlineData("{\"model\":\"m\",\"validation\":\"v\",\"result\":{\"sources\":[],\"options\":{},\"dense\":{},\"front\":[null],\"points\":[]}}")]
    [InlineData("{\"model\":\"m\",\"validation\":\"v\",\"result\":{\"sources\":[],\"options\":{},\"dense\":{},\"front\":[{\"setting\":{\"sources\":[null]}}],\"points\":[]}}")]
    public void What_is_not_a_tuning_result_is_refused(string text)
    {
        string path = Path.Combine(_folder, "x.json");
        File.WriteAllText(path, text);
        Assert.Contains("is not what tune --json prints", Assert.Throws<InvalidDataException>(() => TuningReport.Read(path)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, 1, false)]
    [InlineData(0.3395, 0.3441, false)]
    [InlineData(900, 29000, true)]
    [InlineData(5, 5, false)]
    [InlineData(1000, 1400, true)]
    [InlineData(1e-3, 1e6, true)]
    public void Ticks_lie_within_the_axis_and_are_a_readable_number(double low, double high, bool log)
    {
        var axis = new Axis([low, high, double.NaN, double.PositiveInfinity], 50, 600, log);
        IReadOnlyList<double> ticks = axis.Ticks();
        Assert.InRange(ticks.Count, 2, 12);
        Assert.All(ticks, t => Assert.InRange(axis.Place(t), 50 - 1e-6, 600 + 1e-6));
        Assert.InRange(axis.Place(low), 50, 600);
        Assert.InRange(axis.Place(high), 50, 600);
    }

    private static XDocument Page(Action<Stream> write)
    {
        using var stream = new MemoryStream();
        write(stream);
        return XDocument.Parse(System.Text.Encoding.UTF8.GetString(stream.ToArray()));
    }
}
