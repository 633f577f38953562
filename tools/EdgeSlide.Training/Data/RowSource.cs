namespace EdgeSlide.Training.Data;

/// <summary>
/// Labelled rows that training reads in any order: kept whole (<see cref="Dataset"/>), or made when they are asked for,
/// so that a set may be far larger as rows than what it is made from.
/// </summary>
public interface IRowSource
{
    /// <summary>Number of possible input features; every id is below it.</summary>
    int FeatureCount { get; }

    /// <summary>Number of possible labels; every label id is below it.</summary>
    int LabelCount { get; }

    int RowCount { get; }

    /// <summary>False if rows may have to be read from a disk, so that <see cref="WillNeed"/> helps.</summary>
    bool IsInMemory => true;

    /// <summary>The labels of a row, all different; safe for concurrent use.</summary>
    ReadOnlySpan<int> RowLabels(int row);

    /// <summary>Where the row stands in a file, as FILE:LINE; null if that is not known.</summary>
    string? RowPlace(int row) => null;

    /// <summary>Asks the system to fetch those of the rows from the disk that are there, and does not wait for them; see <see cref="ReadAhead"/>.</summary>
    void WillNeed(ReadOnlySpan<int> rows)
    {
    }

    /// <summary>A reader of the rows' features for one thread.</summary>
    RowCursor CreateCursor();

    /// <summary>Differs for other data; reads all of it.</summary>
    ulong Fingerprint();
}

/// <summary>Reads one row at a time; for one thread.</summary>
public abstract class RowCursor : IDisposable
{
    /// <summary>Feature ids of the present row, strictly increasing; valid until the next move.</summary>
    public abstract ReadOnlySpan<int> Ids { get; }

    /// <summary>Their values.</summary>
    public abstract ReadOnlySpan<float> Values { get; }

    public abstract void MoveTo(int row);

    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    protected virtual void Dispose(bool disposing)
    {
    }
}
