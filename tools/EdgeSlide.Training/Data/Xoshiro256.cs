using System.Numerics;

namespace EdgeSlide.Training.Data;

/// <summary>
/// xoshiro256** (Blackman and Vigna), seeded through SplitMix64. Integer arithmetic only, so that a seed gives the same
/// corpus on every machine and runtime; System.Random promises that for no two releases.
/// </summary>
internal sealed class Xoshiro256
{
    private ulong _s0, _s1, _s2, _s3;

    public Xoshiro256(ulong seed)
    {
        _s0 = Seed(ref seed);
        _s1 = Seed(ref seed);
        _s2 = Seed(ref seed);
        _s3 = Seed(ref seed);

        static ulong Seed(ref ulong state) => StableHash.Mix(state += 0x9E3779B97F4A7C15);
    }

    public ulong Next()
    {
        ulong result = BitOperations.RotateLeft(_s1 * 5, 7) * 9;
        ulong t = _s1 << 17;
        _s2 ^= _s0;
        _s3 ^= _s1;
        _s1 ^= _s2;
        _s0 ^= _s3;
        _s2 ^= t;
        _s3 = BitOperations.RotateLeft(_s3, 45);
        return result;
    }

    /// <summary>A number in [0, bound). The bias of the multiply-shift, bound / 2^64, is far below anything observable here.</summary>
    public ulong Below(ulong bound) => Math.BigMul(Next(), bound, out _);

    public int Below(int bound) => (int)Below((ulong)bound);

    /// <summary>True in <paramref name="percent"/> of 100 cases.</summary>
    public bool Chance(int percent) => Below(100) < percent;

    public void Shuffle<T>(Span<T> items)
    {
        for (int i = items.Length - 1; i > 0; i--)
        {
            int j = Below(i + 1);
            (items[i], items[j]) = (items[j], items[i]);
        }
    }
}
