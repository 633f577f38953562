using EdgeSlide.Training.Training;
using EdgeSlide.Training.Tuning;
using Spectre.Console;

namespace EdgeSlide.Workbench.Console;

/// <summary>
/// What people see while they wait. Everything here goes to standard error, so that standard output holds results only.
/// </summary>
internal static class Screen
{
    private const int RedirectedWidth = 120;

    public static IAnsiConsole Error { get; } = Create(System.Console.Error, System.Console.IsErrorRedirected);

    /// <summary>Results for people: tables on standard output.</summary>
    public static IAnsiConsole Output { get; } = Create(System.Console.Out, System.Console.IsOutputRedirected);

    private static bool Interactive => !System.Console.IsErrorRedirected;

    public static void Say(string line) => System.Console.Error.WriteLine(line);

    /// <summary>Runs training under a progress bar with loss, speed and time left, and one line per finished epoch.</summary>
    public static TrainingResult Train(Trainer trainer, CancellationToken cancel)
    {
        if (!Interactive)
            return trainer.Run(new Reporter(p => SayEpoch(p)), cancel);
        TrainingResult? result = null;
        Error.Progress().AutoClear(true)
            .Columns(new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn())
            .Start(context =>
            {
                ProgressTask task = context.AddTask("training", maxValue: 1);
                result = trainer.Run(new Reporter(p =>
                {
                    task.MaxValue = (double)p.Epochs * p.Batches;
                    task.Value = (p.Epoch - 1.0) * p.Batches + p.Batch;
                    task.Description = $"epoch {p.Epoch}/{p.Epochs}  loss {p.Loss:F3}  {p.RowsPerSecond:N0} rows/s";
                    SayEpoch(p);
                }), cancel);
            });
        return result!;
    }

    /// <summary>Runs a job of several named stages under a spinner, or as plain lines where nobody watches.</summary>
    public static T Stages<T>(Func<Action<string>, T> job)
    {
        if (!Interactive)
            return job(stage => Say($"{stage} ..."));
        T? result = default;
        Error.Status().Start("starting", context => result = job(stage => context.Status(Markup.Escape(stage))));
        return result!;
    }

    /// <summary>Runs a search under a progress bar that tells the best setting and how many are left at most.</summary>
    public static TuningResult Tuning(Func<Action<TuningProgress>, TuningResult> job)
    {
        if (!Interactive)
        {
            string stage = "";
            return job(p =>
            {
                if (p.Stage == stage)
                    return;
                stage = p.Stage;
                Say($"{p.Stage} ..." + (p.Done == 0 ? "" : $" {p.Done} settings tried, {p.Most - p.Done} left at most{(p.Best.Length == 0 ? "" : $"; best: {p.Best}")}"));
            });
        }
        TuningResult? result = null;
        Error.Progress().AutoClear(true)
            .Columns(new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn(), new RemainingTimeColumn())
            .Start(context =>
            {
                ProgressTask task = context.AddTask("tuning", maxValue: 1);
                result = job(p =>
                {
                    task.MaxValue = Math.Max(1, p.Most);
                    task.Value = p.Done;
                    task.Description = Markup.Escape($"{p.Stage}  {p.Done} tried, {p.Most - p.Done} left at most{(p.Best.Length == 0 ? "" : $"  best: {p.Best}")}");
                });
            });
        return result!;
    }

    private static void SayEpoch(TrainingProgress p)
    {
        if (p.Resumed)
            Error.MarkupLineInterpolated($"resumed after epoch {p.Epoch - 1}, batch {p.Batch} of {p.Batches}");
        else if (p.Validation is { } v)
            Error.MarkupLineInterpolated($"epoch {v.Epoch,2}  {v.Seconds,6:F1} s  loss {v.Loss:F3}  validation P@1 {v.P1:F4}  P@3 {v.P3:F4}  P@5 {v.P5:F4}  nDCG@5 {v.Ndcg5:F4}");
        else if (p.Batch == p.Batches)
            Error.MarkupLineInterpolated($"epoch {p.Epoch,2}  loss {p.Loss:F3}  active {p.ActiveFraction:P2}");
    }

    private static IAnsiConsole Create(TextWriter writer, bool redirected)
    {
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(writer) });
        if (redirected)
            console.Profile.Width = RedirectedWidth;
        return console;
    }

    private sealed class Reporter(Action<TrainingProgress> report) : IProgress<TrainingProgress>
    {
        public void Report(TrainingProgress value) => report(value);
    }
}
