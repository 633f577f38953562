using System.CommandLine;
using System.Globalization;
using EdgeSlide.IO;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Scale;
using EdgeSlide.Workbench.Console;

namespace EdgeSlide.Workbench.Commands;

/// <summary>Writes a wide device model with planted answers, to show speed at scale.</summary>
internal static class GenerateCommand
{
    private static readonly ScaleOptions Defaults = new();
    private static readonly Argument<string> Model = new("MODEL") { Description = "The .eslide file to write." };
    private static readonly Option<int> Labels = DataOptions.Value("--labels", "Output neurons.", Defaults.Labels);
    private static readonly Option<int> Features = DataOptions.Value("--features", "Input features, with frequencies after Zipf's law.", Defaults.Features);
    private static readonly Option<int> Hidden = DataOptions.Value("--hidden", "Neurons of the hidden layer.", Defaults.Hidden);
    private static readonly Option<int> RowFeatures = DataOptions.Value("--row-features", "Features of a label and of a query.", Defaults.RowFeatures);
    private static readonly Option<double> Keep = DataOptions.Value("--keep", "The share of its label's features that a query keeps; chance ones replace the others.", Defaults.Keep);
    private static readonly Option<double> Noise = DataOptions.Value("--noise", "Error of a label's weights, relative to the weights that fit it.", Defaults.Noise);
    private static readonly Option<int> Keys = DataOptions.Value("--keys", "A label stands in the buckets of this many of its rarest features.", Defaults.KeysPerLabel);
    private static readonly Option<int> Budget = DataOptions.Value("--budget", "The most output neurons evaluated per query.", Defaults.Budget);
    private static readonly Option<float> Blend = DataOptions.Value("--vote-blend", "Added to each logit: this times log2 of the votes.", Defaults.VoteBlend);
    private static readonly Option<string> InputRows = DataOptions.Rows("--input-rows", "How the weights of the input layer are stored: int8, int4 or fp16.");
    private static readonly Option<ulong> Seed = DataOptions.Value("--seed", "Everything follows from it.", Defaults.Seed);
    private static readonly Option<string?> Queries = new("--queries") { Description = "Also write queries with their labels to this file (XC rows)." };
    private static readonly Option<int> QueryCount = DataOptions.Value("--query-count", "How many.", 2000);

    public static Command Create()
    {
        var command = new Command("generate", """
            Write a wide model with planted answers, without training: a demonstration of speed at any width.

            Every label has a set of features; its weights are the hidden vector of that set plus noise, and it stands in the
            buckets of its rarest features. Queries keep part of a label's set. Accuracy on them is that of a made-up task; it
            shows that hashing finds what the dense network finds, and says nothing about any real data set.

              edgeslide-workbench generate wide.eslide --labels 3000000 --queries wide.txt
              edgeslide bench wide.eslide wide.txt
              edgeslide eval wide.eslide wide.txt
            """)
        {
            Model, Labels, Features, Hidden, RowFeatures, Keep, Noise, Keys, Budget, Blend, InputRows, Seed, Queries, QueryCount,
        };
        command.SetLongAction(Run);
        return command;
    }

    /// <summary>The wider the model is, the fewer queries are answered densely: one of millions of labels takes tens of milliseconds.</summary>
    private static BreakEven Measure(string path, ScaleOptions options)
    {
        using EdgeSlideModel model = EdgeSlideModel.Open(path, verifyChecksums: false);
        return BreakEven.Measure(model, ScaleModel.Queries(BreakEven.Queries, options), Math.Clamp(10_000_000 / options.Labels, 20, BreakEven.Queries));
    }

    private static int Run(ParseResult parsed, CancellationToken cancel)
    {
        var options = new ScaleOptions
        {
            Labels = parsed.GetValue(Labels),
            Features = parsed.GetValue(Features),
            Hidden = parsed.GetValue(Hidden),
            RowFeatures = parsed.GetValue(RowFeatures),
            Keep = parsed.GetValue(Keep),
            Noise = parsed.GetValue(Noise),
            KeysPerLabel = parsed.GetValue(Keys),
            Budget = parsed.GetValue(Budget),
            VoteBlend = parsed.GetValue(Blend),
            InputRows = DataOptions.Rows(parsed, InputRows),
            Seed = parsed.GetValue(Seed),
        };
        options.Validate();
        int queries = parsed.GetValue(QueryCount);
        if (queries < 1)
            throw new CommandException(ExitCodes.Usage, "--query-count must be at least 1");
        MemoryBudget.Require("generating", options.WorkingBytes, advice: "use fewer --labels or --features, or a narrower --hidden layer");
        string model = parsed.GetValue(Model)!;
        string? queryFile = parsed.GetValue(Queries);
        // Before minutes of work, not after.
        OutputPaths.Require([model, queryFile]);
        BreakEven times = Screen.Stages(stage =>
        {
            BreakEven? measured = null;
            ScaleModel.Write(model, options, path =>
            {
                stage("measuring");
                return (measured = Measure(path, options)).HashingPays;
            }, stage, cancel);
            return measured!;
        });
        Screen.Say($"wrote {model} ({new FileInfo(model).Length:N0} bytes)");
        Screen.Say(string.Create(CultureInfo.InvariantCulture, $"here a query took {times.LshNanoseconds / 1000:F1} us with hashing, {times.DenseNanoseconds / 1000:F1} us densely, so auto mode uses {(times.HashingPays ? "lsh" : "dense")}; break-even at about {times.Width:N0} labels"));
        if (queryFile is not null)
        {
            ScaleModel.WriteQueries(queryFile, queries, options);
            Screen.Say($"wrote {queryFile}: {queries:N0} queries");
        }
        return ExitCodes.Ok;
    }
}
