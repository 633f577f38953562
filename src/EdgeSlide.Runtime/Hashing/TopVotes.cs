using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace EdgeSlide.Hashing;

/// <summary>
/// Finds where the largest of many numbers begin: by bisection, since each step is one vectorized count, where a quickselect
/// of a few hundred items loses its time to mispredicted branches.
/// </summary>
internal static unsafe class TopVotes
{
    /// <summary>Items beyond the last that may be read and written.</summary>
    public const int Slack = 8;

    private const int Lanes = 32;
    private const int FewItems = 8;

    /// <summary>For each set of eight lanes, their numbers in order: what keeps some lanes of a vector and moves them together.</summary>
    private static ReadOnlySpan<byte> LaneLists => LaneTable;

    private static readonly byte[] LaneTable = MakeLaneTable();

    /// <summary>
    /// The largest value that at most <paramref name="wanted"/> items exceed, or a larger one that exactly as many exceed.
    /// </summary>
    /// <param name="items">Positive numbers; room for <see cref="Slack"/> more follows.</param>
    /// <param name="count">How many; more than are wanted.</param>
    /// <param name="wanted">How many are looked for.</param>
    /// <param name="scratch">As much room as the items have.</param>
    public static int Threshold(int* items, int count, int wanted, int* scratch)
    {
        int low, high;
        if (wanted <= Lanes && count >= 2 * Lanes && Vector256.IsHardwareAccelerated)
        {
            (low, high) = LaneMaxima(items, count, wanted);
            count = Above(items, null, count, low - 1, scratch, null);
            if (count == wanted)
                return low - 1;
            items = scratch;
        }
        else
        {
            (low, high) = Range(items, count);
        }
        int padded = Pad(items, count);
        // How many items exceed the interval, and how many lie in or above it: the threshold is in it.
        int beyond = 0, from = count;
        while (low < high)
        {
            if (from - beyond <= FewItems && Vector256.IsHardwareAccelerated)
                return AmongFew(items, padded, low, high, wanted - beyond);
            int middle = low + ((high - low) >> 1);
            int above = CountAbove(items, padded, middle);
            if (above == wanted)
                return middle;
            if (above > wanted)
                (low, from) = (middle + 1, above);
            else
                (high, beyond) = (middle, above);
        }
        return low;
    }

    /// <summary>Of the at most eight items within the interval, the one that <paramref name="larger"/> others precede.</summary>
    private static int AmongFew(int* items, int padded, int low, int high, int larger)
    {
        int* few = stackalloc int[FewItems];
        int count = 0;
        Vector256<int> below = Vector256.Create(low - 1), above = Vector256.Create(high);
        for (int i = 0; i < padded; i += 8)
        {
            Vector256<int> block = Vector256.Load(items + i);
            uint inside = (Vector256.GreaterThan(block, below) & ~Vector256.GreaterThan(block, above)).ExtractMostSignificantBits();
            for (; inside != 0; inside &= inside - 1)
                few[count++] = items[i + BitOperations.TrailingZeroCount(inside)];
        }
        // The others are 0 and below all: each item's rank is the number of those above it.
        Vector256<int> all = Vector256.Load(few);
        int found = low;
        for (int i = 0; i < count; i++)
        {
            Vector256<int> item = Vector256.Create(few[i]);
            int before = BitOperations.PopCount(Vector256.GreaterThan(all, item).ExtractMostSignificantBits());
            int equal = BitOperations.PopCount(Vector256.Equals(all, item).ExtractMostSignificantBits());
            found = before <= larger && larger < before + equal ? few[i] : found;
        }
        return found;
    }

    /// <summary>
    /// The largest item, and the least among the largest of 8, 16 or 32 groups, at least as many as are wanted: since each group
    /// has an item that large, what is smaller cannot be among the wanted. Larger groups leave fewer items for the bisection.
    /// </summary>
    private static (int Low, int High) LaneMaxima(int* items, int count, int wanted)
    {
        Vector256<int> a = Vector256.Load(items), b = Vector256.Load(items + 8), c = Vector256.Load(items + 16), d = Vector256.Load(items + 24);
        int i = Lanes;
        for (; i + Lanes <= count; i += Lanes)
        {
            a = Vector256.Max(a, Vector256.Load(items + i));
            b = Vector256.Max(b, Vector256.Load(items + i + 8));
            c = Vector256.Max(c, Vector256.Load(items + i + 16));
            d = Vector256.Max(d, Vector256.Load(items + i + 24));
        }
        Vector256<int> left = Vector256.Max(a, b), right = Vector256.Max(c, d), largest = Vector256.Max(left, right);
        Vector256<int> least = wanted switch
        {
            <= 8 => largest,
            <= 16 => Vector256.Min(left, right),
            _ => Vector256.Min(Vector256.Min(a, b), Vector256.Min(c, d)),
        };
        int low = int.MaxValue, high = 0;
        for (int lane = 0; lane < 8; lane++)
        {
            low = Math.Min(low, least[lane]);
            high = Math.Max(high, largest[lane]);
        }
        for (; i < count; i++)
            high = Math.Max(high, items[i]);
        return (low, high);
    }

    /// <summary>
    /// Copies the items above the threshold, in order, and their names if there are any; returns their number. Up to
    /// <see cref="Slack"/> more than that are written.
    /// </summary>
    public static int Above(int* items, uint* names, int count, int threshold, int* kept, uint* keptNames)
    {
        int result = 0, i = 0;
        if (Avx2.IsSupported)
        {
            Vector256<int> limit = Vector256.Create(threshold);
            fixed (byte* lists = LaneLists)
            {
                for (; i + 8 <= count; i += 8)
                {
                    Vector256<int> block = Vector256.Load(items + i);
                    uint mask = Vector256.GreaterThan(block, limit).ExtractMostSignificantBits();
                    Vector256<int> lanes = Avx2.ConvertToVector256Int32(lists + 8 * mask);
                    Avx2.PermuteVar8x32(block, lanes).Store(kept + result);
                    if (names != null)
                        Avx2.PermuteVar8x32(Vector256.Load(names + i), lanes.AsUInt32()).Store(keptNames + result);
                    result += BitOperations.PopCount(mask);
                }
            }
        }
        for (; i < count; i++)
        {
            // Written always, counted when above: no branch to mispredict.
            kept[result] = items[i];
            if (names != null)
                keptNames[result] = names[i];
            result += items[i] > threshold ? 1 : 0;
        }
        return result;
    }

    private static byte[] MakeLaneTable()
    {
        var table = new byte[256 * 8];
        for (int mask = 0; mask < 256; mask++)
        {
            int at = 8 * mask;
            for (int lane = 0; lane < 8; lane++)
            {
                if ((mask >> lane & 1) != 0)
                    table[at++] = (byte)lane;
            }
        }
        return table;
    }

    /// <summary>Fills the last vector with zeros, which no threshold counts.</summary>
    private static int Pad(int* items, int count)
    {
        int padded = (count + 7) & ~7;
        for (int i = count; i < padded; i++)
            items[i] = 0;
        return padded;
    }

    private static (int Low, int High) Range(int* items, int count)
    {
        int low = int.MaxValue, high = 0;
        for (int i = 0; i < count; i++)
        {
            high = Math.Max(high, items[i]);
            low = Math.Min(low, items[i]);
        }
        return (low, high);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int CountAbove(int* items, int padded, int threshold)
    {
        if (Vector256.IsHardwareAccelerated)
        {
            Vector256<int> limit = Vector256.Create(threshold), negative = Vector256<int>.Zero;
            for (int i = 0; i < padded; i += 8)
                negative += Vector256.GreaterThan(Vector256.Load(items + i), limit);
            return -Vector256.Sum(negative);
        }
        Vector128<int> limit128 = Vector128.Create(threshold), negative128 = Vector128<int>.Zero;
        for (int i = 0; i < padded; i += 4)
            negative128 += Vector128.GreaterThan(Vector128.Load(items + i), limit128);
        return -Vector128.Sum(negative128);
    }
}
