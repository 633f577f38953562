using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using EdgeSlide.Model;

namespace EdgeSlide.Runtime.Tests.Support;

/// <summary>A model file's bytes, for damaging them.</summary>
internal static class ModelBytes
{
    public static ref FileHeader Header(byte[] file) => ref MemoryMarshal.AsRef<FileHeader>(file);

    public static Span<SectionEntry> Table(byte[] file) =>
        MemoryMarshal.Cast<byte, SectionEntry>(file.AsSpan(ModelFormat.HeaderSize, (int)Header(file).SectionCount * Unsafe.SizeOf<SectionEntry>()));

    public static int IndexOf(byte[] file, SectionKind kind, int layer = 0, int part = 0)
    {
        ReadOnlySpan<SectionEntry> table = Table(file);
        for (int i = 0; i < table.Length; i++)
        {
            if (table[i].Kind == kind && table[i].Layer == layer && table[i].Part == part)
                return i;
        }
        throw new InvalidOperationException($"the test model has no section {SectionKinds.Code(kind)}[{layer},{part}]");
    }

    public static Span<byte> Section(byte[] file, SectionKind kind, int layer = 0, int part = 0)
    {
        SectionEntry entry = Table(file)[IndexOf(file, kind, layer, part)];
        return file.AsSpan((int)entry.Offset, (int)entry.Length);
    }

    public static Span<T> Section<T>(byte[] file, SectionKind kind, int layer = 0, int part = 0) where T : unmanaged =>
        MemoryMarshal.Cast<byte, T>(Section(file, kind, layer, part));

    /// <summary>Makes every checksum match again whose bytes lie inside the file, so that only the structure can be wrong.</summary>
    public static byte[] Reseal(byte[] file, bool sections = true)
    {
        if (file.Length < ModelFormat.HeaderSize)
            return file;
        ref FileHeader header = ref Header(file);
        long tableLength = (long)header.SectionCount * Unsafe.SizeOf<SectionEntry>();
        if (ModelFormat.HeaderSize + tableLength <= file.Length)
        {
            if (sections)
            {
                foreach (ref SectionEntry entry in Table(file))
                {
                    if (entry.Length <= (ulong)file.Length && entry.Offset <= (ulong)file.Length - entry.Length)
                        entry.Checksum = Crc32C.Compute(file.AsSpan((int)entry.Offset, (int)entry.Length));
                }
            }
            header.SectionTableChecksum = Crc32C.Compute(file.AsSpan(ModelFormat.HeaderSize, (int)tableLength));
        }
        header.HeaderChecksum = ModelWriter.HeaderChecksum(in header);
        return file;
    }
}
