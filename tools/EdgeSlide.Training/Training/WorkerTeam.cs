namespace EdgeSlide.Training.Training;

/// <summary>
/// A fixed team of threads that works through numbered items, each item once, in any order. Items must be independent:
/// then results do not depend on the number of threads. Unlike Parallel.For a run allocates nothing. A step of training is
/// a dozen short runs, so helpers wait for the next one spinning for a moment before they sleep.
/// </summary>
internal sealed class WorkerTeam : IDisposable
{
    private const int Spins = 400;

    private readonly Thread[] _threads;
    private readonly Helper[] _helpers;
    private Action<int, int> _body = static (_, _) => { };
    private int _items;
    private int _next;
    private int _busy;
    private volatile bool _stopping;
    private Exception? _failure;

    internal WorkerTeam(int size)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(size, 1);
        Size = size;
        _helpers = new Helper[size - 1];
        _threads = new Thread[size - 1];
        for (int i = 0; i < _threads.Length; i++)
        {
            int worker = i + 1;
            Helper helper = _helpers[i] = new Helper();
            _threads[i] = new Thread(() => Serve(worker, helper)) { IsBackground = true, Name = $"training {worker}" };
            _threads[i].Start();
        }
    }

    internal int Size { get; }

    /// <summary>Calls body(item, worker) for every item in [0, items); returns when all are done.</summary>
    internal void Run(int items, Action<int, int> body)
    {
        if (_threads.Length == 0 || items <= 1)
        {
            for (int item = 0; item < items; item++)
                body(item, 0);
            return;
        }
        _body = body;
        _items = items;
        _next = 0;
        _failure = null;
        int helpers = Math.Min(_threads.Length, items - 1);
        Volatile.Write(ref _busy, helpers);
        for (int i = 0; i < helpers; i++)
            _helpers[i].Start();
        Work(0);
        SpinWait spinner = default;
        while (Volatile.Read(ref _busy) != 0)
            spinner.SpinOnce(sleep1Threshold: -1);
        if (_failure is not null)
            throw new AggregateException(_failure);
    }

    private void Serve(int worker, Helper helper)
    {
        while (true)
        {
            helper.WaitForStart();
            if (_stopping)
                return;
            Work(worker);
            Interlocked.Decrement(ref _busy);
        }
    }

    private void Work(int worker)
    {
        try
        {
            int item;
            while ((item = Interlocked.Increment(ref _next) - 1) < _items)
                _body(item, worker);
        }
        catch (Exception failure) when (_threads.Length > 0)
        {
            // A helper's exception must reach the caller, not end the process.
            _failure = failure;
            Volatile.Write(ref _next, _items);
        }
    }

    public void Dispose()
    {
        _stopping = true;
        foreach (Helper helper in _helpers)
            helper.Start();
        foreach (Thread thread in _threads)
            thread.Join();
        foreach (Helper helper in _helpers)
            helper.Dispose();
    }

    /// <summary>One start signal at a time, from the team's owner to one helper.</summary>
    private sealed class Helper : IDisposable
    {
        private const int Idle = 0, Started = 1, Asleep = 2;

        private readonly SemaphoreSlim _wake = new(0);
        private int _state;

        internal void Start()
        {
            if (Interlocked.Exchange(ref _state, Started) == Asleep)
                _wake.Release();
        }

        internal void WaitForStart()
        {
            for (int i = 0; i < Spins && Volatile.Read(ref _state) != Started; i++)
                Thread.SpinWait(20);
            if (Interlocked.CompareExchange(ref _state, Asleep, Idle) == Idle)
                _wake.Wait();
            Volatile.Write(ref _state, Idle);
        }

        public void Dispose() => _wake.Dispose();
    }
}
