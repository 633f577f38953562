using EdgeSlide.Hashing;
using EdgeSlide.Kernels;
using EdgeSlide.Model;
using EdgeSlide.Training.Export;
using EdgeSlide.Training.Tables;

namespace EdgeSlide.Training.Tuning;

/// <summary>Buckets cut down to what a setting keeps, in native memory as the engine reads them.</summary>
internal sealed unsafe class PrunedBuckets(NativeBuffer<uint> offsets, NativeBuffer<uint> entries)
{
    public long EntryCount => offsets.Span[^1];

    public long Bytes => (offsets.Length + EntryCount) * sizeof(uint);

    public BucketTable Table => new(new View<uint>(offsets.Pointer, offsets.Length), new View<uint>(entries.Pointer, EntryCount));

    public FrozenBuckets Freeze(float voteScale)
    {
        var frozen = new FrozenBuckets(offsets.Span.ToArray(), entries.Span.ToArray()[..(int)EntryCount], voteScale);
        // The buffers free their memory when nobody holds them.
        GC.KeepAlive(this);
        return frozen;
    }
}

/// <summary>
/// A source of candidates that a setting may use: its keys as they are, its buckets as full as they were built. Buckets hold
/// their largest votes first or in any other order; cutting keeps the largest, in the order that there was.
/// </summary>
internal sealed unsafe class TuningSource : IDisposable
{
    private readonly uint[] _offsets;
    private readonly uint[] _entries;
    private readonly NativeBuffer<byte>? _hash;
    private readonly int _inputs;
    private uint[]? _scratch;

    private TuningSource(string name, SourceRecord record, uint[] offsets, uint[] entries, ReadOnlySpan<byte> hash, int inputs)
    {
        Name = name;
        Record = record;
        _offsets = offsets;
        _entries = entries;
        _inputs = inputs;
        if (!hash.IsEmpty)
        {
            _hash = new NativeBuffer<byte>(hash.Length);
            hash.CopyTo(_hash.Span);
        }
        for (int key = 0; key < offsets.Length - 1; key++)
            LargestBucket = Math.Max(LargestBucket, (int)(offsets[key + 1] - offsets[key]));
    }

    public string Name { get; }

    public SourceRecord Record { get; }

    public int LargestBucket { get; }

    /// <summary>Bytes of hash parameters in a file.</summary>
    public long HashBytes => _hash?.Length ?? 0;

    /// <summary>A source of an opened model.</summary>
    public static TuningSource Of(EdgeSlideModel model, int layer, int part)
    {
        CandidateSource source = model.Layout.Output.Selector!.Sources[part];
        ReadOnlySpan<byte> hash = source.Record.Kind == SourceKind.Features ? default : model.File.GetAll<byte>(SectionKind.HashPlanes, layer, part).Span;
        return new TuningSource(Describe(source.Record), source.Record,
            new ReadOnlySpan<uint>(source.Buckets.Offsets, source.Buckets.KeyCount + 1).ToArray(),
            new ReadOnlySpan<uint>(source.Buckets.Entries, checked((int)source.Buckets.EntryCount)).ToArray(), hash, model.Layout.Output.Inputs);
    }

    /// <summary>A source that was just built.</summary>
    /// <param name="note">Sets it apart from others of its kind.</param>
    /// <param name="neurons">[labels] the neuron that stands for each label; null where they are the same.</param>
    public static TuningSource Of(ExportedSource source, int inputs, string note, int[]? neurons)
    {
        uint[] entries = source.Buckets.Entries;
        if (neurons is not null)
            entries = Array.ConvertAll(entries, entry => BucketTable.Pack(neurons[entry >> BucketTable.VoteBits], (byte)entry));
        SourceRecord record = source.Record with { VoteScale = source.Buckets.VoteScale };
        ReadOnlySpan<byte> hash = source.Planes is not null ? System.Runtime.InteropServices.MemoryMarshal.AsBytes(source.Planes.AsSpan()) : source.Tree;
        return new TuningSource($"{Describe(record)}, {note}", record, source.Buckets.Offsets, entries, hash, inputs);
    }

    /// <summary>At most <paramref name="cap"/> entries a bucket, none whose stored vote is below <paramref name="minVote"/>.</summary>
    public PrunedBuckets Prune(int cap, int minVote)
    {
        var offsets = new NativeBuffer<uint>(_offsets.Length);
        _scratch ??= new uint[_entries.Length];
        Span<int> counts = stackalloc int[256];
        int kept = 0;
        for (int key = 0; key + 1 < _offsets.Length; key++)
        {
            ReadOnlySpan<uint> bucket = _entries.AsSpan((int)_offsets[key], (int)(_offsets[key + 1] - _offsets[key]));
            int threshold = minVote, atThreshold = int.MaxValue;
            if (bucket.Length > cap)
            {
                // The lowest vote that still has a place, and how many places are left for it.
                counts.Clear();
                foreach (uint entry in bucket)
                    counts[(int)(entry & 0xFF)]++;
                int vote = 255, left = cap;
                while (counts[vote] < left)
                    left -= counts[vote--];
                if (vote >= minVote)
                    (threshold, atThreshold) = (vote, left);
            }
            foreach (uint entry in bucket)
            {
                int vote = (int)(entry & 0xFF);
                if (vote < threshold || (vote == threshold && atThreshold-- <= 0))
                    continue;
                _scratch[kept++] = entry;
            }
            offsets.Pointer[key + 1] = (uint)kept;
        }
        var entries = new NativeBuffer<uint>(kept);
        _scratch.AsSpan(0, kept).CopyTo(entries.Span);
        return new PrunedBuckets(offsets, entries);
    }

    /// <summary>The source as an engine uses it.</summary>
    public CandidateSource Candidates(SourceSetting setting, PrunedBuckets buckets)
    {
        SourceRecord record = RecordFor(setting);
        SimHash simHash = default;
        CentroidTree? tree = null;
        if (record.Kind == SourceKind.SimHash)
            simHash = new SimHash(_inputs, (int)record.Tables, (int)record.Bits, (int)record.Rounds, new View<float>((float*)_hash!.Pointer, _hash.Length / sizeof(float)));
        else if (record.Kind == SourceKind.Centroids)
            tree = new CentroidTree(new View<byte>(_hash!.Pointer, _hash.Length), in record, _inputs);
        return new CandidateSource(record, buckets.Table, simHash, tree);
    }

    /// <summary>The source as a model file stores it.</summary>
    public ExportedSource Export(SourceSetting setting)
    {
        FrozenBuckets buckets = Prune(setting.Cap, setting.MinVote).Freeze(Record.VoteScale);
        return Record.Kind switch
        {
            SourceKind.SimHash => new ExportedSource(RecordFor(setting), buckets, System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(_hash!.Span).ToArray()),
            SourceKind.Centroids => new ExportedSource(RecordFor(setting), buckets, null, _hash!.Span.ToArray()),
            _ => new ExportedSource(RecordFor(setting), buckets, null),
        };
    }

    public void Dispose() => _hash?.Dispose();

    private SourceRecord RecordFor(SourceSetting setting) => Record with
    {
        Weight = Record.Weight * setting.Weight,
        Rounds = Record.Kind == SourceKind.Centroids ? (uint)setting.Beam : Record.Rounds,
    };

    private static string Describe(SourceRecord record) => record.Kind switch
    {
        SourceKind.SimHash => $"SimHash {record.Tables} x {record.Bits} bits",
        SourceKind.Centroids => $"centroid tree {record.Bits}^{record.Tables}",
        _ => "feature buckets",
    };
}
