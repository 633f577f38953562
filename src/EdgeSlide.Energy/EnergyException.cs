namespace EdgeSlide.Energy;

/// <summary>
/// A measurement that cannot be made or cannot be trusted. <see cref="Exception.Message"/> is one line that names the
/// cause and what to do about it; it is meant to be shown to the user as it stands.
/// </summary>
public sealed class EnergyException : Exception
{
    /// <summary>Creates the exception with a line for the user.</summary>
    public EnergyException(string message)
        : base(message)
    {
    }

    /// <summary>Creates the exception with a line for the user and its cause.</summary>
    public EnergyException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    /// <summary>Why a file could not be used, in words of our own: the published binary has no texts for the framework's exceptions.</summary>
    internal static string ReasonOf(Exception e) => e switch
    {
        DirectoryNotFoundException => "no such folder",
        FileNotFoundException => "no such file",
        UnauthorizedAccessException => "no permission",
        IOException { HResult: > 0 } => $"input/output error {e.HResult}", // errno
        IOException => "input/output error",
        _ => e.GetType().Name,
    };

    /// <summary>Creates the exception without detail.</summary>
    public EnergyException()
        : base("the energy measurement failed")
    {
    }
}
