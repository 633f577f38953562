using System.CommandLine;
using System.Globalization;
using EdgeSlide.Training.Slide;

namespace EdgeSlide.Workbench.Commands;

/// <summary>The knobs of SLIDE that its users know, under their own names.</summary>
/// <param name="defaults">What counts for options that are not given.</param>
/// <param name="methods">For a command that tries several methods: with the knobs of votes, and a learning rate that each method has of its own.</param>
internal sealed class SlideOptionsGroup(SlideOptions defaults, bool methods)
{
    private readonly Option<string> _hidden = DataOptions.Value("--hidden", "Widths of the hidden layers.", string.Join(',', defaults.Hidden));
    private readonly Option<string> _family = DataOptions.Choice("--family", "Hash family: simhash, hadamard (SimHash by fast transforms), srp (sparse random projection), wta, dwta, minhash.",
        Families.First(f => f.Value == defaults.Family).Key, [.. Families.Keys]);
    private readonly Option<int> _k = DataOptions.Value("--k", "Hash codes per table (K).", defaults.K);
    private readonly Option<int> _l = DataOptions.Value("--tables", "Hash tables (L).", defaults.L);
    private readonly Option<int> _range = DataOptions.Value("--range-pow", "2 to this power are the buckets of a table.", defaults.RangePow);
    private readonly Option<int> _bucket = DataOptions.Value("--bucket-size", "The most neurons in a bucket.", defaults.BucketSize);
    private readonly Option<string> _policy = DataOptions.Choice("--policy", "What a full bucket does: fifo forgets the oldest, reservoir keeps a uniform sample.", "fifo", "fifo", "reservoir");
    private readonly Option<string> _sampling = DataOptions.Choice("--sampling", "vanilla: tables in random order; topk: most collisions; threshold: at least --threshold collisions.", "topk", "vanilla", "topk", "threshold");
    private readonly Option<int> _threshold = DataOptions.Value("--threshold", "Collisions that --sampling threshold asks for.", defaults.Threshold);
    private readonly Option<bool> _plain = new("--no-mips") { Description = "Hash weights as they are, without centring them and making them equally long." };
    private readonly Option<double> _spare = DataOptions.Value("--spare", "Share of a hidden layer's neurons to evaluate beyond the active ones, of which the largest stay; 0 as in SLIDE.", defaults.Spare);
    private readonly Option<double> _explore = DataOptions.Value("--explore", "Share of the evaluated neurons that votes draws at random in training.", defaults.Explore);
    private readonly Option<double> _decay = DataOptions.Value("--vote-decay", "What is left of a bucket's votes after one more row.", defaults.VoteDecay);
    private readonly Option<int> _rebuild = DataOptions.Value("--rebuild", "Rows before the first rebuild of the tables.", defaults.RebuildRows);
    private readonly Option<double> _growth = DataOptions.Value("--rebuild-growth", "Each gap between rebuilds is this many times the last.", defaults.RebuildGrowth);
    private readonly Option<string> _optimizer = DataOptions.Choice("--optimizer", "The update rule.", "adam", "adam", "sgd");
    private readonly Option<float?> _rate = methods
        ? new("--learning-rate") { Description = "Step size; falls linearly to a twentieth. Without it each method uses its own." }
        : DataOptions.Value<float?>("--learning-rate", "Step size; falls linearly to a twentieth.", defaults.LearningRate);
    private readonly Option<int> _epochs = DataOptions.Value("--epochs", "Passes over the data.", defaults.Epochs);
    private readonly Option<int> _threads = DataOptions.Value("--threads", "Threads that update without locks; 0 uses all cores. 1 makes a run repeatable.", 0);
    private readonly Option<int> _seed = DataOptions.Value("--seed", "Seed of every random choice.", 1);

    private static readonly Dictionary<string, HashFamilyKind> Families = new()
    {
        ["simhash"] = HashFamilyKind.SimHash,
        ["hadamard"] = HashFamilyKind.Hadamard,
        ["srp"] = HashFamilyKind.SparseProjection,
        ["wta"] = HashFamilyKind.Wta,
        ["dwta"] = HashFamilyKind.DensifiedWta,
        ["minhash"] = HashFamilyKind.MinHash,
    };

    public void AddTo(Command command)
    {
        foreach (Option option in new Option[]
        {
            _hidden, _family, _k, _l, _range, _bucket, _policy, _sampling, _threshold, _plain, _spare, _explore, _decay, _rebuild, _growth, _optimizer, _rate, _epochs, _threads, _seed,
        })
        {
            if (methods || (option != _explore && option != _decay))
                command.Options.Add(option);
        }
    }

    /// <summary>Refuses options that none of the methods heeds.</summary>
    public void RequireSense(ParseResult parsed, string[] names, Option active)
    {
        string[] rowByRow = ["dense", "votes", "lsh", "dropout", "adaptive", "wta"];
        foreach ((Option[] options, string[] heeding) in new (Option[], string[])[]
        {
            ([_explore, _decay], ["votes"]),
            ([_policy, _sampling, _threshold, _plain], ["lsh"]),
            ([_family, _k, _l, _range, _bucket, _spare, _rebuild, _growth], ["votes", "lsh"]),
            ([active], rowByRow[1..]),
            ([_optimizer, _rate], rowByRow),
        })
        {
            if (!names.Intersect(heeding).Any() && options.FirstOrDefault(option => IsGiven(parsed, option)) is { } idle)
                throw new CommandException(ExitCodes.Usage, $"{idle.Name} has no effect without one of the --methods {string.Join(", ", heeding)}");
        }
    }

    public SlideOptions Read(ParseResult parsed)
    {
        if (IsGiven(parsed, _threshold) && parsed.GetValue(_sampling) != "threshold")
            throw new CommandException(ExitCodes.Usage, "--threshold needs --sampling threshold");
        return ReadAll(parsed);
    }

    private SlideOptions ReadAll(ParseResult parsed) => new()
    {
        Hidden = Widths(parsed, _hidden),
        Family = Families[parsed.GetValue(_family)!],
        K = parsed.GetValue(_k),
        L = parsed.GetValue(_l),
        RangePow = parsed.GetValue(_range),
        BucketSize = parsed.GetValue(_bucket),
        Policy = parsed.GetValue(_policy) == "fifo" ? BucketPolicy.Fifo : BucketPolicy.Reservoir,
        Sampling = parsed.GetValue(_sampling) switch { "vanilla" => Sampling.Vanilla, "topk" => Sampling.TopK, _ => Sampling.HardThreshold },
        Threshold = parsed.GetValue(_threshold),
        Mips = !parsed.GetValue(_plain),
        Spare = parsed.GetValue(_spare),
        Explore = methods ? parsed.GetValue(_explore) : defaults.Explore,
        VoteDecay = methods ? parsed.GetValue(_decay) : defaults.VoteDecay,
        RebuildRows = parsed.GetValue(_rebuild),
        RebuildGrowth = parsed.GetValue(_growth),
        Optimizer = parsed.GetValue(_optimizer) == "sgd" ? Optimizer.Sgd : Optimizer.Adam,
        LearningRate = parsed.GetValue(_rate) ?? defaults.LearningRate,
        Epochs = parsed.GetValue(_epochs),
        Threads = parsed.GetValue(_threads),
        Seed = (ulong)parsed.GetValue(_seed),
    };

    /// <summary>Whether the command line names a learning rate.</summary>
    public bool HasRate(ParseResult parsed) => IsGiven(parsed, _rate);

    /// <summary>Whether an option stands on the command line.</summary>
    public static bool IsGiven(ParseResult parsed, Option option) => parsed.GetResult(option) is { Implicit: false };

    private static int[] Widths(ParseResult parsed, Option<string> option)
    {
        string text = parsed.GetValue(option)!;
        var widths = new List<int>();
        foreach (string part in text.Split(','))
        {
            if (!int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out int width))
                throw new CommandException(ExitCodes.Usage, $"{option.Name} {text}: not a list of widths such as 128 or 256,128");
            widths.Add(width);
        }
        return [.. widths];
    }

    /// <summary>A list of shares, above 0 and at most 1.</summary>
    public static double[] Shares(ParseResult parsed, Option<string> option)
    {
        string text = parsed.GetValue(option)!;
        var numbers = new List<double>();
        foreach (string part in text.Split(','))
        {
            if (!double.TryParse(part, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double number) || number is not (> 0 and <= 1))
                throw new CommandException(ExitCodes.Usage, $"{option.Name} {text}: not a list of positive numbers up to 1");
            numbers.Add(number);
        }
        return [.. numbers];
    }
}
