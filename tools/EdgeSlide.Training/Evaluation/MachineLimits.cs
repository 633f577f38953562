using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using EdgeSlide.Kernels;
using EdgeSlide.Training.Data;

namespace EdgeSlide.Training.Evaluation;

/// <summary>One working-set size: how fast memory of that size is read on one thread.</summary>
/// <param name="Bytes">The working set.</param>
/// <param name="SequentialGigabytes">Read in order from four places at once, per second.</param>
/// <param name="PrefetchedNanoseconds">A random cache line among many that are asked for ahead of their use.</param>
/// <param name="DependentNanoseconds">A random cache line whose address comes from the one before.</param>
internal sealed record MemoryLimit(long Bytes, double SequentialGigabytes, double PrefetchedNanoseconds, double DependentNanoseconds);

/// <summary>What this machine can do at best on one thread: the roofs that docs/performance.md holds the stages against.</summary>
internal static unsafe class MachineLimits
{
    private const int Line = 64;

    /// <summary>Lines of one timing: enough for the page tables of the largest working set to be in a cache, as they are once a model has answered for a while.</summary>
    private const int Lines = 1 << 17;

    /// <summary>How far ahead of its use a line is asked for.</summary>
    private const int Ahead = 32;

    public static MemoryLimit Memory(long bytes)
    {
        int lines = (int)(bytes / Line);
        using var buffer = new NativeBuffer<long>(lines * (Line / sizeof(long)));
        // One cycle through all lines in random order (Sattolo), for the dependent reads.
        var next = new int[lines];
        for (int i = 0; i < lines; i++)
            next[i] = i;
        var random = new Xoshiro256(1);
        for (int i = lines - 1; i > 0; i--)
        {
            int j = random.Below(i);
            (next[i], next[j]) = (next[j], next[i]);
        }
        for (int i = 0; i < lines; i++)
            buffer.Pointer[(long)i * (Line / sizeof(long))] = next[i];

        var wanted = new int[Lines + Ahead];
        for (int i = 0; i < wanted.Length; i++)
            wanted[i] = random.Below(lines);
        long place = 0;
        return new MemoryLimit(bytes, bytes / Best(() => Sequential(buffer)), Best(() => Prefetched(buffer, wanted)) / Lines,
            Best(() => place = Dependent(buffer, place)) / Lines);
    }

    /// <summary>INT8 multiplications with addition per nanosecond, rows and vector in the nearest cache.</summary>
    public static double Multiplications(string kernel) => KernelSelector.Dispatch(kernel, new DotTimer());

    /// <summary>The least of several rounds, in nanoseconds: what else the machine does can only add.</summary>
    private static double Best(Func<long> work)
    {
        double best = double.MaxValue;
        long sink = work();
        for (int round = 0; round < 15; round++)
        {
            long start = Stopwatch.GetTimestamp();
            sink += work();
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalNanoseconds);
        }
        GC.KeepAlive(sink);
        return best;
    }

    /// <summary>
    /// Every line once, from four places at a time: a single stream waits at each page's end, beyond which no hardware
    /// prefetcher reads ahead, and each stream has sums of its own, so that loads never wait for one another.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static long Sequential(NativeBuffer<long> buffer)
    {
        const int LineLength = Line / sizeof(long), Half = LineLength / 2;
        long quarter = buffer.Length / (4 * LineLength) * LineLength;
        long* first = buffer.Pointer, second = first + quarter, third = second + quarter, fourth = third + quarter;
        Vector256<long> a = default, b = default, c = default, d = default;
        Vector256<long> e = default, f = default, g = default, h = default;
        for (long at = 0; at < quarter; at += LineLength)
        {
            a += Vector256.Load(first + at);
            b += Vector256.Load(second + at);
            c += Vector256.Load(third + at);
            d += Vector256.Load(fourth + at);
            e += Vector256.Load(first + at + Half);
            f += Vector256.Load(second + at + Half);
            g += Vector256.Load(third + at + Half);
            h += Vector256.Load(fourth + at + Half);
        }
        return Vector256.Sum(a + b + (c + d) + (e + f + (g + h)));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static long Prefetched(NativeBuffer<long> buffer, int[] wanted)
    {
        long sum = 0;
        for (int i = 0; i < Lines; i++)
        {
            Prefetch.Line(buffer.Pointer + (long)wanted[i + Ahead] * (Line / sizeof(long)));
            sum += buffer.Pointer[(long)wanted[i] * (Line / sizeof(long))];
        }
        return sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static long Dependent(NativeBuffer<long> buffer, long place)
    {
        for (int i = 0; i < Lines; i++)
            place = buffer.Pointer[place * (Line / sizeof(long))];
        return place;
    }

    private sealed class DotTimer : IKernelVisitor<double>
    {
        public double Visit<TKernel>() where TKernel : struct, IKernel
        {
            const int Rows = 64, Width = 128;
            using var rows = new NativeBuffer<sbyte>(Rows * Width);
            using var vector = new NativeBuffer<sbyte>(Width);
            using var sums = new NativeBuffer<int>(Rows);
            double best = double.MaxValue;
            // Long enough for the runtime to have compiled the kernel again, with optimization.
            for (long begin = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(begin) < TimeSpan.FromSeconds(1);)
            {
                long start = Stopwatch.GetTimestamp();
                for (int repeat = 0; repeat < 50; repeat++)
                    TKernel.DotRows(rows.Pointer, Rows, vector.Pointer, nonNegative: true, Width, sums.Pointer);
                best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalNanoseconds);
            }
            return 50.0 * Rows * Width / best;
        }
    }
}
