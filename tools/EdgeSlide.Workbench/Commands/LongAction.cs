using System.CommandLine;

namespace EdgeSlide.Workbench.Commands;

internal static class LongAction
{
    /// <summary>
    /// Runs the command on a thread of its own. The parser ends the process on Ctrl-C at once while an action has not returned
    /// its task; this way it waits until the command has seen the cancellation and has left no half-written file behind.
    /// </summary>
    public static void SetLongAction(this Command command, Func<ParseResult, CancellationToken, int> run) =>
        command.SetAction((parsed, cancel) => Task.Run(() => run(parsed, cancel), CancellationToken.None));
}
