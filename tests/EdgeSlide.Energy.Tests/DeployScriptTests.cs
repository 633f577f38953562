using System.Diagnostics;

namespace EdgeSlide.Energy.Tests;

/// <summary>firmware-configs/deploy.sh with ssh and scp replaced by scripts that work in a folder of this machine.</summary>
public sealed class DeployScriptTests : IDisposable
{
    // Any small program of this machine stands for the binary: it is copied, checked and started, and prints its arguments.
    private const string Program = "/bin/echo";

    private readonly string _folder = Directory.CreateTempSubdirectory("edgeslide-deploy-").FullName;
    private readonly string _binary;

    public DeployScriptTests()
    {
        Directory.CreateDirectory(Path.Combine(_folder, "bin"));
        Directory.CreateDirectory(Path.Combine(_folder, "board"));
        Script("ssh", "while [[ $1 == -* ]]; do shift 2; done\nshift\ncd \"$BOARD\" && exec bash -c \"$*\"\n");
        Script("scp", "while [[ $1 == -* ]]; do [ \"$1\" = -q ] && shift || shift 2; done\ncp \"$1\" \"$BOARD/${2#*:}\"\n");
        _binary = Path.Combine(_folder, "edgeslide");
        File.WriteAllBytes(_binary, File.ReadAllBytes(Program));
        File.WriteAllText(Path.Combine(_folder, "model"), "model");
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Copies_checks_and_tests_and_copies_nothing_twice()
    {
        (int code, string output) = Deploy();
        Assert.Equal(0, code);
        Assert.Contains("copied edgeslide", output, StringComparison.Ordinal);
        Assert.Contains("copied model.eslide", output, StringComparison.Ordinal);
        Assert.Contains("info model.eslide\nsensors\ndeployed to", output, StringComparison.Ordinal);
        Assert.Equal(File.ReadAllBytes(Program), File.ReadAllBytes(Path.Combine(_folder, "board/edgeslide/edgeslide")));
        Assert.Equal(2, Directory.GetFiles(Path.Combine(_folder, "board/edgeslide")).Length);
        Assert.Contains("model.eslide is there already", Deploy().Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Another_architecture_a_newer_glibc_and_no_binary_at_all_are_refused_before_anything_is_copied()
    {
        byte[] bytes = File.ReadAllBytes(Program);
        File.AppendAllText(_binary, "GLIBC_2.999");
        Assert.Contains("needs glibc 2.999", Refused(), StringComparison.Ordinal);
        bytes[18] = (byte)(bytes[18] == 62 ? 183 : 62); // e_machine: x86-64 or AArch64
        File.WriteAllBytes(_binary, bytes);
        Assert.Contains("the board is", Refused(), StringComparison.Ordinal);
        File.WriteAllText(_binary, "text");
        Assert.Contains("no Linux binary", Refused(), StringComparison.Ordinal);
        Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(_folder, "board")));
    }

    private string Refused()
    {
        (int code, string output) = Deploy();
        Assert.Equal(1, code);
        return output;
    }

    private (int Code, string Output) Deploy()
    {
        string script = Path.Combine(RepositoryRoot(), "firmware-configs", "deploy.sh");
        var start = new ProcessStartInfo("bash") { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (string argument in new[] { "-c", "exec bash \"$0\" \"$@\" 2>&1", script, "user@board", _binary, Path.Combine(_folder, "model") })
            start.ArgumentList.Add(argument);
        start.Environment["PATH"] = Path.Combine(_folder, "bin") + ":" + Environment.GetEnvironmentVariable("PATH");
        start.Environment["BOARD"] = Path.Combine(_folder, "board");
        using Process process = Process.Start(start)!;
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output);
    }

    private void Script(string name, string body)
    {
        string path = Path.Combine(_folder, "bin", name);
        File.WriteAllText(path, "#!/bin/bash\n" + body);
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    private static string RepositoryRoot()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "EdgeSlide.sln")))
                return folder.FullName;
        }
        throw new InvalidOperationException("not below the source tree");
    }
}
