using System.CommandLine;
using System.Security.Cryptography;
using EdgeSlide.Model;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Export;

namespace EdgeSlide.Workbench.Commands;

/// <summary>Options for reading data that several commands share.</summary>
internal sealed class DataOptions
{
    public Option<string> Format { get; } = Choice("--format", "How data files are read: auto tells XC, label<TAB>text and dense rows apart; tokens is running text for next-word prediction.", "auto", "auto", "tokens");

    public Option<string?> Labels { get; } = new("--labels")
    {
        Description = "Label names: one per line, or id<TAB>...; for --format tokens the vocabulary, one word per line with <eos>.",
    };

    public Option<int> MinCount { get; } = new("--min-count")
    {
        Description = "Words and n-grams in fewer training rows are ignored.",
        DefaultValueFactory = _ => 2,
    };

    public Option<bool> SkipBadRows { get; } = new("--skip-bad-rows") { Description = "Leave bad rows out and say how many, instead of stopping at the first." };

    public Option<string?> Spill { get; } = new("--spill") { Description = "Keep rows in temporary files in this folder, mapped into memory: for data larger than memory." };

    public void AddTo(Command command)
    {
        command.Options.Add(Format);
        command.Options.Add(Labels);
        command.Options.Add(MinCount);
        command.Options.Add(SkipBadRows);
        command.Options.Add(Spill);
    }

    public IReadOnlyList<LoadedData> Read(ParseResult parsed, IReadOnlyList<string> paths, IReadOnlyList<string>? labels, CancellationToken cancel)
    {
        SkippedRows? skipped = parsed.GetValue(SkipBadRows) ? new SkippedRows() : null;
        DataFormat format = parsed.GetValue(Format) == "tokens" ? DataFormat.Tokens : DataFormat.Auto;
        RowStorage storage = Storage(parsed.GetValue(Spill));
        if (storage == RowStorage.Memory && format != DataFormat.Tokens)
            MemoryBudget.Require("keeping the rows in memory", paths.Sum(EstimateRows), advice: "keep them in files with --spill FOLDER");
        IReadOnlyList<LoadedData> data = LoadedData.Read(paths, format, parsed.GetValue(Labels), labels, parsed.GetValue(MinCount), skipped, storage, cancel);
        if (skipped is { Count: > 0 })
            Console.Screen.Say($"left out {skipped.Count} bad rows, the first: {skipped.First!.Message}");
        return data;
    }

    private static RowStorage Storage(string? folder) => folder is null ? RowStorage.Memory
        : Directory.Exists(folder) ? RowStorage.In(folder)
        : throw new CommandException(ExitCodes.Usage, $"--spill {folder}: no such folder");

    /// <summary>
    /// What the rows of a file take in memory at least, as they are read and as features: about as much as the file as text,
    /// three times as much as a compressed one. Rough, and low so as to refuse nothing that fits.
    /// </summary>
    private static long EstimateRows(string path)
    {
        var file = new FileInfo(path);
        bool compressed = file.Extension is ".gz" or ".lz4";
        return !file.Exists ? 0 : compressed ? 3 * file.Length : file.Length;
    }

    public static Option<string> Choice(string name, string description, string value, params string[] values)
    {
        var option = new Option<string>(name) { Description = description, DefaultValueFactory = _ => value };
        option.AcceptOnlyFromAmong(values);
        return option;
    }

    /// <summary>How the weights of a layer are stored.</summary>
    public static Option<string> Rows(string name, string description) => Choice(name, description, "int8", "int8", "int4", "fp16");

    public static WeightFormat Rows(ParseResult parsed, Option<string> option) => Enum.Parse<WeightFormat>(parsed.GetValue(option)!, ignoreCase: true);

    /// <summary>The share of rows that is held out.</summary>
    /// <exception cref="CommandException">It is not from 0 to below 1.</exception>
    public static double Share(ParseResult parsed, Option<double> option) => parsed.GetValue(option) is >= 0 and < 1 and double share
        ? share
        : throw new CommandException(ExitCodes.Usage, $"{option.Name} must be at least 0 and below 1");

    /// <summary>
    /// The share of a network's training file to hold out: what train held out of it, unless the user asks for another one.
    /// </summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="option">The share that the user may ask for.</param>
    /// <param name="record">What train did.</param>
    /// <param name="path">The file; of another file than train's the option's own share is taken.</param>
    public static double HeldOut(ParseResult parsed, Option<double> option, TrainingRecord record, string path)
    {
        double share = Share(parsed, option);
        if (record.HeldOut is not { } known || known == share || !File.Exists(path) || record.DataSha256 != Checksum(path))
            return share;
        if (parsed.GetResult(option) is not { Implicit: false })
        {
            if (known == 0)
                Console.Screen.Say($"train held no row of {path} out, so none is left to judge on");
            return known;
        }
        Console.Screen.Say(FormattableString.Invariant($"warning: {option.Name} {share}, but train held {known} of {path} out: the network knows some of the rows that it is judged on, or leaves out some that it could be"));
        return share;
    }

    /// <summary>SHA-256 in hexadecimal digits.</summary>
    public static string Checksum(string path)
    {
        using FileStream file = File.OpenRead(path);
        return Convert.ToHexStringLower(SHA256.HashData(file));
    }

    /// <summary>An option with a default, which help shows; of truth values it does not by itself.</summary>
    public static Option<T> Value<T>(string name, string description, T value) => new(name)
    {
        Description = value is true ? $"{description} [default: true]" : description,
        DefaultValueFactory = _ => value,
    };

    /// <summary>True if the user wrote the option.</summary>
    public static bool IsGiven(ParseResult parsed, Option option) => parsed.GetResult(option) is { Implicit: false };

    /// <summary>Refuses options that would have no effect.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="effect">Whether they have one.</param>
    /// <param name="why">What they need, to follow the name of one.</param>
    /// <param name="options">The options.</param>
    public static void Require(ParseResult parsed, bool effect, string why, params Option[] options)
    {
        if (!effect && options.FirstOrDefault(option => IsGiven(parsed, option)) is { } useless)
            throw new CommandException(ExitCodes.Usage, $"{useless.Name} {why}");
    }
}
