using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using EdgeSlide.IO;

namespace EdgeSlide.Model;

/// <summary>One section to be written: its identity and its bytes.</summary>
internal readonly record struct SectionContent(SectionKind Kind, int Layer, int Part, ReadOnlyMemory<byte> Bytes)
{
    public static SectionContent Of<T>(SectionKind kind, int layer, int part, T[] values) where T : unmanaged =>
        new(kind, layer, part, MemoryMarshal.AsBytes(values.AsSpan()).ToArray());
}

/// <summary>Lays sections out as docs/model-format.md says. The file appears whole or not at all.</summary>
internal static class ModelWriter
{
    public static void Write(string path, IReadOnlyList<SectionContent> sections) =>
        WholeFile.Write(path, stream => Write(stream, sections));

    public static void Write(Stream stream, IReadOnlyList<SectionContent> sections)
    {
        if (!BitConverter.IsLittleEndian)
            throw new PlatformNotSupportedException("model files are written on little-endian machines only");
        if (sections.Count is 0 or > ModelFormat.MaxSections)
            throw new ArgumentException("a model has between 1 and " + ModelFormat.MaxSections + " sections", nameof(sections));

        var table = new SectionEntry[sections.Count];
        long offset = ModelFormat.Align(ModelFormat.HeaderSize + (long)sections.Count * ModelFormat.SectionEntrySize);
        for (int i = 0; i < table.Length; i++)
        {
            SectionContent section = sections[i];
            table[i] = new SectionEntry
            {
                Kind = section.Kind,
                Layer = checked((ushort)section.Layer),
                Part = checked((ushort)section.Part),
                Offset = (ulong)offset,
                Length = (ulong)section.Bytes.Length,
                Checksum = Crc32C.Compute(section.Bytes.Span),
            };
            offset = ModelFormat.Align(offset + section.Bytes.Length);
        }

        ReadOnlySpan<byte> tableBytes = MemoryMarshal.AsBytes(table.AsSpan());
        var header = new FileHeader
        {
            Magic = ModelFormat.Magic,
            // The oldest version that has all that the file holds, so that old readers read what they can.
            Version = VersionOf(sections),
            QuantizationVersion = ModelFormat.QuantizationVersion,
            SectionCount = (uint)table.Length,
            FileLength = (ulong)offset,
            SectionTableOffset = ModelFormat.HeaderSize,
            SectionTableChecksum = Crc32C.Compute(tableBytes),
        };
        header.HeaderChecksum = HeaderChecksum(in header);

        long position = 0;
        Put(MemoryMarshal.AsBytes(new ReadOnlySpan<FileHeader>(in header)));
        Put(tableBytes);
        foreach (SectionContent section in sections)
        {
            Pad();
            Put(section.Bytes.Span);
        }
        Pad();

        void Put(ReadOnlySpan<byte> bytes)
        {
            stream.Write(bytes);
            position += bytes.Length;
        }

        void Pad()
        {
            Span<byte> zeros = stackalloc byte[ModelFormat.Alignment];
            zeros.Clear();
            Put(zeros[..(int)(ModelFormat.Align(position) - position)]);
        }
    }

    public static uint HeaderChecksum(in FileHeader header) =>
        Crc32C.Compute(MemoryMarshal.AsBytes(new ReadOnlySpan<FileHeader>(in header))[..(ModelFormat.HeaderSize - sizeof(uint))]);

    private static ushort VersionOf(IReadOnlyList<SectionContent> sections)
    {
        ushort version = ModelFormat.OldestVersion;
        foreach (SectionContent section in sections)
        {
            if (section.Kind == SectionKind.LabelMap || (section.Kind == SectionKind.Network && HasOtherFormats(section.Bytes.Span)))
                return ModelFormat.Version;
            if (section.Kind == SectionKind.Calibration)
                version = ModelFormat.CalibratedVersion;
        }
        return version;
    }

    private static bool HasOtherFormats(ReadOnlySpan<byte> network)
    {
        if (network.Length < Unsafe.SizeOf<NetworkHeader>())
            return false;
        ReadOnlySpan<byte> records = network[Unsafe.SizeOf<NetworkHeader>()..];
        foreach (LayerRecord record in MemoryMarshal.Cast<byte, LayerRecord>(records))
        {
            if (record.Format != WeightFormat.Int8)
                return true;
        }
        return false;
    }

    /// <summary>The bytes of one fixed-size record followed by an array of records.</summary>
    public static byte[] Record<THeader, TItem>(in THeader header, ReadOnlySpan<TItem> items)
        where THeader : unmanaged
        where TItem : unmanaged
    {
        var bytes = new byte[Unsafe.SizeOf<THeader>() + items.Length * Unsafe.SizeOf<TItem>()];
        MemoryMarshal.Write(bytes, in header);
        MemoryMarshal.AsBytes(items).CopyTo(bytes.AsSpan(Unsafe.SizeOf<THeader>()));
        return bytes;
    }
}
