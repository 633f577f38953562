using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Serialization;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Export;
using EdgeSlide.Training.Selection;
using EdgeSlide.Training.Tables;
using EdgeSlide.Workbench.Console;
using Spectre.Console;

namespace EdgeSlide.Workbench.Commands;

/// <summary>Compares ways to select output neurons over one network.</summary>
internal static class CompareCommand
{
    /// <summary>What is compared if nothing is named; those that need features are left out for dense input.</summary>
    private static readonly string[] Defaults =
    [
        "features:entries=8@32",
        "features:entries=8,trust=fit@32",
        "features:entries=8+head:labels=32,weight=fit@32",
        "features:entries=8+hidden:tables=8,bits=10,entries=32,weight=fit@32",
        "features:entries=8+tree:weight=fit@32",
        "features:entries=8+weights:family=dwta,rare=0.5,weight=fit@32",
        "hidden:tables=32,bits=8,entries=256@64",
        "hidden:tables=8,bits=10,entries=256,probes=4@64",
        "planes:tables=32,bits=8,entries=256@64",
        "tree@64",
        "router@64",
        "clusters:count=256,open=4@256",
        "weights:family=simhash,k=9,tables=50@256",
        "weights:family=wta,k=3,tables=50@256",
        "weights:family=dwta,k=3,tables=50@256",
        "weights:family=minhash,k=2,tables=50@256",
        "lss:tables=32,bits=8@256",
    ];

    private static readonly Argument<string> NetworkFile = new("NETWORK") { Description = "An .esnet file from train." };
    private static readonly Option<string> Train = new("--data") { Description = "The training rows: what the methods learn from.", Required = true };
    private static readonly Option<string?> Validation = new("--validation") { Description = "Held-out rows: one half for tuning, the other for the figures." };
    private static readonly Option<double> HoldOut = DataOptions.Value("--hold-out", "Without --validation: hold out this share of the training rows; unless it is given, what train held out of that file.", 0.05);
    private static readonly Option<string[]> Methods = new("--method", "-m")
    {
        Description = "A method, for example features:entries=8+hidden:tables=8,weight=fit@32. Repeat it for more; without it a set of them is compared.",
    };
    private static readonly Option<bool> HideFeatures = new("--hide-features") { Description = "Without --method: leave out the methods that look at the features." };
    private static readonly Option<int> Rows = DataOptions.Value("--rows", "Held-out rows used at most, evenly spread.", 8000);
    private static readonly Option<float> TopVote = DataOptions.Value("--top-vote", "A training row's vote for the network's first answer.", 1f);
    private static readonly Option<float> NextVote = DataOptions.Value("--next-vote", "A training row's vote for each of its second to tenth.", 0.2f);
    private static readonly Option<float> TrueVote = DataOptions.Value("--true-vote", "A training row's vote for each of its true labels.", 2f);
    private static readonly Option<float> TailVotes = DataOptions.Value("--tail-votes", "Rare labels' votes count more: a vote counts (mean rows of a label / its rows) to this power.", 0f);
    private static readonly Option<bool> Deciles = new("--deciles") { Description = "Also print P@1 by label frequency." };
    private static readonly Option<bool> Json = new("--json") { Description = "Print JSON instead of text." };
    private static readonly DataOptions Data = new();

    public static Command Create()
    {
        var command = new Command("compare", """
            Compare ways to choose the output neurons that are evaluated, over the INT8 form of one network.

            A method is one or more sources joined by +, each with options, then @ and the most neurons evaluated:
              features    buckets keyed by input features: entries, trust=fit (a fitted weight for each feature)
              hidden      SimHash buckets of the hidden vector: tables, bits, entries, probes (multi-probe)
              planes      the same with learned hash planes
              tree        buckets at the nodes of a tree of cluster centres: levels, branch, beam, entries
              router      buckets at the nodes of a label tree with learned routing: levels, branch, beam, entries, epochs, filed
              weights     SLIDE's tables over the neurons' weights: family (simhash, hadamard, sparse, wta, dwta, minhash), k, tables,
                          rare=S (only the rarest share S of the labels)
              lss         tables over the neurons' weights by learned planes: tables, bits
              clusters    an inverted file over the neurons' weights: count, open, copies
              head        the most frequent labels: labels
              neighbours  the training rows nearest to the query, found by looking at all: rows
            Each takes weight=W, or weight=fit to fit it; those that votes fill take votes=soft for votes by softmax instead of rank.

            Weights and the blend of votes and logits are fitted on one half of the held-out rows, everything is measured on the
            other half. Multiplications count hashing and entries read, relative to evaluating every output neuron.
            """)
        {
            NetworkFile, Train, Validation, HoldOut, Methods, HideFeatures, Rows, TopVote, NextVote, TrueVote, TailVotes, Deciles, Json,
        };
        Data.AddTo(command);
        command.SetLongAction(Run);
        return command;
    }

    private static int Run(ParseResult parsed, CancellationToken cancel)
    {
        string[] named = parsed.GetValue(Methods) ?? [];
        MethodSpec[] methods = [.. (named.Length > 0 ? named : Defaults).Select(MethodSpec.Parse)];
        var votes = new SelectorOptions { TopVote = parsed.GetValue(TopVote), NextVote = parsed.GetValue(NextVote), TrueVote = parsed.GetValue(TrueVote), TailPower = parsed.GetValue(TailVotes) };
        votes.Validate();
        string? validationPath = parsed.GetValue(Validation);
        DataOptions.Require(parsed, validationPath is null, "and --validation do not go together: the rows to judge on come from one of them", HoldOut);
        if (parsed.GetValue(Rows) < 2)
            throw new CommandException(ExitCodes.Usage, "--rows must be at least 2");
        TrainedModel model = TrainedModel.Load(parsed.GetValue(NetworkFile)!);
        double holdOut = validationPath is null ? DataOptions.HeldOut(parsed, HoldOut, model.Record, parsed.GetValue(Train)!) : 0;
        if (validationPath is null && holdOut == 0)
            throw new CommandException(ExitCodes.Usage, "no row is held out: give --validation, or a --hold-out that train held out too");
        if (named.Length == 0 && (parsed.GetValue(HideFeatures) || model.Featurizer.Kind == Model.FeaturizerKind.Dense))
            methods = [.. methods.Where(m => !m.Sources.Any(s => s.Name == "features"))];
        string trainPath = parsed.GetValue(Train)!;
        IReadOnlyList<LoadedData> files = Data.Read(parsed, validationPath is null ? [trainPath] : [trainPath, validationPath], model.Labels, cancel);
        (LoadedData train, LoadedData held) = validationPath is null ? files[0].HoldOut(holdOut) : (files[0], files[1]);
        Dataset rows = QuantizeCommand.Featurize(model, train, cancel), heldRows = QuantizeCommand.Featurize(model, held, cancel);
        if (heldRows.RowCount < 2)
            throw new CommandException(ExitCodes.BadInput, "at least two held-out rows are needed");
        long measuredRows = Math.Min(parsed.GetValue(Rows), heldRows.RowCount) / 2 + 1;
        if (methods.FirstOrDefault(m => Math.Min(m.Budget, heldRows.LabelCount) * measuredRows > Array.MaxLength) is { } large)
            throw new CommandException(ExitCodes.Usage, $"method '{large.Text}': the candidates of {measuredRows:N0} rows are too many for one table; lower --rows or the budget");

        string scratch = Path.GetTempFileName();
        try
        {
            (List<ComparisonRow> table, int measured) = Screen.Stages(stage =>
            {
                stage("quantizing, and answering the held-out rows densely");
                using var comparison = new SelectionComparison(scratch, model, rows, heldRows, parsed.GetValue(Rows), votes, cancel);
                var results = new List<ComparisonRow> { comparison.Dense() };
                foreach (MethodSpec method in methods)
                {
                    cancel.ThrowIfCancellationRequested();
                    stage(method.Text);
                    results.Add(comparison.Run(method));
                }
                return (results, comparison.TestRows);
            });
            if (parsed.GetValue(Json))
                System.Console.WriteLine(JsonSerializer.Serialize(table, ComparisonJson.Default.ListComparisonRow));
            else
                Print(table, measured, parsed.GetValue(Deciles));
        }
        finally
        {
            File.Delete(scratch);
        }
        return ExitCodes.Ok;
    }

    private static void Print(List<ComparisonRow> rows, int measured, bool deciles)
    {
        // One line a method, whatever the width of the window: the specifications are long.
        System.Console.WriteLine($"{measured:N0} held-out rows");
        Screen.Output.Profile.Width = 200;
        Table table = new Table().Border(TableBorder.Simple).AddColumns("method", "table bytes", "neurons", "share", "multiplications", "P@1", "P@5", "PSP@1", "PSP@3", "PSP@5", "recall@1", "recall@5", "blend", "weights");
        foreach (ComparisonRow r in rows)
        {
            table.AddRow(Markup.Escape(r.Method), $"{r.TableBytes:N0}", $"{r.NeuronsMean:F1}", $"{r.NeuronShare:P2}", $"{r.MultiplicationShare:P2}", $"{r.P1:F4}", $"{r.P5:F4}",
                $"{r.Psp1:F4}", $"{r.Psp3:F4}", $"{r.Psp5:F4}", $"{r.Recall1:F3}", $"{r.Recall5:F3}", $"{r.VoteBlend}", string.Join(' ', r.Weights.Select(w => $"{w:G3}")));
        }
        Screen.Output.Write(table);
        if (!deciles)
            return;
        Table tail = new Table().Border(TableBorder.Simple).AddColumns(["P@1 by label frequency", .. Enumerable.Range(1, 10).Select(g => g == 1 ? "rarest" : g == 10 ? "most frequent" : $"{g}")]);
        foreach (ComparisonRow r in rows)
            tail.AddRow([Markup.Escape(r.Method), .. r.P1ByDecile.Select(p => p is { } value ? $"{value:F4}" : "-")]);
        Screen.Output.Write(tail);
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, WriteIndented = true)]
[JsonSerializable(typeof(List<ComparisonRow>))]
internal sealed partial class ComparisonJson : JsonSerializerContext;
