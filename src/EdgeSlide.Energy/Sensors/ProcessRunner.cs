using System.ComponentModel;
using System.Diagnostics;

namespace EdgeSlide.Energy.Sensors;

/// <summary>Runs a short command. Injected so that tests need no Raspberry Pi.</summary>
internal interface IProcessRunner
{
    /// <summary>Standard output of the command, or null when it does not exist, fails or takes more than a second.</summary>
    string? Run(string fileName, string arguments);
}

internal sealed class ProcessRunner : IProcessRunner
{
    public string? Run(string fileName, string arguments)
    {
        try
        {
            using var process = Process.Start(new ProcessStartInfo(fileName, arguments) { RedirectStandardOutput = true, RedirectStandardError = true });
            if (process is null)
                return null;
            Task<string> output = process.StandardOutput.ReadToEndAsync();
            if (!process.WaitForExit(1000))
            {
                process.Kill();
                return null;
            }
            return process.ExitCode == 0 ? output.GetAwaiter().GetResult() : null;
        }
        catch (Exception e) when (e is Win32Exception or InvalidOperationException or IOException or PlatformNotSupportedException)
        {
            return null;
        }
    }
}
