using System.Diagnostics;
using System.Text;

namespace EdgeSlide.EndToEnd.Tests.Support;

/// <summary>What a command line did.</summary>
internal sealed record Outcome(int ExitCode, string Output, string Error)
{
    public string[] Lines => Output.Split('\n', StringSplitOptions.None)[..^1];

    public string[] ErrorLines => Error.Split('\n', StringSplitOptions.RemoveEmptyEntries);
}

/// <summary>Runs command lines with /bin/sh as a user would, with `edgeslide` on the path, in a folder of its own.</summary>
public sealed class Shell : IDisposable
{
    public Shell() => Folder = Directory.CreateTempSubdirectory("edgeslide-e2e-").FullName;

    public string Folder { get; }

    /// <summary>A command that takes longer is taken to hang.</summary>
    public TimeSpan Deadline { get; init; } = TimeSpan.FromSeconds(60);

    public string Path(string name) => System.IO.Path.Combine(Folder, name);

    public string Write(string name, string text) => Write(name, Encoding.UTF8.GetBytes(text));

    public string Write(string name, byte[] bytes)
    {
        File.WriteAllBytes(Path(name), bytes);
        return Path(name);
    }

    public void Dispose() => Directory.Delete(Folder, recursive: true);

    internal Outcome Run(string commandLine)
    {
        using Process process = Start(commandLine);
        process.StandardInput.Close();
        Task<string> error = process.StandardError.ReadToEndAsync(), output = process.StandardOutput.ReadToEndAsync();
        if (!process.WaitForExit(Deadline))
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"hangs: {commandLine}");
        }
        return new Outcome(process.ExitCode, output.Result, error.Result);
    }

    /// <summary>Runs something that must succeed in silence.</summary>
    internal Outcome RunWell(string commandLine)
    {
        Outcome outcome = Run(commandLine);
        Assert.Equal((0, ""), (outcome.ExitCode, outcome.Error));
        return outcome;
    }

    /// <summary>Runs something that must fail with this code and exactly one line that says why.</summary>
    internal Outcome RunBadly(string commandLine, int exitCode, string message)
    {
        Outcome outcome = Run(commandLine);
        Assert.Equal((exitCode, $"edgeslide: {message}\n"), (outcome.ExitCode, outcome.Error));
        return outcome;
    }

    internal Process Start(string commandLine)
    {
        // .NET ignores SIGPIPE and its children inherit that; a user's shell does not, and its `echo` ends in silence.
        var start = new ProcessStartInfo("/usr/bin/env")
        {
            ArgumentList = { "--default-signal=PIPE", "/bin/sh", "-c", commandLine },
            WorkingDirectory = Folder,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardInputEncoding = new UTF8Encoding(false),
            StandardOutputEncoding = Encoding.UTF8,
        };
        start.Environment["PATH"] = $"{System.IO.Path.GetDirectoryName(DeviceBinary.Path)}:{Environment.GetEnvironmentVariable("PATH")}";
        start.Environment.Remove("EDGESLIDE_KERNEL");
        return Process.Start(start)!;
    }
}
