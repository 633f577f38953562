using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text.Json;
using EdgeSlide.Features;
using EdgeSlide.IO;
using EdgeSlide.Model;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Networks;

namespace EdgeSlide.Training.Export;

/// <summary>What is known about a trained network, carried on into the device model's provenance.</summary>
internal sealed record TrainingRecord
{
    public string Tool { get; init; } = "";

    public string Data { get; init; } = "";

    /// <summary>SHA-256 of the training file, so that nobody tunes on it by mistake.</summary>
    public string DataSha256 { get; init; } = "";

    /// <summary>The share of that file's rows that training left out; null in files of earlier versions.</summary>
    public double? HeldOut { get; init; }

    public string Trained { get; init; } = "";

    public int TrainingRows { get; init; }

    public double TrainingSeconds { get; init; }

    public int Epochs { get; init; }

    public string Options { get; init; } = "";
}

/// <summary>
/// The workstation's side of a model: the FP32 network with everything that quantization needs. Stored as an .esnet file:
/// a JSON header, then the featurizer's sections and the layers' floats, then a CRC-32C of all before it.
/// </summary>
internal sealed record TrainedModel(Network Network, Featurizer Featurizer, IReadOnlyList<string> Labels, bool HasLabelNames, TrainingRecord Record)
{
    private const ulong Magic = 0x0A_54_45_4E_53_45_4C_89;
    private const int Version = 2;

    /// <summary>How often each label occurred in training; unknown for files of version 1.</summary>
    public LabelFrequencies? Frequencies { get; init; }

    /// <summary>Writes the file whole or not at all. Cannot be cancelled: it is what hours of training were for.</summary>
    public void Save(string path) => SaveUnlessCancelled(path, CancellationToken.None);

    /// <summary>The same for what is quickly made again; cancelled, it leaves no file.</summary>
    public void SaveUnlessCancelled(string path, CancellationToken cancel)
    {
        using var files = new WholeFiles();
        files.Write(path, stream => Write(new ChecksummedWriter(stream, cancel)));
        cancel.ThrowIfCancellationRequested();
        files.Commit();
    }

    private void Write(ChecksummedWriter output)
    {
        output.Value(Magic);
        output.Value(Version);
        output.Bytes(JsonSerializer.SerializeToUtf8Bytes(Record));
        output.Bytes(JsonSerializer.SerializeToUtf8Bytes(Labels));
        output.Value(HasLabelNames ? 1 : 0);
        output.Value(Featurizer.Record);
        output.Bytes(FeaturizerBytes(SectionKind.Vocabulary));
        output.Bytes(FeaturizerBytes(SectionKind.FeatureWeights));
        output.Value(Frequencies?.Rows ?? 0);
        output.Bytes(MemoryMarshal.AsBytes(Frequencies is null ? default : Frequencies.Counts));
        output.Value(Network.Layers.Count);
        foreach (NetworkLayer layer in Network.Layers)
        {
            output.Value(layer.Inputs);
            output.Value(layer.Outputs);
            output.Value((int)layer.Activation);
            output.Floats(layer.Weights);
            output.Floats(layer.Bias);
        }
        output.Finish();
    }

    /// <exception cref="ModelFormatException">The file is not a whole and undamaged .esnet.</exception>
    public static TrainedModel Load(string path)
    {
        using MappedFile map = MappedFile.Open(path, 2 * sizeof(ulong));
        var input = new ChecksummedReader(path, map);
        if (input.Value<ulong>() != Magic)
            throw new ModelFormatException(ModelError.NotAModel, $"{path}: is not an .esnet network (wrong signature)");
        int version = input.Value<int>();
        if (version is < 1 or > Version)
            throw new ModelFormatException(ModelError.UnsupportedVersion, $"{path}: has version {version}; this build reads versions 1 to {Version}");
        input.VerifyChecksum();
        TrainingRecord record = JsonSerializer.Deserialize<TrainingRecord>(input.Bytes())!;
        string[] labels = JsonSerializer.Deserialize<string[]>(input.Bytes())!;
        bool hasNames = input.Value<int>() != 0;
        FeaturizerRecord featurizer = input.Value<FeaturizerRecord>();
        ulong[] slots = MemoryMarshal.Cast<byte, ulong>(input.Bytes()).ToArray();
        float[] weights = MemoryMarshal.Cast<byte, float>(input.Bytes()).ToArray();
        LabelFrequencies? frequencies = null;
        if (version >= 2)
        {
            int rows = input.Value<int>();
            int[] counts = MemoryMarshal.Cast<byte, int>(input.Bytes()).ToArray();
            frequencies = counts.Length == labels.Length ? new LabelFrequencies(rows, counts) : null;
        }
        var layers = new NetworkLayer[input.Value<int>()];
        for (int i = 0; i < layers.Length; i++)
        {
            layers[i] = new NetworkLayer(input.Value<int>(), input.Value<int>(), (Activation)input.Value<int>());
            input.Floats(layers[i].Weights);
            input.Floats(layers[i].Bias);
        }
        return new TrainedModel(new Network(layers), Featurizer.Create(featurizer, slots.Length == 0 ? null : slots, weights.Length == 0 ? null : weights),
            labels, hasNames, record)
        { Frequencies = frequencies };
    }

    private ReadOnlySpan<byte> FeaturizerBytes(SectionKind kind) =>
        Featurizer.ToSections().Where(s => s.Kind == kind).Select(s => s.Bytes).FirstOrDefault().Span;

    /// <summary>A layer may have more bytes than a span can: 3,000,000 labels of 256 inputs do.</summary>
    private static IEnumerable<Range> Pieces(int length)
    {
        const int Piece = 1 << 24;
        for (int start = 0; start < length; start += Piece)
            yield return start..(start + Math.Min(Piece, length - start));
    }

    private sealed class ChecksummedWriter(Stream stream, CancellationToken cancel)
    {
        private uint _crc = ~0u;

        public void Value<T>(T value) where T : unmanaged => Raw(MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)));

        /// <summary>A length, then the bytes.</summary>
        public void Bytes(ReadOnlySpan<byte> bytes)
        {
            Value(bytes.Length);
            Raw(bytes);
        }

        public void Floats(float[] values)
        {
            foreach (Range piece in Pieces(values.Length))
            {
                cancel.ThrowIfCancellationRequested();
                Raw(MemoryMarshal.AsBytes(values.AsSpan(piece)));
            }
        }

        private void Raw(ReadOnlySpan<byte> bytes)
        {
            _crc = Crc32C.Append(_crc, bytes);
            stream.Write(bytes);
        }

        public void Finish()
        {
            uint crc = ~_crc;
            stream.Write(MemoryMarshal.AsBytes(new ReadOnlySpan<uint>(in crc)));
        }
    }

    private sealed unsafe class ChecksummedReader(string path, MappedFile map)
    {
        private readonly long _end = map.Length - sizeof(uint);
        private long _position;

        public T Value<T>() where T : unmanaged => MemoryMarshal.Read<T>(Take(Unsafe.SizeOf<T>()));

        public ReadOnlySpan<byte> Bytes() => Take(Value<int>());

        public void Floats(float[] values)
        {
            foreach (Range piece in Pieces(values.Length))
            {
                Span<byte> target = MemoryMarshal.AsBytes(values.AsSpan(piece));
                Take(target.Length).CopyTo(target);
            }
        }

        /// <summary>Once this has passed, the rest of the file is what was written, so it needs no further checks.</summary>
        public void VerifyChecksum()
        {
            uint crc = ~0u;
            for (long at = 0; at < _end;)
            {
                // The raw remainder does not depend on how the bytes are cut, if the cuts are at whole words.
                int count = (int)Math.Min(_end - at, 1 << 30);
                crc = Crc32C.Append(crc, new ReadOnlySpan<byte>(map.Pointer + at, count));
                at += count;
            }
            if (~crc != Unsafe.ReadUnaligned<uint>(map.Pointer + _end))
                throw new ModelFormatException(ModelError.DamagedSection, $"{path}: the file is damaged or cut short (checksum)");
        }

        private ReadOnlySpan<byte> Take(int length)
        {
            if (length < 0 || length > _end - _position)
                throw new ModelFormatException(ModelError.WrongLength, $"{path}: the file is cut short");
            var bytes = new ReadOnlySpan<byte>(map.Pointer + _position, length);
            _position += length;
            return bytes;
        }
    }
}
