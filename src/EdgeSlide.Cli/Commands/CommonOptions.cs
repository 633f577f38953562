using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;

namespace EdgeSlide.Cli.Commands;

/// <summary>Arguments and options that several commands share.</summary>
internal static class CommonOptions
{
    public const string NoName = "an empty file name";

    private const int MaxThreads = 256;

    public static Argument<string> Model() => File(new Argument<string>("MODEL") { Description = "An .eslide model file." });

    /// <summary>An argument that names files. The parser takes an option it does not know for one, so that is refused here.</summary>
    public static Argument<T> File<T>(Argument<T> argument)
    {
        argument.Validators.Add(result =>
        {
            foreach (Token token in result.Tokens)
            {
                string name = token.Value;
                if (name.Length == 0)
                {
                    result.AddError(NoName);
                    break;
                }
                if (name.Length > 1 && name[0] == '-')
                {
                    result.AddError($"unknown option '{name}'; a file of that name can be given as ./{name}");
                    break;
                }
            }
        });
        return argument;
    }

    /// <summary>An option that names a file.</summary>
    public static Option<string?> File(string name, string description)
    {
        var option = new Option<string?>(name) { Description = description };
        option.Validators.Add(result =>
        {
            if (result.Tokens is [{ Value.Length: 0 }])
                result.AddError($"{name}: {NoName}");
        });
        return option;
    }

    public static Option<bool> Json() => new("--json") { Description = "Print JSON instead of text." };

    public static Option<bool> NoVerify() => new("--no-verify")
    {
        Description = "Do not check the model's checksums: a quicker cold start. Its structure is checked all the same.",
    };

    public static Option<string> Mode()
    {
        var option = new Option<string>("--mode")
        {
            Description = "How the output layer is evaluated: lsh evaluates the neurons that hashing selects, dense all of them, auto whichever was faster when the model was built.",
            DefaultValueFactory = _ => "auto",
        };
        option.AcceptOnlyFromAmong("auto", "lsh", "dense");
        return option;
    }

    public static Option<string> SysfsRoot() => new("--sysfs-root")
    {
        Description = "Where to look for /sys and /proc: a copied tree instead of this machine's.",
        DefaultValueFactory = _ => "/",
    };

    public static Option<int> Positive(string name, string description, int value, int maximum = int.MaxValue)
    {
        var option = new Option<int>(name) { Description = description, DefaultValueFactory = _ => value };
        option.Validators.Add(result =>
        {
            // Not through the parsed value: asking for that of an argument that is no number throws.
            if (result.Tokens.Count != 1)
                return;
            if (!int.TryParse(result.Tokens[0].Value, NumberStyles.None, CultureInfo.InvariantCulture, out int given) || given < 1 || given > maximum)
                result.AddError(maximum == int.MaxValue ? $"{name} must be at least 1" : $"{name} must be between 1 and {maximum}");
        });
        return option;
    }

    public static Option<int> Batch(string description, int value)
    {
        Option<int> option = Positive("--batch", description, value, PredictionBatch.MaxCapacity);
        option.Aliases.Add("-b");
        return option;
    }

    public static Option<int> Threads()
    {
        var option = new Option<int>("--threads", "-t") { Description = "Threads that answer; 0 for one per processor.", DefaultValueFactory = _ => 1 };
        option.Validators.Add(result =>
        {
            if (result.Tokens.Count == 1 && (!int.TryParse(result.Tokens[0].Value, NumberStyles.None, CultureInfo.InvariantCulture, out int given) || given > MaxThreads))
                result.AddError($"--threads must be between 0 and {MaxThreads}");
        });
        return option;
    }

    /// <summary>How many threads the option's value stands for.</summary>
    public static int ThreadCount(int threads) => threads == 0 ? Math.Min(Environment.ProcessorCount, MaxThreads) : threads;

    /// <summary>Without tables every mode is the dense one, which must not be measured under another name.</summary>
    public static void RequireTables(EdgeSlideModel model)
    {
        if (model.Layout.Output.Selector is null)
            throw new CommandException(ExitCodes.Usage, "the model has no hash tables, so there is only --mode dense");
    }

    public static PredictionMode ParseMode(string mode) => mode switch
    {
        "lsh" => PredictionMode.Lsh,
        "dense" => PredictionMode.Dense,
        _ => PredictionMode.Auto,
    };
}
