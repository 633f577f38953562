using System.CommandLine;
using System.Runtime.ExceptionServices;
using EdgeSlide.Cli.Input;
using EdgeSlide.Cli.Streaming;
using EdgeSlide.Features;
using EdgeSlide.Model;

namespace EdgeSlide.Cli.Commands;

/// <summary>Answers queries, one per line.</summary>
internal static class PredictCommand
{
    private const int DefaultBatch = 16;
    private const int MaxBlockLines = 256;
    private const int MaxBlockAnswers = 1 << 13;

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
        Option<int> threads = CommonOptions.Threads();
        Option<int> batch = CommonOptions.Batch("Queries that are answered together where as many wait. Answers are never held back to fill a batch.", DefaultBatch);
        var command = new Command("predict", """
            Answer queries, one per line, as they come.

            A query is text for a text model, "id:value id:value ..." for a sparse one, "v,v,..." for a dense one. The answer
            is one line: label, probability, label, probability, ... separated by tabs, best first; empty if the query has
            nothing that the model knows. With --json it is one object per line.
            """)
        {
            model, inputs, top, mode, threads, batch, json, noVerify, keepGoing,
        };
        command.SetAction(parsed => Run(
            parsed.GetValue(model)!, parsed.GetValue(inputs)!,
            new AnswerOptions(parsed.GetValue(top), CommonOptions.ParseMode(parsed.GetValue(mode)!), parsed.GetValue(batch), parsed.GetValue(json), parsed.GetValue(keepGoing)),
            CommonOptions.ThreadCount(parsed.GetValue(threads)), !parsed.GetValue(noVerify)));
        return command;
    }

    private static int Run(string modelPath, string[] inputs, AnswerOptions options, int threads, bool verify)
    {
        EdgeSlideModel model = EdgeSlideModel.Open(modelPath, verify);
        if (inputs.Length == 0)
            inputs = ["-"];
        // Enough lines to be worth the way to another thread, and not too much output to keep.
        int lines = Math.Max(options.Batch, Math.Min(MaxBlockLines, MaxBlockAnswers / options.Top));
        var writer = new BlockWriter();
        if (threads == 1)
        {
            using var answerer = new QueryAnswerer(model, options);
            var block = new QueryBlock(lines);
            Read(model, inputs, () => block, () =>
            {
                answerer.Answer(block);
                writer.Write(block);
            });
        }
        else
        {
            var answerers = new QueryAnswerer[threads];
            var workers = new Action<QueryBlock>[threads];
            for (int i = 0; i < threads; i++)
            {
                answerers[i] = new QueryAnswerer(model, options);
                workers[i] = answerers[i].Answer;
            }
            var blocks = new QueryBlock[2 * threads + 1];
            for (int i = 0; i < blocks.Length; i++)
                blocks[i] = new QueryBlock(lines);
            var pipeline = new OrderedPipeline<QueryBlock>(blocks);
            pipeline.Run(() => Read(model, inputs, pipeline.Begin, pipeline.Submit), workers, writer.Write);
            foreach (QueryAnswerer answerer in answerers)
                answerer.Dispose();
        }
        // Not after a failure: the process ends, and threads may still be reading the model.
        model.Dispose();
        writer.Finish();
        return writer.Failed ? ExitCodes.BadInput : ExitCodes.Ok;
    }

    /// <summary>Reads all inputs into blocks. A block that is not full is handed over before more input is waited for.</summary>
    private static void Read(EdgeSlideModel model, string[] inputs, Func<QueryBlock> begin, Action submit)
    {
        bool mayHaveHeader = model.Featurizer.Kind == FeaturizerKind.Sparse;
        QueryBlock block = begin();
        block.Clear();
        bool refused = false;
        try
        {
            foreach (string input in inputs)
            {
                using LineReader lines = LineReader.Open(input, HandOver);
                while (lines.TryRead(out ReadOnlySpan<byte> line))
                {
                    if (lines.LineNumber == 1 && mayHaveHeader && XcHeader.Is(line))
                        continue;
                    block.Name = lines.Name;
                    block.Add(line, lines.LineNumber);
                    if (block.IsFull)
                        HandOver();
                }
                HandOver();
            }
        }
        catch (Exception e) when (e is InputException or CommandException)
        {
            // What was read before is answered first.
            HandOver();
            throw;
        }

        void HandOver()
        {
            if (block.Count == 0 || refused)
                return;
            refused = true;
            submit();
            refused = false;
            block = begin();
            block.Clear();
        }
    }

    /// <summary>Writes the blocks' answers and remarks.</summary>
    private sealed class BlockWriter
    {
        private long _unanswered;

        /// <summary>True if a line could not be answered.</summary>
        public bool Failed { get; private set; }

        /// <exception cref="InputException">A line that ends the program.</exception>
        public void Write(QueryBlock block)
        {
            ReadOnlySpan<byte> output = block.Output.Written;
            int written = 0;
            foreach ((int position, string message) in block.Remarks)
            {
                StandardStreams.Write(output[written..position]);
                written = position;
                StandardStreams.Report(message);
                Failed = true;
            }
            StandardStreams.Write(output[written..]);
            _unanswered += block.Unanswered;
            if (block.Failure is not null)
                ExceptionDispatchInfo.Throw(block.Failure);
        }

        public void Finish()
        {
            if (_unanswered > 0)
                StandardStreams.Report($"{_unanswered} {(_unanswered == 1 ? "query" : "queries")} had nothing that the model knows and got an empty answer");
        }
    }
}
