namespace EdgeSlide.Training.Data;

/// <summary>The one error of every reader: which file, which line, what is wrong, in one line fit to be shown as it is.</summary>
public sealed class DataFormatException : Exception
{
    /// <param name="file">Path as the user gave it.</param>
    /// <param name="line">1-based line, or 0 when the problem belongs to the file as a whole.</param>
    /// <param name="problem">What is wrong, without file and line.</param>
    /// <param name="inner">The cause, if another exception is.</param>
    public DataFormatException(string file, long line, string problem, Exception? inner = null)
        : base(line > 0 ? $"{file}:{line}: {problem}" : $"{file}: {problem}", inner)
    {
        File = file;
        Line = line;
        Problem = problem;
    }

    public string File { get; }

    public long Line { get; }

    public string Problem { get; }
}

/// <summary>
/// Hand one to a reader and it leaves bad rows out and counts them here; without one, the first bad row is fatal.
/// Damage to a file as a whole (empty, cut short, wrong header) is fatal either way.
/// </summary>
internal sealed class SkippedRows
{
    public long Count { get; private set; }

    /// <summary>The first row left out.</summary>
    public DataFormatException? First { get; private set; }

    public void Add(DataFormatException problem, long count = 1)
    {
        First ??= problem;
        Count += count;
    }
}
