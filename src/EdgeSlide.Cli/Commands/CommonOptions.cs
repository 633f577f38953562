using System.CommandLine;

namespace EdgeSlide.Cli.Commands;

/// <summary>Arguments and options that several commands share.</summary>
internal static class CommonOptions
{
    public static Argument<string> Model() => new("MODEL") { Description = "An .eslide model file." };

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
            if (result.Errors.Any() || result.Tokens.Count == 0)
                return;
            int given = result.GetValueOrDefault<int>();
            if (given < 1 || given > maximum)
                result.AddError(maximum == int.MaxValue ? $"{name} must be at least 1" : $"{name} must be between 1 and {maximum}");
        });
        return option;
    }

    public static PredictionMode ParseMode(string mode) => mode switch
    {
        "lsh" => PredictionMode.Lsh,
        "dense" => PredictionMode.Dense,
        _ => PredictionMode.Auto,
    };
}
