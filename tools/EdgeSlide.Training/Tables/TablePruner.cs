using EdgeSlide.Model;
using EdgeSlide.Training.Export;

namespace EdgeSlide.Training.Tables;

/// <summary>
/// Keeps a selector's tables within a number of bytes: of all sources together, the entries go that add least to the votes of
/// the training rows, which is what an entry's stored vote times the weight with which rows open its key adds up to.
/// </summary>
internal static class TablePruner
{
    /// <summary>The bytes of entries, which can be dropped; offsets and hash parameters cannot.</summary>
    public static long EntryBytes(ExportedSelector selector) => selector.Sources.Sum(s => (long)s.Buckets.Entries.Length) * sizeof(uint);

    /// <summary>What a model's tables take of its file, as `edgeslide info` counts it.</summary>
    public static long StoredBytes(EdgeSlideModel model) => model.File.Sections
        .Where(s => s.Kind is SectionKind.Selector or SectionKind.HashPlanes or SectionKind.BucketOffsets or SectionKind.BucketEntries).Sum(s => s.Length);

    /// <summary>The selector whose tables take at most a share of the model file at <paramref name="path"/>, which holds all of it.</summary>
    /// <param name="share">0 for no limit.</param>
    public static (ExportedSelector Selector, TableReport Report) LimitShare(string path, ExportedSelector selector, double share)
    {
        using EdgeSlideModel model = EdgeSlideModel.Open(path, verifyChecksums: false);
        long tables = StoredBytes(model);
        if (share == 0 || tables <= share * model.File.Length)
            return (selector, new TableReport(tables, tables, null, Missed: false));
        // Padding may shrink with the tables, by less than an alignment for each section.
        long rest = model.File.Length - tables - (long)ModelFormat.Alignment * model.File.Sections.Count;
        long entries = EntryBytes(selector), allowed = (long)(share / (1 - share) * rest) - (tables - entries);
        if (allowed <= 0)
            return (selector, new TableReport(tables, tables, null, Missed: true));
        ExportedSelector limited = Limit(selector, allowed);
        return (limited, new TableReport(tables, tables - entries + EntryBytes(limited), null, Missed: false));
    }

    /// <summary>The selector with at most this many bytes of entries; itself if it has no more.</summary>
    public static ExportedSelector Limit(ExportedSelector selector, long entryBytes)
    {
        long wanted = Math.Max(0, entryBytes) / sizeof(uint), total = EntryBytes(selector) / sizeof(uint);
        if (total <= wanted)
            return selector;
        float[][] worth = [.. selector.Sources.Select(Worth)];
        float[] sorted = [.. worth.SelectMany(w => w)];
        Array.Sort(sorted);
        // What is worth more than this stays; of what is worth as much, the first ones do, until the room is full.
        float threshold = sorted[total - wanted - 1];
        long tied = wanted - (total - FirstAbove(sorted, threshold));
        return selector with { Sources = [.. selector.Sources.Select((source, s) => source with { Buckets = Keep(source.Buckets, worth[s], threshold, ref tied) })] };
    }

    private static float[] Worth(ExportedSource source)
    {
        FrozenBuckets buckets = source.Buckets;
        var worth = new float[buckets.Entries.Length];
        var values = new float[256];
        Hashing.BucketTable.DecodeVotes(buckets.VoteScale * source.Record.Weight, values);
        for (int key = 0; key < buckets.Offsets.Length - 1; key++)
        {
            float weight = buckets.KeyWeights is { } weights ? weights[key] : 1f;
            for (uint i = buckets.Offsets[key]; i < buckets.Offsets[key + 1]; i++)
                worth[i] = weight * values[buckets.Entries[i] & 0xFF];
        }
        return worth;
    }

    private static long FirstAbove(float[] sorted, float threshold)
    {
        int low = 0, high = sorted.Length;
        while (low < high)
        {
            int middle = low + (high - low) / 2;
            (low, high) = sorted[middle] > threshold ? (low, middle) : (middle + 1, high);
        }
        return low;
    }

    private static FrozenBuckets Keep(FrozenBuckets buckets, float[] worth, float threshold, ref long tied)
    {
        var offsets = new uint[buckets.Offsets.Length];
        var entries = new List<uint>(buckets.Entries.Length);
        for (int key = 0; key < offsets.Length - 1; key++)
        {
            for (uint i = buckets.Offsets[key]; i < buckets.Offsets[key + 1]; i++)
            {
                if (worth[i] > threshold || (worth[i] == threshold && tied-- > 0))
                    entries.Add(buckets.Entries[i]);
            }
            offsets[key + 1] = (uint)entries.Count;
        }
        return buckets with { Offsets = offsets, Entries = [.. entries] };
    }
}
