using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using EdgeSlide.Model;

namespace EdgeSlide.Hashing;

/// <summary>
/// Frozen buckets in compressed sparse row form: key k owns entries offsets[k] to offsets[k + 1]. An entry is a neuron's
/// id in the high 24 bits and its vote in the low 8; a vote b stands for scale * (b / 255)^2, which keeps small votes
/// apart.
/// </summary>
internal readonly unsafe struct BucketTable(View<uint> offsets, View<uint> entries)
{
    public readonly uint* Offsets = offsets.Pointer;
    public readonly uint* Entries = entries.Pointer;
    public readonly int KeyCount = (int)(offsets.Length - 1);

    public long EntryCount => entries.Length;

    public const int VoteBits = 8;

    /// <summary>Of all sources of a layer together: a query may open every bucket, and what it opens must be counted in 32 bits.</summary>
    public const int MaxEntries = 1 << 30;

    /// <summary>Null if a query can open all entries of a layer's sources, else how many there are.</summary>
    public static long? TooMany(ReadOnlySpan<long> entryCounts)
    {
        long all = 0;
        foreach (long count in entryCounts)
            all += count;
        return all > MaxEntries ? all : null;
    }

    public static uint Pack(int id, byte vote) => (uint)id << VoteBits | vote;

    /// <summary>The byte that stands for a vote of at most <paramref name="scale"/>; at least 1 for any positive vote.</summary>
    public static byte EncodeVote(float vote, float scale) => (byte)Math.Clamp(MathF.Round(255f * MathF.Sqrt(vote / scale)), 1f, 255f);

    /// <summary>Entries that <see cref="DecodeBlock"/> takes at a time.</summary>
    public const int Block = 8;

    /// <summary>
    /// Writes a block of entries' neurons and votes, each weight * (scale * (b / 255)^2): the same bits as one by one. What is
    /// no number (infinity times 0) is no vote.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void DecodeBlock(uint* entries, float weight, float scale, uint* neurons, float* votes)
    {
        if (Vector256.IsHardwareAccelerated)
        {
            Vector256<uint> block = Vector256.Load(entries);
            (block >> VoteBits).Store(neurons);
            Vector256<float> root = Vector256.ConvertToSingle((block & Vector256.Create((1u << VoteBits) - 1)).AsInt32());
            Vector256<float> vote = Vector256.Create(weight) * (Vector256.Create(scale) * (root * root / Vector256.Create(65025f)));
            (vote & Vector256.GreaterThan(vote, Vector256<float>.Zero)).Store(votes);
            return;
        }
        for (int i = 0; i < Block; i += 4)
        {
            Vector128<uint> block = Vector128.Load(entries + i);
            (block >> VoteBits).Store(neurons + i);
            Vector128<float> root = Vector128.ConvertToSingle((block & Vector128.Create((1u << VoteBits) - 1)).AsInt32());
            Vector128<float> vote = Vector128.Create(weight) * (Vector128.Create(scale) * (root * root / Vector128.Create(65025f)));
            (vote & Vector128.GreaterThan(vote, Vector128<float>.Zero)).Store(votes + i);
        }
    }

    /// <summary>As <see cref="DecodeBlock"/>, for a whole bucket that ends where the table does, or close to it.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static void DecodeOneByOne(uint* entry, int length, float weight, float scale, uint* neurons, float* votes)
    {
        for (int i = 0; i < length; i++)
        {
            int root = (int)(entry[i] & ((1u << VoteBits) - 1));
            neurons[i] = entry[i] >> VoteBits;
            float vote = weight * (scale * (root * root / 65025f));
            votes[i] = vote > 0f ? vote : 0f;
        }
    }

    public static void DecodeVotes(float scale, Span<float> values)
    {
        for (int b = 0; b < 256; b++)
            values[b] = scale * (b * b / 65025f);
    }
}
