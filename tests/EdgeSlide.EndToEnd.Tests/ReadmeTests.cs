using System.Text.RegularExpressions;
using EdgeSlide.EndToEnd.Tests.Support;

namespace EdgeSlide.EndToEnd.Tests;

/// <summary>Runs what README.md tells its readers to run, as printed there.</summary>
[Trait("Category", "Long")]
public sealed partial class ReadmeTests : IDisposable
{
    private static readonly string Readme = File.ReadAllText(Path.Combine(DeviceBinary.Root, "README.md"));

    private readonly Shell _shell = new() { Deadline = TimeSpan.FromMinutes(5) };

    public void Dispose() => _shell.Dispose();

    [Fact]
    public void The_demo_command_trains_publishes_and_answers()
    {
        string demo = Assert.Single(Commands(), c => c.EndsWith(" demo", StringComparison.Ordinal));
        Outcome outcome = _shell.Run($"cd '{DeviceBinary.Root}' && {demo} --out {_shell.Path("demo")}");
        Assert.True(outcome.ExitCode == 0, outcome.Error);
        Assert.Equal(4, outcome.Output.Split("    -> ").Length - 1);
        foreach (string row in new[] { "FP32 dense", "INT8 dense", "INT8 LSH", "times as fast as dense", "0 bytes allocated per query" })
            Assert.Contains(row, outcome.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void The_test_command_is_the_one_that_the_build_server_runs()
    {
        string test = Assert.Single(Commands(), c => c.StartsWith("dotnet test", StringComparison.Ordinal));
        Assert.Contains(test, File.ReadAllText(Path.Combine(DeviceBinary.Root, ".ci", "run")), StringComparison.Ordinal);
    }

    [Fact]
    public void The_commands_for_ones_own_data_work_one_after_the_other()
    {
        Assert.Equal(0, _shell.Run(Workbench.Command("data make . --source generated") + " && head -n 6000 train.tsv > t && mv t train.tsv && head -n 500 test.tsv > t && mv t test.tsv").ExitCode);
        string[] commands = [.. Commands().Where(c => c.Contains("edgeslide", StringComparison.Ordinal) && !c.StartsWith("dotnet", StringComparison.Ordinal))];
        Assert.True(commands.Length >= 5, "the README's commands were not found");
        foreach (string command in commands)
        {
            Outcome outcome = _shell.Run($"edgeslide_workbench() {{ {Workbench.Command("\"$@\"")}; }}; {command.Replace("edgeslide-workbench", "edgeslide_workbench", StringComparison.Ordinal)}");
            Assert.True(outcome.ExitCode == 0, $"{command}\n{outcome.Error}");
        }
    }

    [Fact]
    public void The_publish_command_of_the_README_is_the_documented_one()
    {
        Assert.Contains("dotnet publish src/EdgeSlide.Cli -c Release -f net9.0 -r linux-x64", Readme, StringComparison.Ordinal);
    }

    [Fact]
    public void The_program_compiles_and_answers()
    {
        string program = CSharp().Match(Readme).Groups[1].Value;
        Assert.Contains("EdgeSlideModel.Open", program, StringComparison.Ordinal);
        Models.HashedText(_shell);
        _shell.Write("Program.cs", program.Replace("tags.eslide", "hashed.eslide", StringComparison.Ordinal));
        _shell.Write("app.csproj", $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <OutputType>Exe</OutputType>
                <TargetFramework>net10.0</TargetFramework>
                <ImplicitUsings>enable</ImplicitUsings>
                <Nullable>enable</Nullable>
                <TreatWarningsAsErrors>true</TreatWarningsAsErrors>
              </PropertyGroup>
              <ItemGroup>
                <Reference Include="{typeof(EdgeSlideModel).Assembly.Location}" />
              </ItemGroup>
            </Project>
            """);
        Outcome outcome = _shell.Run("dotnet run -v quiet");
        Assert.True(outcome.ExitCode == 0, outcome.Output + outcome.Error);
        Assert.Equal(3, outcome.Lines.Length);
        Assert.All(outcome.Lines, line => Assert.Matches(@"^0\.\d{3}  \S", line));
    }

    /// <summary>The lines of the README's fenced blocks that are not C#.</summary>
    private static IEnumerable<string> Commands() =>
        Fenced().Matches(Readme).SelectMany(m => m.Groups[1].Value.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries));

    [GeneratedRegex(@"^```\n(.*?)^```$", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex Fenced();

    [GeneratedRegex(@"^```csharp\n(.*?)^```$", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex CSharp();
}
