namespace EdgeSlide.IO;

/// <summary>Writes a file so that readers see the old content or all of the new one, whatever happens in between.</summary>
internal static class WholeFile
{
    /// <summary>
    /// Runs <paramref name="write"/> on a temporary file beside <paramref name="path"/>, forces it to the disk and renames
    /// it. If anything fails (full disk, cancelled), the temporary file is removed and the old file is as it was.
    /// </summary>
    public static void Write(string path, Action<Stream> write)
    {
        using var files = new WholeFiles();
        files.Write(path, write);
        files.Commit();
    }

    /// <summary>Fails if no file can be written there, so that long work need not end in finding that out. Changes nothing.</summary>
    /// <exception cref="IOException">No such folder, or a folder or device of that name.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder cannot be written to.</exception>
    public static void Try(string path)
    {
        string folder = Path.GetDirectoryName(Target(path)) ?? "";
        if (Directory.Exists(path) || folder.Length == 0)
            throw new IOException($"{path}: is a folder, not a file");
        // A whole file takes the place of what was there, and nobody wants that of a device.
        if (folder == "/dev")
            throw new IOException($"{path}: is a device, not a file");
        if (!Directory.Exists(folder))
            throw new DirectoryNotFoundException($"{path}: there is no folder {folder}");
        using var files = new WholeFiles();
        files.Write(path, _ => { });
    }

    /// <summary>The file itself, where the path is a link to one.</summary>
    public static string Target(string path)
    {
        try
        {
            return new FileInfo(path).ResolveLinkTarget(returnFinalTarget: true)?.FullName ?? Path.GetFullPath(path);
        }
        catch (IOException)
        {
            // No link, or one in a circle: writing there says what is wrong.
            return Path.GetFullPath(path);
        }
    }
}

/// <summary>Writes files that belong together as <see cref="WholeFile"/> writes one: none appears before all are on the disk.</summary>
internal sealed class WholeFiles : IDisposable
{
    private readonly List<(string Temporary, string Path)> _files = [];

    public void Write(string path, Action<Stream> write)
    {
        path = WholeFile.Target(path);
        string temporary = $"{path}.{Environment.ProcessId}.tmp";
        _files.Add((temporary, path));
        using var stream = new FileStream(temporary, FileMode.Create, FileAccess.Write, FileShare.None, 1 << 16);
        write(stream);
        stream.Flush(flushToDisk: true);
    }

    /// <summary>Gives the files their names.</summary>
    public void Commit()
    {
        // Not after some have theirs.
        foreach ((string _, string path) in _files)
        {
            if (Directory.Exists(path))
                throw new IOException($"{path}: is a folder, not a file");
        }
        foreach ((string temporary, string path) in _files)
            File.Move(temporary, path, overwrite: true);
        _files.Clear();
    }

    /// <summary>Removes what was not committed.</summary>
    public void Dispose()
    {
        foreach ((string temporary, string _) in _files)
            TryDelete(temporary);
    }

    private static void TryDelete(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The first failure is the one worth reporting.
        }
    }
}
