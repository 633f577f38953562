namespace EdgeSlide.Workbench;

/// <summary>The process's exit codes; documented in docs/workbench.md. 0 to 4 mean the same as for the device binary.</summary>
internal static class ExitCodes
{
    public const int Ok = 0;
    public const int Failure = 1;
    public const int Usage = 2;
    public const int BadModel = 3;
    public const int BadInput = 4;
    public const int Diverged = 6;
    public const int Interrupted = 130;
}

/// <summary>A failure that a command reports as one line.</summary>
internal sealed class CommandException(int exitCode, string message) : Exception(message)
{
    public int ExitCode { get; } = exitCode;
}
