using System.ComponentModel;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace EdgeSlide.Workbench;

/// <summary>The published `edgeslide` binary, driven as a user would drive it.</summary>
internal sealed class DeviceBinary(string path)
{
    public long Bytes => new FileInfo(path).Length;

    /// <summary>Publishes the binary from the source tree that this workbench was built from.</summary>
    public static DeviceBinary Publish(string output, CancellationToken cancel)
    {
        string root = FindRoot();
        string architecture = RuntimeInformation.OSArchitecture == Architecture.Arm64 ? "arm64" : "x64";
        (int exitCode, string text) = Run("dotnet",
            ["publish", Path.Combine(root, "src", "EdgeSlide.Cli"), "-c", "Release", "-f", AotFramework(root), "-r", $"linux-{architecture}", "-o", output, "--nologo", "-v", "quiet"], null, cancel);
        string binary = Path.Combine(output, "edgeslide");
        if (exitCode != 0 || !File.Exists(binary))
            throw new CommandException(ExitCodes.Failure, $"publishing the device binary failed: {LastLine(text)}");
        return new DeviceBinary(binary);
    }

    /// <summary>Runs the binary and parses the JSON object that it prints.</summary>
    public JsonElement RunJson(IReadOnlyList<string> arguments, CancellationToken cancel)
    {
        string text = RunText(arguments, null, cancel);
        try
        {
            using JsonDocument document = JsonDocument.Parse(text);
            if (document.RootElement.ValueKind == JsonValueKind.Object)
                return document.RootElement.Clone();
        }
        catch (JsonException)
        {
            // Told below: any program can be given as --binary.
        }
        throw NoResult();
    }

    /// <summary>For a program that ran well and is not the device binary, or one of another version.</summary>
    public CommandException NoResult() => new(ExitCodes.Failure, $"{path} printed no result; is it an edgeslide of this version?");

    /// <summary>Runs the binary with some standard input; returns what it prints.</summary>
    public string RunText(IReadOnlyList<string> arguments, string? input, CancellationToken cancel)
    {
        (int exitCode, string text) = Run(path, arguments, input, cancel);
        return exitCode == 0 ? text : throw new CommandException(ExitCodes.Failure, $"{Path.GetFileName(path)} {arguments[0]} failed with exit code {exitCode}: {LastLine(text)}");
    }

    /// <summary>The repository's folder: the nearest one above this program that holds the solution.</summary>
    public static string FindRoot()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "EdgeSlide.sln")))
                return folder.FullName;
        }
        throw new CommandException(ExitCodes.Failure, "this command builds the device binary, so it must run from a source tree (no EdgeSlide.sln above the program)");
    }

    /// <summary>The framework that the source tree publishes, as its build files say.</summary>
    private static string AotFramework(string root)
    {
        (int exitCode, string text) = Run("dotnet", ["msbuild", Path.Combine(root, "src", "EdgeSlide.Cli"), "-getProperty:EdgeSlideAotFramework"], null, default);
        return exitCode == 0 ? text.Trim() : throw new CommandException(ExitCodes.Failure, $"the source tree does not build: {LastLine(text)}");
    }

    private static (int ExitCode, string Output) Run(string program, IReadOnlyList<string> arguments, string? input, CancellationToken cancel)
    {
        var start = new ProcessStartInfo(program) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = input is not null };
        foreach (string argument in arguments)
            start.ArgumentList.Add(argument);
        using Process process = Start(start);
        using CancellationTokenRegistration registration = cancel.Register(() => process.Kill(entireProcessTree: true));
        Task<string> errors = process.StandardError.ReadToEndAsync(CancellationToken.None);
        if (input is not null)
        {
            process.StandardInput.Write(input);
            process.StandardInput.Close();
        }
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        cancel.ThrowIfCancellationRequested();
        return (process.ExitCode, process.ExitCode == 0 ? output : output + errors.Result);
    }

    private static Process Start(ProcessStartInfo start)
    {
        try
        {
            return Process.Start(start)!;
        }
        catch (Win32Exception e)
        {
            throw new CommandException(ExitCodes.Failure, $"cannot start {start.FileName}: {new Win32Exception(e.NativeErrorCode).Message}");
        }
    }

    private static string LastLine(string text) => text.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).LastOrDefault() ?? "no output";
}
