using System.IO.MemoryMappedFiles;

namespace EdgeSlide.Model;

/// <summary>
/// A read-only memory map of a whole file. Pages are loaded when touched and shared between processes. A file that
/// another program shortens while it is mapped ends the process with a bus error: replace models by renaming.
/// </summary>
internal sealed unsafe class MappedFile : IDisposable
{
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;
    private bool _disposed;

    private MappedFile(MemoryMappedFile file, MemoryMappedViewAccessor view, byte* pointer, long length)
    {
        _file = file;
        _view = view;
        Pointer = pointer;
        Length = length;
    }

    public byte* Pointer { get; }

    public long Length { get; }

    /// <summary>Maps a regular file of at least <paramref name="minimumLength"/> bytes.</summary>
    public static MappedFile Open(string path, long minimumLength)
    {
        try
        {
            if (Directory.Exists(path))
                throw new ModelFormatException(ModelError.CannotOpen, $"{path}: is a directory, not a model file");
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, bufferSize: 0);
            if (!stream.CanSeek)
                throw new ModelFormatException(ModelError.CannotOpen, $"{path}: a model is mapped into memory, so it must be a regular file");
            long length = stream.Length;
            if (length < minimumLength)
                throw new ModelFormatException(ModelError.TooShort, $"{path}: {length} bytes are too few for a model's header");
            MemoryMappedFile file = MemoryMappedFile.CreateFromFile(stream, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: false);
            MemoryMappedViewAccessor view = file.CreateViewAccessor(0, length, MemoryMappedFileAccess.Read);
            byte* pointer = null;
            view.SafeMemoryMappedViewHandle.AcquirePointer(ref pointer);
            return new MappedFile(file, view, pointer + view.PointerOffset, length);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            string reason = e switch
            {
                FileNotFoundException or DirectoryNotFoundException => "no such file",
                UnauthorizedAccessException => "no permission to read it",
                _ => "cannot be read (" + e.GetType().Name + ")",
            };
            throw new ModelFormatException(ModelError.CannotOpen, $"{path}: {reason}", e);
        }
    }

    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _file.Dispose();
    }
}
