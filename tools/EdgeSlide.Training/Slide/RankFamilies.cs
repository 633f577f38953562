using EdgeSlide.Training.Training;

namespace EdgeSlide.Training.Slide;

/// <summary>Permutations of the elements, cut into bins of 8; a bin's winner is the place of its largest element.</summary>
internal sealed class PermutedBins
{
    public const int BinSize = 8, BinBits = 3;

    /// <summary>[permutations][dimensions] bin x 8 + place of an element, or -1 if beyond the last code.</summary>
    public readonly int[] Slot;

    /// <summary>[codes x 8] element at a place, or -1.</summary>
    public readonly int[] Element;

    public PermutedBins(int dimensions, int codes, ulong seed)
    {
        // Whole bins only: a bin that spans two permutations could hold an element twice.
        int perPermutation = Math.Max(1, dimensions / BinSize);
        Permutations = (codes + perPermutation - 1) / perPermutation;
        Slot = new int[Permutations * dimensions];
        Array.Fill(Slot, -1);
        Element = new int[codes * BinSize];
        Array.Fill(Element, -1);
        var order = new int[dimensions];
        for (int p = 0; p < Permutations; p++)
        {
            for (int i = 0; i < dimensions; i++)
                order[i] = i;
            Noise.Shuffle(order, Noise.Seed(seed, 3, (ulong)p));
            for (int place = 0; place < Math.Min(dimensions, perPermutation * BinSize); place++)
            {
                int slot = (p * perPermutation * BinSize) + place;
                if (slot >= Element.Length)
                    break;
                Slot[(p * dimensions) + order[place]] = slot;
                Element[slot] = order[place];
            }
        }
    }

    public int Permutations { get; }
}

/// <summary>
/// Winner-take-all hashing: the place of the largest of 8 randomly chosen elements, absent ones being 0 (Yagnik,
/// Strelow, Ross and Lin 2011, "The Power of Comparative Reasoning"). Depends on the ranks of elements only.
/// </summary>
internal sealed unsafe class WtaFamily(int dimensions, int codes, ulong seed) : HashFamily(dimensions, codes)
{
    private readonly PermutedBins _bins = new(dimensions, codes, seed);

    public override int CodeBits => PermutedBins.BinBits;

    public override int ScratchLength => Dimensions;

    public override long Operations(int count) => (long)Codes * PermutedBins.BinSize;

    public override void Hash(int* ids, float* values, int count, float* scratch, int* codes)
    {
        Scatter(ids, values, count, scratch, Dimensions);
        for (int j = 0; j < Codes; j++)
        {
            float best = float.NegativeInfinity;
            for (int place = 0; place < PermutedBins.BinSize; place++)
            {
                int element = _bins.Element[(j * PermutedBins.BinSize) + place];
                if (element >= 0 && scratch[element] > best)
                    (best, codes[j]) = (scratch[element], place);
            }
        }
    }
}

/// <summary>
/// Densified winner-take-all hashing (Chen and Shrivastava 2018): only non-zero elements compete, and a bin without any
/// borrows the winner of another bin that a hash names, so that sparse vectors do not collide by being empty.
/// </summary>
internal sealed unsafe class DensifiedWtaFamily(int dimensions, int codes, ulong seed) : HashFamily(dimensions, codes)
{
    private readonly PermutedBins _bins = new(dimensions, codes, seed);
    private readonly ulong _seed = Noise.Seed(seed, 4, 0);

    public override int CodeBits => PermutedBins.BinBits;

    public override int ScratchLength => Codes;

    public override long Operations(int count) => ((long)count * _bins.Permutations) + Codes;

    public override void Hash(int* ids, float* values, int count, float* scratch, int* codes)
    {
        new Span<int>(codes, Codes).Fill(-1);
        for (int p = 0; p < _bins.Permutations; p++)
        {
            ReadOnlySpan<int> slots = _bins.Slot.AsSpan(p * Dimensions, Dimensions);
            for (int i = 0; i < count; i++)
            {
                int slot = slots[ids == null ? i : ids[i]];
                if (slot < 0 || values[i] == 0)
                    continue;
                int bin = slot / PermutedBins.BinSize;
                if (codes[bin] < 0 || values[i] > scratch[bin])
                    (scratch[bin], codes[bin]) = (values[i], slot % PermutedBins.BinSize);
            }
        }
        Densification.Fill(codes, (int*)scratch, Codes, _seed);
    }
}

/// <summary>
/// Densified one permutation hashing: each bin of one permutation keeps its smallest element, empty bins borrow; two
/// sets agree with the probability of their Jaccard similarity (Shrivastava 2017, "Optimal Densification for Fast and
/// Accurate Minwise Hashing"). A vector's set is its non-zero elements, at most the 30 largest as in SLIDE.
/// </summary>
internal sealed unsafe class MinHashFamily(int dimensions, int codes, ulong seed) : HashFamily(dimensions, codes)
{
    public const int SetSize = 30;

    private readonly ulong _seed = Noise.Seed(seed, 5, 0);

    public override int CodeBits => 31;

    public override int ScratchLength => Codes + (2 * SetSize);

    public override long Operations(int count) => count + ((long)SetSize * 2) + Codes;

    public override void Hash(int* ids, float* values, int count, float* scratch, int* codes)
    {
        float* sizes = scratch + Codes;
        int* chosen = (int*)(sizes + SetSize);
        int kept = 0;
        for (int i = 0; i < count; i++)
        {
            if (values[i] == 0 || (kept == SetSize && values[i] <= sizes[SetSize - 1]))
                continue;
            int place = kept < SetSize ? kept++ : SetSize - 1;
            for (; place > 0 && sizes[place - 1] < values[i]; place--)
                (sizes[place], chosen[place]) = (sizes[place - 1], chosen[place - 1]);
            (sizes[place], chosen[place]) = (values[i], ids == null ? i : ids[i]);
        }
        new Span<int>(codes, Codes).Fill(-1);
        for (int i = 0; i < kept; i++)
        {
            ulong random = Noise.Mix(_seed ^ (ulong)chosen[i]);
            int bin = Noise.Below(random, Codes), rank = (int)(random & int.MaxValue);
            if (codes[bin] < 0 || rank < codes[bin])
                codes[bin] = rank;
        }
        Densification.Fill(codes, (int*)scratch, Codes, _seed);
    }
}

internal static unsafe class Densification
{
    /// <summary>Replaces each -1 by the code of a non-empty bin that depends on the bin and the attempt only.</summary>
    public static void Fill(int* codes, int* copy, int count, ulong seed)
    {
        new ReadOnlySpan<int>(codes, count).CopyTo(new Span<int>(copy, count));
        if (new ReadOnlySpan<int>(copy, count).IndexOfAnyExcept(-1) < 0)
        {
            new Span<int>(codes, count).Clear();
            return;
        }
        for (int i = 0; i < count; i++)
        {
            for (uint attempt = 1; codes[i] < 0; attempt++)
                codes[i] = copy[Noise.Below(Noise.Mix(seed ^ ((ulong)i << 32) ^ attempt), count)];
        }
    }
}
