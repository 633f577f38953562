using System.Runtime.InteropServices;
using System.Text.Json;
using EdgeSlide.Features;
using EdgeSlide.Hashing;
using EdgeSlide.Kernels;
using EdgeSlide.Layers;
using EdgeSlide.Model;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Quantization;
using EdgeSlide.Training.Tables;

namespace EdgeSlide.Training.Scale;

/// <summary>
/// Writes device models of any width without training, to show what width costs. The answer is planted: every label has a
/// prototype, a set of features; its output weights are the hidden vector of that prototype plus noise, so that the dense
/// network really ranks the label first among all for most of its queries; and it stands in the buckets of its rarest
/// features, as training on such queries would have put it there. Everything follows from the seed.
/// </summary>
internal static unsafe class ScaleModel
{
    private const int SampledLabels = 2048;

    /// <summary>The logit of a label whose weights point exactly where the query does.</summary>
    private const float LogitScale = 16f;

    /// <param name="path">The .eslide file.</param>
    /// <param name="options">The shape.</param>
    /// <param name="pays">Says whether hashing pays in the model of the file that it is given, which is what auto mode then follows; null if it does.</param>
    /// <param name="stage">Told what is going on.</param>
    /// <param name="cancel">Stops before the file is there.</param>
    public static void Write(string path, ScaleOptions options, Func<string, bool>? pays = null, Action<string>? stage = null, CancellationToken cancel = default)
    {
        Func<bool, IReadOnlyList<SectionContent>> sections = Generate(options, stage, cancel);
        // Under a name of its own until the answer is known: a model that says the wrong thing must not be taken for the result.
        string measured = $"{path}.{Environment.ProcessId}.measured";
        try
        {
            stage?.Invoke("writing the model");
            ModelWriter.Write(measured, sections(true));
            if (pays is null || pays(measured))
            {
                cancel.ThrowIfCancellationRequested();
                File.Move(measured, path, overwrite: true);
                return;
            }
            cancel.ThrowIfCancellationRequested();
            // Before the second file, so that the disk need not hold both.
            File.Delete(measured);
            ModelWriter.Write(path, sections(false));
        }
        finally
        {
            File.Delete(measured);
        }
    }

    /// <summary>Makes all of a model but the answer to whether hashing pays, which completes it.</summary>
    private static Func<bool, IReadOnlyList<SectionContent>> Generate(ScaleOptions options, Action<string>? stage, CancellationToken cancel)
    {
        options.Validate();
        stage?.Invoke("drawing features");
        var random = new Xoshiro256(options.Seed);
        var features = new ZipfFeatures(options.Features, random);
        Featurizer featurizer = CreateFeaturizer(options, features);
        int stride = ModelFormat.RowStride(options.Hidden);
        (byte[] inputRows, float[] inputScales) = InputRows(options, stride, random);
        var inputRecord = new LayerRecord
        {
            RowOrder = RowOrder.FeatureMajor,
            Inputs = (uint)options.Features,
            Outputs = (uint)options.Hidden,
            Stride = (uint)ModelFormat.RowBytes(options.Hidden, options.InputRows),
            Format = options.InputRows,
            Activation = LayerActivation.Relu,
        };
        var outputRecord = new LayerRecord
        {
            RowOrder = RowOrder.NeuronMajor,
            Inputs = (uint)options.Hidden,
            Outputs = (uint)options.Labels,
            Stride = (uint)ModelFormat.RowStride(options.Hidden),
            Activation = LayerActivation.Softmax,
            HasSelector = 1,
        };
        var network = new NetworkHeader { LayerCount = 2, LabelCount = (uint)options.Labels };
        float[] bias = new float[options.Hidden];

        byte[] rows = new byte[(long)options.Labels * stride];
        byte[] affine = new byte[(long)options.Labels * sizeof(NeuronAffine)];
        var keys = new int[options.Labels * options.KeysPerLabel];
        fixed (byte* inputPointer = inputRows)
        fixed (float* scalePointer = inputScales, biasPointer = bias)
        {
            var input = new SparseInputLayer(new View<byte>(inputPointer, inputRows.Length), new View<float>(scalePointer, inputScales.Length),
                new View<float>(biasPointer, bias.Length), inputRecord);
            var labels = new LabelRows(options, features, featurizer, input);
            labels.Sample(SampledLabels);
            stage?.Invoke($"writing the rows of {options.Labels:N0} labels");
            labels.Fill(rows, affine, keys, LogitScale, cancel);
        }
        stage?.Invoke("filling buckets");
        (byte[] offsets, byte[] entries, float voteScale) = Buckets(keys, features.Shares, options);
        var selector = new SelectorHeader { Budget = (uint)Math.Min(options.Budget, options.Labels), SourceCount = 1, VoteBlend = options.VoteBlend };
        var source = new SourceRecord { Kind = SourceKind.Features, KeyCount = (uint)options.Features, Tables = 1, Weight = 1f, VoteScale = voteScale };
        return pays =>
        [
            new SectionContent(SectionKind.Provenance, 0, 0, Provenance(options)),
            new SectionContent(SectionKind.Network, 0, 0, ModelWriter.Record<NetworkHeader, LayerRecord>(in network, [inputRecord, outputRecord])),
            .. featurizer.ToSections(),
            new SectionContent(SectionKind.Weights, 0, 0, inputRows),
            SectionContent.Of(SectionKind.Scales, 0, 0, inputScales),
            SectionContent.Of(SectionKind.Bias, 0, 0, bias),
            new SectionContent(SectionKind.Weights, 1, 0, rows),
            new SectionContent(SectionKind.Scales, 1, 0, affine),
            new SectionContent(SectionKind.Selector, 1, 0, Selector(selector with { Pays = pays ? 1u : 0u })),
            new SectionContent(SectionKind.BucketOffsets, 1, 0, offsets),
            new SectionContent(SectionKind.BucketEntries, 1, 0, entries),
        ];

        byte[] Selector(SelectorHeader header) => ModelWriter.Record<SelectorHeader, SourceRecord>(in header, [source]);
    }

    /// <summary>Writes queries with their labels in XC format.</summary>
    public static void WriteQueries(string path, int count, ScaleOptions options)
    {
        options.Validate();
        var prototypes = new Prototypes(options, new ZipfFeatures(options.Features, new Xoshiro256(options.Seed)));
        var row = new int[options.RowFeatures];
        const byte Space = (byte)' ', NewLine = (byte)'\n';
        OutputFile.Write(path, output =>
        {
            output.Append(count).Append(Space).Append(options.Features).Append(Space).Append(options.Labels).Append(NewLine);
            for (int query = 0; query < count; query++)
            {
                prototypes.DrawQuery(query, row, out int label);
                output.Append(label);
                foreach (int feature in row)
                    output.Append(Space).Append(feature).Append(":1"u8);
                output.Append(NewLine);
            }
        });
    }

    /// <summary>Queries as the network sees them.</summary>
    public static Dataset Queries(int count, ScaleOptions options)
    {
        var features = new ZipfFeatures(options.Features, new Xoshiro256(options.Seed));
        var prototypes = new Prototypes(options, features);
        Featurizer featurizer = CreateFeaturizer(options, features);
        int width = options.RowFeatures;
        var (ids, values, labels) = (new int[count * width], new float[count * width], new int[count]);
        float[] ones = [.. Enumerable.Repeat(1f, width)];
        using var vector = new FeatureVector();
        for (int query = 0; query < count; query++)
        {
            Span<int> row = ids.AsSpan(query * width, width);
            prototypes.DrawQuery(query, row, out labels[query]);
            featurizer.FromSparse(row, ones, vector);
            vector.ValueSpan.CopyTo(values.AsSpan(query * width, width));
        }
        return new Dataset
        {
            FeatureCount = options.Features,
            LabelCount = options.Labels,
            FeatureOffsets = [.. Enumerable.Range(0, count + 1).Select(i => (long)i * width)],
            FeatureIds = ids,
            FeatureValues = values,
            LabelOffsets = [.. Enumerable.Range(0, count + 1).Select(i => (long)i)],
            LabelIds = labels,
        };
    }

    private static Featurizer CreateFeaturizer(ScaleOptions options, ZipfFeatures features) => Featurizer.Create(new FeaturizerRecord
    {
        Kind = FeaturizerKind.Sparse,
        FeatureCount = (uint)options.Features,
        Normalization = ValueNormalization.L2,
    }, null, features.Weights);

    /// <summary>Independent uniform weights: a random projection of the features.</summary>
    private static (byte[] Rows, float[] Scales) InputRows(ScaleOptions options, int stride, Xoshiro256 random)
    {
        var rows = new byte[(long)options.Features * stride];
        for (int feature = 0; feature < options.Features; feature++)
        {
            Span<byte> row = rows.AsSpan(feature * stride, options.Hidden);
            for (int j = 0; j < row.Length; j++)
                row[j] = (byte)(sbyte)(random.Below(255) - 127);
        }
        if (options.InputRows == WeightFormat.Int8)
        {
            var scales = new float[options.Features];
            Array.Fill(scales, 1f / 127f);
            return (rows, scales);
        }
        var weights = new float[(long)options.Features * options.Hidden];
        for (int feature = 0; feature < options.Features; feature++)
        {
            for (int j = 0; j < options.Hidden; j++)
                weights[feature * options.Hidden + j] = (sbyte)rows[feature * stride + j] / 127f;
        }
        QuantizedRows quantized = Quantizer.Quantize(weights, options.Features, options.Hidden, options.InputRows);
        return (quantized.Rows, quantized.Scales);
    }

    /// <summary>
    /// Labels by feature, ascending. A vote is the label's share in the rows that open the bucket, of which there is one per
    /// label, damped as training damps it, times a half to one by chance: no two labels of a feature were seen equally often.
    /// </summary>
    private static (byte[] Offsets, byte[] Entries, float VoteScale) Buckets(int[] keys, float[] shares, ScaleOptions options)
    {
        var offsetBytes = new byte[(options.Features + 1L) * sizeof(uint)];
        var entryBytes = new byte[(long)keys.Length * sizeof(uint)];
        Span<uint> offsets = MemoryMarshal.Cast<byte, uint>(offsetBytes.AsSpan()), entries = MemoryMarshal.Cast<byte, uint>(entryBytes.AsSpan());
        foreach (int key in keys)
            offsets[key + 1]++;
        var votes = new float[options.Features];
        float scale = 0f;
        for (int f = 0; f < options.Features; f++)
        {
            // Where chance has put more labels into a bucket than rows are expected to open it, that many open it.
            float rows = Math.Max(offsets[f + 1], Math.Min(1f, shares[f] * options.RowFeatures) * options.Labels);
            votes[f] = 1f / (rows + TableBuilder.Prior);
            if (offsets[f + 1] > 0)
                scale = Math.Max(scale, votes[f]);
            offsets[f + 1] += offsets[f];
        }
        var next = offsets[..options.Features].ToArray();
        for (int i = 0; i < keys.Length; i++)
        {
            int key = keys[i];
            float chance = 0.5f + (StableHash.Mix(options.Seed + (ulong)i * 0x9E3779B97F4A7C15) >> 40) * (0.5f / (1 << 24));
            entries[(int)next[key]++] = BucketTable.Pack(i / options.KeysPerLabel, BucketTable.EncodeVote(chance * votes[key], scale));
        }
        return (offsetBytes, entryBytes, scale);
    }

    private static byte[] Provenance(ScaleOptions options)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream))
        {
            json.WriteStartObject();
            json.WriteString("tool", "edgeslide-workbench generate");
            json.WriteString("data", "generated: planted answers, nothing was trained");
            json.WriteNumber("seed", options.Seed);
            json.WriteNumber("row_features", options.RowFeatures);
            json.WriteNumber("kept_share", options.Keep);
            json.WriteNumber("weight_noise", options.Noise);
            json.WriteNumber("keys_per_label", options.KeysPerLabel);
            if (options.InputRows != WeightFormat.Int8)
                json.WriteString("input_rows", $"{options.InputRows}".ToUpperInvariant());
            json.WriteEndObject();
        }
        return stream.ToArray();
    }
}
