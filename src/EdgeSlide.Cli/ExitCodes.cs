namespace EdgeSlide.Cli;

/// <summary>The process's exit codes; documented in docs/cli.md.</summary>
internal static class ExitCodes
{
    public const int Ok = 0;
    /// <summary>Something that none of the others names, such as a write error.</summary>
    public const int Failure = 1;
    public const int Usage = 2;
    public const int BadModel = 3;
    public const int BadInput = 4;
    /// <summary>A sensor, a pin or a permission that the command needs is not there.</summary>
    public const int Unavailable = 5;
    /// <summary>The reader of our output went away (128 + SIGPIPE, as a shell would report it).</summary>
    public const int OutputClosed = 141;
}

/// <summary>A failure that a command reports as one line.</summary>
internal sealed class CommandException(int exitCode, string message) : Exception(message)
{
    public int ExitCode { get; } = exitCode;
}
