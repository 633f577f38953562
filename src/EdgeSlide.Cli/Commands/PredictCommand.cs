using System.Buffers;
using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Json;
using EdgeSlide.Cli.Input;
using EdgeSlide.Cli.Output;
using EdgeSlide.Features;
using EdgeSlide.Model;

namespace EdgeSlide.Cli.Commands;

/// <summary>Answers queries, one per line.</summary>
internal static class PredictCommand
{
    public static Command Create()
    {
        Argument<string> model = CommonOptions.Model();
        Argument<string[]> inputs = CommonOptions.File(new Argument<string[]>("INPUT")
        {
            Description = "Files with one query per line, plain or gzip; - or nothing for standard input.",
            Arity = ArgumentArity.ZeroOrMore,
        });
        Option<int> top = CommonOptions.Positive("--top", "How many answers per query.", 5, 1000);
        Option<string> mode = CommonOptions.Mode();
        Option<bool> json = CommonOptions.Json();
        Option<bool> noVerify = CommonOptions.NoVerify();
        var keepGoing = new Option<bool>("--keep-going")
        {
            Description = "Report a bad line, answer it with an empty line and go on; the exit code is 4 all the same.",
        };
        var command = new Command("predict", """
            Answer queries, one per line, as they come.

            A query is text for a text model, "id:value id:value ..." for a sparse one, "v,v,..." for a dense one. The answer
            is one line: label, probability, label, probability, ... separated by tabs, best first; empty if the query has
            nothing that the model knows. With --json it is one object per line.
            """)
        {
            model, inputs, top, mode, json, noVerify, keepGoing,
        };
        command.SetAction(parsed => Run(
            parsed.GetValue(model)!, parsed.GetValue(inputs)!, parsed.GetValue(top), CommonOptions.ParseMode(parsed.GetValue(mode)!),
            parsed.GetValue(json), !parsed.GetValue(noVerify), parsed.GetValue(keepGoing)));
        return command;
    }

    private static int Run(string modelPath, string[] inputs, int top, PredictionMode mode, bool json, bool verify, bool keepGoing)
    {
        using EdgeSlideModel model = EdgeSlideModel.Open(modelPath, verify);
        using Predictor predictor = model.CreatePredictor();
        predictor.Mode = mode;
        var answers = new Prediction[Math.Min(top, model.LabelCount)];
        using var output = new OutputWriter();
        long unknown = 0;
        bool failed = false;
        foreach (string input in inputs.Length == 0 ? ["-"] : inputs)
        {
            using LineReader lines = LineReader.Open(input, output.Flush);
            while (lines.TryRead(out ReadOnlySpan<byte> line))
            {
                if (lines.LineNumber == 1 && model.Featurizer.Kind == FeaturizerKind.Sparse && XcHeader.Is(line))
                    continue;
                int count;
                try
                {
                    count = Answer(predictor, line, answers);
                }
                catch (InputException e)
                {
                    output.Flush();
                    string message = $"{lines.Name}:{lines.LineNumber}: {e.Message}";
                    if (!keepGoing)
                        throw new InputException(message);
                    StandardStreams.Report(message);
                    failed = true;
                    count = 0;
                }
                unknown += count == 0 ? 1 : 0;
                if (json)
                    WriteJson(output, model, predictor, lines.LineNumber, answers.AsSpan(0, count));
                else
                    WriteText(output, model, answers.AsSpan(0, count));
            }
        }
        output.Flush();
        if (unknown > 0)
            StandardStreams.Report($"{unknown} {(unknown == 1 ? "query" : "queries")} had nothing that the model knows and got an empty answer");
        return failed ? ExitCodes.BadInput : ExitCodes.Ok;
    }

    private static int Answer(Predictor predictor, ReadOnlySpan<byte> line, Span<Prediction> answers)
    {
        Featurizer featurizer = predictor.Model.Featurizer;
        FeatureVector features = predictor.Engine.Features;
        switch (featurizer.Kind)
        {
            case FeaturizerKind.Sparse:
                RowParser.Sparse(line, features);
                break;
            case FeaturizerKind.Dense when line.IsEmpty:
                return 0;
            case FeaturizerKind.Dense:
                int count = RowParser.Dense(line, features);
                if (count != featurizer.FeatureCount)
                    throw new InputException($"{count} values where the model takes {featurizer.FeatureCount}");
                break;
            default:
                return predictor.PredictText(line, answers);
        }
        featurizer.FromRaw(features);
        return predictor.Run(answers);
    }

    private static void WriteText(OutputWriter output, EdgeSlideModel model, ReadOnlySpan<Prediction> answers)
    {
        for (int i = 0; i < answers.Length; i++)
        {
            if (i > 0)
                output.Write("\t"u8);
            WriteName(output, model, answers[i].Label);
            output.Write("\t"u8);
            output.WriteNumber(answers[i].Probability, "F4");
        }
        output.Write("\n"u8);
    }

    private static void WriteName(OutputWriter output, EdgeSlideModel model, int label)
    {
        ReadOnlySpan<byte> name = model.Labels.Utf8Name(label);
        if (name.IsEmpty)
            output.WriteNumber(label);
        else
            output.Write(name);
    }

    private static void WriteJson(OutputWriter output, EdgeSlideModel model, Predictor predictor, long line, ReadOnlySpan<Prediction> answers)
    {
        Utf8JsonWriter json = output.Json;
        json.WriteStartObject();
        json.WriteNumber("line", line);
        json.WriteStartArray("predictions");
        foreach (Prediction answer in answers)
        {
            json.WriteStartObject();
            json.WriteNumber("id", answer.Label);
            json.WriteString("label", model.LabelName(answer.Label));
            json.WriteNumber("logit", answer.Logit);
            json.WriteNumber("score", answer.Score);
            if (float.IsFinite(answer.Probability))
                json.WriteNumber("probability", answer.Probability);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        if (!answers.IsEmpty)
        {
            json.WriteNumber("active_neurons", predictor.Cost.ActiveNeurons);
            json.WriteNumber("multiplications", predictor.Cost.Multiplications);
        }
        json.WriteEndObject();
        output.EndJsonLine();
    }
}
