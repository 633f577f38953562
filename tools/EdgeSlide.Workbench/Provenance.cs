using System.CommandLine;
using System.Globalization;
using System.Reflection;

namespace EdgeSlide.Workbench;

/// <summary>What a network records about the command that made it.</summary>
internal static class Provenance
{
    public static string Tool { get; } = $"edgeslide-workbench {typeof(Provenance).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion}";

    public static string Now => DateTime.UtcNow.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture);

    /// <summary>The command line without the folders of whoever typed it.</summary>
    public static string Settings(ParseResult parsed) =>
        string.Join(' ', parsed.Tokens.Select(token => token.Value.Contains('/') ? Path.GetFileName(token.Value) : token.Value));
}
