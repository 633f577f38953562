using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace EdgeSlide.Kernels;

/// <summary>A fixed-size native array, zeroed and aligned to a cache line, so that kernels need neither pinning nor tails.</summary>
internal sealed unsafe class NativeBuffer<T> : IDisposable where T : unmanaged
{
    public NativeBuffer(int length)
    {
        Length = length;
        nuint bytes = (nuint)Math.Max(length, 1) * (nuint)sizeof(T);
        Pointer = (T*)NativeMemory.AlignedAlloc((bytes + 63) & ~(nuint)63, 64);
        Span.Clear();
    }

    ~NativeBuffer() => NativeMemory.AlignedFree(Pointer);

    public T* Pointer { get; private set; }

    public int Length { get; }

    public Span<T> Span => new(Pointer, Length);

    public void Dispose()
    {
        NativeMemory.AlignedFree(Pointer);
        Pointer = null;
        GC.SuppressFinalize(this);
    }
}

internal static unsafe class Prefetch
{
    /// <summary>Asks for a cache line. .NET has no Arm prefetch, so there this is nothing and out-of-order loads must do.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Line(void* address)
    {
        if (Sse.IsSupported)
            Sse.Prefetch0(address);
    }

    /// <summary>Asks for the first four cache lines of a row, all of 128 weights in any format.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Row(byte* row, int bytes)
    {
        Line(row);
        if (bytes > 64)
            Line(row + 64);
        if (bytes > 128)
        {
            Line(row + 128);
            Line(row + 192);
        }
    }
}
