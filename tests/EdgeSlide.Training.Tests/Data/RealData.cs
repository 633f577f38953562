using System.Runtime.CompilerServices;
using EdgeSlide.Training.Data;

namespace EdgeSlide.Training.Tests.Data;

/// <summary>The shared data sets: $EDGESLIDE_DATA, or shared/data beside the repository.</summary>
internal static class RealData
{
    public static string Root { get; } =
        Environment.GetEnvironmentVariable("EDGESLIDE_DATA") is { Length: > 0 } folder ? folder : Path.Combine(RepositoryRoot(), "..", "shared", "data");

    public static string File(string set, string name) => Path.Combine(Root, set, name);

    private static string RepositoryRoot()
    {
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder is not null && !System.IO.File.Exists(Path.Combine(folder.FullName, "EdgeSlide.sln"))) folder = folder.Parent;
        return folder?.FullName ?? AppContext.BaseDirectory;
    }
}

/// <summary>A test on a shared data set. Where the set is absent the test is skipped, and says so.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class DataFactAttribute : FactAttribute
{
    public DataFactAttribute(string set, [CallerMemberName] string test = "")
    {
        string folder = Path.Combine(RealData.Root, set);
        (Set, Test) = (set, test);
        if (Directory.Exists(folder)) return;
        Skip = $"data absent: {folder} (set EDGESLIDE_DATA to the folder of data sets)";
        DisplayName = $"{test}: {Skip}"; // Quiet loggers print a skipped test's name, not its reason.
    }

    public string Set { get; }

    public string Test { get; }
}

/// <summary>A test on this machine's package lists. Where there are none the test is skipped, and says so.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class PackageListsFactAttribute : FactAttribute
{
    // Once: the runner makes several instances.
    private static readonly Lazy<string?> Absent = new(() => DebianCorpus.TryLoad(out string reason) is null ? $"data absent: {reason}" : null);

    public PackageListsFactAttribute([CallerMemberName] string test = "")
    {
        Test = test;
        if (Absent.Value is not { } reason) return;
        Skip = reason;
        DisplayName = $"{test}: {reason}";
    }

    public string Test { get; }
}
