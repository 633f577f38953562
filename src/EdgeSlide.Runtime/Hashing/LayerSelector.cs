using EdgeSlide.Model;

namespace EdgeSlide.Hashing;

/// <summary>Where keys come from and the buckets that they open.</summary>
internal readonly struct CandidateSource(SourceRecord record, BucketTable buckets, SimHash simHash, CentroidTree? tree)
{
    public readonly SourceRecord Record = record;
    public readonly BucketTable Buckets = buckets;
    public readonly SimHash SimHash = simHash;
    public readonly CentroidTree? Tree = tree;

    /// <summary>What the largest stored vote is worth.</summary>
    public readonly float VoteScale = record.VoteScale * record.Weight;
}

/// <summary>
/// Finds a layer's most active neurons without evaluating the others: the query's keys open buckets, the buckets' entries
/// vote, the neurons with most votes are evaluated. Buckets hold what such queries were seen to activate in training
/// (the idea of LSS, 2007.01230, and Learning to Screen, ICLR 2019; adding votes over tables as in MACH, 1910.13830).
/// Immutable; the votes of a query live in a <see cref="Ballot"/>.
/// </summary>
internal sealed unsafe class LayerSelector
{
    public const int MaxBudget = 4096;
    public const int MaxTables = 256;

    private LayerSelector(SelectorHeader header, CandidateSource[] sources)
    {
        Budget = (int)header.Budget;
        VoteBlend = header.VoteBlend;
        Pays = header.Pays != 0;
        Sources = sources;
        foreach (CandidateSource source in sources)
            MaxSimHashTables = Math.Max(MaxSimHashTables, source.Record.Kind == SourceKind.SimHash ? source.SimHash.Tables : 0);
        NeedsHidden = Array.Exists(sources, s => s.Record.Kind != SourceKind.Features);
    }

    public int Budget { get; }

    public float VoteBlend { get; }

    /// <summary>True if selection was faster than evaluating every neuron when the model was built.</summary>
    public bool Pays { get; }

    public CandidateSource[] Sources { get; }

    /// <summary>True if a source hashes the layer's input, so that the vote must wait for it.</summary>
    public bool NeedsHidden { get; }

    public int MaxSimHashTables { get; }

    /// <summary>Reads and checks the selector of one layer; <paramref name="adjust"/> changes the stored settings, for tuning.</summary>
    public static LayerSelector Load(ModelFile file, int layer, int inputs, int outputs, int featureCount, Func<SelectorHeader, SelectorHeader>? adjust)
    {
        SelectorHeader header = file.GetRecord<SelectorHeader>(SectionKind.Selector, layer, out ReadOnlySpan<byte> rest);
        header = adjust?.Invoke(header) ?? header;
        if (header.SourceCount is 0 or > ModelFormat.MaxSources || header.Budget is 0 or > MaxBudget || header.Pays > 1 || header.Reserved0 != 0 || header.Reserved1 != 0)
            throw file.Error(ModelError.BadHash, $"layer {layer}: a selector with {header.SourceCount} sources and a budget of {header.Budget} is impossible");
        if (!float.IsFinite(header.VoteBlend) || header.VoteBlend < 0f)
            throw file.Error(ModelError.BadNumber, $"layer {layer}: the vote blend is not a usable number");
        if (rest.Length != (int)header.SourceCount * sizeof(SourceRecord))
            throw file.Error(ModelError.WrongSectionSize, $"section SELE[{layer}] has the wrong size");
        ReadOnlySpan<SourceRecord> records = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, SourceRecord>(rest);
        var sources = new CandidateSource[records.Length];
        var counts = new long[records.Length];
        for (int part = 0; part < sources.Length; part++)
        {
            sources[part] = LoadSource(file, layer, part, records[part], inputs, outputs, featureCount);
            counts[part] = sources[part].Buckets.EntryCount;
        }
        if (BucketTable.TooMany(counts) is { } entries)
            throw file.Error(ModelError.BadBucketOffsets, $"layer {layer}: {entries} bucket entries are more than {BucketTable.MaxEntries}");
        return new LayerSelector(header, sources);
    }

    /// <summary>A selector of parts that were checked when they were loaded or built, for tuning.</summary>
    public static LayerSelector Of(int budget, float voteBlend, CandidateSource[] sources) =>
        new(new SelectorHeader { Budget = (uint)budget, SourceCount = (uint)sources.Length, VoteBlend = voteBlend, Pays = 1 }, sources);

    private static CandidateSource LoadSource(ModelFile file, int layer, int part, SourceRecord record, int inputs, int outputs, int featureCount)
    {
        string where = $"layer {layer}, source {part}";
        if (!float.IsFinite(record.Weight) || !float.IsFinite(record.VoteScale) || !(record.Weight > 0f) || !(record.VoteScale > 0f) || !float.IsFinite(record.Weight * record.VoteScale))
            throw file.Error(ModelError.BadNumber, $"{where}: the vote scale is not a usable number");
        if (record.Reserved != 0)
            throw file.Error(ModelError.BadHash, $"{where}: reserved bytes are not zero");
        SimHash simHash = default;
        CentroidTree? tree = null;
        switch (record.Kind)
        {
            case SourceKind.Features when record.KeyCount == (uint)featureCount && record is { Tables: 1, Bits: 0, Rounds: 0 }:
                break;
            case SourceKind.SimHash when record.Tables is >= 1 and <= MaxTables && record.Bits is >= 1 and <= SimHash.MaxBits
                && record.KeyCount == record.Tables << (int)record.Bits
                && record.Rounds == SimHash.RoundsFor(inputs, (int)record.Tables, (int)record.Bits):
                View<float> planes = file.Get<float>(SectionKind.HashPlanes, layer, part, SimHash.PlaneLength(inputs, (int)record.Rounds));
                int dimensions = SimHash.PaddedDimensions(inputs);
                for (int i = 0; i < (int)planes.Length; i++)
                {
                    float value = planes.Pointer[i];
                    if (i < inputs ? !float.IsFinite(value) : i < dimensions ? value != 0f : MathF.Abs(value) != 1f)
                        throw file.Error(ModelError.BadHash, $"{where}: hash plane value {i} is impossible");
                }
                simHash = new SimHash(inputs, (int)record.Tables, (int)record.Bits, (int)record.Rounds, planes);
                break;
            case SourceKind.Centroids when record.Tables is >= 1 and <= CentroidTree.MaxLevels && record.Bits is >= 2 and <= CentroidTree.MaxBranch
                && record.Rounds is >= 1 and <= CentroidTree.MaxBeam
                && CentroidTree.NodeCount((int)record.Bits, (int)record.Tables) is > 0 and int nodes && record.KeyCount == (uint)nodes:
                View<byte> centres = file.Get<byte>(SectionKind.HashPlanes, layer, part, CentroidTree.SectionLength(inputs, nodes));
                if (CentroidTree.Problem(centres, nodes, inputs) is { } problem)
                    throw file.Error(ModelError.BadHash, $"{where}: {problem}");
                tree = new CentroidTree(centres, in record, inputs);
                break;
            default:
                throw file.Error(ModelError.BadHash, $"{where}: impossible hash parameters (kind {(uint)record.Kind}, {record.KeyCount} keys, K={record.Bits}, L={record.Tables})");
        }

        View<uint> offsets = file.Get<uint>(SectionKind.BucketOffsets, layer, part, record.KeyCount + 1L);
        View<uint> entries = file.GetAll<uint>(SectionKind.BucketEntries, layer, part);
        uint previous = 0, descents = offsets.Pointer[0];
        foreach (uint offset in offsets.Span)
        {
            descents |= offset < previous ? 1u : 0u;
            previous = offset;
        }
        if (descents != 0 || previous != entries.Length)
            throw file.Error(ModelError.BadBucketOffsets, $"{where}: bucket offsets do not ascend from 0 to {entries.Length}");
        uint largest = 0;
        for (long i = 0; i < entries.Length; i++)
            largest = Math.Max(largest, entries.Pointer[i] >> BucketTable.VoteBits);
        if (entries.Length > 0 && largest >= (uint)outputs)
            throw file.Error(ModelError.BadNeuronId, $"{where}: a bucket names neuron {largest}, but the layer has {outputs}");
        return new CandidateSource(record, new BucketTable(offsets, entries), simHash, tree);
    }
}
