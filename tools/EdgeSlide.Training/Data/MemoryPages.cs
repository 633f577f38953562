using System.Runtime.InteropServices;

namespace EdgeSlide.Training.Data;

/// <summary>What is going to happen to some memory; the values are Linux's.</summary>
internal enum MemoryAdvice
{
    /// <summary>Reads in no order.</summary>
    Random = 1,

    /// <summary>It is read soon.</summary>
    WillNeed = 3,

    /// <summary>Its content is no longer needed; memory without a file behind it reads as 0 afterwards.</summary>
    DontNeed = 4,
}

/// <summary>Advice to the system about pages of memory. It may be ignored, and does nothing but on Linux.</summary>
internal static unsafe partial class MemoryPages
{
    /// <param name="start">The first byte.</param>
    /// <param name="length">Bytes. Pages that lie there in part are taken for whole ones, but given up only if they lie there in whole.</param>
    public static void Advise(void* start, long length, MemoryAdvice advice)
    {
        if (!OperatingSystem.IsLinux() || length <= 0)
            return;
        nuint page = (nuint)Environment.SystemPageSize, first = (nuint)start, end = first + (nuint)length;
        (first, end) = advice == MemoryAdvice.DontNeed ? ((first + page - 1) & ~(page - 1), end & ~(page - 1)) : (first & ~(page - 1), end);
        if (first < end)
            _ = madvise((void*)first, end - first, (int)advice);
    }

    [LibraryImport("libc")]
    private static partial int madvise(void* address, nuint length, int advice);
}
