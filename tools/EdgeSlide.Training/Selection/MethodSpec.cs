using System.Globalization;

namespace EdgeSlide.Training.Selection;

/// <summary>
/// A selection method in words: sources joined by +, each a name with options, then @ and the budget, for example
/// <c>features:entries=8+weights:family=dwta,rare=0.5,weight=fit@32</c>.
/// </summary>
internal sealed record MethodSpec(string Text, IReadOnlyList<SourceSpec> Sources, int Budget)
{
    public const int DefaultBudget = 32;

    public static MethodSpec Parse(string text)
    {
        string[] halves = text.Split('@');
        int budget = DefaultBudget;
        if (halves.Length > 2 || (halves.Length == 2 && !int.TryParse(halves[1], CultureInfo.InvariantCulture, out budget)) || budget is < 1 or > 65_536)
            throw new ArgumentException($"method '{text}': the budget after @ must be 1 to 65536");
        return new MethodSpec(text, [.. halves[0].Split('+').Select(part => SourceSpec.Parse(part, text))], budget);
    }
}

/// <summary>One source of a method: a name and its options.</summary>
internal sealed class SourceSpec
{
    private static readonly Dictionary<string, string[]> Known = new()
    {
        ["features"] = ["entries", "trust", "weight", "votes"],
        ["hidden"] = ["tables", "bits", "entries", "probes", "weight", "votes"],
        ["planes"] = ["tables", "bits", "entries", "probes", "weight", "votes"],
        ["tree"] = ["levels", "branch", "beam", "entries", "weight", "votes"],
        ["router"] = ["levels", "branch", "beam", "entries", "epochs", "filed", "weight", "votes"],
        ["weights"] = ["family", "k", "tables", "rare", "weight"],
        ["lss"] = ["tables", "bits", "weight"],
        ["clusters"] = ["count", "open", "copies", "weight"],
        ["head"] = ["labels", "weight"],
        ["neighbours"] = ["rows", "weight", "votes"],
    };

    private readonly Dictionary<string, string> _options = [];
    private readonly string _method;

    private SourceSpec(string name, string method) => (Name, _method) = (name, method);

    public static IEnumerable<string> Names => Known.Keys;

    public string Name { get; }

    public bool FitsWeight => Word("weight", "1") == "fit";

    public float Weight => FitsWeight ? 1f : Number("weight", 1f, 1e-9f, 1e9f);

    /// <exception cref="ArgumentException">The source, an option's name or an option's value is wrong.</exception>
    public static SourceSpec Parse(string part, string method)
    {
        string[] halves = part.Split(':', 2);
        if (!Known.TryGetValue(halves[0], out string[]? allowed))
            throw new ArgumentException($"method '{method}': '{halves[0]}' is none of {string.Join(", ", Names)}");
        var spec = new SourceSpec(halves[0], method);
        foreach (string option in halves.Length < 2 ? [] : halves[1].Split(','))
        {
            string[] pair = option.Split('=', 2);
            if (pair.Length != 2 || !allowed.Contains(pair[0]) || !spec._options.TryAdd(pair[0], pair[1]))
                throw new ArgumentException($"method '{method}': {halves[0]} takes {string.Join(", ", allowed.Select(a => a + "="))} each at most once, not '{option}'");
        }
        _ = spec.Weight;
        _ = SourceFactory.Read(spec);
        return spec;
    }

    public ICandidateSource Build(TrainingEvidence evidence) => SourceFactory.Read(this)(evidence);

    public ArgumentException Problem(string what) => new($"method '{_method}': {what}");

    public int Count(string option, int otherwise, int least, int most) => (int)Number(option, otherwise, least, most, whole: true);

    public float Number(string option, float otherwise, float least, float most, bool whole = false)
    {
        if (!_options.TryGetValue(option, out string? text))
            return otherwise;
        bool fits = float.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out float value) && value >= least && value <= most && (!whole || value == MathF.Floor(value));
        return fits ? value : throw Problem(string.Create(CultureInfo.InvariantCulture, $"{Name} {option}={text} is not a number from {least} to {most}"));
    }

    public string Word(string option, string otherwise, params string[] allowed)
    {
        string word = _options.GetValueOrDefault(option, otherwise);
        return allowed.Length == 0 || allowed.Contains(word)
            ? word
            : throw Problem($"{Name} {option}={word} is none of {string.Join(", ", allowed)}");
    }
}
