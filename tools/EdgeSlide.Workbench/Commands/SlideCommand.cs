using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using EdgeSlide.Features;
using EdgeSlide.IO;
using EdgeSlide.Model;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Export;
using EdgeSlide.Training.Featurization;
using EdgeSlide.Training.Slide;
using EdgeSlide.Workbench.Console;
using Spectre.Console;

namespace EdgeSlide.Workbench.Commands;

/// <summary>Training by hashing the neurons' weights: SLIDE, and its KDD 2017 forerunner.</summary>
internal static class SlideCommand
{
    public static Command Create() => new("slide", "Train networks that choose their active neurons by hashing their weights (SLIDE; randomized hashing, KDD 2017).")
    {
        CreateTrain(), CreateSweep(),
    };

    private static Command CreateTrain()
    {
        var path = new Argument<string>("TRAIN") { Description = "Training rows, as for train." };
        var output = new Option<string>("--out", "-o") { Description = "The network file to write.", DefaultValueFactory = _ => "slide.esnet" };
        var test = new Option<string?>("--test") { Description = "Rows to measure P@1 on at the end." };
        Option<string> active = DataOptions.Value("--active", $"Share of active neurons of each layer, the output last; of the output layer at least a row's labels and {new SlideOptions().LeastOthers} others, if there are so many.", "1,0.01");
        Option<string> normalize = DataOptions.Choice("--normalize", "Scale every input to length 1 (l2) or leave it.", "l2", "none", "l2");
        var json = new Option<bool>("--json") { Description = "Print JSON instead of text." };
        var data = new DataOptions();
        var knobs = new SlideOptionsGroup(new SlideOptions { K = 6, L = 50, RangePow = 12, RebuildRows = 2000, RebuildGrowth = 1.2, LearningRate = 1e-3f }, methods: false);
        var command = new Command("train", """
            Train as SLIDE does: each row evaluates and updates only the neurons that its hash codes find.

            The result is an ordinary .esnet network: quantize and eval take it.

              edgeslide-workbench slide train train.txt --out net.esnet --active 1,0.005 --family dwta --k 6 --tables 50
            """) { path, output, test, active, normalize, json };
        data.AddTo(command);
        knobs.AddTo(command);
        command.SetLongAction((parsed, cancel) =>
        {
            SlideOptions options = knobs.Read(parsed) with { Active = SlideOptionsGroup.Shares(parsed, active) };
            options.Validate();
            string? testPath = parsed.GetValue(test);
            OutputPaths.Require([parsed.GetValue(output)], parsed.GetValue(path), testPath, parsed.GetValue(data.Labels));
            IReadOnlyList<LoadedData> files = data.Read(parsed, testPath is null ? [parsed.GetValue(path)!] : [parsed.GetValue(path)!, testPath], null, cancel);
            Featurizer featurizer = files[0].Fit(new FeatureOptions
            {
                MinCount = parsed.GetValue(data.MinCount),
                Normalization = parsed.GetValue(normalize) == "l2" ? ValueNormalization.L2 : ValueNormalization.None,
            });
            Dataset rows = files[0].Featurize(featurizer, cancel);
            RequireMemory(rows, options);
            using var trainer = new SlideTrainer(options, rows);
            SlideResult result = Progress("training", report => trainer.Run(report, cancel));
            if (result.Cancelled)
                throw new OperationCanceledException();
            new TrainedModel(result.Network, featurizer, files[0].Labels, files[0].HasLabelNames, new TrainingRecord
            {
                Tool = Provenance.Tool,
                Data = Path.GetFileName(parsed.GetValue(path)!),
                Trained = Provenance.Now,
                TrainingRows = rows.RowCount,
                TrainingSeconds = result.Seconds,
                Epochs = options.Epochs,
                Options = Provenance.Settings(parsed),
            })
            { Frequencies = LabelFrequencies.Of(rows) }.Save(parsed.GetValue(output)!);
            SlideScore? score = testPath is null ? null : trainer.Evaluate(files[1].Featurize(featurizer, cancel));
            Print(parsed.GetValue(json), [
                ("seconds", result.Seconds), ("loss", result.Loss), ("train_products_per_row", result.TrainingProducts),
                ("train_hashing_per_row", result.TrainingHashing),
                .. score is null ? Array.Empty<(string, double)>() : [("p1_hashed", score.P1), ("products_per_row", score.Products), ("hashing_per_row", score.Hashing)],
            ]);
            return ExitCodes.Ok;
        });
        return command;
    }

    private static void RequireMemory(Dataset rows, SlideOptions options) =>
        MemoryBudget.Require("training", SlideNetwork.Bytes(rows.FeatureCount, rows.LabelCount, options), advice: "use narrower hidden layers");

    private static Command CreateSweep()
    {
        var path = new Argument<string?>("TRAIN") { Description = "Dense rows label,v,v,...; not needed with --task convex or rectangles.", Arity = ArgumentArity.ZeroOrOne };
        var test = new Option<string?>("--test") { Description = "Test rows; without it a tenth of TRAIN is held out and measured on." };
        Option<string> task = DataOptions.Choice("--task", "data reads TRAIN; convex and rectangles are made from their definitions.", "data", "data", "convex", "rectangles");
        Option<int> rows = DataOptions.Value("--rows", "Training rows of a made task.", 8000);
        Option<int> testRows = DataOptions.Value("--test-rows", "Test rows of a made task.", 10000);
        Option<string> active = DataOptions.Value("--active", "Shares of active neurons in the hidden layers.", "0.05,0.1,0.25,0.5,0.75,0.9");
        Option<string> methods = DataOptions.Value("--methods", "Any of gemm (dense, in batches), dense, votes (hash the inputs), lsh (hash the weights), dropout, adaptive, wta.", "gemm,dense,votes,lsh,dropout,adaptive,wta");
        var json = new Option<bool>("--json") { Description = "Print JSON instead of a table." };
        var knobs = new SlideOptionsGroup(new SlideOptions { Hidden = [1000, 1000, 1000], Family = HashFamilyKind.SparseProjection, K = 5, L = 20, RangePow = 6, BucketSize = 64, Spare = 0.15, RebuildRows = 200, RebuildGrowth = 1.3, LearningRate = 1e-3f, Epochs = 10 }, methods: true);
        var command = new Command("sweep", """
            Repeat the KDD 2017 experiment: accuracy and arithmetic by share of active neurons, against the dense network.

            votes is the method that reaches the dense network's accuracy: buckets keyed by the layer's input remember the
            neurons that such inputs activated most. Without --learning-rate each method uses its own.

              edgeslide-workbench slide sweep train.csv.gz --test test.csv.gz
              edgeslide-workbench slide sweep --task convex --active 0.05 --methods gemm,votes
            """) { path, test, task, rows, testRows, active, methods, json };
        knobs.AddTo(command);
        command.SetLongAction((parsed, cancel) =>
        {
            SlideOptions options = knobs.Read(parsed) with { Active = [1.0] };
            options.Validate();
            double[] shares = SlideOptionsGroup.Shares(parsed, active);
            string[] names = parsed.GetValue(methods)!.Split(',');
            if (names.FirstOrDefault(n => n != "gemm" && !Modes.ContainsKey(n)) is { } unknown)
                throw new CommandException(ExitCodes.Usage, $"--methods: '{unknown}' is none of gemm, {string.Join(", ", Modes.Keys)}");
            knobs.RequireSense(parsed, names, active);
            if (parsed.GetValue(task) == "data" && new Option[] { rows, testRows }.FirstOrDefault(option => SlideOptionsGroup.IsGiven(parsed, option)) is { } made)
                throw new CommandException(ExitCodes.Usage, $"{made.Name} is for --task convex or rectangles: a data file has its own rows");
            (Dataset train, Dataset held) = Load(parsed.GetValue(task)!, parsed.GetValue(path), parsed.GetValue(test), parsed.GetValue(rows), parsed.GetValue(testRows), cancel);
            Screen.Say($"{train.RowCount:N0} training rows, {held.RowCount:N0} test rows, {train.FeatureIds.Length / (double)train.RowCount:F0} of {train.FeatureCount} inputs not 0");
            RequireMemory(train, options);
            var results = new List<SweepRow>();
            foreach (string name in names)
            {
                if (name == "gemm")
                {
                    results.Add(KddSweep.Batched(options, train, held, cancel));
                    Screen.Say($"gemm P@1 {results[^1].P1:F4}, {results[^1].Seconds:F1} s");
                    continue;
                }
                foreach (double share in name == "dense" ? [1.0] : shares)
                {
                    SweepRow row = Progress($"{name} {share:P0}", report => KddSweep.Run(Modes[name], share, options, knobs.HasRate(parsed), train, held, report, cancel));
                    results.Add(row);
                    Screen.Say($"{name} {share:P0} P@1 {row.P1:F4} {row.Fraction:P2} of the products, {row.Seconds:F1} s");
                }
            }
            if (parsed.GetValue(json))
                System.Console.WriteLine(JsonSerializer.Serialize(results, Json));
            else
                PrintTable(results);
            return ExitCodes.Ok;
        });
        return command;
    }

    private static readonly Dictionary<string, ActiveMode> Modes = new()
    {
        ["dense"] = ActiveMode.Dense,
        ["votes"] = ActiveMode.Votes,
        ["lsh"] = ActiveMode.Lsh,
        ["dropout"] = ActiveMode.Dropout,
        ["adaptive"] = ActiveMode.AdaptiveDropout,
        ["wta"] = ActiveMode.WinnerTakeAll,
    };

    private static readonly JsonSerializerOptions Json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        NumberHandling = System.Text.Json.Serialization.JsonNumberHandling.AllowNamedFloatingPointLiterals,
    };

    private static (Dataset Train, Dataset Test) Load(string task, string? path, string? testPath, int rows, int testRows, CancellationToken cancel)
    {
        if (task != "data")
        {
            if (path is not null || testPath is not null)
                throw new CommandException(ExitCodes.Usage, $"--task {task} makes its own rows: leave out the data files");
            if (rows < 1 || testRows < 1)
                throw new CommandException(ExitCodes.Usage, "--rows and --test-rows must be at least 1");
            return task == "convex" ? (ShapeTasks.Convex(rows, 1), ShapeTasks.Convex(testRows, 2)) : (ShapeTasks.Rectangles(rows, 1), ShapeTasks.Rectangles(testRows, 2));
        }
        if (path is null)
            throw new CommandException(ExitCodes.Usage, "which data? Name TRAIN, or use --task convex or rectangles");
        IReadOnlyList<LoadedData> files = LoadedData.Read(testPath is null ? [path] : [path, testPath], DataFormat.Auto, null, null, 1, null, RowStorage.Memory, cancel);
        (LoadedData train, LoadedData held) = testPath is null ? files[0].Split(0.1, 1) : (files[0], files[1]);
        if (train is not LoadedRows { Rows: DenseDataset })
            throw new CommandException(ExitCodes.Usage, $"{path}: the sweep takes dense rows label,value,value,...");
        Featurizer featurizer = train.Fit(new FeatureOptions { Normalization = ValueNormalization.None });
        (Dataset a, Dataset b) = (train.Featurize(featurizer, cancel), held.Featurize(featurizer, cancel));
        if (a.RowCount == 0 || b.RowCount == 0)
            throw new CommandException(ExitCodes.BadInput, $"{(a.RowCount == 0 ? path : testPath ?? path)}: no row is left to {(a.RowCount == 0 ? "train" : "measure")} on");
        // Images come as 0 to 255; inputs of about 1 need no other learning rate than binary images.
        float most = a.FeatureValues.Select(MathF.Abs).DefaultIfEmpty(1f).Max();
        return (Divided(a, most), Divided(b, most));
    }

    private static Dataset Divided(Dataset rows, float divisor) => new()
    {
        FeatureCount = rows.FeatureCount,
        LabelCount = rows.LabelCount,
        FeatureOffsets = rows.FeatureOffsets,
        FeatureIds = rows.FeatureIds,
        FeatureValues = [.. rows.FeatureValues.Select(value => value / divisor)],
        LabelOffsets = rows.LabelOffsets,
        LabelIds = rows.LabelIds,
    };

    private static T Progress<T>(string what, Func<IProgress<SlideProgress>?, T> job)
    {
        if (System.Console.IsErrorRedirected)
            return job(null);
        T? result = default;
        Screen.Error.Progress().AutoClear(true).Start(context =>
        {
            ProgressTask bar = context.AddTask(Markup.Escape(what), maxValue: 1);
            result = job(new Reporter(p =>
            {
                bar.Value = p.Rows / (double)p.AllRows;
                bar.Description = Markup.Escape($"{what}  epoch {p.Epoch}/{p.Epochs}  loss {p.Loss:F3}");
            }));
        });
        return result!;
    }

    private static void PrintTable(List<SweepRow> rows)
    {
        var table = new Table().AddColumns("method", "active", "P@1", "products", "hashing", "of dense", "of dense, non-zero inputs", "training, of dense", "seconds", "us/answer");
        foreach (SweepRow r in rows)
            table.AddRow(r.Method, $"{r.Active:P0}", $"{r.P1:F4}", $"{r.Products:N0}", $"{r.Hashing:N0}", $"{r.Fraction:P2}", $"{r.FractionOfSparseInput:P2}", $"{r.TrainingFraction:P2}", $"{r.Seconds:F1}", $"{r.AnswerMicroseconds:F0}");
        Screen.Output.Write(table);
    }

    private static void Print(bool json, (string Name, double Value)[] values)
    {
        if (json)
            System.Console.WriteLine(JsonSerializer.Serialize(values.ToDictionary(v => v.Name, v => v.Value), Json));
        foreach ((string name, double value) in json ? [] : values)
            System.Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name.Replace('_', ' '),-26}{value,16:N4}"));
    }

    private sealed class Reporter(Action<SlideProgress> report) : IProgress<SlideProgress>
    {
        public void Report(SlideProgress value) => report(value);
    }
}
