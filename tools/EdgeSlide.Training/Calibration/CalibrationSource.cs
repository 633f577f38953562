using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using EdgeSlide.Calibration;
using EdgeSlide.Hashing;
using EdgeSlide.Layers;
using EdgeSlide.Model;
using EdgeSlide.Training.Export;
using EdgeSlide.Training.Networks;
using EdgeSlide.Training.Tables;

namespace EdgeSlide.Training.Calibration;

/// <summary>
/// A calibrated model, made by the same options from a part of the rows, whose calibration one takes over that was trained on
/// all of them and has none left to fit to. Temperature and curves stay as they are. So does the sample, by label: its weights
/// are the inverses of the chances with which labels were drawn, so that its sum is unbiased whichever network gives the logits,
/// and the curves were fitted to the shares that this very sample gives. A new one would have to be drawn by rows that the
/// network has learned, on which what the candidates leave out looks smaller than it is.
/// </summary>
internal sealed class CalibrationSource
{
    private readonly string _path;
    private readonly CalibrationHeader _header;
    private readonly (int Label, float LogWeight)[] _samples;
    private readonly SourceKind[] _sources;
    private readonly int? _bucketSize;
    private readonly FeaturizerKind _input;
    private readonly int _width;
    private readonly string[]? _names;
    private readonly int _labelCount;

    private CalibrationSource(string path, EdgeSlideModel model, OutputCalibration calibration, LayerSelector selector, JsonElement provenance)
    {
        _path = path;
        Model = Path.GetFileName(path);
        _header = new CalibrationHeader
        {
            SampleCount = (uint)calibration.Neurons.Length,
            LshSlope = calibration.Lsh.Slope,
            LshOffset = calibration.Lsh.Offset,
            DenseSlope = calibration.Dense.Slope,
            DenseOffset = calibration.Dense.Offset,
            InverseTemperature = calibration.InverseTemperature,
        };
        int[]? labels = model.Layout.LabelMap?.Labels();
        _samples = [.. calibration.Neurons.Zip(calibration.LogWeights, (neuron, weight) => (labels?[neuron] ?? neuron, weight))];
        Budget = selector.Budget;
        VoteBlend = selector.VoteBlend;
        _sources = [.. selector.Sources.Select(s => s.Record.Kind)];
        _bucketSize = provenance.TryGetProperty("bucket_size", out JsonElement size) && size.ValueKind == JsonValueKind.Number && size.TryGetInt32(out int value) ? value : null;
        _input = model.Featurizer.Kind;
        _width = model.Layout.Output.Inputs;
        _labelCount = model.LabelCount;
        _names = model.Labels.HasNames ? [.. Enumerable.Range(0, model.LabelCount).Select(label => Encoding.UTF8.GetString(model.Labels.Utf8Name(label)))] : null;
    }

    /// <summary>The file's name and checksum, for the provenance.</summary>
    public string Model { get; }

    public required string Sha256 { get; init; }

    public int Budget { get; }

    public float VoteBlend { get; }

    /// <exception cref="ModelFormatException">The file is no usable model, or has no calibration that another model can take over.</exception>
    public static CalibrationSource Read(string path)
    {
        using EdgeSlideModel model = EdgeSlideModel.Open(path);
        if (model.Layout.Calibration is not { } calibration)
            throw new ModelFormatException(ModelError.MissingSection, $"{path}: has no calibration to take over; quantize it with held-out rows, from a network that ends in a softmax");
        if (model.Layout.Output.Selector is not { } selector)
            throw new ModelFormatException(ModelError.MissingSection, $"{path}: selects no candidates, so its calibration is not one for hashing");
        using JsonDocument provenance = JsonDocument.Parse(model.Provenance);
        if (provenance.RootElement.TryGetProperty("tuning", out _))
            throw new ModelFormatException(ModelError.BadCalibration, $"{path}: was tuned, so its calibration is for other candidates than quantize selects; give the model as quantize wrote it");
        using FileStream file = File.OpenRead(path);
        return new CalibrationSource(path, model, calibration, selector, provenance.RootElement) { Sha256 = Convert.ToHexStringLower(SHA256.HashData(file)) };
    }

    /// <summary>The options with the vote blend and the budget that the calibration is for, where they leave them open.</summary>
    /// <exception cref="ModelFormatException">The calibration is for a network of another kind.</exception>
    /// <exception cref="ArgumentException">It is for other options.</exception>
    public SelectorOptions Adopt(TrainedModel model, SelectorOptions options)
    {
        Network network = model.Network;
        Activation activation = network.Layers[^1].Activation;
        if (activation != Activation.Softmax)
            throw new ModelFormatException(ModelError.BadCalibration, $"{_path}: calibrates a softmax, but the network ends in {activation}");
        if (network.OutputCount != _labelCount)
            throw new ModelFormatException(ModelError.BadLabels, $"{_path}: has {_labelCount} labels, the network {network.OutputCount}");
        if (_names is null == model.HasLabelNames || (_names is not null && !_names.SequenceEqual(model.Labels)))
            throw new ModelFormatException(ModelError.BadLabels, $"{_path}: has other labels than the network, or the same in another order");
        if (network.Layers[^1].Inputs != _width || model.Featurizer.Kind != _input)
            throw new ModelFormatException(ModelError.BadShape, $"{_path}: was made of another kind of network ({_input} input, {_width} inputs of the output layer; here {model.Featurizer.Kind}, {network.Layers[^1].Inputs})");
        // Both shape the shares that the curves were fitted to.
        if (options.VoteBlend is { } blend && blend != VoteBlend)
            throw Other($"a vote blend of {VoteBlend}", $"{blend}");
        if (options.Budget is { } budget && Math.Min(budget, _labelCount) != Budget)
            throw Other($"a budget of {Budget}", $"{budget}");
        if (_bucketSize is { } size && size != options.BucketSize)
            throw Other($"a bucket size of {size}", $"{options.BucketSize}");
        return options with { VoteBlend = VoteBlend, Budget = Budget };
    }

    /// <summary>The calibration for a model with these candidates.</summary>
    /// <param name="labelMap">[neurons] the label of each; null where neuron n stands for label n.</param>
    /// <exception cref="ArgumentException">It is for candidates from other sources.</exception>
    public StoredCalibration For(ExportedSelector selector, int[]? labelMap)
    {
        SourceKind[] sources = [.. selector.Sources.Select(s => s.Record.Kind)];
        if (!sources.SequenceEqual(_sources))
            throw Other($"candidates from {string.Join(" and ", _sources)}", $"from {string.Join(" and ", sources)}");
        var neurons = new int[_labelCount];
        for (int neuron = 0; neuron < neurons.Length; neuron++)
            neurons[labelMap?[neuron] ?? neuron] = neuron;
        (int Neuron, float LogWeight)[] samples = [.. _samples.Select(s => (neurons[s.Label], s.LogWeight)).OrderBy(s => s.Item1)];
        return new StoredCalibration(_header, [.. samples.Select(s => s.Neuron)], [.. samples.Select(s => s.LogWeight)]);
    }

    private ArgumentException Other(FormattableString there, FormattableString here) =>
        new($"{_path}: was calibrated for {FormattableString.Invariant(there)}, not {FormattableString.Invariant(here)}; quantize both models with the same options");
}
