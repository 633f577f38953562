using EdgeSlide.Model;

namespace EdgeSlide.Features;

/// <summary>
/// A frozen open-addressing hash table from n-gram hashes to feature ids. A slot is 0 when empty, else the hash's low 40
/// bits in the slot's high 40 and id + 1 in its low 24; the search starts at the hash's high bits and walks on. An unknown
/// n-gram is taken for a known one with a probability of about 2^-39.
/// </summary>
internal readonly unsafe struct VocabularyIndex(View<ulong> slots)
{
    public const int MaxSize = (1 << 24) - 1;
    private const int IdBits = 24;
    private const ulong IdMask = (1UL << IdBits) - 1;

    public bool IsEmpty => slots.IsEmpty;

    public ulong[] ToArray() => slots.Span.ToArray();

    /// <summary>The id of the n-gram, or -1.</summary>
    public int Find(ulong hash)
    {
        ulong* table = slots.Pointer;
        int count = (int)slots.Length;
        int slot = TokenHash.Reduce(hash, count);
        ulong fingerprint = hash << IdBits;
        while (true)
        {
            ulong entry = table[slot];
            if (entry == 0)
                return -1;
            if ((entry & ~IdMask) == fingerprint)
                return (int)(entry & IdMask) - 1;
            if (++slot == count)
                slot = 0;
        }
    }

    /// <summary>Where the search for a hash begins; for prefetching.</summary>
    public ulong* SlotOf(ulong hash) => slots.Pointer + TokenHash.Reduce(hash, (int)slots.Length);

    /// <summary>Builds the slots for distinct hashes, the hash at index i having id i, at a load of three quarters.</summary>
    /// <exception cref="ArgumentException">Two n-grams cannot be told apart: choose another seed.</exception>
    public static ulong[] Build(ReadOnlySpan<ulong> hashes)
    {
        if (hashes.Length > MaxSize)
            throw new ArgumentException($"a vocabulary has at most {MaxSize} entries");
        var table = new ulong[hashes.Length + hashes.Length / 3 + 1];
        for (int id = 0; id < hashes.Length; id++)
        {
            int slot = TokenHash.Reduce(hashes[id], table.Length);
            ulong fingerprint = hashes[id] << IdBits;
            while (table[slot] != 0)
            {
                if ((table[slot] & ~IdMask) == fingerprint)
                    throw new ArgumentException("two n-grams of the vocabulary have the same hash; use another seed");
                if (++slot == table.Length)
                    slot = 0;
            }
            table[slot] = fingerprint | (uint)(id + 1);
        }
        return table;
    }

    /// <summary>True if every id is in range and a search always ends.</summary>
    public bool IsConsistent(int size)
    {
        bool hasEmpty = false;
        foreach (ulong entry in slots.Span)
        {
            hasEmpty |= entry == 0;
            if (entry != 0 && (entry & IdMask) - 1 >= (ulong)size)
                return false;
        }
        return hasEmpty;
    }
}
