using System.CommandLine;
using System.Globalization;
using System.Runtime.CompilerServices;
using EdgeSlide.Features;
using EdgeSlide.IO;
using EdgeSlide.Model;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Export;
using EdgeSlide.Training.Featurization;
using EdgeSlide.Training.Networks;
using EdgeSlide.Training.Training;
using EdgeSlide.Workbench.Console;

namespace EdgeSlide.Workbench.Commands;

/// <summary>Trains an FP32 network.</summary>
internal static class TrainCommand
{
    private static readonly Argument<string> Train = new("DATA") { Description = "Training rows: XC, label,label<TAB>text, label,v,v,... or running text; plain, gzip or LZ4." };
    private static readonly Option<string> Out = new("--out", "-o") { Description = "The network file to write.", DefaultValueFactory = _ => "model.esnet" };
    private static readonly Option<string?> Validation = new("--validation") { Description = "Held-out rows that choose the best epoch." };
    private static readonly Option<double> HoldOut = DataOptions.Value("--hold-out", "Without --validation: hold out this share of DATA. 0 trains on everything and keeps the last epoch.", 0.05);
    private static readonly DataOptions Data = new();

    private static readonly Option<int> NGrams = DataOptions.Value("--ngrams", "Text: words and n-grams of up to this many words.", 2);
    private static readonly Option<int> HashBuckets = DataOptions.Value("--hash-buckets", "Text: hash n-grams to this many features; 0 keeps a vocabulary.", 0);
    private static readonly Option<int> Positions = DataOptions.Value("--positions", "Next word: this many last words count by position.", 5);
    private static readonly Option<int> Bag = DataOptions.Value("--bag", "Next word: this many last words count as a bag.", 16);
    private static readonly Option<string> Transform = DataOptions.Choice("--transform", "What becomes of feature values.", "none", "none", "binary", "log1p", "sqrt");
    private static readonly Option<bool> Idf = DataOptions.Value("--idf", "Weigh features by their inverse document frequency.", false);
    private static readonly Option<string> Normalize = DataOptions.Choice("--normalize", "Scale every input to length 1 (l2) or leave it.", "l2", "none", "l2");

    private static readonly Option<string> Hidden = DataOptions.Value("--hidden", "Widths of the hidden layers, for example 128 or 256,128.", "128");
    private static readonly Option<string> ActivationOption = DataOptions.Choice("--activation", "Of the hidden layers: relu, or linear for none.", "relu", "relu", "linear");
    private static readonly Option<int> Epochs = DataOptions.Value("--epochs", "Passes over the data.", 8);
    private static readonly Option<string> Mode = DataOptions.Choice("--mode", "sampled updates the labels of each batch and sampled negatives, full all labels: the slow reference.", "sampled", "sampled", "full");
    private static readonly Option<string> Loss = DataOptions.Choice("--loss", "softmax: labels compete; sigmoid: each is a question by itself.", "softmax", "softmax", "sigmoid");
    private static readonly Option<float> Rate = DataOptions.Value("--learning-rate", "Adam's peak step size.", 5e-3f);
    private static readonly Option<float> OutputRate = DataOptions.Value("--output-rate", "The output layer's step size as a multiple of --learning-rate.", 1f);
    private static readonly Option<string> Decay = DataOptions.Choice("--decay", "How the learning rate falls to 0 over the run.", "linear", "none", "linear", "cosine");
    private static readonly Option<float> WarmUp = DataOptions.Value("--warm-up", "Share of the run in which the learning rate rises from 0.", 0.02f);
    private static readonly Option<int> BatchSize = DataOptions.Value("--batch", "Rows per batch.", 512);
    private static readonly Option<int> Negatives = DataOptions.Value("--negatives", "Random negative labels per batch.", 1024);
    private static readonly Option<float> NegativePower = DataOptions.Value("--negative-power", "Draw negatives in proportion to their label's frequency to this power, corrected; 0 draws uniformly.", 0.5f);
    private static readonly Option<int> TableNegatives = DataOptions.Value("--table-negatives", "Labels per row that hash tables of likely labels add.", 0);
    private static readonly Option<int> LshNegatives = DataOptions.Value("--lsh-negatives", "Further negatives per batch, drawn from hash tables over the output neurons that the batch's hidden vectors open, corrected.", 0);
    private static readonly Option<int> LshBits = DataOptions.Value("--lsh-bits", "Bits of a bucket's number in those tables: more make smaller buckets.", 8);
    private static readonly Option<int> LshTables = DataOptions.Value("--lsh-tables", "Number of those tables.", 32);
    private static readonly Option<bool> AgeMoments = DataOptions.Value("--age-moments", "Let Adam's moments of output neurons age while they are not sampled, as under the full softmax; false lets them stand still.", true);
    private static readonly Option<bool> WeightMoments = DataOptions.Value("--weight-moments", "Keep Adam's second moment per weight instead of per row: twice the optimizer's memory, sometimes better.", false);
    private static readonly Option<bool> InputMomentum = DataOptions.Value("--input-momentum", "Keep Adam's first moment of the input layer; false halves the layer's memory in training.", true);
    private static readonly Option<float> FeatureDropout = DataOptions.Value("--feature-dropout", "Share of input features left out at random.", 0.2f);
    private static readonly Option<float> HiddenDropout = DataOptions.Value("--hidden-dropout", "Share of hidden neurons left out at random.", 0f);
    private static readonly Option<float> WeightDecay = DataOptions.Value("--weight-decay", "Decoupled weight decay.", 0f);
    private static readonly Option<float> LabelPower = DataOptions.Value("--label-power", "A row with n labels weighs n to this power.", 0f);
    private static readonly Option<int> Patience = DataOptions.Value("--patience", "Stop after this many epochs without improvement on held-out rows; 0 never.", 0);
    private static readonly Option<string> Keep = DataOptions.Choice("--keep", "With held-out rows: keep the network of the epoch that is best on them, or of the last one, as training on all rows does.", "best", "best", "last");
    private static readonly Option<int> Seed = DataOptions.Value("--seed", "Seed of every random choice.", 1);
    private static readonly Option<int> Threads = DataOptions.Value("--threads", "Threads; 0 uses all cores.", 0);
    private static readonly Option<string?> Checkpoint = new("--checkpoint") { Description = "Save the state of training here after every epoch and on Ctrl-C." };
    private static readonly Option<int> CheckpointEvery = DataOptions.Value("--checkpoint-every", "Save --checkpoint after this many batches, too; 0: at the ends of epochs only.", 0);
    private static readonly Option<string?> Log = new("--log") { Description = "Write a CSV line per evaluation: epoch, step, rows, seconds of training, loss, P@1, P@5, seconds by phase." };
    private static readonly Option<int> EvaluateEvery = DataOptions.Value("--evaluate-every", "Score the held-out rows after this many batches, too, for --log; 0: at the ends of epochs only.", 0);
    private static readonly Option<string?> MemoryLimit = new("--memory-limit") { Description = "Refuse to start if the process would need more than this, for example 800M or 4G. What is free is checked in any case." };
    private static readonly Option<bool> Resume = new("--resume") { Description = "Continue from --checkpoint if it exists." };

    public static Command Create()
    {
        var command = new Command("train", """
            Train a network: sparse or dense input, hidden layers, a wide output layer.

            The output layer is trained on active sets: the labels of each batch and random negatives whose logits are
            corrected for how likely they were sampled. Ctrl-C finishes the batch and saves --checkpoint; --resume goes on.
            """)
        {
            Train, Out, Validation, HoldOut,
        };
        Data.AddTo(command);
        foreach (Option option in new Option[]
        {
            NGrams, HashBuckets, Positions, Bag, Transform, Idf, Normalize, Hidden, ActivationOption, Epochs, Mode, Loss, Rate, OutputRate, Decay, WarmUp, BatchSize, Negatives, NegativePower, TableNegatives,
            LshNegatives, LshBits, LshTables, AgeMoments, WeightMoments, InputMomentum, FeatureDropout, HiddenDropout, WeightDecay, LabelPower, Patience, Keep, Seed, Threads, Checkpoint, CheckpointEvery, Resume,
            Log, EvaluateEvery, MemoryLimit,
        })
        {
            command.Options.Add(option);
        }
        command.SetLongAction(Run);
        return command;
    }

    private static int Run(ParseResult parsed, CancellationToken cancel)
    {
        string trainPath = parsed.GetValue(Train)!;
        string? validationPath = parsed.GetValue(Validation);
        FeatureOptions features = ReadFeatureOptions(parsed);
        TrainerOptions options = ReadTrainerOptions(parsed);
        double holdOut = DataOptions.Share(parsed, HoldOut);
        long? memoryLimit = parsed.GetValue(MemoryLimit) is { } limit ? MemoryBudget.Parse(limit) : null;
        string output = parsed.GetValue(Out)!;
        RequireSense(parsed, options, validationPath is not null, holdOut);
        // Before hours of work, not after.
        OutputPaths.Require([output, options.CheckpointPath, options.LogPath], trainPath, validationPath, parsed.GetValue(Data.Labels));
        TrainingRows rows = ReadRows(parsed, trainPath, validationPath, holdOut, features, cancel);
        string checksum = DataOptions.Checksum(trainPath);
        TrainedModel? model = TrainModel(rows, options, Path.GetFileName(trainPath), Provenance.Settings(parsed), cancel, memoryLimit);
        if (model is null)
            return ExitCodes.Interrupted;
        model = model with { Record = model.Record with { DataSha256 = checksum, HeldOut = validationPath is null ? holdOut : 0 } };
        model.Save(output);
        Screen.Say($"wrote {output} ({new FileInfo(output).Length:N0} bytes)");
        return ExitCodes.Ok;
    }

    /// <summary>Reads and featurizes. A call of its own, so that nothing holds what was read when it returns.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static TrainingRows ReadRows(ParseResult parsed, string trainPath, string? validationPath, double holdOut, FeatureOptions features, CancellationToken cancel)
    {
        IReadOnlyList<LoadedData> files = Data.Read(parsed, validationPath is null ? [trainPath] : [trainPath, validationPath], null, cancel);
        LoadedData train = files[0];
        LoadedData? validation = validationPath is null ? null : files[1];
        if (validation is null && holdOut > 0)
            (train, validation) = train.HoldOut(holdOut);
        return TrainingRows.Of(train, validation, features, cancel);
    }

    /// <summary>Refuses options that would have no effect.</summary>
    private static void RequireSense(ParseResult parsed, TrainerOptions options, bool validates, double holdOut)
    {
        options.Validate();
        if (validates && parsed.GetResult(HoldOut) is { Implicit: false })
            throw new CommandException(ExitCodes.Usage, "--hold-out and --validation do not go together: the rows to judge on come from one of them");
        if (options.Patience > 0 && !validates && holdOut == 0)
            throw new CommandException(ExitCodes.Usage, "--patience needs held-out rows: --validation, or a --hold-out above 0");
        DataOptions.Require(parsed, validates || holdOut > 0, "needs held-out rows: --validation, or a --hold-out above 0", Keep, EvaluateEvery);
        DataOptions.Require(parsed, options.Mode == OutputMode.Sampled, "has no effect with --mode full, which evaluates every label", Negatives, NegativePower, TableNegatives);
        DataOptions.Require(parsed, options.LshNegatives > 0, "needs --lsh-negatives", LshBits, LshTables);
        if (options.CheckpointPath is null && (options.Resume || options.CheckpointEvery > 0))
            throw new CommandException(ExitCodes.Usage, $"{(options.Resume ? "--resume" : "--checkpoint-every")} needs --checkpoint");
        if (options.LogPath is null && options.EvaluateEvery > 0)
            throw new CommandException(ExitCodes.Usage, "--evaluate-every needs --log");
        RequireKind(parsed);
    }

    /// <summary>Refuses options for another kind of data.</summary>
    private static void RequireKind(ParseResult parsed)
    {
        Option[] ofText = [NGrams, HashBuckets], ofTokens = [Positions, Bag];
        bool tokens = parsed.GetValue(Data.Format) == "tokens";
        DataOptions.Require(parsed, tokens, "needs --format tokens", ofTokens);
        DataOptions.Require(parsed, !tokens, "has no effect with --format tokens", [.. ofText, Idf]);
        if (ofText.Any(option => DataOptions.IsGiven(parsed, option)))
        {
            string path = parsed.GetValue(Train)!;
            DataOptions.Require(parsed, RowFormats.Detect(path) == RowFormat.Text, $"is for text; {path} has rows of numbers", ofText);
        }
    }

    /// <summary>Trains; null if interrupted.</summary>
    public static TrainedModel? TrainModel(TrainingRows data, TrainerOptions options, string dataName, string commandLine, CancellationToken cancel, long? memoryLimit = null)
    {
        (Featurizer featurizer, IRowSource rows, IRowSource? held) = (data.Featurizer, data.Rows, data.Held);
        // Every row of a dense set has every feature: only the hidden vector tells its rows apart.
        if (featurizer.Kind == FeaturizerKind.Dense)
            options = options with { TableKeys = TableKeys.HiddenVector };
        if (held is not null && !AnyLabel(held))
        {
            Screen.Say($"none of the {held.RowCount:N0} held-out rows has a label, so the last epoch is kept");
            held = null;
        }
        Screen.Say($"{rows.RowCount:N0} rows, {rows.FeatureCount:N0} features{(rows is Dataset known ? $" ({known.FeatureIds.Length / Math.Max(1.0, rows.RowCount):F1} a row)" : "")}, {rows.LabelCount:N0} labels{(held is null ? "" : $", {held.RowCount:N0} rows held out")}");
        long pairs = rows is Dataset { FeatureIds.Length: var inMemory } ? inMemory : (long)rows.RowCount * featurizer.ContextLength;
        LabelFrequencies frequencies = LabelFrequencies.Of(rows);
        // Without held-out rows no epoch is better than the last, and no copy is kept.
        long memory = Trainer.EstimateMemory(held is null ? options with { KeepLast = true } : options, rows.FeatureCount, rows.LabelCount, rows.RowCount, pairs, frequencies.Total);
        MemoryBudget.Require("training", memory, memoryLimit, "use fewer features (--min-count, --hash-buckets) or narrower layers (--hidden)");
        Screen.Say($"training needs about {memory >> 20:N0} MiB beside the data");
        // What reading and featurizing leave behind goes back to the system before training takes its own, which the collector does not see.
        // First without moving anything: what is free then is where the second collection moves the rows to, instead of to more memory.
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Forced, blocking: true, compacting: false);
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        TrainingResult result = Screen.Train(new Trainer(options, rows, held), cancel);
        if (result.Cancelled)
        {
            Screen.Say(options.CheckpointPath is null ? "interrupted; no --checkpoint was asked for, so nothing is kept" : $"interrupted; continue with --resume --checkpoint {options.CheckpointPath}");
            return null;
        }
        Screen.Say($"trained {result.Elapsed.TotalSeconds:F1} s, kept epoch {result.BestEpoch}, evaluated {result.ActiveFraction:P2} of the output neurons a batch");
        return new TrainedModel(result.Network, featurizer, data.Labels, data.HasLabelNames, new TrainingRecord
        {
            Tool = Provenance.Tool,
            Data = dataName,
            Trained = Provenance.Now,
            TrainingRows = rows.RowCount,
            TrainingSeconds = result.Elapsed.TotalSeconds,
            Epochs = result.BestEpoch,
            Options = commandLine,
        })
        { Frequencies = frequencies };
    }

    private static bool AnyLabel(IRowSource rows)
    {
        for (int row = 0; row < rows.RowCount; row++)
        {
            if (rows.RowLabels(row).Length > 0)
                return true;
        }
        return false;
    }

    private static FeatureOptions ReadFeatureOptions(ParseResult parsed) => new()
    {
        MaxGram = parsed.GetValue(NGrams),
        MinCount = parsed.GetValue(Data.MinCount),
        HashBuckets = parsed.GetValue(HashBuckets),
        Positions = parsed.GetValue(Positions),
        BagWindow = parsed.GetValue(Bag),
        Transform = Enum.Parse<ValueTransform>(parsed.GetValue(Transform)!, ignoreCase: true),
        Idf = parsed.GetValue(Idf),
        Normalization = Enum.Parse<ValueNormalization>(parsed.GetValue(Normalize)!, ignoreCase: true),
    };

    private static TrainerOptions ReadTrainerOptions(ParseResult parsed)
    {
        int[] hidden;
        try
        {
            hidden = [.. parsed.GetValue(Hidden)!.Split(',').Select(w => int.Parse(w, NumberStyles.None, CultureInfo.InvariantCulture))];
        }
        catch (Exception e) when (e is FormatException or OverflowException)
        {
            throw new CommandException(ExitCodes.Usage, $"--hidden {parsed.GetValue(Hidden)}: not a list of widths such as 128 or 256,128");
        }
        return new TrainerOptions
        {
            HiddenSizes = hidden,
            Activation = parsed.GetValue(ActivationOption) == "linear" ? Activation.Identity : Activation.Relu,
            Epochs = parsed.GetValue(Epochs),
            Mode = parsed.GetValue(Mode) == "full" ? OutputMode.Full : OutputMode.Sampled,
            Loss = parsed.GetValue(Loss) == "sigmoid" ? OutputLoss.Sigmoid : OutputLoss.Softmax,
            LearningRate = parsed.GetValue(Rate),
            OutputRateScale = parsed.GetValue(OutputRate),
            Decay = Enum.Parse<LearningRateDecay>(parsed.GetValue(Decay)!, ignoreCase: true),
            WarmUp = parsed.GetValue(WarmUp),
            BatchSize = parsed.GetValue(BatchSize),
            RandomNegatives = parsed.GetValue(Negatives),
            NegativePower = parsed.GetValue(NegativePower),
            TableNegatives = parsed.GetValue(TableNegatives),
            LshNegatives = parsed.GetValue(LshNegatives),
            LshBits = parsed.GetValue(LshBits),
            LshTables = parsed.GetValue(LshTables),
            AgeMoments = parsed.GetValue(AgeMoments),
            RowSecondMoments = !parsed.GetValue(WeightMoments),
            InputMomentum = parsed.GetValue(InputMomentum),
            FeatureDropout = parsed.GetValue(FeatureDropout),
            HiddenDropout = parsed.GetValue(HiddenDropout),
            WeightDecay = parsed.GetValue(WeightDecay),
            LabelCountPower = parsed.GetValue(LabelPower),
            Patience = parsed.GetValue(Patience),
            KeepLast = parsed.GetValue(Keep) == "last",
            Seed = parsed.GetValue(Seed),
            Threads = parsed.GetValue(Threads),
            CheckpointPath = parsed.GetValue(Checkpoint),
            CheckpointEvery = parsed.GetValue(CheckpointEvery),
            LogPath = parsed.GetValue(Log),
            EvaluateEvery = parsed.GetValue(EvaluateEvery),
            Resume = parsed.GetValue(Resume),
        };
    }
}
