using System.Runtime.CompilerServices;
using EdgeSlide.Model;
using EdgeSlide.Runtime.Tests.Support;

namespace EdgeSlide.Runtime.Tests.Model;

public sealed class FormatTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void The_checksum_is_crc32c()
    {
        Assert.Equal(0xE3069283u, Crc32C.Compute("123456789"u8)); // The check value of the catalogues.
        Assert.Equal(0x8A9136AAu, Crc32C.Compute(new byte[32])); // RFC 3720, B.4.
        byte[] ascending = [.. Enumerable.Range(0, 32).Select(i => (byte)i)];
        Assert.Equal(0x46DD794Eu, Crc32C.Compute(ascending));
        for (int cut = 0; cut <= 32; cut++)
            Assert.Equal(0x46DD794Eu, ~Crc32C.Append(Crc32C.Append(~0u, ascending.AsSpan(0, cut)), ascending.AsSpan(cut)));
    }

    [Fact]
    public void Records_have_the_sizes_of_the_specification()
    {
        Assert.Equal(64, Unsafe.SizeOf<FileHeader>());
        Assert.Equal(32, Unsafe.SizeOf<SectionEntry>());
        Assert.Equal(32, Unsafe.SizeOf<NetworkHeader>());
        Assert.Equal(32, Unsafe.SizeOf<LayerRecord>());
        Assert.Equal(32, Unsafe.SizeOf<SelectorHeader>());
        Assert.Equal(32, Unsafe.SizeOf<SourceRecord>());
        Assert.Equal(64, Unsafe.SizeOf<FeaturizerRecord>());
    }

    [Fact]
    public void A_file_begins_with_the_signature_and_its_sections_are_aligned()
    {
        byte[] file = GoldenModelTests.Bytes;
        Assert.Equal([0x89, (byte)'E', (byte)'S', (byte)'L', (byte)'I', (byte)'D', (byte)'E', 0x0A], file[..8]);
        foreach (SectionEntry entry in ModelBytes.Table(file))
            Assert.Equal(0ul, entry.Offset % 64);
        Assert.Equal(0, file.Length % 64);
    }

    [Theory]
    [InlineData("tab\there")]
    [InlineData("\u001b[31mred")]
    [InlineData("del\u007f")]
    [InlineData("next line\u0085")]
    [InlineData("\u009b31m")]
    public void Names_with_control_characters_are_neither_written_nor_read(string name)
    {
        Assert.Throws<ArgumentException>(() => LabelNames.ToSections([name]).ToList());
        byte[] model = GoldenModelTests.Bytes;
        byte[] utf8 = System.Text.Encoding.UTF8.GetBytes(name);
        utf8.CopyTo(ModelBytes.Section(model, SectionKind.LabelText));
        AssertRefused(model, ModelError.BadLabels, "a label is not plain UTF-8 text");
    }

    [Theory]
    [InlineData("Â\u00a0no-break space and É")]
    [InlineData("日本語 👍")]
    public void Names_in_any_script_are_written_and_read(string name)
    {
        TestNetwork network = GoldenModelTests.Network();
        network.Labels![3] = name;
        using EdgeSlideModel model = network.Open(_folder);
        Assert.Equal(name, model.LabelName(3));
    }

    [Fact]
    public void A_name_that_begins_within_a_character_is_refused()
    {
        byte[] model = GoldenModelTests.Bytes;
        Span<uint> offsets = ModelBytes.Section<uint>(model, SectionKind.LabelOffsets);
        offsets[4]++; // Label 4 is the first with an accent, at its beginning.
        AssertRefused(model, ModelError.BadLabels, "a label begins within a character");
    }

    [Fact]
    public void A_provenance_that_is_not_utf8_is_refused()
    {
        byte[] model = GoldenModelTests.Bytes;
        Span<byte> json = ModelBytes.Section(model, SectionKind.Provenance);
        json[json.IndexOf((byte)'t')] = 0xFF; // Within a string.
        AssertRefused(model, ModelError.BadProvenance, "the provenance is not UTF-8");
    }

    [Fact]
    public void Reserved_bytes_of_the_network_are_zero()
    {
        for (int at = 16; at < 32; at++)
        {
            byte[] model = GoldenModelTests.Bytes;
            ModelBytes.Section(model, SectionKind.Network)[at] = 1;
            AssertRefused(model, ModelError.BadShape, "the network's reserved bytes are not zero");
        }
    }

    [Fact]
    public void A_file_says_the_lowest_version_that_has_all_it_holds()
    {
        var random = new TestRandom(4);
        Assert.Equal(1, ModelBytes.Header(GoldenModelTests.Network().ToBytes()).Version);
        Assert.Equal(2, ModelBytes.Header(GoldenModelTests.CalibratedBytes).Version);
        Assert.Equal(3, ModelBytes.Header(GoldenModelTests.Network().WithLabelMap(random).ToBytes()).Version);
        Assert.Equal(3, ModelBytes.Header(GoldenModelTests.Network().WithFormats(random, WeightFormat.Int8, WeightFormat.Int4).ToBytes()).Version);
        Assert.Equal(3, ModelBytes.Header(GoldenModelTests.OtherFormatsBytes).Version);
        foreach ((byte[] file, ushort version, string message) in new (byte[], ushort, string)[]
        {
            (GoldenModelTests.Bytes, 2, "a network that needs version 1 in a file of version 2"),
            (GoldenModelTests.Bytes, 3, "a network that needs version 1 in a file of version 3"),
            (GoldenModelTests.CalibratedBytes, 1, "a network that needs version 2 in a file of version 1"),
            (GoldenModelTests.OtherFormatsBytes, 2, "a network that needs version 3 in a file of version 2"),
        })
        {
            ModelBytes.Header(file).Version = version;
            AssertRefused(file, ModelError.BadShape, message);
        }
    }

    [Fact]
    public void Unknown_weight_formats_and_flags_are_refused()
    {
        byte[] model = GoldenModelTests.OtherFormatsBytes;
        ModelBytes.Section(model, SectionKind.Network)[32 + 24] = 3;
        AssertRefused(model, ModelError.BadShape, "layer 0: a field has an unknown value");
        model = GoldenModelTests.OtherFormatsBytes;
        ModelBytes.Section(model, SectionKind.Network)[32 + 28] = 1;
        AssertRefused(model, ModelError.BadShape, "layer 0: a field has an unknown value");
        model = GoldenModelTests.OtherFormatsBytes;
        ModelBytes.Section(model, SectionKind.Network)[32 + 12] = 64; // The stride of INT8.
        AssertRefused(model, ModelError.BadShape, "layer 0: a row stride of 64 does not fit");
        foreach (int flag in new[] { 8, 12 })
        {
            model = GoldenModelTests.OtherFormatsBytes;
            ModelBytes.Section(model, SectionKind.Network)[flag] = 2;
            AssertRefused(model, ModelError.BadShape, "a field of the network has an unknown value");
        }
    }

    [Fact]
    public void A_label_map_that_is_no_permutation_is_refused()
    {
        byte[] model = GoldenModelTests.OtherFormatsBytes;
        Span<uint> map = ModelBytes.Section<uint>(model, SectionKind.LabelMap);
        map[59] = map[0];
        AssertRefused(model, ModelError.BadLabels, $"neuron 59 stands for an impossible label {map[0]}");
        model = GoldenModelTests.OtherFormatsBytes;
        ModelBytes.Section<uint>(model, SectionKind.LabelMap)[7] = 60;
        AssertRefused(model, ModelError.BadLabels, "neuron 7 stands for an impossible label 60");
    }

    private void AssertRefused(byte[] model, ModelError error, string message)
    {
        string path = _folder.Write("model", ModelBytes.Reseal(model));
        foreach (bool verify in new[] { true, false })
        {
            var thrown = Assert.Throws<ModelFormatException>(() => EdgeSlideModel.Open(path, verify));
            Assert.Equal((error, $"{path}: {message}"), (thrown.Error, thrown.Message));
        }
    }

    [Fact]
    public void Label_names_of_more_than_two_gigabytes_are_refused()
    {
        // The names' section is stretched over a hole in the file, which costs nothing.
        const long Names = (1L << 31) + 64;
        byte[] model = GoldenModelTests.Bytes;
        ref SectionEntry entry = ref ModelBytes.Table(model)[ModelBytes.IndexOf(model, SectionKind.LabelText)];
        entry.Length = (ulong)Names;
        long length = (long)entry.Offset + Names;
        ModelBytes.Section<uint>(model, SectionKind.LabelOffsets)[^1] = (uint)Names;
        ModelBytes.Header(model).FileLength = (ulong)length;
        string path = _folder.Write("model", ModelBytes.Reseal(model));
        using (var stream = new FileStream(path, FileMode.Open))
            stream.SetLength(length);
        var error = Assert.Throws<ModelFormatException>(() => EdgeSlideModel.Open(path, verifyChecksums: false));
        Assert.Equal(ModelError.BadLabels, error.Error);
    }
}
