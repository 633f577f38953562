using System.Diagnostics;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text;

namespace EdgeSlide.EndToEnd.Tests.Support;

/// <summary>
/// The published `edgeslide` binary. EDGESLIDE_BINARY names one that is there already; otherwise it is published from the
/// source tree into artifacts/end-to-end, once, and again when a source file is newer.
/// </summary>
internal static class DeviceBinary
{
    private static readonly Lazy<string> Published = new(Publish);

    public static string Path => Environment.GetEnvironmentVariable("EDGESLIDE_BINARY") is { Length: > 0 } given
        ? File.Exists(given) ? System.IO.Path.GetFullPath(given) : throw new FileNotFoundException($"EDGESLIDE_BINARY={given}: no such file")
        : Published.Value;

    /// <summary>What publishing printed, warnings included.</summary>
    public static string PublishLog => File.ReadAllText(System.IO.Path.Combine(Folder(Published.Value), "publish.log"));

    public static string Root { get; } = FindRoot();

    private static string FindRoot()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(System.IO.Path.Combine(folder.FullName, "EdgeSlide.sln")))
                return folder.FullName;
        }
        throw new DirectoryNotFoundException("no EdgeSlide.sln above the tests: they publish the device binary, so they must run from a source tree");
    }

    private static string Folder(string binary) => System.IO.Path.GetDirectoryName(binary)!;

    private static string Publish()
    {
        string framework = typeof(DeviceBinary).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(a => a.Key == "EdgeSlideAotFramework").Value!;
        string rid = RuntimeInformation.RuntimeIdentifier.Contains("arm64", StringComparison.Ordinal) ? "linux-arm64" : "linux-x64";
        string artifacts = System.IO.Path.Combine(Root, "artifacts", "end-to-end");
        string output = System.IO.Path.Combine(artifacts, "bin-" + rid), binary = System.IO.Path.Combine(output, "edgeslide"), log = System.IO.Path.Combine(output, "publish.log");
        Directory.CreateDirectory(output);
        using FileStream exclusive = Lock(System.IO.Path.Combine(artifacts, "lock"));
        if (File.Exists(binary) && File.Exists(log) && File.GetLastWriteTimeUtc(log) > NewestSource())
            return binary;
        File.Delete(log);
        // A folder of its own for intermediate files: other builds of the same projects may be running.
        var start = new ProcessStartInfo("dotnet")
        {
            WorkingDirectory = Root,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            ArgumentList =
            {
                "publish", System.IO.Path.Combine("src", "EdgeSlide.Cli"), "-c", "Release", "-f", framework, "-r", rid, "-o", output,
                "--artifacts-path", artifacts, "--nologo", "-nodeReuse:false", $"-p:EdgeSlideAotFramework={framework}",
            },
        };
        start.Environment["MSBUILDTERMINALLOGGER"] = "off";
        using Process process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        var text = new StringBuilder(process.StandardOutput.ReadToEnd()).Append(errors.Result);
        process.WaitForExit();
        if (process.ExitCode != 0 || !File.Exists(binary))
            throw new InvalidOperationException($"publishing the device binary failed with exit code {process.ExitCode}:\n{text}");
        File.WriteAllText(log, text.ToString());
        return binary;
    }

    private static DateTime NewestSource() =>
        Directory.EnumerateFiles(System.IO.Path.Combine(Root, "src"), "*", SearchOption.AllDirectories)
            .Where(f => !f.Contains("/bin/", StringComparison.Ordinal) && !f.Contains("/obj/", StringComparison.Ordinal))
            .Concat(Directory.EnumerateFiles(Root, "Directory.*.props"))
            .Max(File.GetLastWriteTimeUtc);

    private static FileStream Lock(string path)
    {
        for (var waited = Stopwatch.StartNew(); ; Thread.Sleep(200))
        {
            try
            {
                return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException) when (waited.Elapsed < TimeSpan.FromMinutes(5))
            {
                // Another test process publishes.
            }
        }
    }
}
