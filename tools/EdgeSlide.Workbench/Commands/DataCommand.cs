using System.CommandLine;
using System.Text.Json;
using EdgeSlide.Training.Data;

namespace EdgeSlide.Workbench.Commands;

/// <summary>Looks at data, converts it, and makes the demo's corpora.</summary>
internal static class DataCommand
{
    public static Command Create() => new("data", "Describe, split, make and convert data sets.")
    {
        CreateDescribe(), CreateSplit(), CreateMake(), ConvertCommand.Create(), ProseCommand.Create(),
    };

    private static Command CreateDescribe()
    {
        var path = new Argument<string>("DATA") { Description = "Labelled rows or running text." };
        var data = new DataOptions();
        var json = new Option<bool>("--json") { Description = "Print JSON instead of text." };
        var command = new Command("describe", "Check a data set and print its counts.") { path, json };
        data.AddTo(command);
        command.SetLongAction((parsed, cancel) =>
        {
            LoadedData loaded = data.Read(parsed, [parsed.GetValue(path)!], null, cancel)[0];
            (string Name, double Value)[] facts = loaded switch
            {
                LoadedText text => [("tokens", text.Stream.Ids.Length), ("words", text.Stream.Vocabulary.Count), ("unknown_tokens", text.Stream.UnknownCount)],
                LoadedRows rows => Describe(rows.Rows),
                _ => [],
            };
            if (parsed.GetValue(json))
            {
                using var writer = new Utf8JsonWriter(System.Console.OpenStandardOutput());
                writer.WriteStartObject();
                foreach ((string name, double value) in facts)
                    writer.WriteNumber(name, value);
                writer.WriteEndObject();
                writer.Flush();
                System.Console.WriteLine();
            }
            else
            {
                foreach ((string name, double value) in facts)
                    System.Console.WriteLine($"{name.Replace('_', ' '),-24}{(value == Math.Floor(value) ? value.ToString("N0") : value.ToString("F2")),14}");
            }
            return ExitCodes.Ok;
        });
        return command;
    }

    private static (string, double)[] Describe(RawDataset rows)
    {
        int[] counts = rows.CountLabels();
        Array.Sort(counts);
        var facts = new List<(string, double)>
        {
            ("rows", rows.RowCount),
            ("labels", rows.Labels.Count),
            ("labels_that_occur", counts.Count(c => c > 0)),
            ("labels_in_five_rows", counts.Count(c => c >= 5)),
            ("most_frequent_label_rows", counts.LastOrDefault()),
            ("labels_per_row", rows.LabelIds.Length / (double)rows.RowCount),
        };
        if (rows is SparseDataset sparse)
            facts.AddRange([("features", sparse.FeatureCount), ("features_per_row", sparse.FeatureIds.Length / (double)rows.RowCount)]);
        if (rows is DenseDataset dense)
            facts.Add(("values_per_row", dense.ValueCount));
        if (rows is TextDataset text)
            facts.Add(("bytes_per_row", text.Text.Length / (double)rows.RowCount));
        return [.. facts];
    }

    private static Command CreateSplit()
    {
        var path = new Argument<string>("DATA") { Description = "Labelled rows." };
        var train = new Argument<string>("TRAIN") { Description = "File for the larger part; .gz compresses." };
        var held = new Argument<string>("HELDOUT") { Description = "File for the smaller part." };
        Option<double> fraction = DataOptions.Value("--fraction", "Share of the rows to hold out.", 0.1);
        Option<int> seed = DataOptions.Value("--seed", "Another seed holds out other rows.", 1);
        var data = new DataOptions();
        var command = new Command("split", "Split rows in two by a hash of each row's input: equal inputs stay together, and order does not matter.") { path, train, held, fraction, seed };
        data.AddTo(command);
        command.SetLongAction((parsed, cancel) =>
        {
            double share = DataOptions.Share(parsed, fraction);
            if (Path.GetFullPath(parsed.GetValue(train)!) == Path.GetFullPath(parsed.GetValue(held)!))
                throw new CommandException(ExitCodes.Usage, "TRAIN and HELDOUT are the same file");
            OutputPaths.Require([parsed.GetValue(train), parsed.GetValue(held)], parsed.GetValue(path), parsed.GetValue(data.Labels));
            if (data.Read(parsed, [parsed.GetValue(path)!], null, cancel)[0] is not LoadedRows rows)
                throw new CommandException(ExitCodes.Usage, "a running text is split by place, not by rows: cut the file instead");
            (LoadedData a, LoadedData b) = rows.Split(share, (ulong)parsed.GetValue(seed));
            Write([(parsed.GetValue(train)!, ((LoadedRows)a).Rows), (parsed.GetValue(held)!, ((LoadedRows)b).Rows)], cancel);
            return ExitCodes.Ok;
        });
        return command;
    }

    private static Command CreateMake()
    {
        var folder = new Argument<string>("FOLDER") { Description = "Receives train.tsv, valid.tsv and test.tsv." };
        Option<string> source = DataOptions.Choice("--source", "debian: this machine's package index; generated: made-up text with a Zipf tail of labels; auto: the first that is there.", "auto", "auto", "debian", "generated");
        var command = new Command("make", "Write the demo's corpus as label,label<TAB>text files.") { folder, source };
        command.SetLongAction((parsed, cancel) =>
        {
            Corpus corpus = DemoCommand.LoadCorpus(parsed.GetValue(source)!, cancel);
            string target = parsed.GetValue(folder)!;
            Directory.CreateDirectory(target);
            Console.Screen.Say(corpus.Description);
            Write([(Path.Combine(target, "train.tsv"), corpus.Train), (Path.Combine(target, "valid.tsv"), corpus.Validation), (Path.Combine(target, "test.tsv"), corpus.Test)], cancel);
            return ExitCodes.Ok;
        });
        return command;
    }

    /// <summary>Writes all files or none: a part of a new division beside a part of an old one would mix training and held-out rows.</summary>
    private static void Write((string Path, RawDataset Rows)[] parts, CancellationToken cancel)
    {
        using var files = new OutputFiles(cancel);
        foreach ((string path, RawDataset rows) in parts)
        {
            switch (rows)
            {
                case TextDataset text:
                    TextFormat.Write(path, text, files);
                    break;
                case SparseDataset sparse:
                    XcFormat.Write(path, sparse.ToDataset(), files);
                    break;
                case DenseDataset dense:
                    DenseFormat.Write(path, dense, files);
                    break;
            }
        }
        files.Commit();
        foreach ((string path, RawDataset rows) in parts)
            Console.Screen.Say($"wrote {path}: {rows.RowCount:N0} rows");
    }
}
