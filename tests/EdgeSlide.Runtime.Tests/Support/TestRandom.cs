namespace EdgeSlide.Runtime.Tests.Support;

/// <summary>SplitMix64: the same numbers on every machine and framework, because files and answers are pinned to them.</summary>
internal sealed class TestRandom(ulong seed)
{
    private ulong _state = seed;

    public ulong Next()
    {
        ulong x = _state += 0x9E3779B97F4A7C15;
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
        return x ^ (x >> 31);
    }

    public int Below(int limit) => (int)(Next() % (ulong)limit);

    public float Float(float low, float high) => low + (high - low) * ((Next() >> 40) * (1f / (1 << 24)));

    public bool Chance(int percent) => Below(100) < percent;
}
