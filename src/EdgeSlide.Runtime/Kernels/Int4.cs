using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace EdgeSlide.Kernels;

/// <summary>
/// Rows of INT4 weights: every 32 bytes hold 64 weights, the first 32 in the lower halves of the bytes and the next 32 in the
/// upper halves, so that a mask and a shift give two vectors of neighbours. Stored is weight + 8, which no instruction needs
/// to extend by a sign; a dot product is corrected by eight times the sum of its vector.
/// </summary>
internal static unsafe class Int4
{
    /// <summary>What stands for the weight 0.</summary>
    public const int Zero = 8;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Vector128<byte> Lower, Vector128<byte> Upper) Load128(byte* row)
    {
        Vector128<byte> mask = Vector128.Create((byte)15), packed = Vector128.Load(row);
        return (packed & mask, (packed.AsUInt16() >> 4).AsByte() & mask);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Vector256<byte> Lower, Vector256<byte> Upper) Load256(byte* row)
    {
        Vector256<byte> mask = Vector256.Create((byte)15), packed = Vector256.Load(row);
        return (packed & mask, (packed.AsUInt16() >> 4).AsByte() & mask);
    }

    /// <summary>The sum of a vector of bytes whose length is a multiple of 64.</summary>
    public static int Sum(sbyte* vector, int length)
    {
        Vector128<short> sum = Vector128<short>.Zero;
        int total = 0;
        for (int i = 0; i < length; i += 16)
        {
            Vector128<sbyte> x = Vector128.Load(vector + i);
            sum += Vector128.WidenLower(x) + Vector128.WidenUpper(x);
            // Lanes of INT16 hold the sum of 258 bytes.
            if ((i & 1023) == 1008 || i + 16 >= length)
            {
                total += Vector128.Sum(Vector128.WidenLower(sum) + Vector128.WidenUpper(sum));
                sum = Vector128<short>.Zero;
            }
        }
        return total;
    }
}
