namespace EdgeSlide.Runtime.Tests.Support;

/// <summary>A folder for one test's files, in memory where the machine has a file system for that, gone afterwards.</summary>
public sealed class TemporaryFolder : IDisposable
{
    private const string MemoryBacked = "/dev/shm";

    public TemporaryFolder()
    {
        string root = Directory.Exists(MemoryBacked) ? MemoryBacked : System.IO.Path.GetTempPath();
        Path = Directory.CreateDirectory(System.IO.Path.Combine(root, "edgeslide-test-" + Guid.NewGuid().ToString("N"))).FullName;
    }

    public string Path { get; }

    public string File(string name) => System.IO.Path.Combine(Path, name);

    public string Write(string name, ReadOnlySpan<byte> bytes)
    {
        System.IO.File.WriteAllBytes(File(name), bytes);
        return File(name);
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
