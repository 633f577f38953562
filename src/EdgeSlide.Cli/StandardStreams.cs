using System.Runtime.InteropServices;
using System.Text;

namespace EdgeSlide.Cli;

/// <summary>
/// Standard input, output and error as the system calls give them. The framework's console streams take a closed pipe for
/// success, so that `edgeslide predict ... | head -1` would run on, and seek in files that other programs append to.
/// </summary>
internal static partial class StandardStreams
{
    private const int Input = 0, Output = 1, Error = 2;
    private const int GetDescriptorFlags = 1, CloseOnExec = 1, ReadOnly = 0;
    private const int Interrupted = 4, BadDescriptor = 9, BrokenPipe = 32;
    private static readonly int TryAgain = OperatingSystem.IsLinux() ? 11 : 35;
    private static readonly bool[] Closed = new bool[Error + 1];

    /// <summary>
    /// Finds the standard streams that are closed. Their numbers go to the next files opened, so that the model, or a file
    /// of the framework's, would be read as input: one with the close-on-exec flag was opened by this process itself.
    /// A number that is still free is taken, so that nothing else gets it.
    /// </summary>
    public static void FindClosed()
    {
        for (int descriptor = Input; descriptor <= Error; descriptor++)
        {
            int flags = fcntl(descriptor, GetDescriptorFlags);
            Closed[descriptor] = flags < 0 || (flags & CloseOnExec) != 0;
            if (flags < 0)
                _ = open("/dev/null"u8, ReadOnly);
        }
    }

    /// <summary>The message as one printable line; where standard error is closed, nothing.</summary>
    public static void Report(string message)
    {
        char[] line = $"edgeslide: {message.Replace("\n\t", " ", StringComparison.Ordinal).ReplaceLineEndings(" ")}".ToCharArray();
        foreach (ref char c in line.AsSpan())
            c = char.IsControl(c) ? '?' : c;
        ReadOnlySpan<byte> rest = Encoding.UTF8.GetBytes([.. line, '\n']);
        while (!rest.IsEmpty && TryWrite(Error, ref rest, out _))
        {
            // Until all is written.
        }
    }

    /// <summary>Standard input.</summary>
    public static Stream OpenInput() => new InputStream();

    /// <summary>Writes everything to standard output.</summary>
    /// <exception cref="CommandException">It cannot be written, or its reader went away.</exception>
    public static void Write(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            if (!TryWrite(Output, ref bytes, out int error))
                throw error == BrokenPipe
                    ? new CommandException(ExitCodes.OutputClosed, "")
                    : new CommandException(ExitCodes.Failure, $"cannot write the output: {Marshal.GetPInvokeErrorMessage(error)}");
        }
    }

    private static unsafe bool TryWrite(int descriptor, ref ReadOnlySpan<byte> bytes, out int error)
    {
        error = BadDescriptor;
        if (Closed[descriptor])
            return false;
        nint written;
        fixed (byte* start = bytes)
            written = write(descriptor, start, (nuint)bytes.Length);
        if (written >= 0)
        {
            bytes = bytes[(int)written..];
            return true;
        }
        error = Marshal.GetLastPInvokeError();
        return Retry(error);
    }

    private static bool Retry(int error)
    {
        if (error == TryAgain)
            Thread.Sleep(1);
        return error == Interrupted || error == TryAgain;
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fcntl(int descriptor, int command);

    [LibraryImport("libc", SetLastError = true)]
    private static unsafe partial nint read(int descriptor, byte* buffer, nuint count);

    [LibraryImport("libc", SetLastError = true)]
    private static unsafe partial nint write(int descriptor, byte* buffer, nuint count);

    private static unsafe int open(ReadOnlySpan<byte> path, int flags)
    {
        fixed (byte* start = path)
            return open(start, flags);
    }

    [LibraryImport("libc", SetLastError = true)]
    private static unsafe partial int open(byte* path, int flags);

    private sealed class InputStream : IO.InputStream
    {
        public override unsafe int Read(Span<byte> buffer)
        {
            while (true)
            {
                if (Closed[Input])
                    throw Failure(BadDescriptor);
                nint count;
                fixed (byte* start = buffer)
                    count = read(Input, start, (nuint)buffer.Length);
                if (count >= 0)
                    return (int)count;
                int error = Marshal.GetLastPInvokeError();
                if (!Retry(error))
                    throw Failure(error);
            }
        }

        private static IOException Failure(int error) => new(Marshal.GetPInvokeErrorMessage(error), error);
    }
}
