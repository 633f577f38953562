using System.Buffers.Binary;
using System.IO.Compression;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.RegularExpressions;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Networks;

namespace EdgeSlide.Training.Slide;

/// <summary>A float32 array of an .npz file.</summary>
internal sealed record NpyArray(int[] Shape, float[] Values);

/// <summary>
/// Reads networks that the SLIDE C++ reference saves: an .npz (zip of .npy, NumPy format 1.0 to 3.0) with w_layer_i
/// [neurons, inputs] and b_layer_i [neurons] as little-endian float32. The Adam moments in it are left alone.
/// </summary>
internal static partial class NpzReader
{
    private const int MaxHeader = 1 << 16;

    /// <summary>Numbers read between two looks at the cancellation.</summary>
    private const int Piece = 1 << 22;

    /// <exception cref="DataFormatException">The file is not such a network; says what is wrong.</exception>
    public static Network ReadNetwork(string path, CancellationToken cancel = default)
    {
        try
        {
            using ZipArchive zip = ZipFile.OpenRead(path);
            var arrays = new List<(NpyArray Weights, NpyArray Bias)>();
            for (int i = 0; Find(path, zip, $"w_layer_{i}") is { } entry; i++)
            {
                cancel.ThrowIfCancellationRequested();
                ZipArchiveEntry bias = Find(path, zip, $"b_layer_{i}") ?? throw new DataFormatException(path, 0, $"has w_layer_{i} but no b_layer_{i}");
                arrays.Add((Read(path, entry, cancel), Read(path, bias, cancel)));
            }
            if (arrays.Count == 0)
                throw new DataFormatException(path, 0, "has no array w_layer_0: not weights saved by SLIDE");
            if (zip.Entries.Count(e => e.Name.StartsWith("w_layer_", StringComparison.Ordinal)) != arrays.Count)
                throw new DataFormatException(path, 0, $"has no array w_layer_{arrays.Count}, but later layers");
            return Join(path, arrays, cancel);
        }
        catch (Exception e) when (e is InvalidDataException or EndOfStreamException)
        {
            throw new DataFormatException(path, 0, "is not a whole and undamaged .npz (zip) file", e);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new DataFormatException(path, 0, "no such file", e);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new DataFormatException(path, 0, Directory.Exists(path) ? "is a directory, not a file" : "permission denied", e);
        }
    }

    private static Network Join(string path, List<(NpyArray Weights, NpyArray Bias)> arrays, CancellationToken cancel)
    {
        var layers = new NetworkLayer[arrays.Count];
        for (int l = 0; l < layers.Length; l++)
        {
            (NpyArray weights, NpyArray bias) = arrays[l];
            if (weights.Shape is not [int outputs, int inputs])
                throw new DataFormatException(path, 0, $"w_layer_{l} has {weights.Shape.Length} dimensions, expected 2 (neurons, inputs)");
            if (bias.Shape is not [int count] || count != outputs)
                throw new DataFormatException(path, 0, $"b_layer_{l} has the shape ({string.Join(", ", bias.Shape)}), expected ({outputs})");
            if (l > 0 && inputs != layers[l - 1].Outputs)
                throw new DataFormatException(path, 0, $"w_layer_{l} takes {inputs} inputs, but layer {l - 1} has {layers[l - 1].Outputs} neurons");
            var layer = new NetworkLayer(inputs, outputs, l == layers.Length - 1 ? Activation.Softmax : Activation.Relu);
            bias.Values.CopyTo(layer.Bias, 0);
            if (l == 0)
            {
                // The file is neuron-major; our first layer has a row per feature.
                for (int n = 0; n < outputs; n++)
                {
                    cancel.ThrowIfCancellationRequested();
                    for (int i = 0; i < inputs; i++)
                        layer.Weights[(i * outputs) + n] = weights.Values[(n * inputs) + i];
                }
            }
            else
            {
                weights.Values.CopyTo(layer.Weights, 0);
            }
            layers[l] = layer;
        }
        if (layers.Length == 1)
            throw new DataFormatException(path, 0, "has w_layer_0 only: a network needs a hidden layer before its output layer");
        return new Network(layers);
    }

    /// <summary>cnpy names entries NAME.npy.</summary>
    private static ZipArchiveEntry? Find(string path, ZipArchive zip, string name)
    {
        ZipArchiveEntry[] found = [.. zip.Entries.Where(e => e.FullName == name + ".npy" || e.FullName == name)];
        return found.Length <= 1 ? found.FirstOrDefault() : throw new DataFormatException(path, 0, $"has {name} twice");
    }

    private static NpyArray Read(string path, ZipArchiveEntry entry, CancellationToken cancel)
    {
        DataFormatException Problem(string what) => new(path, 0, $"{entry.FullName}: {what}");
        // The framework's zip reader does not compare the checksum of what it reads.
        using var stream = new Crc32Stream(entry.Open());
        Span<byte> start = stackalloc byte[8];
        stream.ReadExactly(start);
        if (start[0] != 0x93 || !start[1..6].SequenceEqual("NUMPY"u8))
            throw Problem("is not an .npy array");
        if (start[6] is < 1 or > 3)
            throw Problem($"has .npy version {start[6]}, expected 1 to 3");
        Span<byte> size = stackalloc byte[4];
        size.Clear();
        stream.ReadExactly(size[..(start[6] == 1 ? 2 : 4)]);
        uint headerLength = BinaryPrimitives.ReadUInt32LittleEndian(size);
        if (headerLength > MaxHeader)
            throw Problem($"has a header of {headerLength} bytes");
        var bytes = new byte[headerLength];
        stream.ReadExactly(bytes);
        string header = Encoding.UTF8.GetString(bytes);
        Match type = TypePattern().Match(header), order = OrderPattern().Match(header), shape = ShapePattern().Match(header);
        if (!type.Success || !order.Success || !shape.Success)
            throw Problem("has an .npy header that is not understood");
        if (type.Groups[1].Value != "<f4")
            throw Problem($"has the type {type.Groups[1].Value}, expected <f4 (little-endian float32)");
        if (order.Groups[1].Value != "False")
            throw Problem("is in Fortran order, expected C order");
        var dimensions = new List<int>();
        long length = 1;
        foreach (string part in shape.Groups[1].Value.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            if (!int.TryParse(part, out int dimension) || dimension is < 1 or > Model.ModelFormat.MaxWidth)
                throw Problem($"has a dimension of {part}, expected 1 to {Model.ModelFormat.MaxWidth}");
            dimensions.Add(dimension);
            if (dimensions.Count > 2 || (length *= dimension) > Array.MaxLength / sizeof(float))
                throw Problem("is too large or has more than 2 dimensions");
        }
        // Before memory is claimed for a shape, the directory must claim that the bytes are there.
        long expected = bytes.Length + (start[6] == 1 ? 10 : 12) + (length * sizeof(float));
        if (entry.Length != expected)
            throw Problem($"has {entry.Length} bytes, expected {expected}");
        var values = new float[length];
        for (int done = 0; done < values.Length; done += Math.Min(Piece, values.Length - done))
        {
            cancel.ThrowIfCancellationRequested();
            stream.ReadExactly(MemoryMarshal.AsBytes(values.AsSpan(done, Math.Min(Piece, values.Length - done))));
        }
        if (stream.ReadByte() >= 0)
            throw Problem("is longer than its shape");
        if (stream.Crc != entry.Crc32)
            throw Problem("is damaged (checksum)");
        for (int i = 0; i < values.Length; i++)
        {
            if (!float.IsFinite(values[i]))
                throw Problem($"value {i} is not a finite number");
        }
        return new NpyArray([.. dimensions], values);
    }

    [GeneratedRegex(@"'descr'\s*:\s*'([^']{1,16})'")]
    private static partial Regex TypePattern();

    [GeneratedRegex(@"'fortran_order'\s*:\s*(True|False)")]
    private static partial Regex OrderPattern();

    [GeneratedRegex(@"'shape'\s*:\s*\(([0-9, ]*)\)")]
    private static partial Regex ShapePattern();
}
