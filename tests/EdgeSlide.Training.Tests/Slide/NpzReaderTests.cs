using System.IO.Compression;
using System.Runtime.InteropServices;
using System.Text;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Networks;
using EdgeSlide.Training.Slide;

namespace EdgeSlide.Training.Tests.Slide;

public sealed class NpzReaderTests : IDisposable
{
    private readonly string _path = Path.Combine(Path.GetTempPath(), $"edgeslide-{Guid.NewGuid():N}.npz");

    public void Dispose() => File.Delete(_path);

    [Fact]
    public void Weights_of_a_two_layer_network_come_in_order()
    {
        Write(("w_layer_0", Npy("(2, 3)", [1, 2, 3, 4, 5, 6])), ("b_layer_0", Npy("(2,)", [7, 8])),
            ("w_layer_1", Npy("(4, 2)", [1, 2, 3, 4, 5, 6, 7, 8])), ("b_layer_1", Npy("(4,)", [9, 10, 11, 12])), ("am_layer_0", [1, 2, 3]));
        Network network = NpzReader.ReadNetwork(_path);
        Assert.Equal((3, 4), (network.InputCount, network.OutputCount));
        Assert.Equal([1f, 4, 2, 5, 3, 6], network.Layers[0].Weights); // A row per feature.
        Assert.Equal([7f, 8], network.Layers[0].Bias);
        Assert.Equal([1f, 2, 3, 4, 5, 6, 7, 8], network.Layers[1].Weights);
        Assert.Equal((Activation.Relu, Activation.Softmax), (network.Layers[0].Activation, network.Layers[1].Activation));
    }

    [Fact]
    public void What_is_not_such_a_network_is_refused_in_one_line_that_says_why()
    {
        byte[] bias = Npy("(2,)", [0, 0]), weights = Npy("(2, 3)", [1, 2, 3, 4, 5, 6]);
        Refused("has no array w_layer_0", ("other", weights));
        Refused("has w_layer_0 but no b_layer_0", ("w_layer_0", weights));
        Refused("expected (2)", ("w_layer_0", weights), ("b_layer_0", Npy("(3,)", [0, 0, 0])));
        Refused("has 1 dimensions", ("w_layer_0", Npy("(2,)", [1, 2])), ("b_layer_0", bias));
        Refused("takes 3 inputs, but layer 0 has 2", ("w_layer_0", weights), ("b_layer_0", bias), ("w_layer_1", weights), ("b_layer_1", bias));
        Refused("has no array w_layer_1", ("w_layer_0", weights), ("b_layer_0", bias), ("w_layer_2", weights));
        Refused("Fortran", ("w_layer_0", Npy("(2, 3)", [1, 2, 3, 4, 5, 6], fortran: true)), ("b_layer_0", bias));
        Refused("has the type <f8", ("w_layer_0", Npy("(2, 3)", [1, 2, 3, 4, 5, 6], type: "<f8")), ("b_layer_0", bias));
        Refused("value 4 is not a finite number", ("w_layer_0", Npy("(2, 3)", [1, 2, 3, 4, float.NaN, 6])), ("b_layer_0", bias));
        Refused("bytes, expected", ("w_layer_0", Npy("(2, 4)", [1, 2, 3, 4, 5, 6])), ("b_layer_0", bias));
        Refused("too large", ("w_layer_0", Npy("(16000000, 16000000)", [1])), ("b_layer_0", bias));
        Refused("needs a hidden layer", ("w_layer_0", weights), ("b_layer_0", bias));
        Refused("is not an .npy array", ("w_layer_0", [.. Enumerable.Repeat((byte)65, 200)]), ("b_layer_0", bias));
    }

    /// <summary>A number with another bit is a number, too: only the checksum tells.</summary>
    [Theory]
    [InlineData(CompressionLevel.NoCompression)]
    [InlineData(CompressionLevel.SmallestSize)]
    public void A_changed_weight_does_not_come_in(CompressionLevel compression)
    {
        Write(compression, TwoLayers);
        byte[] whole = File.ReadAllBytes(_path);
        int refused = 0;
        foreach (int at in Enumerable.Range(0, whole.Length))
        {
            byte[] damaged = [.. whole];
            damaged[at] ^= 1;
            File.WriteAllBytes(_path, damaged);
            try
            {
                // Not every byte of a zip matters: dates, and what the directory says again.
                Assert.Equal([1f, 4, 2, 5, 3, 6], NpzReader.ReadNetwork(_path).Layers[0].Weights);
            }
            catch (DataFormatException e)
            {
                refused += e.Message.Contains("w_layer_0.npy: is damaged (checksum)", StringComparison.Ordinal) ? 1 : 0;
            }
        }
        Assert.True(refused >= 20, $"only {refused} changes were told by the checksum of w_layer_0, whose values alone have 24 bytes");
    }

    [Fact]
    public void A_folder_is_refused_as_one()
    {
        Directory.CreateDirectory(_path);
        try
        {
            Assert.Contains("is a directory, not a file", Assert.Throws<DataFormatException>(() => NpzReader.ReadNetwork(_path)).Message, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(_path);
        }
    }

    [Fact]
    public void A_file_cut_or_changed_anywhere_gives_a_network_or_one_line_and_nothing_else()
    {
        Write(TwoLayers);
        byte[] whole = File.ReadAllBytes(_path);
        var random = new Random(1);
        for (int i = 0; i < 2 * whole.Length; i++)
        {
            byte[] damaged = i < whole.Length ? whole[..i] : [.. whole];
            if (i >= whole.Length)
                damaged[random.Next(damaged.Length)] ^= (byte)(1 << random.Next(8));
            File.WriteAllBytes(_path, damaged);
            try
            {
                NpzReader.ReadNetwork(_path);
                Assert.True(i >= whole.Length, $"cut to {i} bytes");
            }
            catch (DataFormatException e)
            {
                Assert.DoesNotContain('\n', e.Message);
            }
        }
    }

    private void Refused(string why, params (string Name, byte[] Bytes)[] entries)
    {
        Write(entries);
        Assert.Contains(why, Assert.Throws<DataFormatException>(() => NpzReader.ReadNetwork(_path)).Message, StringComparison.Ordinal);
    }

    private static (string, byte[])[] TwoLayers =>
    [
        ("w_layer_0", Npy("(2, 3)", [1, 2, 3, 4, 5, 6])), ("b_layer_0", Npy("(2,)", [7, 8])),
        ("w_layer_1", Npy("(2, 2)", [1, 2, 3, 4])), ("b_layer_1", Npy("(2,)", [9, 10])),
    ];

    private void Write(params (string Name, byte[] Bytes)[] entries) => Write(CompressionLevel.NoCompression, entries);

    private void Write(CompressionLevel compression, params (string Name, byte[] Bytes)[] entries)
    {
        using FileStream file = File.Create(_path);
        using var zip = new ZipArchive(file, ZipArchiveMode.Create);
        foreach ((string name, byte[] bytes) in entries)
        {
            using Stream stream = zip.CreateEntry(name + ".npy", compression).Open();
            stream.Write(bytes);
        }
    }

    /// <summary>An array in NumPy's format 1.0: magic, version, header length, header padded to 64 bytes, values.</summary>
    private static byte[] Npy(string shape, float[] values, string type = "<f4", bool fortran = false)
    {
        string header = $"{{'descr': '{type}', 'fortran_order': {(fortran ? "True" : "False")}, 'shape': {shape}, }}";
        header = header.PadRight((((header.Length + 10) / 64) + 1) * 64 - 11) + "\n";
        return [0x93, .. "NUMPY"u8, 1, 0, (byte)header.Length, (byte)(header.Length >> 8), .. Encoding.ASCII.GetBytes(header), .. MemoryMarshal.AsBytes(values.AsSpan())];
    }
}
