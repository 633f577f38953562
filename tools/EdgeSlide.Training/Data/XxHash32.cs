using System.Buffers.Binary;
using System.Numerics;

namespace EdgeSlide.Training.Data;

/// <summary>xxHash32 with seed 0, the checksum of LZ4 frames; written from its published specification.</summary>
internal struct XxHash32
{
    private const uint P1 = 2654435761, P2 = 2246822519, P3 = 3266489917, P4 = 668265263, P5 = 374761393;
    private const int StripeSize = 16;

    private uint _a, _b, _c, _d;
    private byte[] _pending;
    private int _pendingCount;
    private ulong _length;

    public XxHash32()
    {
        unchecked
        {
            _a = P1 + P2;
            _b = P2;
            _c = 0;
            _d = 0 - P1;
        }
        _pending = new byte[StripeSize];
    }

    public static uint Compute(ReadOnlySpan<byte> bytes)
    {
        var hash = new XxHash32();
        hash.Append(bytes);
        return hash.Digest();
    }

    public void Append(ReadOnlySpan<byte> bytes)
    {
        _length += (ulong)bytes.Length;
        if (_pendingCount > 0)
        {
            int take = Math.Min(StripeSize - _pendingCount, bytes.Length);
            bytes[..take].CopyTo(_pending.AsSpan(_pendingCount));
            _pendingCount += take;
            bytes = bytes[take..];
            if (_pendingCount < StripeSize) return;
            AddStripe(_pending);
            _pendingCount = 0;
        }
        for (; bytes.Length >= StripeSize; bytes = bytes[StripeSize..]) AddStripe(bytes);
        bytes.CopyTo(_pending);
        _pendingCount = bytes.Length;
    }

    public readonly uint Digest()
    {
        uint hash = _length >= StripeSize
            ? BitOperations.RotateLeft(_a, 1) + BitOperations.RotateLeft(_b, 7) + BitOperations.RotateLeft(_c, 12) + BitOperations.RotateLeft(_d, 18)
            : P5; // seed + P5
        hash += (uint)_length;
        ReadOnlySpan<byte> rest = _pending.AsSpan(0, _pendingCount);
        for (; rest.Length >= 4; rest = rest[4..])
            hash = BitOperations.RotateLeft(hash + BinaryPrimitives.ReadUInt32LittleEndian(rest) * P3, 17) * P4;
        foreach (byte b in rest) hash = BitOperations.RotateLeft(hash + b * P5, 11) * P1;
        hash = (hash ^ (hash >> 15)) * P2;
        hash = (hash ^ (hash >> 13)) * P3;
        return hash ^ (hash >> 16);
    }

    private void AddStripe(ReadOnlySpan<byte> stripe)
    {
        _a = Round(_a, stripe);
        _b = Round(_b, stripe[4..]);
        _c = Round(_c, stripe[8..]);
        _d = Round(_d, stripe[12..]);

        static uint Round(uint lane, ReadOnlySpan<byte> bytes) =>
            BitOperations.RotateLeft(lane + BinaryPrimitives.ReadUInt32LittleEndian(bytes) * P2, 13) * P1;
    }
}
