using System.CommandLine;
using System.Diagnostics;
using System.Text.Json;
using EdgeSlide.Cli.Input;
using EdgeSlide.Cli.Output;
using EdgeSlide.Evaluation;

namespace EdgeSlide.Cli.Commands;

/// <summary>Measures accuracy on labelled data, hashing and dense side by side.</summary>
internal static class EvalCommand
{
    public static Command Create()
    {
        Argument<string> model = CommonOptions.Model();
        Argument<string> data = CommonOptions.File(new Argument<string>("DATA")
        {
            Description = "Labelled examples, plain or gzip; - for standard input. Text models: label,label<TAB>text. Next-word models: plain text. Sparse models: XC rows. Dense models: label,v,v,...",
        });
        var labels = new Option<string>("--labels")
        {
            Description = "How labels are written in DATA: names or ids. auto decides by the first row.",
            DefaultValueFactory = _ => "auto",
        };
        labels.AcceptOnlyFromAmong("auto", "names", "ids");
        Option<int> limit = CommonOptions.Positive("--limit", "Stop after this many examples.", int.MaxValue);
        Option<bool> json = CommonOptions.Json();
        Option<bool> noVerify = CommonOptions.NoVerify();
        var command = new Command("eval", """
            Measure accuracy on labelled data: the answers that hashing finds beside those of all neurons.

            P@k is the share of correct answers among the first k. Both modes see the same examples in one pass.
            """)
        {
            model, data, labels, limit, json, noVerify,
        };
        command.SetAction(parsed => Run(parsed.GetValue(model)!, parsed.GetValue(data)!,
            Enum.Parse<LabelNotation>(parsed.GetValue(labels)!, ignoreCase: true), parsed.GetValue(limit), parsed.GetValue(json), !parsed.GetValue(noVerify)));
        return command;
    }

    private static int Run(string modelPath, string dataPath, LabelNotation notation, int limit, bool json, bool verify)
    {
        using EdgeSlideModel model = EdgeSlideModel.Open(modelPath, verify);
        using Predictor predictor = model.CreatePredictor();
        predictor.Probabilities = false;
        using var reader = new LabelledReader(model, dataPath, notation);
        bool hasSelector = model.Layout.Output.Selector is not null;
        var lsh = new Tally();
        var dense = new Tally();
        var top = new Prediction[Math.Min(RankingMetrics.Depth, model.LabelCount)];
        long examples = 0, empty = 0;
        while (examples < limit && reader.TryRead(predictor.Engine.Features))
        {
            examples++;
            empty += predictor.Engine.Features.Count == 0 ? 1 : 0;
            ReadOnlySpan<int> truth = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(reader.Labels);
            if (hasSelector)
                lsh.Measure(predictor, PredictionMode.Lsh, top, truth);
            dense.Measure(predictor, PredictionMode.Dense, top, truth);
        }
        if (examples == 0)
            throw new CommandException(ExitCodes.BadInput, $"{dataPath}: holds no example");
        if (dense.Metrics.Examples == 0)
            throw new CommandException(ExitCodes.BadInput, $"{dataPath}: no example has a label");

        using var output = new OutputWriter();
        if (json)
            WriteJson(output, model, predictor, examples, empty, hasSelector ? lsh : null, dense);
        else
            WriteText(output, model, predictor, examples, empty, hasSelector ? lsh : null, dense);
        output.Flush();
        return ExitCodes.Ok;
    }

    private static void WriteText(OutputWriter output, EdgeSlideModel model, Predictor predictor, long examples, long empty, Tally? lsh, Tally dense)
    {
        output.Write($"{examples} examples, {dense.Metrics.Examples} with labels, {empty} with nothing that the model knows; {model.LabelCount} labels, kernel {predictor.Kernel}\n\n");
        output.Write($"{"",-7}{"P@1",8}{"P@3",8}{"P@5",8}{"nDCG@3",8}{"nDCG@5",8}{"ECE",8}{"neurons",11}{"share",10}{"mult.",9}{"mean us",10}\n");
        foreach ((string name, Tally? tally) in new[] { ("lsh", lsh), ("dense", dense) })
        {
            if (tally is null)
                continue;
            RankingMetrics m = tally.Metrics;
            output.Write($"{name,-7}{m.PrecisionAt(1),8:F4}{m.PrecisionAt(3),8:F4}{m.PrecisionAt(5),8:F4}{m.NdcgAt(3),8:F4}{m.NdcgAt(5),8:F4}{tally.Calibration.Expected,8:F4}{tally.ActiveMean,11:F1}{tally.ActiveMean / model.LabelCount,10:P3}{tally.ShareOf(dense),9:P2}{tally.MicrosecondsMean,10:F2}\n");
        }
    }

    private static void WriteJson(OutputWriter output, EdgeSlideModel model, Predictor predictor, long examples, long empty, Tally? lsh, Tally dense)
    {
        Utf8JsonWriter json = output.Json;
        json.WriteStartObject();
        json.WriteNumber("examples", examples);
        json.WriteNumber("examples_without_features", empty);
        json.WriteNumber("labels", model.LabelCount);
        json.WriteString("kernel", predictor.Kernel);
        foreach ((string name, Tally? tally) in new[] { ("lsh", lsh), ("dense", dense) })
        {
            if (tally is null)
                continue;
            json.WriteStartObject(name);
            foreach (int k in new[] { 1, 3, 5 })
                json.WriteNumber($"p{k}", tally.Metrics.PrecisionAt(k));
            foreach (int k in new[] { 3, 5 })
                json.WriteNumber($"ndcg{k}", tally.Metrics.NdcgAt(k));
            if (tally.Calibration.Examples > 0)
            {
                json.WriteNumber("ece", tally.Calibration.Expected);
                json.WriteNumber("log_loss", tally.Calibration.LogLoss);
            }
            json.WriteNumber("active_neurons_mean", tally.ActiveMean);
            json.WriteNumber("active_fraction", tally.ActiveMean / model.LabelCount);
            json.WriteNumber("multiplications_mean", tally.MultiplicationMean);
            json.WriteNumber("mult_fraction", tally.ShareOf(dense));
            json.WriteNumber("microseconds_mean", tally.MicrosecondsMean);
            json.WriteEndObject();
        }
        json.WriteEndObject();
        output.EndJsonLine();
    }

    /// <summary>Sums over the examples of one mode.</summary>
    private sealed class Tally
    {
        private long _ticks;
        private long _active;
        private long _multiplications;
        private long _answered;

        private const int MostCalibrated = 20_000;

        public RankingMetrics Metrics { get; } = new();

        /// <summary>Of the first answers of the first examples.</summary>
        public CalibrationError Calibration { get; } = new();

        public double ActiveMean => _active / (double)Math.Max(1, _answered);

        public double MultiplicationMean => _multiplications / (double)Math.Max(1, _answered);

        /// <summary>This mode's share of the other's multiplications; 0 if no example had anything to multiply.</summary>
        public double ShareOf(Tally other) => _multiplications == 0 ? 0 : MultiplicationMean / other.MultiplicationMean;

        public double MicrosecondsMean => _ticks * 1e6 / Stopwatch.Frequency / Math.Max(1, _answered);

        public void Measure(Predictor predictor, PredictionMode mode, Prediction[] top, ReadOnlySpan<int> labels)
        {
            predictor.Mode = mode;
            long start = Stopwatch.GetTimestamp();
            int count = predictor.Run(top);
            _ticks += Stopwatch.GetTimestamp() - start;
            if (count > 0)
            {
                _answered++;
                _active += predictor.Cost.ActiveNeurons;
                _multiplications += predictor.Cost.Multiplications;
            }
            Metrics.Add(top.AsSpan(0, count), labels);
            if (count == 0 || labels.IsEmpty || Calibration.Examples >= MostCalibrated)
                return;
            // Again, because probabilities cost what the figures above leave out.
            predictor.Probabilities = true;
            predictor.Run(top);
            predictor.Probabilities = false;
            Calibration.Add(top[0].Probability, labels.Contains(top[0].Label));
        }
    }
}
