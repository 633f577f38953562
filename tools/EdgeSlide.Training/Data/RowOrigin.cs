namespace EdgeSlide.Training.Data;

/// <summary>Where rows stand in the file that they were read from, to tell people.</summary>
internal sealed class RowOrigin
{
    private readonly string _file;
    private readonly long _firstLine;
    private readonly IReadOnlyList<long> _without;
    private readonly int[]? _places;

    /// <param name="file">Path as the user gave it.</param>
    /// <param name="firstLine">The line of the first row, or of the first that gave none, from 1.</param>
    /// <param name="without">The lines after that gave no row, in order.</param>
    public RowOrigin(string file, long firstLine, IReadOnlyList<long> without) : this(file, firstLine, without, null)
    {
    }

    private RowOrigin(string file, long firstLine, IReadOnlyList<long> without, int[]? places) =>
        (_file, _firstLine, _without, _places) = (file, firstLine, without, places);

    public long Line(int row)
    {
        int place = _places is null ? row : _places[row];
        // Lines without a row that come before: those with at most as many rows before them.
        int low = 0, high = _without.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_without[middle] - _firstLine - middle <= place)
                low = middle + 1;
            else
                high = middle;
        }
        return _firstLine + place + low;
    }

    public string Describe(int row) => $"{_file}:{Line(row)}";

    public DataFormatException Problem(int row, string problem, Exception? inner = null) => new(_file, Line(row), problem, inner);

    /// <summary>For some of the rows, or all in another order, by their places among those that were read.</summary>
    public RowOrigin At(int[] places) => new(_file, _firstLine, _without, places);
}
