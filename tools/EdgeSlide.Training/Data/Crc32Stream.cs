using EdgeSlide.IO;

namespace EdgeSlide.Training.Data;

/// <summary>Passes bytes through and computes their CRC-32 as zip and gzip have it (ISO 3309, reflected).</summary>
internal sealed class Crc32Stream(Stream source) : InputStream
{
    private static readonly uint[] Table = [.. Enumerable.Range(0, 256).Select(Remainder)];

    private uint _crc = ~0u;

    /// <summary>Of all bytes read so far.</summary>
    public uint Crc => ~_crc;

    public override int Read(Span<byte> buffer)
    {
        int count = source.Read(buffer);
        foreach (byte value in buffer[..count])
            _crc = Table[(byte)(_crc ^ value)] ^ (_crc >> 8);
        return count;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing) source.Dispose();
        base.Dispose(disposing);
    }

    private static uint Remainder(int value)
    {
        uint crc = (uint)value;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc & 1) != 0 ? 0xEDB88320 ^ (crc >> 1) : crc >> 1;
        return crc;
    }
}
