namespace EdgeSlide.EndToEnd.Tests.Support;

/// <summary>The workstation tool, as built beside the tests.</summary>
internal static class Workbench
{
    private static readonly string Program = FindProgram();

    /// <summary>A shell command that runs it.</summary>
    public static string Command(string arguments) => $"dotnet {Program} {arguments}";

    /// <summary>Same configuration and framework as the tests: .../bin/CONFIGURATION/FRAMEWORK.</summary>
    private static string FindProgram()
    {
        var framework = new DirectoryInfo(AppContext.BaseDirectory);
        string program = Path.Combine(DeviceBinary.Root, "tools", "EdgeSlide.Workbench", "bin", framework.Parent!.Name, framework.Name, "edgeslide-workbench.dll");
        return File.Exists(program) ? program : throw new FileNotFoundException($"{program} is not built");
    }
}
