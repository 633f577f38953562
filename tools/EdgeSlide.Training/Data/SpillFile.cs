using System.IO.MemoryMappedFiles;
using Microsoft.Win32.SafeHandles;

namespace EdgeSlide.Training.Data;

/// <summary>
/// A temporary file that is written from start to end and then mapped. It loses its name as soon as it is open (where that
/// cannot be, it is deleted when it is closed), so that it is gone however the process ends.
/// </summary>
internal sealed unsafe class SpillFile : IDisposable
{
    private readonly string _folder;
    private readonly SafeFileHandle _handle;
    private MemoryMappedFile? _map;
    private MemoryMappedViewAccessor? _view;
    private long _length;

    /// <exception cref="IOException">The folder takes no files; names it.</exception>
    public SpillFile(string folder)
    {
        _folder = folder;
        bool windows = OperatingSystem.IsWindows();
        string path = Path.Combine(folder, $"edgeslide-{Path.GetRandomFileName()}.tmp");
        try
        {
            _handle = File.OpenHandle(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, windows ? FileOptions.DeleteOnClose : FileOptions.None);
            if (!windows)
                File.Delete(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Problem(e);
        }
    }

    /// <summary>The first byte; null before <see cref="Map"/>, after <see cref="Dispose"/>, and if there is none.</summary>
    public byte* Pointer { get; private set; }

    /// <exception cref="IOException">The disk is full, or fails; names the folder.</exception>
    public void Append(ReadOnlySpan<byte> bytes)
    {
        try
        {
            RandomAccess.Write(_handle, bytes, _length);
        }
        catch (IOException e)
        {
            throw Problem(e);
        }
        _length += bytes.Length;
    }

    /// <summary>Ends the writing.</summary>
    public void Map()
    {
        if (_length == 0)
            return;
        try
        {
            _map = MemoryMappedFile.CreateFromFile(_handle, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: false);
            _view = _map.CreateViewAccessor(0, _length, MemoryMappedFileAccess.Read);
        }
        catch (IOException e)
        {
            throw Problem(e);
        }
        // Held until Dispose and not by a finalizer: a span may outlive the last reference to its owner.
        byte* pointer = null;
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref pointer);
        Pointer = pointer + _view.PointerOffset;
    }

    /// <summary>From now on a page that is missing is read alone: what lies around it, often megabytes, would push out what is needed.</summary>
    public void ReadAtRandom() => Advise(0, _length, MemoryAdvice.Random);

    /// <summary>Starts reading some of the file, if the system can, without waiting for it.</summary>
    public void WillNeed(long start, long length) => Advise(start, length, MemoryAdvice.WillNeed);

    public void Dispose()
    {
        if (Pointer is not null)
            _view!.SafeMemoryMappedViewHandle.ReleasePointer();
        Pointer = null;
        _view?.Dispose();
        _map?.Dispose();
        _handle.Dispose();
    }

    private void Advise(long start, long length, MemoryAdvice advice)
    {
        if (Pointer is not null)
            MemoryPages.Advise(Pointer + start, length, advice);
    }

    /// <summary>The system's reason without the name of a file that nobody knows.</summary>
    private IOException Problem(Exception e) => new($"{_folder}: cannot keep rows there: " + e switch
    {
        DirectoryNotFoundException => "no such folder",
        UnauthorizedAccessException => "no permission",
        _ => e.Message.Split(" : '")[0],
    }, e);
}
