using System.IO.Compression;
using System.Text;

namespace EdgeSlide.Training.Tests.Data;

/// <summary>A folder for one test's files, gone afterwards.</summary>
public sealed class TemporaryFiles : IDisposable
{
    public string Folder { get; } = Directory.CreateTempSubdirectory("edgeslide-data-").FullName;

    public string Path(string name) => System.IO.Path.Combine(Folder, name);

    public string Write(string name, string text) => Write(name, Encoding.UTF8.GetBytes(text));

    public string Write(string name, byte[] bytes)
    {
        File.WriteAllBytes(Path(name), bytes);
        return Path(name);
    }

    public static byte[] Gzip(byte[] bytes)
    {
        // Of nothing, GZipStream makes nothing; other tools make a member without contents.
        if (bytes.Length == 0) return Convert.FromHexString("1f8b080000000000000303000000000000000000");
        var output = new MemoryStream();
        using (var gzip = new GZipStream(output, CompressionLevel.Optimal)) gzip.Write(bytes);
        return output.ToArray();
    }

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
