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

    public uint Length(int key) => Offsets[key + 1] - Offsets[key];

    public static uint Pack(int id, byte vote) => (uint)id << VoteBits | vote;

    /// <summary>The byte that stands for a vote of at most <paramref name="scale"/>; at least 1 for any positive vote.</summary>
    public static byte EncodeVote(float vote, float scale) => (byte)Math.Clamp(MathF.Round(255f * MathF.Sqrt(vote / scale)), 1f, 255f);

    public static void DecodeVotes(float scale, Span<float> values)
    {
        for (int b = 0; b < 256; b++)
            values[b] = scale * (b * b / 65025f);
    }
}
