using System.Runtime.ExceptionServices;

namespace EdgeSlide.Cli.Streaming;

/// <summary>
/// Carries items from one producer through several workers to one consumer, in the order in which they were produced. The
/// items are few and go round, so memory is bounded and a slow consumer holds the producer back.
/// </summary>
/// <param name="items">All that there are.</param>
internal sealed class OrderedPipeline<T>(T[] items) where T : class
{
    // Item n lives in slot n % items.Length; consumed <= started <= produced <= consumed + items.Length.
    private readonly bool[] _done = new bool[items.Length];
    private readonly object _changed = new();
    private long _produced;
    private long _started;
    private long _consumed;
    private bool _ended;
    private Exception? _failure;

    /// <summary>
    /// Runs one thread that produces and as many as there are workers, and consumes on this thread until the producer has
    /// returned and everything is consumed. A failure of the producer is thrown after everything that came before it.
    /// After any failure the threads are left to themselves: they may be waiting for input, and the process is about to end.
    /// </summary>
    /// <param name="produce">Calls <see cref="Begin"/> and <see cref="Submit"/> in turns.</param>
    /// <param name="workers">What each worker does with an item; must not throw.</param>
    /// <param name="consume">Takes the items back.</param>
    public void Run(Action produce, Action<T>[] workers, Action<T> consume)
    {
        Start(() =>
        {
            Exception? failure = null;
            try
            {
                produce();
            }
            catch (Exception e)
            {
                failure = e;
            }
            End(failure);
        });
        Thread[] threads = Array.ConvertAll(workers, worker => Start(() => Work(worker)));
        while (TryTake() is { } item)
        {
            consume(item);
            Release();
        }
        foreach (Thread thread in threads)
            thread.Join();
        if (_failure is not null)
            ExceptionDispatchInfo.Throw(_failure);
    }

    /// <summary>For the producer: an item to fill; waits until one is free.</summary>
    public T Begin()
    {
        lock (_changed)
        {
            while (_produced - _consumed == items.Length)
                Monitor.Wait(_changed);
            return items[_produced % items.Length];
        }
    }

    /// <summary>For the producer: hands over the item of the last <see cref="Begin"/>.</summary>
    public void Submit()
    {
        lock (_changed)
        {
            _produced++;
            Monitor.PulseAll(_changed);
        }
    }

    private static Thread Start(Action action)
    {
        var thread = new Thread(() => action()) { IsBackground = true };
        thread.Start();
        return thread;
    }

    private void End(Exception? failure)
    {
        lock (_changed)
        {
            _failure = failure;
            _ended = true;
            Monitor.PulseAll(_changed);
        }
    }

    private void Work(Action<T> worker)
    {
        while (true)
        {
            long slot;
            lock (_changed)
            {
                while (_started == _produced)
                {
                    if (_ended)
                        return;
                    Monitor.Wait(_changed);
                }
                slot = _started++ % items.Length;
            }
            worker(items[slot]);
            lock (_changed)
            {
                _done[slot] = true;
                Monitor.PulseAll(_changed);
            }
        }
    }

    private T? TryTake()
    {
        lock (_changed)
        {
            while (!_done[_consumed % items.Length])
            {
                if (_ended && _consumed == _produced)
                    return null;
                Monitor.Wait(_changed);
            }
            return items[_consumed % items.Length];
        }
    }

    private void Release()
    {
        lock (_changed)
        {
            _done[_consumed % items.Length] = false;
            _consumed++;
            Monitor.PulseAll(_changed);
        }
    }
}
