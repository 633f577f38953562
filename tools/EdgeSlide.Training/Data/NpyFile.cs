using System.Text;

namespace EdgeSlide.Training.Data;

/// <summary>Writes arrays as NumPy .npy files: format 1.0, C order, little-endian.</summary>
internal static class NpyFile
{
    /// <summary>The items begin at a multiple of this, as the format asks, so that a reader may map the file.</summary>
    private const int Alignment = 64;

    public static void Write<T>(OutputFiles files, string path, T[] items, params int[] shape) where T : unmanaged => Write(files, path, (IEnumerable<ReadOnlyMemory<T>>)[items], shape);

    /// <summary>Writes an array that comes in parts; each part is used up before the next is asked for.</summary>
    public static void Write<T>(OutputFiles files, string path, IEnumerable<ReadOnlyMemory<T>> parts, params int[] shape) where T : unmanaged
    {
        files.Write(path, Header(TypeName<T>(), shape), Counted());

        IEnumerable<ReadOnlyMemory<T>> Counted()
        {
            long missing = shape.Aggregate(1L, (product, dimension) => product * dimension);
            foreach (ReadOnlyMemory<T> part in parts)
            {
                yield return part;
                missing -= part.Length;
            }
            if (missing != 0)
                throw new ArgumentException($"{missing} items fewer than the shape says", nameof(parts));
        }
    }

    private static byte[] Header(string type, int[] shape)
    {
        string sizes = shape.Length == 1 ? $"{shape[0]}," : string.Join(", ", shape);
        string text = $"{{'descr': '{type}', 'fortran_order': False, 'shape': ({sizes}), }}";
        const int Prefix = 10; // Signature, version, length of the text.
        int total = (Prefix + text.Length + 1 + Alignment - 1) / Alignment * Alignment;
        byte[] header = [0x93, .. "NUMPY"u8, 1, 0, (byte)(total - Prefix), (byte)((total - Prefix) >> 8), .. Encoding.ASCII.GetBytes(text.PadRight(total - Prefix - 1)), (byte)'\n'];
        return header;
    }

    private static string TypeName<T>() =>
        typeof(T) == typeof(float) ? "<f4"
        : typeof(T) == typeof(int) ? "<i4"
        : typeof(T) == typeof(long) ? "<i8"
        : throw new NotSupportedException($"no .npy type for {typeof(T).Name}");
}
