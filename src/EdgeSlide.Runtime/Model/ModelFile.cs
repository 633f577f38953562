using System.Globalization;
using System.Runtime.CompilerServices;

namespace EdgeSlide.Model;

/// <summary>A section's place in the mapped file.</summary>
internal sealed record Section(SectionKind Kind, int Layer, int Part, long Offset, long Length, uint Checksum)
{
    /// <summary>True once somebody asked for it.</summary>
    public bool IsUsed { get; set; }

    public string Name => Part != 0 || Kind is SectionKind.BucketOffsets or SectionKind.BucketEntries or SectionKind.HashPlanes
        ? string.Create(CultureInfo.InvariantCulture, $"{SectionKinds.Code(Kind)}[{Layer},{Part}]")
        : string.Create(CultureInfo.InvariantCulture, $"{SectionKinds.Code(Kind)}[{Layer}]");
}

/// <summary>A typed window on the mapped file. Valid as long as the model is open.</summary>
internal readonly unsafe struct View<T>(T* pointer, long length) where T : unmanaged
{
    public readonly T* Pointer = pointer;
    public readonly long Length = length;

    public bool IsEmpty => Length == 0;

    public ReadOnlySpan<T> Span => new(Pointer, checked((int)Length));
}

/// <summary>
/// The container of docs/model-format.md, section 2: header, section table, aligned sections. Checks where every section
/// lies before anything is read from it, and their checksums unless told otherwise; what is inside the sections is
/// checked by those who interpret them.
/// </summary>
internal sealed unsafe class ModelFile : IDisposable
{
    private readonly MappedFile _map;
    private readonly List<Section> _sections = [];

    private ModelFile(string path, MappedFile map)
    {
        Path = path;
        _map = map;
    }

    public string Path { get; }

    /// <summary>Format version of the header.</summary>
    public int Version { get; private set; }

    public long Length => _map.Length;

    /// <summary>In the order of their offsets, which the section table must keep.</summary>
    public IReadOnlyList<Section> Sections => _sections;

    public static ModelFile Open(string path, bool verifyChecksums)
    {
        MappedFile map = MappedFile.Open(path, ModelFormat.HeaderSize);
        try
        {
            var file = new ModelFile(path, map);
            file.ReadHeader();
            if (verifyChecksums)
                file.VerifyChecksums();
            return file;
        }
        catch
        {
            map.Dispose();
            throw;
        }
    }

    public void Dispose() => _map.Dispose();

    public bool Has(SectionKind kind, int layer = 0, int part = 0) => Lookup(kind, layer, part) is not null;

    /// <summary>The section as <typeparamref name="T"/>s; an error if it is missing or not <paramref name="count"/> long.</summary>
    public View<T> Get<T>(SectionKind kind, int layer, int part, long count) where T : unmanaged
    {
        Section section = Find(kind, layer, part);
        if (count < 0 || section.Length % Unsafe.SizeOf<T>() != 0 || section.Length / Unsafe.SizeOf<T>() != count)
            throw Error(ModelError.WrongSectionSize, $"section {section.Name} has {section.Length} bytes where {(Int128)count * Unsafe.SizeOf<T>()} belong");
        return new View<T>((T*)(_map.Pointer + section.Offset), count);
    }

    /// <summary>The section as however many <typeparamref name="T"/>s it holds.</summary>
    public View<T> GetAll<T>(SectionKind kind, int layer = 0, int part = 0) where T : unmanaged
    {
        Section section = Find(kind, layer, part);
        return Get<T>(kind, layer, part, section.Length / Unsafe.SizeOf<T>());
    }

    /// <summary>A fixed-size record at a section's start.</summary>
    public T GetRecord<T>(SectionKind kind, int layer, out ReadOnlySpan<byte> rest) where T : unmanaged
    {
        Section section = Find(kind, layer, 0);
        if (section.Length < Unsafe.SizeOf<T>() || section.Length > 1 << 20)
            throw Error(ModelError.WrongSectionSize, $"section {section.Name} has {section.Length} bytes where at least {Unsafe.SizeOf<T>()} belong");
        byte* start = _map.Pointer + section.Offset;
        rest = new ReadOnlySpan<byte>(start + Unsafe.SizeOf<T>(), (int)section.Length - Unsafe.SizeOf<T>());
        return *(T*)start;
    }

    public ModelFormatException Error(ModelError error, string what) => new(error, $"{Path}: {what}");

    /// <summary>A section that nobody asked for means that the file is not what it seems.</summary>
    public void RequireAllUsed()
    {
        foreach (Section section in Sections)
        {
            if (!section.IsUsed)
                throw Error(ModelError.MissingSection, $"section {section.Name} belongs to nothing in this network");
        }
    }

    private Section Find(SectionKind kind, int layer, int part)
    {
        Section section = Lookup(kind, layer, part)
            ?? throw Error(ModelError.MissingSection, $"section {new Section(kind, layer, part, 0, 0, 0).Name} is missing");
        section.IsUsed = true;
        return section;
    }

    private Section? Lookup(SectionKind kind, int layer, int part) => _sections.Find(s => s.Kind == kind && s.Layer == layer && s.Part == part);

    private void ReadHeader()
    {
        if (!BitConverter.IsLittleEndian)
            throw new PlatformNotSupportedException("model files are read in place, which needs a little-endian machine");
        FileHeader header = *(FileHeader*)_map.Pointer;
        if (header.Magic != ModelFormat.Magic)
            throw Error(ModelError.NotAModel, "is not an .eslide model (wrong signature)");
        if (header.Version is < ModelFormat.OldestVersion or > ModelFormat.Version)
            throw Error(ModelError.UnsupportedVersion, $"has format version {header.Version}; this build reads versions {ModelFormat.OldestVersion} to {ModelFormat.Version}");
        if (header.HeaderChecksum != ModelWriter.HeaderChecksum(in header))
            throw Error(ModelError.DamagedHeader, "the header is damaged (checksum)");
        Version = header.Version;
        if (header.QuantizationVersion != ModelFormat.QuantizationVersion)
            throw Error(ModelError.UnsupportedVersion, $"has quantization version {header.QuantizationVersion}; this build reads version {ModelFormat.QuantizationVersion}");
        if (header.FileLength != (ulong)_map.Length)
            throw Error(ModelError.WrongLength, $"has {_map.Length} bytes where {header.FileLength} belong ({(header.FileLength > (ulong)_map.Length ? "cut short" : "something was appended")})");
        if (header.Reserved0 != 0 || header.Reserved1 != 0 || header.Reserved2 != 0 || header.Reserved3 != 0)
            throw Error(ModelError.DamagedHeader, "the header's reserved bytes are not zero");

        long tableLength = (long)header.SectionCount * ModelFormat.SectionEntrySize;
        if (header.SectionTableOffset != ModelFormat.HeaderSize || header.SectionCount is 0 or > ModelFormat.MaxSections
            || tableLength > _map.Length - ModelFormat.HeaderSize)
            throw Error(ModelError.DamagedSectionTable, $"the section table does not fit ({header.SectionCount} sections)");
        var table = new ReadOnlySpan<SectionEntry>(_map.Pointer + ModelFormat.HeaderSize, (int)header.SectionCount);
        if (Crc32C.Compute(new ReadOnlySpan<byte>(_map.Pointer + ModelFormat.HeaderSize, (int)tableLength)) != header.SectionTableChecksum)
            throw Error(ModelError.DamagedSectionTable, "the section table is damaged (checksum)");

        long end = ModelFormat.HeaderSize + tableLength;
        foreach (ref readonly SectionEntry entry in table)
        {
            var section = new Section(entry.Kind, entry.Layer, entry.Part, (long)entry.Offset, (long)entry.Length, entry.Checksum);
            if (!SectionKinds.IsKnown(entry.Kind))
                throw Error(ModelError.UnknownSection, $"section kind {SectionKinds.Code(entry.Kind)} is unknown to this build");
            if (entry.Reserved != 0 || entry.Layer >= ModelFormat.MaxLayers || entry.Part >= ModelFormat.MaxSources)
                throw Error(ModelError.DamagedSectionTable, $"the entry of section {section.Name} is impossible");
            if (entry.Offset != (ulong)ModelFormat.Align(end) || entry.Length > header.FileLength || entry.Offset > header.FileLength - entry.Length)
                throw Error(ModelError.BadSectionBounds, $"section {section.Name} at {entry.Offset} with {entry.Length} bytes does not follow the one before it or leaves the file");
            RequireZeros(end, section.Offset);
            end = section.Offset + section.Length;
            if (Has(section.Kind, section.Layer, section.Part))
                throw Error(ModelError.DuplicateSection, $"section {section.Name} stands twice");
            _sections.Add(section);
        }
        if (ModelFormat.Align(end) != _map.Length)
            throw Error(ModelError.WrongLength, $"has {_map.Length - end} bytes after its last section");
        RequireZeros(end, _map.Length);
    }

    private void RequireZeros(long start, long end)
    {
        if (new ReadOnlySpan<byte>(_map.Pointer + start, (int)(end - start)).ContainsAnyExcept((byte)0))
            throw Error(ModelError.DamagedPadding, $"the padding at {start} is not zero");
    }

    private void VerifyChecksums()
    {
        foreach (Section section in Sections)
        {
            uint crc = ~0u;
            for (long done = 0; done < section.Length;)
            {
                int count = (int)Math.Min(section.Length - done, 1 << 30);
                crc = Crc32C.Append(crc, new ReadOnlySpan<byte>(_map.Pointer + section.Offset + done, count));
                done += count;
            }
            if (~crc != section.Checksum)
                throw Error(ModelError.DamagedSection, $"section {section.Name} is damaged (checksum)");
        }
    }
}
