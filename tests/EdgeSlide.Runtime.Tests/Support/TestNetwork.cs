using System.Runtime.InteropServices;
using System.Text;
using EdgeSlide.Features;
using EdgeSlide.Hashing;
using EdgeSlide.Layers;
using EdgeSlide.Model;

namespace EdgeSlide.Runtime.Tests.Support;

/// <summary>One source of candidates as plain arrays: entries[key] lists (neuron, vote byte).</summary>
internal sealed class TestSource
{
    public required SourceRecord Record { get; set; }

    public required List<(int Id, byte Vote)>[] Buckets { get; init; }

    public float[]? Planes { get; init; }
}

internal sealed class TestSelector
{
    public required int Budget { get; set; }

    public float Blend { get; set; }

    public bool Pays { get; set; } = true;

    public List<TestSource> Sources { get; } = [];
}

/// <summary>One INT8 layer as plain arrays; rows are padded to <see cref="Stride"/>.</summary>
internal sealed class TestLayer
{
    public required RowOrder Order { get; init; }

    public required int Inputs { get; init; }

    public required int Outputs { get; init; }

    public required LayerActivation Activation { get; init; }

    /// <summary>Integers for INT8 and INT4, the patterns of FP16 numbers for FP16.</summary>
    public required short[] Rows { get; init; }

    public required float[] Scales { get; init; }

    public required float[] Bias { get; init; }

    public TestSelector? Selector { get; set; }

    public WeightFormat Format { get; set; }

    /// <summary>Elements per row.</summary>
    public int Stride => (RowWidth + 63) / 64 * 64;

    public int RowWidth => Order == RowOrder.FeatureMajor ? Outputs : Inputs;

    public int RowCount => Order == RowOrder.FeatureMajor ? Inputs : Outputs;

    /// <summary>The rows as section 4.1 of the specification has them.</summary>
    public byte[] StoredRows()
    {
        switch (Format)
        {
            case WeightFormat.Fp16:
                return MemoryMarshal.AsBytes(Rows.AsSpan()).ToArray();
            case WeightFormat.Int8:
                return [.. Rows.Select(w => (byte)(sbyte)w)];
            default:
                var bytes = new List<byte>();
                for (int block = 0; block < Rows.Length; block += 64)
                {
                    for (int i = 0; i < 32; i++)
                        bytes.Add((byte)(Rows[block + i] + 8 | Rows[block + 32 + i] + 8 << 4));
                }
                return [.. bytes];
        }
    }

    /// <summary>Gives the layer random weights in another format.</summary>
    public void Refill(TestRandom random, WeightFormat format)
    {
        Format = format;
        for (int row = 0; row < RowCount; row++)
        {
            for (int i = 0; i < RowWidth; i++)
            {
                Rows[row * Stride + i] = format switch
                {
                    WeightFormat.Int4 => (short)(random.Below(16) - 8),
                    WeightFormat.Fp16 => BitConverter.HalfToInt16Bits((Half)(random.Float(-1f, 1f) * (random.Chance(10) ? 1e-6f : 1f))),
                    _ => (short)(random.Below(255) - 127),
                };
            }
            Scales[row] = format == WeightFormat.Int8 ? random.Float(0.001f, 0.01f) : format == WeightFormat.Int4 ? random.Float(0.02f, 0.1f) : random.Below(2) + 1f;
        }
    }
}

/// <summary>
/// A network as plain arrays: what a model file says, before it is one. Tests write it with the runtime's writer and
/// compute its answers with <see cref="ReferencePredictor"/>.
/// </summary>
internal sealed class TestNetwork
{
    public required FeaturizerRecord Featurizer { get; set; }

    public ulong[]? Vocabulary { get; set; }

    public float[]? FeatureWeights { get; set; }

    public List<TestLayer> Layers { get; } = [];

    public string[]? Labels { get; set; }

    /// <summary>[labels] the label of each neuron.</summary>
    public int[]? LabelMap { get; set; }

    /// <summary>The CALI section: parameters, then (neuron, log weight) ascending.</summary>
    public (CalibrationHeader Header, (int Neuron, float LogWeight)[] Samples)? Calibration { get; set; }

    public string Provenance { get; set; } = """{"made_by":"a test"}""";

    public TestLayer Output => Layers[^1];

    public bool TakesText => Featurizer.Kind is FeaturizerKind.Text or FeaturizerKind.Context;

    /// <summary>A featurizer for numbers.</summary>
    public static TestNetwork OfNumbers(FeaturizerKind kind, int features) =>
        new() { Featurizer = new FeaturizerRecord { Kind = kind, FeatureCount = (uint)features, UnknownToken = FeaturizerRecord.NoToken, LineStartToken = FeaturizerRecord.NoToken } };

    /// <summary>A featurizer for text: words w0, w1, ... in a vocabulary, or n-grams hashed.</summary>
    public static TestNetwork OfText(int features, bool hashed, int maxGram = 1) => new()
    {
        Featurizer = new FeaturizerRecord
        {
            Kind = FeaturizerKind.Text,
            FeatureCount = (uint)features,
            Indexing = hashed ? FeatureIndexing.Hashed : FeatureIndexing.Vocabulary,
            MinGram = 1,
            MaxGram = (ushort)maxGram,
            HashSeed = 17,
            VocabularySize = hashed ? 0 : (uint)features,
            Normalization = ValueNormalization.L2,
            UnknownToken = FeaturizerRecord.NoToken,
            LineStartToken = FeaturizerRecord.NoToken,
        },
        Vocabulary = hashed ? null : VocabularyIndex.Build(WordHashes(features, 17)),
    };

    /// <summary>A featurizer of contexts over the words w0, w1, ...; w0 starts lines, w1 stands for unknown words.</summary>
    public static TestNetwork OfContext(int words, int positions, int bag) => new()
    {
        Featurizer = new FeaturizerRecord
        {
            Kind = FeaturizerKind.Context,
            FeatureCount = (uint)(words * (positions + (bag > 0 ? 1 : 0))),
            Indexing = FeatureIndexing.Vocabulary,
            Tokenizer = TokenizerKind.Whitespace,
            HashSeed = 17,
            VocabularySize = (uint)words,
            Positions = (uint)positions,
            BagWindow = (uint)bag,
            UnknownToken = 1,
            LineStartToken = 0,
        },
        Vocabulary = VocabularyIndex.Build(WordHashes(words, 17)),
    };

    public static ulong[] WordHashes(int count, ulong seed) =>
        [.. Enumerable.Range(0, count).Select(i => TokenHash.Of(Encoding.UTF8.GetBytes($"w{i}"), seed))];

    /// <summary>Appends layers with random weights; sparse input makes a hidden first layer feature-major.</summary>
    public TestNetwork WithLayers(TestRandom random, int[] hidden, int labels, LayerActivation output = LayerActivation.Softmax, LayerActivation inner = LayerActivation.Relu)
    {
        int inputs = (int)Featurizer.FeatureCount;
        foreach (int width in hidden)
        {
            bool featureMajor = Layers.Count == 0 && Featurizer.Kind != FeaturizerKind.Dense;
            Layers.Add(RandomLayer(random, featureMajor ? RowOrder.FeatureMajor : RowOrder.NeuronMajor, inputs, width, inner));
            inputs = width;
        }
        Layers.Add(RandomLayer(random, RowOrder.NeuronMajor, inputs, labels, output));
        return this;
    }

    /// <summary>Gives a layer (the output layer by default) a selector with random buckets.</summary>
    public TestNetwork WithSelector(TestRandom random, int budget, bool features, bool simHash, float blend = 0f, int layer = -1, int perBucket = 12)
    {
        TestLayer target = Layers[layer < 0 ? Layers.Count - 1 : layer];
        var selector = new TestSelector { Budget = budget, Blend = blend };
        if (features)
        {
            selector.Sources.Add(new TestSource
            {
                Record = new SourceRecord { Kind = SourceKind.Features, KeyCount = Featurizer.FeatureCount, Tables = 1, Weight = 0.75f, VoteScale = 1.5f },
                Buckets = RandomBuckets(random, (int)Featurizer.FeatureCount, target.Outputs, perBucket),
            });
        }
        if (simHash)
        {
            const int Tables = 6, Bits = 5;
            int rounds = SimHash.RoundsFor(target.Inputs, Tables, Bits);
            float[] mean = new float[SimHash.PaddedDimensions(target.Inputs)];
            for (int i = 0; i < target.Inputs; i++)
                mean[i] = random.Float(0f, 0.4f);
            float[] planes = [.. mean, .. SimHash.CreatePlanes(mean, rounds, random.Next()).Skip(mean.Length)];
            selector.Sources.Add(new TestSource
            {
                Record = new SourceRecord { Kind = SourceKind.SimHash, KeyCount = Tables << Bits, Tables = Tables, Bits = Bits, Rounds = (uint)rounds, Weight = 1f, VoteScale = 0.9f },
                Buckets = RandomBuckets(random, Tables << Bits, target.Outputs, perBucket),
                Planes = planes,
            });
        }
        target.Selector = selector;
        return this;
    }

    /// <summary>Every n-th neuron is sampled, with random weights and curves.</summary>
    public TestNetwork WithCalibration(TestRandom random, int every = 3)
    {
        (int, float)[] samples = [.. Enumerable.Range(0, Output.Outputs).Where(i => i % every == 1).Select(i => (i, random.Float(-1f, 3f)))];
        Calibration = (new CalibrationHeader
        {
            SampleCount = (uint)samples.Length,
            LshSlope = random.Float(0.3f, 2f),
            LshOffset = random.Float(-1f, 1f),
            DenseSlope = random.Float(0.3f, 2f),
            DenseOffset = random.Float(-1f, 1f),
            InverseTemperature = random.Float(0.1f, 1f),
        }, samples);
        return this;
    }

    public TestNetwork WithLabels()
    {
        Labels = [.. Enumerable.Range(0, Output.Outputs).Select(i => i % 5 == 4 ? $"étiquette {i}" : $"label {i}")];
        return this;
    }

    /// <summary>Stores the first and the last layer's weights in other formats.</summary>
    public TestNetwork WithFormats(TestRandom random, WeightFormat first, WeightFormat last)
    {
        Layers[0].Refill(random, first);
        Output.Refill(random, last);
        return this;
    }

    public TestNetwork WithLabelMap(TestRandom random)
    {
        LabelMap = [.. Enumerable.Range(0, Output.Outputs).OrderBy(_ => random.Next())];
        return this;
    }

    /// <summary>The sections in the order of the specification.</summary>
    public List<SectionContent> ToSections()
    {
        FeaturizerRecord featurizer = Featurizer;
        featurizer.VocabularySlots = (uint)(Vocabulary?.Length ?? 0);
        featurizer.HasFeatureWeights = FeatureWeights is null ? 0u : 1u;
        var header = new NetworkHeader { LayerCount = (uint)Layers.Count, LabelCount = (uint)Output.Outputs, HasCalibration = Calibration is null ? 0u : 1u, HasLabelMap = LabelMap is null ? 0u : 1u };
        LayerRecord[] records = [.. Layers.Select(l => new LayerRecord
        {
            RowOrder = l.Order,
            Inputs = (uint)l.Inputs,
            Outputs = (uint)l.Outputs,
            Stride = (uint)(l.StoredRows().Length / l.RowCount),
            Activation = l.Activation,
            HasSelector = l.Selector is null ? 0u : 1u,
            Format = l.Format,
        })];
        var sections = new List<SectionContent>
        {
            new(SectionKind.Provenance, 0, 0, Encoding.UTF8.GetBytes(Provenance)),
            new(SectionKind.Network, 0, 0, ModelWriter.Record<NetworkHeader, LayerRecord>(in header, records)),
            SectionContent.Of(SectionKind.Featurizer, 0, 0, [featurizer]),
        };
        if (Vocabulary is not null)
            sections.Add(SectionContent.Of(SectionKind.Vocabulary, 0, 0, Vocabulary));
        if (FeatureWeights is not null)
            sections.Add(SectionContent.Of(SectionKind.FeatureWeights, 0, 0, FeatureWeights));
        for (int i = 0; i < Layers.Count; i++)
        {
            TestLayer layer = Layers[i];
            sections.Add(SectionContent.Of(SectionKind.Weights, i, 0, layer.StoredRows()));
            if (layer.Order == RowOrder.FeatureMajor)
            {
                sections.Add(SectionContent.Of(SectionKind.Scales, i, 0, layer.Scales));
                sections.Add(SectionContent.Of(SectionKind.Bias, i, 0, layer.Bias));
            }
            else
            {
                NeuronAffine[] affine = [.. layer.Scales.Zip(layer.Bias, (s, b) => new NeuronAffine { Scale = s, Bias = b })];
                sections.Add(SectionContent.Of(SectionKind.Scales, i, 0, affine));
            }
        }
        for (int i = 0; i < Layers.Count; i++)
        {
            if (Layers[i].Selector is { } selector)
                AddSelector(sections, i, selector);
        }
        if (Calibration is { } calibration)
        {
            CalibrationHeader parameters = calibration.Header;
            sections.Add(new SectionContent(SectionKind.Calibration, Layers.Count - 1, 0, ModelWriter.Record<CalibrationHeader, byte>(in parameters,
                [.. MemoryMarshal.AsBytes(calibration.Samples.Select(s => s.Neuron).ToArray().AsSpan()), .. MemoryMarshal.AsBytes(calibration.Samples.Select(s => s.LogWeight).ToArray().AsSpan())])));
        }
        if (LabelMap is not null)
            sections.Add(SectionContent.Of(SectionKind.LabelMap, 0, 0, LabelMap));
        if (Labels is not null)
            sections.AddRange(LabelNames.ToSections(Labels));
        return sections;
    }

    public byte[] ToBytes()
    {
        using var stream = new MemoryStream();
        ModelWriter.Write(stream, ToSections());
        return stream.ToArray();
    }

    public EdgeSlideModel Open(TemporaryFolder folder)
    {
        string path = folder.File(Guid.NewGuid().ToString("N") + ".eslide");
        ModelWriter.Write(path, ToSections());
        return EdgeSlideModel.Open(path);
    }

    private static void AddSelector(List<SectionContent> sections, int layer, TestSelector selector)
    {
        var header = new SelectorHeader { Budget = (uint)selector.Budget, SourceCount = (uint)selector.Sources.Count, VoteBlend = selector.Blend, Pays = selector.Pays ? 1u : 0u };
        sections.Add(new SectionContent(SectionKind.Selector, layer, 0, ModelWriter.Record<SelectorHeader, SourceRecord>(in header, selector.Sources.Select(s => s.Record).ToArray())));
        for (int part = 0; part < selector.Sources.Count; part++)
        {
            TestSource source = selector.Sources[part];
            if (source.Planes is not null)
                sections.Add(SectionContent.Of(SectionKind.HashPlanes, layer, part, source.Planes));
            uint total = 0;
            uint[] offsets = [0, .. source.Buckets.Select(b => total += (uint)b.Count)];
            sections.Add(SectionContent.Of(SectionKind.BucketOffsets, layer, part, offsets));
            sections.Add(SectionContent.Of(SectionKind.BucketEntries, layer, part, source.Buckets.SelectMany(b => b).Select(e => BucketTable.Pack(e.Id, e.Vote)).ToArray()));
        }
    }

    private static TestLayer RandomLayer(TestRandom random, RowOrder order, int inputs, int outputs, LayerActivation activation)
    {
        var layer = new TestLayer
        {
            Order = order,
            Inputs = inputs,
            Outputs = outputs,
            Activation = activation,
            Rows = new short[(order == RowOrder.FeatureMajor ? inputs : outputs) * (((order == RowOrder.FeatureMajor ? outputs : inputs) + 63) / 64 * 64)],
            Scales = new float[order == RowOrder.FeatureMajor ? inputs : outputs],
            Bias = new float[outputs],
        };
        for (int row = 0; row < layer.RowCount; row++)
        {
            for (int i = 0; i < layer.RowWidth; i++)
                layer.Rows[row * layer.Stride + i] = (short)(random.Below(255) - 127);
            layer.Scales[row] = random.Float(0.001f, 0.01f);
        }
        for (int i = 0; i < outputs; i++)
            layer.Bias[i] = random.Float(-0.2f, 0.2f);
        return layer;
    }

    private static List<(int, byte)>[] RandomBuckets(TestRandom random, int keys, int neurons, int most)
    {
        var buckets = new List<(int, byte)>[keys];
        for (int key = 0; key < keys; key++)
        {
            buckets[key] = [];
            // A quarter of the buckets is empty; a vote of 0 is allowed and counts for nothing.
            int count = random.Below(4) == 0 ? 0 : random.Below(most + 1);
            for (int i = 0; i < count; i++)
                buckets[key].Add((random.Below(neurons), (byte)random.Below(256)));
        }
        return buckets;
    }
}
