using System.Text.Json;
using EdgeSlide.Cli.Input;
using EdgeSlide.Cli.Output;
using EdgeSlide.Features;
using EdgeSlide.Model;

namespace EdgeSlide.Cli.Streaming;

/// <summary>How queries are answered and written.</summary>
internal readonly struct AnswerOptions(int top, PredictionMode mode, int batch, bool json, bool keepGoing)
{
    public readonly int Top = top;
    public readonly PredictionMode Mode = mode;

    /// <summary>Queries that are answered together.</summary>
    public readonly int Batch = batch;

    public readonly bool Json = json;
    public readonly bool KeepGoing = keepGoing;
}

/// <summary>Answers the lines of a block, batch by batch; one for each thread.</summary>
internal sealed class QueryAnswerer : IDisposable
{
    private const int None = -1;

    private readonly EdgeSlideModel _model;
    private readonly AnswerOptions _options;
    private readonly Predictor _predictor;
    private readonly PredictionBatch _batch;
    private readonly int _top;
    private readonly Prediction[] _answers;
    private readonly int[] _counts;
    private readonly int[] _queries;
    private readonly string?[] _problems;

    public QueryAnswerer(EdgeSlideModel model, AnswerOptions options)
    {
        _model = model;
        _options = options;
        _top = Math.Min(options.Top, model.LabelCount);
        _predictor = model.CreatePredictor();
        _predictor.Mode = options.Mode;
        _batch = _predictor.CreateBatch(options.Batch);
        _answers = new Prediction[options.Batch * _top];
        _counts = new int[options.Batch];
        _queries = new int[options.Batch];
        _problems = new string?[options.Batch];
    }

    /// <summary>Fills the block's output, remarks and failure; throws nothing.</summary>
    public void Answer(QueryBlock block)
    {
        try
        {
            for (int first = 0; first < block.Count && block.Failure is null; first += _options.Batch)
                AnswerBatch(block, first, Math.Min(_options.Batch, block.Count - first));
        }
        catch (Exception e)
        {
            block.Failure = e;
        }
    }

    public void Dispose()
    {
        _batch.Dispose();
        _predictor.Dispose();
    }

    private void AnswerBatch(QueryBlock block, int first, int count)
    {
        _batch.Clear();
        for (int i = 0; i < count; i++)
        {
            _problems[i] = null;
            _queries[i] = None;
            try
            {
                if (TryRead(block.Line(first + i)))
                    _queries[i] = _batch.Take();
            }
            catch (InputException e)
            {
                _problems[i] = e.Message;
                if (!_options.KeepGoing)
                    count = i + 1;
            }
        }
        _batch.Predict(_top, _answers, _counts);
        for (int i = 0; i < count; i++)
        {
            int query = _queries[i], found = query == None ? 0 : _counts[query];
            string? problem = found == PredictionBatch.TooLarge ? InputException.TooLarge : _problems[i];
            if (problem is not null)
            {
                string message = $"{block.Name}:{block.LineNumber(first + i)}: {problem}";
                if (!_options.KeepGoing)
                {
                    block.Failure = new InputException(message);
                    return;
                }
                block.Remarks.Add((block.Output.Length, message));
                found = 0;
            }
            block.Unanswered += found == 0 && problem is null ? 1 : 0;
            ReadOnlySpan<Prediction> answers = found == 0 ? [] : _answers.AsSpan(query * _top, found);
            if (_options.Json)
                WriteJson(block.Output, block.LineNumber(first + i), answers, found == 0 ? default : _batch.Cost(query));
            else
                WriteText(block.Output, answers);
        }
    }

    /// <summary>Turns a line into the batch's next features; false for an empty one that is no vector.</summary>
    private bool TryRead(ReadOnlySpan<byte> line)
    {
        Featurizer featurizer = _model.Featurizer;
        FeatureVector features = _batch.Next;
        switch (featurizer.Kind)
        {
            case FeaturizerKind.Sparse:
                RowParser.Sparse(line, features);
                break;
            case FeaturizerKind.Dense when line.IsEmpty:
                return false;
            case FeaturizerKind.Dense:
                int count = RowParser.Dense(line, features);
                if (count != featurizer.FeatureCount)
                    throw new InputException($"{count} values where the model takes {featurizer.FeatureCount}");
                break;
            default:
                featurizer.FromText(line, features);
                return true;
        }
        featurizer.FromRaw(features);
        return true;
    }

    private void WriteText(OutputWriter output, ReadOnlySpan<Prediction> answers)
    {
        for (int i = 0; i < answers.Length; i++)
        {
            if (i > 0)
                output.Write("\t"u8);
            WriteName(output, answers[i].Label);
            output.Write("\t"u8);
            output.WriteNumber(answers[i].Probability, "F4");
        }
        output.Write("\n"u8);
    }

    private void WriteName(OutputWriter output, int label)
    {
        ReadOnlySpan<byte> name = _model.Labels.Utf8Name(label);
        if (name.IsEmpty)
            output.WriteNumber(label);
        else
            output.Write(name);
    }

    private void WriteJson(OutputWriter output, long line, ReadOnlySpan<Prediction> answers, PredictionCost cost)
    {
        Utf8JsonWriter json = output.Json;
        json.WriteStartObject();
        json.WriteNumber("line", line);
        json.WriteStartArray("predictions");
        foreach (Prediction answer in answers)
        {
            json.WriteStartObject();
            json.WriteNumber("id", answer.Label);
            json.WriteString("label", _model.LabelName(answer.Label));
            json.WriteNumber("logit", answer.Logit);
            json.WriteNumber("score", answer.Score);
            if (float.IsFinite(answer.Probability))
                json.WriteNumber("probability", answer.Probability);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        if (!answers.IsEmpty)
        {
            json.WriteNumber("active_neurons", cost.ActiveNeurons);
            json.WriteNumber("multiplications", cost.Multiplications);
        }
        json.WriteEndObject();
        output.EndJsonLine();
    }
}
