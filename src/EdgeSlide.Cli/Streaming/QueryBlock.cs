using EdgeSlide.Cli.Output;

namespace EdgeSlide.Cli.Streaming;

/// <summary>Some consecutive lines of one input, and what is to be written for them.</summary>
/// <param name="maxLines">Lines that it holds at most.</param>
internal sealed class QueryBlock(int maxLines)
{
    // A block with this much text is full; a single line may be longer.
    private const int MaxBytes = 1 << 16;

    private readonly List<(int End, long Number)> _lines = [];
    private byte[] _bytes = new byte[1 << 12];

    /// <summary>The input's name.</summary>
    public string Name { get; set; } = "";

    public int Count => _lines.Count;

    public bool IsFull => _lines.Count >= maxLines || Used >= MaxBytes;

    /// <summary>The answers.</summary>
    public OutputWriter Output { get; } = new(flushAt: int.MaxValue);

    /// <summary>Lines for standard error, and how much of the output goes before each.</summary>
    public List<(int Position, string Message)> Remarks { get; } = [];

    /// <summary>Queries that got no answer.</summary>
    public int Unanswered { get; set; }

    /// <summary>What ends the program after the output.</summary>
    public Exception? Failure { get; set; }

    private int Used => _lines.Count == 0 ? 0 : _lines[^1].End;

    public void Add(ReadOnlySpan<byte> line, long number)
    {
        int start = Used;
        if (_bytes.Length < start + line.Length)
            Array.Resize(ref _bytes, Math.Max(2 * _bytes.Length, start + line.Length));
        line.CopyTo(_bytes.AsSpan(start));
        _lines.Add((start + line.Length, number));
    }

    public ReadOnlySpan<byte> Line(int index)
    {
        int start = index == 0 ? 0 : _lines[index - 1].End;
        return _bytes.AsSpan(start, _lines[index].End - start);
    }

    public long LineNumber(int index) => _lines[index].Number;

    public void Clear()
    {
        _lines.Clear();
        Output.Clear();
        Remarks.Clear();
        Unanswered = 0;
        Failure = null;
        // A very long line's memory is not kept.
        if (_bytes.Length > 4 * MaxBytes)
            _bytes = new byte[MaxBytes];
    }
}
