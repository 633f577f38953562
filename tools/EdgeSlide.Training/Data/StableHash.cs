using System.Buffers.Binary;

namespace EdgeSlide.Training.Data;

/// <summary>
/// A 64-bit hash whose value is part of what a split means: the same bytes and seed give the same hash on every machine
/// and in every release. (string.GetHashCode and HashCode are randomized per process.)
/// </summary>
internal static class StableHash
{
    public static ulong Compute(ReadOnlySpan<byte> bytes, ulong seed = 0)
    {
        ulong hash = Add(seed, (ulong)bytes.Length);
        while (bytes.Length >= sizeof(ulong))
        {
            hash = Add(hash, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
            bytes = bytes[sizeof(ulong)..];
        }
        if (bytes.Length > 0)
        {
            ulong tail = 0;
            for (int i = 0; i < bytes.Length; i++) tail |= (ulong)bytes[i] << (8 * i);
            hash = Add(hash, tail);
        }
        return hash;
    }

    /// <summary>Chains one more value onto a hash: the SplitMix64 finalizer over the difference.</summary>
    public static ulong Add(ulong hash, ulong value) => Mix((hash ^ value) + 0x9E3779B97F4A7C15);

    /// <summary>The SplitMix64 finalizer: a bijection in which every input bit reaches every output bit.</summary>
    public static ulong Mix(ulong z)
    {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

    /// <summary>Maps a hash to [0, 1), evenly and exactly.</summary>
    public static double ToFraction(ulong hash) => (hash >> 11) * (1.0 / (1UL << 53));
}
