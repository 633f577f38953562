using System.Runtime.CompilerServices;

namespace EdgeSlide.Training.Training;

/// <summary>
/// Counter-based pseudo-randomness (SplitMix64): a number is a function of a seed and a position, never of the order of
/// calls. Threads need no generator of their own, and a resumed run has nothing to restore.
/// </summary>
internal static class Noise
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static ulong Mix(ulong x)
    {
        x += 0x9E3779B97F4A7C15;
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
        return x ^ (x >> 31);
    }

    internal static ulong Seed(ulong seed, ulong stream, ulong position) => Mix(Mix(seed + (stream << 56)) ^ Mix(position));

    /// <summary>Maps a random word to [0, bound) without a division.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static int Below(ulong random, int bound) => (int)(((random >> 32) * (ulong)bound) >> 32);

    /// <summary>Fisher-Yates shuffle.</summary>
    internal static void Shuffle(Span<int> items, ulong seed)
    {
        for (int i = items.Length - 1; i > 0; i--)
        {
            int j = Below(Mix(seed + (ulong)i), i + 1);
            (items[i], items[j]) = (items[j], items[i]);
        }
    }

    /// <summary>Approximately normal: the sum of 4 uniform numbers, scaled to variance 1.</summary>
    internal static float Normal(ulong random)
    {
        ulong r = Mix(random);
        int sum = (int)(r & 0xFFFF) + (int)((r >> 16) & 0xFFFF) + (int)((r >> 32) & 0xFFFF) + (int)(r >> 48);
        return (sum - 131070) * (1.7320508f / 65536f);
    }
}
