using System.CommandLine;
using System.Diagnostics;
using System.Text;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Export;
using EdgeSlide.Training.Featurization;
using EdgeSlide.Training.Tables;
using EdgeSlide.Training.Training;
using EdgeSlide.Workbench.Console;

namespace EdgeSlide.Workbench.Commands;

/// <summary>Everything once, on real data, without a download.</summary>
internal static class DemoCommand
{
    private static readonly string[] DebianQuestions =
    [
        "graphical PDF viewer for the GNOME desktop",
        "Python 3 bindings for a fast HTTP client",
        "3D shooter game with OpenGL graphics and sound",
        "Perl module to parse and write XML documents",
    ];

    public static Command Create()
    {
        Option<string> source = DataOptions.Choice("--source", "debian: this machine's package index; generated: made-up text; auto: the first that is there.", "auto", "auto", "debian", "generated");
        var output = new Option<string?>("--out") { Description = "Folder for the files; artifacts/demo in the source tree if not given." };
        Option<int> epochs = DataOptions.Value("--epochs", "Passes over the data.", 12);
        var command = new Command("demo", """
            Train, quantize and run a real model: no download, a few minutes.

            Reads the Debian package index that apt keeps on this machine (descriptions -> dependencies) or, where there is
            none, generates a corpus. Trains a network, quantizes it, publishes the device binary, asks it a few questions
            and prints accuracy and speed side by side.
            """)
        {
            source, output, epochs,
        };
        command.SetLongAction((parsed, cancel) =>
        {
            string folder = parsed.GetValue(output) ?? Path.Combine(DeviceBinary.FindRoot(), "artifacts", "demo");
            return Run(parsed.GetValue(source)!, folder, parsed.GetValue(epochs), cancel);
        });
        return command;
    }

    public static Corpus LoadCorpus(string source, CancellationToken cancel)
    {
        if (source == "generated")
            return SyntheticCorpus.Generate();
        // Short descriptions only: whether long ones are installed differs between machines, and the time with it.
        Corpus? corpus = DebianCorpus.TryLoad(out string reason, longDescriptions: false, cancel: cancel);
        if (corpus is not null)
            return corpus;
        if (source == "debian")
            throw new CommandException(ExitCodes.BadInput, $"no Debian package index: {reason}");
        Screen.Say($"no Debian package index ({reason}); generating a corpus instead");
        return SyntheticCorpus.Generate();
    }

    private static int Run(string source, string folder, int epochs, CancellationToken cancel)
    {
        var clock = Stopwatch.StartNew();
        Directory.CreateDirectory(folder);
        Corpus corpus = LoadCorpus(source, cancel);
        Screen.Say(corpus.Description);
        string test = Path.Combine(folder, "test.tsv");
        TextFormat.Write(test, corpus.Test);

        TrainedModel? network = TrainCommand.TrainModel(TrainingRows.Of(new LoadedRows(corpus.Train), new LoadedRows(corpus.Validation), new FeatureOptions(), cancel),
            // What was tried with moments that age and negatives by frequency ends lower on the validation rows: docs/training.md.
            new TrainerOptions { Epochs = epochs, LearningRate = 5e-3f, FeatureDropout = 0.2f, AgeMoments = false, NegativePower = 0 }, "demo corpus", "demo", cancel);
        if (network is null)
            return ExitCodes.Interrupted;
        network.Save(Path.Combine(folder, "demo.esnet"));

        string model = Path.Combine(folder, "demo.eslide");
        var selector = new SelectorOptions { TopVote = 1f, NextVote = 0.2f, TrueVote = 2f };
        QuantizationReport report = Screen.Stages(stage => QuantizationJob.Run(network, new LoadedRows(corpus.Train).Featurize(network.Featurizer, cancel),
            new LoadedRows(corpus.Validation).Featurize(network.Featurizer, cancel), selector, new StorageOptions(), model, stage: stage, cancel: cancel));
        QuantizeCommand.Print(network.Network, report, model);

        DeviceBinary binary = Screen.Stages(stage =>
        {
            stage("publishing the device binary (NativeAOT)");
            return DeviceBinary.Publish(Path.Combine(folder, "device"), cancel);
        });
        Ask(binary, model, corpus, cancel);
        SideBySide result = Screen.Stages(stage =>
        {
            stage("measuring with the device binary");
            return SideBySide.Measure(network, new LoadedRows(corpus.Test).Featurize(network.Featurizer, cancel), network.Frequencies, model, test, binary, cancel);
        });
        result.Print();
        Screen.Say($"done in {clock.Elapsed.TotalSeconds:F0} s; ask on: echo \"a chess program\" | {Path.Combine(folder, "device", "edgeslide")} predict {model}");
        return ExitCodes.Ok;
    }

    private static void Ask(DeviceBinary binary, string model, Corpus corpus, CancellationToken cancel)
    {
        bool debian = corpus.Labels.Names.Contains("libc6");
        string[] questions = debian ? DebianQuestions : [.. Enumerable.Range(0, 4).Select(row => Encoding.UTF8.GetString(corpus.Test.RowText(row)))];
        string[] answers = binary.RunText(["predict", model, "--top", "4"], string.Join('\n', questions) + "\n", cancel).Split('\n');
        System.Console.WriteLine();
        for (int i = 0; i < questions.Length; i++)
        {
            string[] fields = answers[i].Split('\t');
            IEnumerable<string> pairs = fields.Chunk(2).Where(pair => pair.Length == 2).Select(pair => $"{pair[0]} ({pair[1]})");
            System.Console.WriteLine($"  {questions[i]}");
            System.Console.WriteLine($"    -> {string.Join("  ", pairs)}");
        }
    }
}
