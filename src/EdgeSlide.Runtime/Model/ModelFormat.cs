using System.Runtime.InteropServices;

namespace EdgeSlide.Model;

/// <summary>Constants of the .eslide container. The specification is docs/model-format.md; the names here are the same.</summary>
internal static class ModelFormat
{
    /// <summary>0x89 "ESLIDE" 0x0A: a high bit and a line feed, so that text-mode transfers are noticed at once.</summary>
    public const ulong Magic = 0x0A_45_44_49_4C_53_45_89;
    /// <summary>Version 2 added the calibration, version 3 the weight formats and the label map; a file has the lowest that it needs.</summary>
    public const ushort Version = 3;
    public const ushort CalibratedVersion = 2;
    public const ushort OldestVersion = 1;
    public const ushort QuantizationVersion = 1;
    public const int HeaderSize = 64;
    public const int SectionEntrySize = 32;
    public const int Alignment = 64;
    public const int MaxSections = 1024;
    public const int MaxLayers = 64;
    public const int MaxSources = 8;
    /// <summary>Bucket entries keep a neuron's id in 24 bits beside its 8-bit vote.</summary>
    public const int MaxWidth = 1 << 24;
    public const int MaxHiddenWidth = 1 << 16;

    public static long Align(long offset) => (offset + Alignment - 1) & -Alignment;

    /// <summary>Weights of one stored row and elements of a vector that it meets: padded to a multiple of 64, so kernels have no tail.</summary>
    public static int RowStride(int width) => checked((int)Align(width));

    /// <summary>Bytes of one stored row.</summary>
    public static int RowBytes(int width, WeightFormat format) => format switch
    {
        WeightFormat.Int4 => RowStride(width) / 2,
        WeightFormat.Fp16 => RowStride(width) * sizeof(ushort),
        _ => RowStride(width),
    };
}

/// <summary>The four characters of a section's kind, first character in the lowest byte.</summary>
internal enum SectionKind : uint
{
    Provenance = 'I' | ('N' << 8) | ('F' << 16) | ('O' << 24),
    Network = 'N' | ('E' << 8) | ('T' << 16) | ('W' << 24),
    Featurizer = 'F' | ('E' << 8) | ('A' << 16) | ('T' << 24),
    Vocabulary = 'V' | ('O' << 8) | ('C' << 16) | ('B' << 24),
    FeatureWeights = 'F' | ('W' << 8) | ('G' << 16) | ('T' << 24),
    Weights = 'W' | ('G' << 8) | ('H' << 16) | ('T' << 24),
    Scales = 'S' | ('C' << 8) | ('A' << 16) | ('L' << 24),
    Bias = 'B' | ('I' << 8) | ('A' << 16) | ('S' << 24),
    Selector = 'S' | ('E' << 8) | ('L' << 16) | ('E' << 24),
    HashPlanes = 'H' | ('A' << 8) | ('S' << 16) | ('H' << 24),
    BucketOffsets = 'B' | ('O' << 8) | ('F' << 16) | ('F' << 24),
    BucketEntries = 'B' | ('E' << 8) | ('N' << 16) | ('T' << 24),
    LabelMap = 'L' | ('M' << 8) | ('A' << 16) | ('P' << 24),
    Calibration = 'C' | ('A' << 8) | ('L' << 16) | ('I' << 24),
    LabelOffsets = 'L' | ('O' << 8) | ('F' << 16) | ('F' << 24),
    LabelText = 'L' | ('T' << 8) | ('X' << 16) | ('T' << 24),
}

internal static class SectionKinds
{
    public static bool IsKnown(SectionKind kind) => kind is SectionKind.Provenance or SectionKind.Network
        or SectionKind.Featurizer or SectionKind.Vocabulary or SectionKind.FeatureWeights or SectionKind.Weights
        or SectionKind.Scales or SectionKind.Bias or SectionKind.Selector or SectionKind.HashPlanes
        or SectionKind.BucketOffsets or SectionKind.BucketEntries or SectionKind.Calibration or SectionKind.LabelMap
        or SectionKind.LabelOffsets or SectionKind.LabelText;

    /// <summary>The kind as its four characters; unprintable ones as dots.</summary>
    public static string Code(SectionKind kind) => string.Create(4, (uint)kind, static (text, code) =>
    {
        for (int i = 0; i < 4; i++, code >>= 8)
        {
            char c = (char)(code & 0xFF);
            text[i] = c is >= ' ' and <= '~' ? c : '.';
        }
    });
}

[StructLayout(LayoutKind.Sequential, Size = ModelFormat.HeaderSize)]
internal struct FileHeader
{
    public ulong Magic;
    public ushort Version;
    public ushort QuantizationVersion;
    public uint SectionCount;
    public ulong FileLength;
    public ulong SectionTableOffset;
    public uint SectionTableChecksum;
    public uint Reserved0;
    public ulong Reserved1;
    public ulong Reserved2;
    public uint Reserved3;
    public uint HeaderChecksum;
}

[StructLayout(LayoutKind.Sequential, Size = ModelFormat.SectionEntrySize)]
internal struct SectionEntry
{
    public SectionKind Kind;
    public ushort Layer;
    public ushort Part;
    public ulong Offset;
    public ulong Length;
    public uint Checksum;
    public uint Reserved;
}

/// <summary>How a layer's weight rows are stored.</summary>
internal enum RowOrder : uint
{
    /// <summary>One row per input feature, [inputs][stride]: rows of present features are added up.</summary>
    FeatureMajor = 0,

    /// <summary>One row per neuron, [outputs][stride]: dot products.</summary>
    NeuronMajor = 1,
}

/// <summary>How a layer's weights are stored.</summary>
internal enum WeightFormat : uint
{
    /// <summary>One byte each, -127 to 127, times the row's scale.</summary>
    Int8 = 0,

    /// <summary>Half a byte each, -8 to 7, times the row's scale.</summary>
    Int4 = 1,

    /// <summary>Two bytes each, binary16; the layer's input is not quantized.</summary>
    Fp16 = 2,
}

internal enum LayerActivation : uint
{
    Identity = 0,
    Relu = 1,
    Softmax = 2,
    Sigmoid = 3,
}

/// <summary>The NETW section: this header, then <see cref="LayerCount"/> records.</summary>
[StructLayout(LayoutKind.Sequential, Size = 32)]
internal struct NetworkHeader
{
    public uint LayerCount;
    public uint LabelCount;
    /// <summary>1 if the output layer has a CALI section.</summary>
    public uint HasCalibration;
    /// <summary>1 if neuron n of the output layer stands for label LMAP[n], and not for label n.</summary>
    public uint HasLabelMap;
    public ulong Reserved2;
    public ulong Reserved3;
}

[StructLayout(LayoutKind.Sequential, Size = 32)]
internal struct LayerRecord
{
    public RowOrder RowOrder;
    public uint Inputs;
    public uint Outputs;
    public uint Stride;
    public LayerActivation Activation;
    public uint HasSelector;
    public WeightFormat Format;
    public uint Reserved;
}

/// <summary>The SELE section: this header, then <see cref="SourceCount"/> records.</summary>
[StructLayout(LayoutKind.Sequential, Size = 32)]
internal struct SelectorHeader
{
    /// <summary>The most neurons evaluated per query.</summary>
    public uint Budget;
    public uint SourceCount;
    /// <summary>Added to each logit: this times log2 of the neuron's votes. 0 ranks by logit alone.</summary>
    public float VoteBlend;
    /// <summary>1 if selection was measured to be faster than evaluating every neuron when the model was built.</summary>
    public uint Pays;
    public ulong Reserved0;
    public ulong Reserved1;
}

/// <summary>The CALI section: this header, then u32[samples] neurons, then f32[samples] logarithms of their weights.</summary>
[StructLayout(LayoutKind.Sequential, Size = 32)]
internal struct CalibrationHeader
{
    public uint SampleCount;
    public float LshSlope;
    public float LshOffset;
    public float DenseSlope;
    public float DenseOffset;
    /// <summary>After selection, scores and sampled logits are multiplied by this first.</summary>
    public float InverseTemperature;
    public uint Reserved1;
    public uint Reserved2;
}

internal enum SourceKind : uint
{
    /// <summary>Every active input feature is a key; its value is the key's weight.</summary>
    Features = 1,

    /// <summary>SimHash of the layer's mean-centred input: one key per table, weight 1.</summary>
    SimHash = 2,

    /// <summary>A tree of cluster centres over the layer's input: every node on the query's way is a key.</summary>
    Centroids = 3,
}

[StructLayout(LayoutKind.Sequential, Size = 32)]
internal struct SourceRecord
{
    public SourceKind Kind;
    public uint KeyCount;
    public uint Tables;
    public uint Bits;
    /// <summary>Multiplies every vote of this source.</summary>
    public float Weight;
    /// <summary>A stored vote b stands for VoteScale * (b / 255)^2.</summary>
    public float VoteScale;
    /// <summary>SimHash: how many independent randomized Hadamard transforms give the bits. Centroids: the beam.</summary>
    public uint Rounds;
    public uint Reserved;
}

internal enum FeaturizerKind : uint
{
    /// <summary>Text to word n-grams.</summary>
    Text = 1,

    /// <summary>Text to its last words, by position and as a bag: next-word prediction.</summary>
    Context = 2,

    /// <summary>Feature ids with values.</summary>
    Sparse = 3,

    /// <summary>A vector of numbers.</summary>
    Dense = 4,
}

internal enum FeatureIndexing : uint
{
    /// <summary>The input names features by id.</summary>
    Direct = 0,

    /// <summary>N-grams are looked up in the VOCB hash table; unknown ones are dropped.</summary>
    Vocabulary = 1,

    /// <summary>N-grams are hashed to a feature id.</summary>
    Hashed = 2,
}

/// <summary>Which characters make a token.</summary>
internal enum TokenizerKind : uint
{
    /// <summary>Runs of letters, marks and digits, lower-cased.</summary>
    Words = 0,

    /// <summary>Runs of anything but ASCII white space and control characters, as they are.</summary>
    Whitespace = 1,
}

internal enum ValueTransform : uint
{
    None = 0,
    Binary = 1,
    Log1P = 2,
    Sqrt = 3,
}

internal enum ValueNormalization : uint
{
    None = 0,
    L2 = 1,
}

/// <summary>The FEAT section.</summary>
[StructLayout(LayoutKind.Sequential, Size = 64)]
internal struct FeaturizerRecord
{
    public const uint NoToken = uint.MaxValue;

    public FeaturizerKind Kind;
    public uint FeatureCount;
    public FeatureIndexing Indexing;
    public TokenizerKind Tokenizer;
    public ushort MinGram;
    public ushort MaxGram;
    public ValueTransform Transform;
    public ValueNormalization Normalization;
    public uint HasFeatureWeights;
    public ulong HashSeed;
    public uint VocabularySize;
    public uint VocabularySlots;
    /// <summary>Context only: this many of the last tokens make features of their own by position.</summary>
    public uint Positions;
    /// <summary>Context only: this many of the last tokens make a bag; 0 for none.</summary>
    public uint BagWindow;
    /// <summary>Context only: token id of words that are not in the vocabulary, or <see cref="NoToken"/> to drop them.</summary>
    public uint UnknownToken;
    /// <summary>Context only: token id that starts every line, or <see cref="NoToken"/>.</summary>
    public uint LineStartToken;
}
