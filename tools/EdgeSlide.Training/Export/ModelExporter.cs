using System.Runtime.InteropServices;
using EdgeSlide.Features;
using EdgeSlide.Hashing;
using EdgeSlide.Layers;
using EdgeSlide.Model;
using EdgeSlide.Training.Calibration;
using EdgeSlide.Training.Networks;
using EdgeSlide.Training.Quantization;
using EdgeSlide.Training.Tables;

namespace EdgeSlide.Training.Export;

/// <summary>One source of candidates as it goes into the file.</summary>
/// <param name="Planes">The HASH section for SimHash, null for feature buckets.</param>
/// <param name="Tree">The HASH section of a centroid tree, else null.</param>
internal sealed record ExportedSource(SourceRecord Record, FrozenBuckets Buckets, float[]? Planes, byte[]? Tree = null);

/// <summary>The selection settings and sources of one layer.</summary>
internal sealed record ExportedSelector(int Layer, int Budget, float VoteBlend, bool Pays, IReadOnlyList<ExportedSource> Sources)
{
    /// <summary>The same selector for neurons in another order.</summary>
    /// <param name="order">[neurons] which of the old neurons each is.</param>
    public ExportedSelector Reordered(int[] order)
    {
        var places = new uint[order.Length];
        for (int place = 0; place < order.Length; place++)
            places[order[place]] = (uint)place;
        return this with { Sources = [.. Sources.Select(source => source with { Buckets = source.Buckets with { Entries = Array.ConvertAll(source.Buckets.Entries, Moved) } })] };

        uint Moved(uint entry) => places[entry >> BucketTable.VoteBits] << BucketTable.VoteBits | entry & ((1u << BucketTable.VoteBits) - 1);
    }
}

/// <summary>The stored form of a network: what the export writes, kept so that selectors can change without quantizing again.</summary>
internal sealed class QuantizedNetwork
{
    private QuantizedNetwork(Network network, QuantizedRows[] layers, RowOrder firstLayer)
    {
        Source = network;
        Layers = layers;
        FirstLayer = firstLayer;
    }

    public Network Source { get; }

    public QuantizedRows[] Layers { get; }

    public RowOrder FirstLayer { get; }

    /// <summary>[labels] the label of each output neuron; null where neuron n stands for label n.</summary>
    public int[]? LabelMap { get; private init; }

    /// <summary>Quantizes every layer; dense input makes the first layer neuron-major.</summary>
    public static QuantizedNetwork From(Network network, bool denseInput, StorageOptions? storage = null)
    {
        storage ??= new StorageOptions();
        var layers = new QuantizedRows[network.Layers.Count];
        for (int i = 0; i < layers.Length; i++)
        {
            NetworkLayer layer = network.Layers[i];
            if (i > 0)
                layers[i] = Quantizer.Quantize(layer.Weights, layer.Outputs, layer.Inputs, i == layers.Length - 1 ? storage.Rows : WeightFormat.Int8);
            else if (denseInput)
                layers[i] = Quantizer.Quantize(Transpose(layer), layer.Outputs, layer.Inputs);
            else
                layers[i] = Quantizer.Quantize(layer.Weights, layer.Inputs, layer.Outputs, storage.InputRows);
        }
        return new QuantizedNetwork(network, layers, denseInput ? RowOrder.NeuronMajor : RowOrder.FeatureMajor);
    }

    /// <summary>The same network with its output neurons in another order.</summary>
    /// <param name="order">[labels] the label of each neuron.</param>
    public QuantizedNetwork Reordered(int[] order)
    {
        QuantizedRows output = Layers[^1];
        var rows = new byte[output.Rows.Length];
        var scales = new float[output.Scales.Length];
        for (int neuron = 0; neuron < order.Length; neuron++)
        {
            output.Rows.AsSpan(order[neuron] * output.Stride, output.Stride).CopyTo(rows.AsSpan(neuron * output.Stride));
            scales[neuron] = output.Scales[order[neuron]];
        }
        var reordered = new QuantizedRows { Format = output.Format, Rows = rows, Scales = scales, Stride = output.Stride, Error = output.Error };
        return new QuantizedNetwork(Source, [.. Layers[..^1], reordered], FirstLayer) { LabelMap = order };
    }

    private static float[] Transpose(NetworkLayer layer)
    {
        var result = new float[layer.Weights.Length];
        for (int i = 0; i < layer.Inputs; i++)
        {
            for (int o = 0; o < layer.Outputs; o++)
                result[o * layer.Inputs + i] = layer.Weights[i * layer.Outputs + o];
        }
        return result;
    }
}

/// <summary>Writes .eslide files.</summary>
internal static class ModelExporter
{
    public static void Write(string path, QuantizedNetwork network, Featurizer featurizer, IReadOnlyList<ExportedSelector> selectors,
        IReadOnlyList<string>? labelNames, byte[] provenanceJson, StoredCalibration? calibration = null)
    {
        var sections = new List<SectionContent> { new(SectionKind.Provenance, 0, 0, provenanceJson) };
        IReadOnlyList<NetworkLayer> layers = network.Source.Layers;
        var records = new LayerRecord[layers.Count];
        for (int i = 0; i < records.Length; i++)
        {
            records[i] = new LayerRecord
            {
                RowOrder = i == 0 ? network.FirstLayer : RowOrder.NeuronMajor,
                Inputs = (uint)layers[i].Inputs,
                Outputs = (uint)layers[i].Outputs,
                Stride = (uint)network.Layers[i].Stride,
                Activation = (LayerActivation)layers[i].Activation,
                HasSelector = selectors.Any(s => s.Layer == i) ? 1u : 0u,
                Format = network.Layers[i].Format,
            };
        }
        var header = new NetworkHeader
        {
            LayerCount = (uint)records.Length,
            LabelCount = (uint)network.Source.OutputCount,
            HasCalibration = calibration is null ? 0u : 1u,
            HasLabelMap = network.LabelMap is null ? 0u : 1u,
        };
        sections.Add(new SectionContent(SectionKind.Network, 0, 0, ModelWriter.Record<NetworkHeader, LayerRecord>(in header, records)));
        sections.AddRange(featurizer.ToSections());
        for (int i = 0; i < records.Length; i++)
        {
            QuantizedRows rows = network.Layers[i];
            sections.Add(SectionContent.Of(SectionKind.Weights, i, 0, rows.Rows));
            if (records[i].RowOrder == RowOrder.FeatureMajor)
            {
                sections.Add(SectionContent.Of(SectionKind.Scales, i, 0, rows.Scales));
                sections.Add(SectionContent.Of(SectionKind.Bias, i, 0, layers[i].Bias));
            }
            else
            {
                var affine = new NeuronAffine[rows.Scales.Length];
                for (int n = 0; n < affine.Length; n++)
                    affine[n] = new NeuronAffine { Scale = rows.Scales[n], Bias = layers[i].Bias[i == records.Length - 1 && network.LabelMap is { } map ? map[n] : n] };
                sections.Add(SectionContent.Of(SectionKind.Scales, i, 0, affine));
            }
        }
        foreach (ExportedSelector selector in selectors)
            sections.AddRange(SelectorSections(selector));
        if (calibration is not null)
            sections.Add(CalibrationSection(records.Length - 1, calibration));
        if (network.LabelMap is { } labels)
            sections.Add(SectionContent.Of(SectionKind.LabelMap, 0, 0, labels));
        if (labelNames is not null)
            sections.AddRange(LabelNames.ToSections(labelNames));
        ModelWriter.Write(path, sections);
    }

    public static SectionContent CalibrationSection(int layer, StoredCalibration calibration)
    {
        CalibrationHeader header = calibration.Header;
        return new SectionContent(SectionKind.Calibration, layer, 0,
            ModelWriter.Record<CalibrationHeader, byte>(in header, [.. MemoryMarshal.AsBytes(calibration.Neurons.AsSpan()), .. MemoryMarshal.AsBytes(calibration.LogWeights.AsSpan())]));
    }

    public static List<SectionContent> SelectorSections(ExportedSelector selector)
    {
        var sections = new List<SectionContent>();
        var header = new SelectorHeader
        {
            Budget = (uint)selector.Budget,
            SourceCount = (uint)selector.Sources.Count,
            VoteBlend = selector.VoteBlend,
            Pays = selector.Pays ? 1u : 0u,
        };
        SourceRecord[] records = [.. selector.Sources.Select(s => s.Record with { VoteScale = s.Buckets.VoteScale })];
        sections.Add(new SectionContent(SectionKind.Selector, selector.Layer, 0, ModelWriter.Record<SelectorHeader, SourceRecord>(in header, records)));
        for (int part = 0; part < selector.Sources.Count; part++)
        {
            ExportedSource source = selector.Sources[part];
            if (source.Planes is not null)
                sections.Add(SectionContent.Of(SectionKind.HashPlanes, selector.Layer, part, source.Planes));
            if (source.Tree is not null)
                sections.Add(SectionContent.Of(SectionKind.HashPlanes, selector.Layer, part, source.Tree));
            sections.Add(SectionContent.Of(SectionKind.BucketOffsets, selector.Layer, part, source.Buckets.Offsets));
            sections.Add(SectionContent.Of(SectionKind.BucketEntries, selector.Layer, part, source.Buckets.Entries));
        }
        return sections;
    }
}
