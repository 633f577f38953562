using System.CommandLine;
using System.Globalization;
using EdgeSlide.Features;
using EdgeSlide.IO;
using EdgeSlide.Model;
using EdgeSlide.Training.Calibration;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Export;
using EdgeSlide.Training.Networks;
using EdgeSlide.Training.Quantization;
using EdgeSlide.Training.Selection;
using EdgeSlide.Training.Tables;
using EdgeSlide.Workbench.Console;
using Spectre.Console;

namespace EdgeSlide.Workbench.Commands;

/// <summary>Makes a device model of a trained network.</summary>
internal static class QuantizeCommand
{
    private static readonly Argument<string> NetworkFile = new("NETWORK") { Description = "An .esnet file from train." };
    private static readonly Option<string> Train = new("--data") { Description = "The training rows: the tables are filled with what the network answers on them.", Required = true };
    private static readonly Option<string?> Validation = new("--validation") { Description = "Held-out rows on which the vote blend is chosen and the report is measured." };
    private static readonly Option<double> HoldOut = DataOptions.Value("--hold-out", "Without --validation: hold out this share of the training rows for that; unless it is given, what train held out of that file.", 0.05);
    private static readonly Option<string?> CalibrationFrom = new("--calibration-from") { Description = "For a network trained on all rows: take over the calibration of this .eslide model, made by the same options from a part of the rows; its vote blend and budget too. Then no rows are held out." };
    private static readonly Option<string> Out = new("--out", "-o") { Description = "The model file to write.", DefaultValueFactory = _ => "model.eslide" };
    private static readonly DataOptions Data = new();
    private static readonly Option<int?> Budget = new("--budget") { Description = $"The most output neurons evaluated per query, and so the most answers; by default {SelectorOptions.DefaultBudget}, or as few as lose no accuracy on held-out rows." };
    private static readonly Option<int> BucketSize = DataOptions.Value("--bucket-size", "Neurons kept per bucket.", 16);
    private static readonly Option<bool> NoFeatureBuckets = new("--no-feature-buckets") { Description = "Build no buckets keyed by input features." };
    private static readonly Option<int> HiddenTables = DataOptions.Value("--hidden-tables", "SimHash tables keyed by the hidden vector.", 0);
    private static readonly Option<int> HiddenBits = DataOptions.Value("--hidden-bits", "Bits of each of those tables.", 10);
    private static readonly Option<int> CentroidLevels = DataOptions.Value("--centroid-levels", "Levels of a tree of cluster centres over the hidden vector whose nodes are buckets; dense inputs get 3 unless told otherwise.", 0);
    private static readonly Option<int> CentroidBranch = DataOptions.Value("--centroid-branch", "Children of each of its nodes.", 16);
    private static readonly Option<int> CentroidBeam = DataOptions.Value("--centroid-beam", "Nodes that a query follows in each level.", 4);
    private static readonly Option<int> CentroidBucketSize = DataOptions.Value("--centroid-bucket-size", "Neurons kept per node.", 256);
    private static readonly Option<bool> LabelTree = new("--label-tree") { Description = "Add a tree over the labels, whose nodes are trained to be found by queries for the labels below them: for wide layers without features, above all with nearly uniform labels. The network's answers then vote by their softmax." };
    private static readonly Option<int> LabelBranch = DataOptions.Value("--label-branch", "Children of each of its nodes, in two levels.", 64);
    private static readonly Option<int> LabelBeam = DataOptions.Value("--label-beam", "Nodes that a query follows in each of them.", 16);
    private static readonly Option<int> LabelBucketSize = DataOptions.Value("--label-bucket-size", "Neurons kept per node.", 128);
    private static readonly Option<bool> HideFeatures = new("--hide-features") { Description = "Make a model that takes the network's last hidden vector as its dense input, to measure selection without features." };
    private static readonly Option<float?> Blend = new("--vote-blend") { Description = "Add this times log2 of the votes to each logit; by default searched on held-out rows." };
    private static readonly Option<float> TopVote = DataOptions.Value("--top-vote", "A training row's vote for the network's first answer.", 1f);
    private static readonly Option<float> NextVote = DataOptions.Value("--next-vote", "A training row's vote for each of its second to tenth.", 0.2f);
    private static readonly Option<float> TrueVote = DataOptions.Value("--true-vote", "A training row's vote for each of its true labels.", 2f);
    private static readonly Option<float> TailVotes = DataOptions.Value("--tail-votes", "Rare labels' votes count more: a vote counts (mean rows of a label / its rows) to this power.", 0f);
    private static readonly Option<double> TableShare = DataOptions.Value("--table-share", "The most that the tables may take of the file: the entries that add least to the votes are dropped until they fit. 0 for no limit.", 0.2);
    private static readonly Option<string> Rows = DataOptions.Rows("--rows", "How the output layer's weights are stored: int8, int4 (half the bytes) or fp16 (twice the bytes).");
    private static readonly Option<string> InputRows = DataOptions.Rows("--input-rows", "How the weights of a first layer with sparse input are stored: int8, int4 or fp16.");
    private static readonly Option<bool> Reorder = new("--reorder") { Description = "Make output neurons neighbours in memory that queries want together; answers stay the same labels. Prints what queries touch before and after." };
    private static readonly Option<bool> CompareRows = new("--compare-rows") { Description = "Print accuracy, size and speed with every pair of these formats, on at most 10,000 held-out rows." };

    public static Command Create()
    {
        var command = new Command("quantize", """
            Turn a trained network into an .eslide model: INT8 weights, frozen hash tables, labels, provenance.

            Prints size and error of every layer, and the accuracy of the FP32 network, the INT8 network and the INT8 network
            with hashing side by side on held-out rows. Probabilities are calibrated on those rows, or as those of
            another model (--calibration-from).

            Examples:
              edgeslide-workbench quantize tags.esnet --data train.tsv --validation valid.tsv --out tags.eslide
              edgeslide-workbench quantize all.esnet --data all.tsv --calibration-from tags.eslide --out all.eslide
            """)
        {
            NetworkFile, Train, Validation, HoldOut, CalibrationFrom, Out,
        };
        Data.AddTo(command);
        foreach (Option option in new Option[] { Budget, BucketSize, NoFeatureBuckets, HiddenTables, HiddenBits, CentroidLevels, CentroidBranch, CentroidBeam, CentroidBucketSize, LabelTree, LabelBranch, LabelBeam, LabelBucketSize, HideFeatures, Blend, TopVote, NextVote, TrueVote, TailVotes, TableShare, Rows, InputRows, CompareRows, Reorder })
            command.Options.Add(option);
        command.SetLongAction(Run);
        return command;
    }

    private static int Run(ParseResult parsed, CancellationToken cancel)
    {
        double holdOut = DataOptions.Share(parsed, HoldOut);
        string? validationPath = parsed.GetValue(Validation);
        int hiddenTables = parsed.GetValue(HiddenTables), centroidLevels = parsed.GetValue(CentroidLevels);
        bool labelTree = parsed.GetValue(LabelTree), hide = parsed.GetValue(HideFeatures);
        DataOptions.Require(parsed, hiddenTables > 0, "needs --hidden-tables", HiddenBits);
        DataOptions.Require(parsed, labelTree, "needs --label-tree", LabelBranch, LabelBeam, LabelBucketSize);
        CalibrationSource? calibration = null;
        if (parsed.GetValue(CalibrationFrom) is { } calibrationPath)
        {
            if (validationPath is not null || (holdOut > 0 && parsed.GetResult(HoldOut) is { Implicit: false }))
                throw new CommandException(ExitCodes.Usage, "--calibration-from is for networks without held-out rows; leave out --validation and --hold-out, or calibrate on those rows");
            holdOut = 0;
            calibration = CalibrationSource.Read(calibrationPath);
        }
        DataOptions.Require(parsed, validationPath is null, "and --validation do not go together: the rows to judge on come from one of them", HoldOut);
        string networkPath = parsed.GetValue(NetworkFile)!, trainPath = parsed.GetValue(Train)!, output = parsed.GetValue(Out)!;
        OutputPaths.Require([output], networkPath, trainPath, validationPath, parsed.GetValue(CalibrationFrom), parsed.GetValue(Data.Labels));
        TrainedModel model = TrainedModel.Load(networkPath);
        bool dense = hide || model.Featurizer.Kind == FeaturizerKind.Dense;
        // What a dense input can be found by is its hidden vector alone.
        if (dense && hiddenTables == 0 && centroidLevels == 0 && !DataOptions.IsGiven(parsed, CentroidLevels))
            centroidLevels = 3;
        DataOptions.Require(parsed, centroidLevels > 0, "needs --centroid-levels", CentroidBranch, CentroidBeam, CentroidBucketSize);
        if (validationPath is null && calibration is null)
            holdOut = DataOptions.HeldOut(parsed, HoldOut, model.Record, trainPath);
        IReadOnlyList<LoadedData> files = Data.Read(parsed, validationPath is null ? [trainPath] : [trainPath, validationPath], model.Labels, cancel);
        LoadedData train = files[0];
        LoadedData? held = validationPath is null ? null : files[1];
        if (held is null && holdOut > 0)
            (train, held) = train.HoldOut(holdOut);
        var options = new SelectorOptions
        {
            SoftVote = labelTree ? TrainingEvidence.SoftVote : 0f,
            VoteDepth = labelTree ? TrainingEvidence.SoftDepth : 10,
            Budget = parsed.GetValue(Budget),
            BucketSize = parsed.GetValue(BucketSize),
            FeatureBuckets = !dense && !parsed.GetValue(NoFeatureBuckets),
            HiddenTables = hiddenTables,
            Centroids = centroidLevels == 0 ? null
                : new TreeShape(centroidLevels, parsed.GetValue(CentroidBranch), parsed.GetValue(CentroidBeam), parsed.GetValue(CentroidBucketSize)),
            LabelTree = labelTree ? new TreeShape(2, parsed.GetValue(LabelBranch), parsed.GetValue(LabelBeam), parsed.GetValue(LabelBucketSize)) : null,
            TailPower = parsed.GetValue(TailVotes),
            HiddenBits = parsed.GetValue(HiddenBits),
            VoteBlend = parsed.GetValue(Blend),
            TopVote = parsed.GetValue(TopVote),
            NextVote = parsed.GetValue(NextVote),
            TrueVote = parsed.GetValue(TrueVote),
        };
        var storage = new StorageOptions
        {
            TableShare = parsed.GetValue(TableShare),
            Rows = DataOptions.Rows(parsed, Rows),
            InputRows = DataOptions.Rows(parsed, InputRows),
            CompareRows = parsed.GetValue(CompareRows),
            Reorder = parsed.GetValue(Reorder),
        };
        Dataset rows = Featurize(model, train, cancel);
        Dataset? heldRows = held is null ? null : Featurize(model, held, cancel);
        if (heldRows is { RowCount: 0 })
        {
            Screen.Say("no row is held out: nothing is left to judge the answers on");
            heldRows = null;
        }
        if (hide)
            (model, rows, heldRows) = (HiddenInput.Of(model), HiddenInput.Of(model, rows), heldRows is null ? null : HiddenInput.Of(model, heldRows));
        QuantizationReport report = Screen.Stages(stage => QuantizationJob.Run(model, rows, heldRows, options, storage, output, calibration, stage, cancel));
        Print(model.Network, report, output);
        return ExitCodes.Ok;
    }

    public static Dataset Featurize(TrainedModel model, LoadedData data, CancellationToken cancel)
    {
        Dataset rows = data.Featurize(model.Featurizer, cancel);
        return rows.LabelCount == model.Network.OutputCount
            ? rows
            : throw new CommandException(ExitCodes.BadInput, $"the data has {rows.LabelCount} labels, the network {model.Network.OutputCount}");
    }

    public static void Print(Network network, QuantizationReport report, string path)
    {
        Table layers = new Table().Border(TableBorder.Simple).AddColumns("layer", "shape", "FP32 bytes", "stored bytes", "largest error", "mean error", "mean |w|");
        for (int i = 0; i < report.Layers.Count; i++)
        {
            QuantizationError e = report.Layers[i];
            layers.AddRow($"{i}", $"{network.Layers[i].Inputs:N0} -> {network.Layers[i].Outputs:N0}", $"{e.FloatBytes:N0}", $"{e.QuantizedBytes:N0}",
                $"{e.MaxError:G3}", $"{e.MeanError:G3}", $"{e.MeanMagnitude:G3}");
        }
        Screen.Output.Write(layers);
        if (report.Fp32Dense is not null)
        {
            string format = $"{report.Format}".ToUpperInvariant();
            Table accuracy = new Table().Border(TableBorder.Simple).AddColumns("on held-out rows", "P@1", "P@3", "P@5", "nDCG@5", "PSP@1", "PSP@5");
            foreach ((string name, Accuracy? a) in new[] { ("FP32 dense", report.Fp32Dense), ($"{format} dense", report.Int8Dense), ($"{format} LSH", report.Int8Lsh), ($"{format} LSH, all entries", report.Tables.Before) }.Where(row => row.Item2 is not null))
                accuracy.AddRow(name, $"{a!.P1:F4}", $"{a.P3:F4}", $"{a.P5:F4}", $"{a.Ndcg5:F4}", $"{a.Psp1:F4}", $"{a.Psp5:F4}");
            Screen.Output.Write(accuracy);
        }
        if (report.Rows.Count > 0)
        {
            Table formats = new Table().Border(TableBorder.Simple).AddColumns("input weights", "output weights", "model bytes", "P@1 dense", "P@5 dense", "P@1 LSH", "P@5 LSH", "PSP@1 LSH", "LSH us", "dense us");
            foreach (RowComparison row in report.Rows)
            {
                formats.AddRow($"{row.InputRows}".ToUpperInvariant(), $"{row.Rows}".ToUpperInvariant(), $"{row.ModelBytes:N0}", $"{row.Dense.P1:F4}", $"{row.Dense.P5:F4}",
                    $"{row.Lsh.P1:F4}", $"{row.Lsh.P5:F4}", $"{row.Lsh.Psp1:F4}", $"{row.LshNanoseconds / 1000:F1}", $"{row.DenseNanoseconds / 1000:F1}");
            }
            Screen.Output.Write(formats);
        }
        if (report.Calibration is FittedCalibration calibration)
            Screen.Output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"probabilities: {calibration.Neurons.Length} sampled neurons estimate the softmax's sum to {calibration.LogPartitionError:F3} (ln; the candidates alone miss {calibration.LogPartitionErrorWithout:F3}); calibration error on held-out rows {calibration.EceLsh:F4} with hashing, {calibration.EceDense:F4} densely"));
        else if (report.Calibration is { } taken)
            Screen.Output.WriteLine($"probabilities: calibrated as those of the other model, with its {taken.Neurons.Length} sampled neurons");
        Screen.Output.WriteLine($"budget {report.Budget}, vote blend {report.VoteBlend}; here a query took {report.LshNanoseconds / 1000:F1} us with hashing, {report.DenseNanoseconds / 1000:F1} us densely, so auto mode uses {(report.Pays ? "lsh" : "dense")}; break-even at about {report.BreakEvenWidth:N0} labels");
        if (report.Reordered is { } order)
        {
            Table places = new Table().Border(TableBorder.Simple).AddColumns("touched per query", "lines of scales", "lines of rows", "pages of rows");
            foreach ((string name, PlacesTouched p) in new[] { ("neurons as labels", order.Before), ("neurons reordered", order.After) })
                places.AddRow(name, $"{p.ScaleLines:F1}", $"{p.RowLines:F1}", $"{p.RowPages:F1}");
            Screen.Output.Write(places);
        }
        TableReport tables = report.Tables;
        Screen.Output.WriteLine($"tables {tables.Bytes:N0} bytes, {(double)tables.Bytes / report.ModelBytes:P1} of the file"
            + (tables.Bytes < tables.BytesBefore ? $"; {tables.BytesBefore:N0} bytes before the entries that add least to the votes were dropped" : "")
            + (tables.Missed ? "; no smaller, because offsets and hash parameters alone take more than their share" : ""));
        Screen.Output.WriteLine($"wrote {path} ({report.ModelBytes:N0} bytes)");
    }
}
