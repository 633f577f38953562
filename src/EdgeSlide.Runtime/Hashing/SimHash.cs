using System.Numerics;
using System.Runtime.Intrinsics;
using EdgeSlide.Model;

namespace EdgeSlide.Hashing;

/// <summary>
/// SimHash (Charikar 2002) of a mean-centred vector: K sign bits in each of L tables. The random directions are two
/// rounds of sign flips and Hadamard transforms, so all bits of one round cost 2 d log2 d additions.
/// </summary>
internal readonly unsafe struct SimHash
{
    public const int MaxBits = 20;

    private readonly int _inputs;
    private readonly float* _mean;
    private readonly float* _signs;

    public SimHash(int inputs, int tables, int bits, int rounds, View<float> planes)
    {
        _inputs = inputs;
        Tables = tables;
        Bits = bits;
        Rounds = rounds;
        Dimensions = PaddedDimensions(inputs);
        _mean = planes.Pointer;
        _signs = planes.Pointer + Dimensions;
    }

    public int Tables { get; }

    public int Bits { get; }

    public int Rounds { get; }

    public int Dimensions { get; }

    public int KeyCount => Tables << Bits;

    /// <summary>Additions and sign multiplications of one hashing, counted as multiplications wherever cost is reported.</summary>
    public long Operations => Rounds * (long)Dimensions * (2 * BitOperations.Log2((uint)Dimensions) + 2);

    public static int PaddedDimensions(int inputs) => (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(inputs, 64));

    public static int RoundsFor(int inputs, int tables, int bits) => (tables * bits + PaddedDimensions(inputs) - 1) / PaddedDimensions(inputs);

    /// <summary>Number of floats in the HASH section: the mean, then two sign vectors per round.</summary>
    public static long PlaneLength(int inputs, int rounds) => PaddedDimensions(inputs) * (1 + 2L * rounds);

    /// <summary>
    /// One key per table: table * 2^K + code. <paramref name="scratch"/> has <see cref="Dimensions"/> floats;
    /// <paramref name="x"/> has as many inputs as the layer, zero-padded to <see cref="Dimensions"/>.
    /// </summary>
    public void Keys(float* x, float* scratch, int* keys)
    {
        int produced = 0, table = 0, code = 0, bit = 0;
        for (int round = 0; round < Rounds; round++)
        {
            float* first = _signs + 2L * round * Dimensions;
            for (int i = 0; i < Dimensions; i += 4)
                ((Vector128.Load(x + i) - Vector128.Load(_mean + i)) * Vector128.Load(first + i)).Store(scratch + i);
            Hadamard.Transform(scratch, Dimensions);
            float* second = first + Dimensions;
            for (int i = 0; i < Dimensions; i += 4)
                (Vector128.Load(scratch + i) * Vector128.Load(second + i)).Store(scratch + i);
            Hadamard.Transform(scratch, Dimensions);
            for (int i = 0; i < Dimensions && produced < Tables * Bits; i++, produced++)
            {
                code = code << 1 | (scratch[i] > 0f ? 1 : 0);
                if (++bit == Bits)
                {
                    keys[table] = table << Bits | code;
                    table++;
                    bit = code = 0;
                }
            }
        }
    }

    /// <summary>Planes for a mean vector and a seed: the contents of the HASH section.</summary>
    public static float[] CreatePlanes(ReadOnlySpan<float> mean, int rounds, ulong seed)
    {
        var planes = new float[PlaneLength(mean.Length, rounds)];
        mean.CopyTo(planes);
        ulong state = seed;
        for (int i = PaddedDimensions(mean.Length); i < planes.Length; i++)
        {
            state += 0x9E3779B97F4A7C15;
            planes[i] = (Features.TokenHash.Mix(state) & 1) == 0 ? 1f : -1f;
        }
        return planes;
    }
}
