namespace EdgeSlide.Training.Data;

/// <summary>Work on all cores whose results are used one by one, in the order of the work.</summary>
internal static class InOrder
{
    /// <summary>Runs jobs in parallel and gives each result to <paramref name="take"/>, on the caller's thread and in the jobs' order.</summary>
    /// <param name="jobs">Taken one by one, a bounded number ahead: results must not pile up.</param>
    public static void Run<T>(IEnumerable<Func<T>> jobs, Action<T> take)
    {
        var running = new Queue<Task<T>>();
        int limit = 2 * Environment.ProcessorCount;
        try
        {
            foreach (Func<T> job in jobs)
            {
                if (running.Count == limit)
                    take(running.Dequeue().GetAwaiter().GetResult());
                running.Enqueue(Task.Run(job));
            }
            while (running.Count > 0)
                take(running.Dequeue().GetAwaiter().GetResult());
        }
        finally
        {
            // After a failure nothing may run on: what the jobs read is about to be closed.
            Task.WhenAll(running).ContinueWith(_ => { }, TaskScheduler.Default).Wait();
        }
    }
}
