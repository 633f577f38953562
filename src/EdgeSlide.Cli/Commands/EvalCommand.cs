using System.CommandLine;
using System.Diagnostics;
using System.Runtime.ExceptionServices;
using System.Text.Json;
using EdgeSlide.Cli.Input;
using EdgeSlide.Cli.Output;
using EdgeSlide.Cli.Streaming;
using EdgeSlide.Evaluation;
using EdgeSlide.Features;

namespace EdgeSlide.Cli.Commands;

/// <summary>Measures accuracy on labelled data, hashing and dense side by side.</summary>
internal static class EvalCommand
{
    private const int BlockExamples = 128;

    // Of the first answers of so many examples.
    private const int MostCalibrated = 20_000;

    public static Command Create()
    {
        Argument<string> model = CommonOptions.Model();
        Argument<string> data = CommonOptions.File(new Argument<string>("DATA")
        {
            Description = "Labelled examples, plain or gzip; - for standard input. Text models: label,label<TAB>text. Next-word models: plain text. Sparse models: XC rows. Dense models: label,v,v,...",
        });
        var labels = new Option<string>("--labels")
        {
            Description = "How labels are written in DATA: names or ids. auto decides by the first row that has labels.",
            DefaultValueFactory = _ => "auto",
        };
        labels.AcceptOnlyFromAmong("auto", "names", "ids");
        Option<int> limit = CommonOptions.Positive("--limit", "Stop after this many examples.", int.MaxValue);
        Option<int> threads = CommonOptions.Threads();
        Option<bool> json = CommonOptions.Json();
        Option<bool> noVerify = CommonOptions.NoVerify();
        var command = new Command("eval", """
            Measure accuracy on labelled data: the answers that hashing finds beside those of all neurons.

            P@k is the share of correct answers among the first k. Both modes see the same examples in one pass. Several
            threads give the same figures sooner; each query's time is still that of one thread.
            """)
        {
            model, data, labels, limit, threads, json, noVerify,
        };
        command.SetAction(parsed => Run(parsed.GetValue(model)!, parsed.GetValue(data)!,
            Enum.Parse<LabelNotation>(parsed.GetValue(labels)!, ignoreCase: true), parsed.GetValue(limit),
            CommonOptions.ThreadCount(parsed.GetValue(threads)), parsed.GetValue(json), !parsed.GetValue(noVerify)));
        return command;
    }

    private static int Run(string modelPath, string dataPath, LabelNotation notation, int limit, int threads, bool json, bool verify)
    {
        EdgeSlideModel model = EdgeSlideModel.Open(modelPath, verify);
        var predictors = new Predictor[threads];
        for (int i = 0; i < threads; i++)
            predictors[i] = model.CreatePredictor();
        PredictionMode[] modes = model.Layout.Output.Selector is null ? [PredictionMode.Dense] : [PredictionMode.Lsh, PredictionMode.Dense];
        Tally[] tallies = Array.ConvertAll(modes, _ => new Tally());
        int k = Math.Min(RankingMetrics.Depth, model.LabelCount);
        long examples = 0, empty = 0;
        if (threads == 1)
        {
            var block = new ExampleBlock(BlockExamples, k, modes);
            Read(model, dataPath, notation, limit, () => block, () =>
            {
                block.Answer(predictors[0]);
                Count(block);
            });
        }
        else
        {
            var blocks = new ExampleBlock[2 * threads + 1];
            for (int i = 0; i < blocks.Length; i++)
                blocks[i] = new ExampleBlock(BlockExamples, k, modes);
            var pipeline = new OrderedPipeline<ExampleBlock>(blocks);
            Action<ExampleBlock>[] workers = Array.ConvertAll(predictors, predictor => (Action<ExampleBlock>)(block => block.Answer(predictor)));
            pipeline.Run(() => Read(model, dataPath, notation, limit, pipeline.Begin, pipeline.Submit), workers, Count);
        }
        Tally? lsh = modes.Length == 2 ? tallies[0] : null;
        Tally dense = tallies[^1];
        if (examples == 0)
            throw new CommandException(ExitCodes.BadInput, $"{dataPath}: holds no example");
        if (dense.Metrics.Examples == 0)
            throw new CommandException(ExitCodes.BadInput, $"{dataPath}: no example has a label");

        using var output = new OutputWriter();
        if (json)
            WriteJson(output, model, predictors[0], examples, empty, lsh, dense);
        else
            WriteText(output, model, predictors[0], examples, empty, lsh, dense);
        output.Flush();
        // Not after a failure: the process ends, and threads may still be reading the model.
        foreach (Predictor predictor in predictors)
            predictor.Dispose();
        model.Dispose();
        return ExitCodes.Ok;

        void Count(ExampleBlock block)
        {
            if (block.Failure is not null)
                ExceptionDispatchInfo.Throw(block.Failure);
            examples += block.Count;
            for (int example = 0; example < block.Count; example++)
            {
                empty += block.HasFeatures(example) ? 0 : 1;
                for (int mode = 0; mode < modes.Length; mode++)
                    tallies[mode].Add(in block.Result(mode, example), block.Answers(mode, example), block.Labels(example));
            }
        }
    }

    private static void Read(EdgeSlideModel model, string dataPath, LabelNotation notation, int limit, Func<ExampleBlock> begin, Action submit)
    {
        using var reader = new LabelledReader(model, dataPath, notation);
        using var features = new FeatureVector();
        ExampleBlock block = begin();
        block.Clear();
        int calibrating = 0;
        for (int examples = 0; examples < limit && reader.TryRead(features); examples++)
        {
            bool calibrates = calibrating < MostCalibrated && features.Count > 0 && reader.Labels.Count > 0;
            calibrating += calibrates ? 1 : 0;
            block.Add(features, reader.Labels, calibrates);
            if (!block.IsFull)
                continue;
            submit();
            block = begin();
            block.Clear();
        }
        if (block.Count > 0)
            submit();
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
            output.Write($"{name,-7}{m.PrecisionAt(1),8:F4}{m.PrecisionAt(3),8:F4}{m.PrecisionAt(5),8:F4}{m.NdcgAt(3),8:F4}{m.NdcgAt(5),8:F4}{(tally.Calibration.Examples == 0 ? "-" : $"{tally.Calibration.Expected:F4}"),8}{tally.ActiveMean,11:F1}{tally.ActiveMean / model.LabelCount,10:P3}{tally.ShareOf(dense),9:P2}{tally.MicrosecondsMean,10:F2}\n");
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

        public RankingMetrics Metrics { get; } = new();

        /// <summary>Of the first answers.</summary>
        public CalibrationError Calibration { get; } = new();

        public double ActiveMean => _active / (double)Math.Max(1, _answered);

        public double MultiplicationMean => _multiplications / (double)Math.Max(1, _answered);

        /// <summary>This mode's share of the other's multiplications; 0 if no example had anything to multiply.</summary>
        public double ShareOf(Tally other) => _multiplications == 0 ? 0 : MultiplicationMean / other.MultiplicationMean;

        public double MicrosecondsMean => _ticks * 1e6 / Stopwatch.Frequency / Math.Max(1, _answered);

        public void Add(in ExampleResult result, ReadOnlySpan<Prediction> top, ReadOnlySpan<int> labels)
        {
            // A query without features is answered by nothing, and its time is nobody's.
            if (result.Count > 0)
            {
                _ticks += result.Ticks;
                _answered++;
                _active += result.Cost.ActiveNeurons;
                _multiplications += result.Cost.Multiplications;
            }
            Metrics.Add(top, labels);
            if (!float.IsNaN(result.Probability))
                Calibration.Add(result.Probability, labels.Contains(top[0].Label));
        }
    }
}
