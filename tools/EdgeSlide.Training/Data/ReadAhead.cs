namespace EdgeSlide.Training.Data;

/// <summary>
/// Asks on a thread of its own for rows that are soon needed and not in memory: asking the system for scattered pages takes
/// longer than the step of training that it can be hidden behind. Does nothing for a source that is in memory, and allocates
/// nothing per call.
/// </summary>
internal sealed class ReadAhead : IDisposable
{
    private readonly IRowSource _source;
    private readonly int[] _rows;
    private readonly SemaphoreSlim _asked = new(0), _idle = new(1);
    private readonly Thread? _thread;
    private int _count;

    /// <param name="most">Rows that one call may ask for.</param>
    public ReadAhead(IRowSource source, int most)
    {
        _source = source;
        if (source.IsInMemory)
        {
            _rows = [];
            return;
        }
        _rows = new int[most];
        _thread = new Thread(Serve) { IsBackground = true, Name = "read ahead" };
        _thread.Start();
    }

    /// <summary>Begins to ask for the rows, when those of the call before were asked for.</summary>
    public void Begin(ReadOnlySpan<int> rows)
    {
        if (_thread is null || rows.IsEmpty)
            return;
        _idle.Wait();
        rows.CopyTo(_rows);
        _count = rows.Length;
        _asked.Release();
    }

    public void Dispose()
    {
        if (_thread is not null)
        {
            _idle.Wait();
            _count = 0;
            _asked.Release();
            _thread.Join();
        }
        _asked.Dispose();
        _idle.Dispose();
    }

    private void Serve()
    {
        while (true)
        {
            _asked.Wait();
            if (_count == 0)
                return;
            _source.WillNeed(_rows.AsSpan(0, _count));
            _idle.Release();
        }
    }
}
