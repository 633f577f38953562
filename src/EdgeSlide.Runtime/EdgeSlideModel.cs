using System.Text;
using System.Text.Json;
using EdgeSlide.Calibration;
using EdgeSlide.Features;
using EdgeSlide.Hashing;
using EdgeSlide.Kernels;
using EdgeSlide.Layers;
using EdgeSlide.Model;

namespace EdgeSlide;

/// <summary>
/// A model opened from an .eslide file by memory map. Immutable and thread-safe: open it once, share it, and give each
/// thread a <see cref="Predictor"/> of its own.
/// </summary>
public sealed unsafe class EdgeSlideModel : IDisposable
{
    private readonly ModelFile _file;
    private readonly LabelNames _labels;
    private int _references = 1;
    private bool _disposed;

    private EdgeSlideModel(ModelFile file, NetworkLayout layout, Featurizer featurizer, LabelNames labels, string provenance)
    {
        _file = file;
        Layout = layout;
        Featurizer = featurizer;
        _labels = labels;
        Provenance = provenance;
    }

    /// <summary>Number of labels, the width of the output layer.</summary>
    public int LabelCount => Layout.Output.Outputs;

    /// <summary>Number of input features.</summary>
    public int FeatureCount => Featurizer.FeatureCount;

    /// <summary>True if the model takes text, false if it takes numbers.</summary>
    public bool TakesText => Featurizer.TakesText;

    /// <summary>Where the model comes from: tool version, data, accuracy at export. A JSON object.</summary>
    public string Provenance { get; }

    internal NetworkLayout Layout { get; }

    internal Featurizer Featurizer { get; }

    internal ModelFile File => _file;

    internal LabelNames Labels => _labels;

    /// <summary>
    /// Opens a model. The file's structure, ids, offsets and scales are always checked before first use.
    /// </summary>
    /// <param name="path">An .eslide file. It stays mapped until the model and all its predictors are disposed; replace it
    /// by renaming another over it, never by writing into it.</param>
    /// <param name="verifyChecksums">False skips the checksums, which read the whole file, for a quicker cold start.</param>
    /// <exception cref="ModelFormatException">The file cannot be read or is damaged.</exception>
    public static EdgeSlideModel Open(string path, bool verifyChecksums = true) => Open(path, verifyChecksums, adjust: null);

    /// <summary>Opens a model with other selector settings than the stored ones.</summary>
    internal static EdgeSlideModel Open(string path, bool verifyChecksums, Func<SelectorHeader, SelectorHeader>? adjust)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ModelFile file = ModelFile.Open(path, verifyChecksums);
        try
        {
            string provenance = ReadProvenance(file);
            Featurizer featurizer = Featurizer.Load(file);
            NetworkLayout layout = ReadNetwork(file, featurizer, verifyChecksums, adjust, out int labelCount);
            LabelNames labels = LabelNames.Load(file, labelCount);
            file.RequireAllUsed();
            return new EdgeSlideModel(file, layout, featurizer, labels, provenance);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>The name of a label, or its id in decimal if the model has no names.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such label.</exception>
    public string LabelName(int label)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        return _labels.Name(label);
    }

    /// <summary>A predictor for one thread. It costs some 150 KB with hashing, whatever the number of labels.</summary>
    /// <exception cref="NotSupportedException">EDGESLIDE_KERNEL names a kernel that does not exist or run here.</exception>
    public Predictor CreatePredictor() => CreatePredictor(KernelSelector.Choose(Environment.GetEnvironmentVariable(KernelSelector.Variable)));

    /// <summary>Closes the model; the file is unmapped once its predictors are disposed too.</summary>
    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        Release();
    }

    internal Predictor CreatePredictor(string kernel)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        Interlocked.Increment(ref _references);
        return new Predictor(this, Engine.Create(Layout, kernel));
    }

    internal void Release()
    {
        if (Interlocked.Decrement(ref _references) == 0)
            _file.Dispose();
    }

    private static string ReadProvenance(ModelFile file)
    {
        View<byte> json = file.GetAll<byte>(SectionKind.Provenance);
        if (json.Length > 1 << 20)
            throw file.Error(ModelError.BadProvenance, "the provenance is larger than 1 MiB");
        if (!System.Text.Unicode.Utf8.IsValid(json.Span))
            throw file.Error(ModelError.BadProvenance, "the provenance is not UTF-8");
        try
        {
            var reader = new Utf8JsonReader(json.Span);
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
                throw file.Error(ModelError.BadProvenance, "the provenance is not a JSON object");
            while (reader.Read())
            {
                // Reading to the end is the check.
            }
        }
        catch (JsonException e)
        {
            throw new ModelFormatException(ModelError.BadProvenance, $"{file.Path}: the provenance is not JSON", e);
        }
        return Encoding.UTF8.GetString(json.Span);
    }

    private static NetworkLayout ReadNetwork(ModelFile file, Featurizer featurizer, bool verifyWeights,
        Func<SelectorHeader, SelectorHeader>? adjust, out int labelCount)
    {
        NetworkHeader header = file.GetRecord<NetworkHeader>(SectionKind.Network, 0, out ReadOnlySpan<byte> rest);
        if (header.Reserved2 != 0 || header.Reserved3 != 0)
            throw file.Error(ModelError.BadShape, "the network's reserved bytes are not zero");
        if (header.HasCalibration > 1 || header.HasLabelMap > 1)
            throw file.Error(ModelError.BadShape, $"a field of the network has an unknown value");
        if (header.LayerCount is 0 or > ModelFormat.MaxLayers)
            throw file.Error(ModelError.BadShape, $"a network of {header.LayerCount} layers is impossible");
        if (rest.Length != (int)header.LayerCount * sizeof(LayerRecord))
            throw file.Error(ModelError.WrongSectionSize, "section NETW[0] has the wrong size");
        ReadOnlySpan<LayerRecord> records = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, LayerRecord>(rest);

        SparseInputLayer? sparse = null;
        var layers = new List<NeuronLayer>();
        bool otherFormats = false;
        uint inputs = (uint)featurizer.FeatureCount;
        for (int i = 0; i < records.Length; i++)
        {
            LayerRecord record = records[i];
            bool last = i == records.Length - 1;
            bool featureMajor = record.RowOrder == RowOrder.FeatureMajor;
            CheckShape(file, i, last, record, inputs);
            int rows = (int)(featureMajor ? record.Inputs : record.Outputs);
            otherFormats |= record.Format != WeightFormat.Int8;
            View<byte> weights = file.Get<byte>(SectionKind.Weights, i, 0, (long)rows * record.Stride);
            if (verifyWeights && record.Format == WeightFormat.Int8 && NeuronLayer.AnyOutOfRange(new View<sbyte>((sbyte*)weights.Pointer, weights.Length)))
                throw file.Error(ModelError.BadWeight, $"layer {i}: a weight is outside -127..127");
            if (featureMajor)
            {
                View<float> scales = file.Get<float>(SectionKind.Scales, i, 0, rows);
                View<float> bias = file.Get<float>(SectionKind.Bias, i, 0, record.Outputs);
                CheckNumbers(file, i, scales, "scale", float.NegativeZero);
                CheckNumbers(file, i, bias, "bias", -MaxParameter);
                sparse = new SparseInputLayer(weights, scales, bias, record);
            }
            else
            {
                View<NeuronAffine> affine = file.Get<NeuronAffine>(SectionKind.Scales, i, 0, rows);
                CheckNumbers(file, i, new View<float>((float*)affine.Pointer, 2L * rows), "scale or bias", -MaxParameter);
                LayerSelector? selector = record.HasSelector != 0
                    ? LayerSelector.Load(file, i, (int)record.Inputs, (int)record.Outputs, featurizer.FeatureCount, adjust)
                    : null;
                layers.Add(new NeuronLayer(weights, affine, record, selector));
            }
            inputs = record.Outputs;
        }
        if (layers.Count == 0)
            throw file.Error(ModelError.BadShape, "the network has no output layer");
        if (header.LabelCount != inputs)
            throw file.Error(ModelError.BadShape, $"{header.LabelCount} labels, but the output layer has {inputs} neurons");
        labelCount = (int)inputs;
        // A file says the lowest version that has all it holds.
        int needed = otherFormats || header.HasLabelMap != 0 ? ModelFormat.Version : header.HasCalibration != 0 ? ModelFormat.CalibratedVersion : ModelFormat.OldestVersion;
        if (file.Version != needed)
            throw file.Error(ModelError.BadShape, $"a network that needs version {needed} in a file of version {file.Version}");
        OutputCalibration? calibration = null;
        if (header.HasCalibration != 0)
        {
            if (layers[^1].Activation != LayerActivation.Softmax)
                throw file.Error(ModelError.BadCalibration, "only a softmax can be calibrated");
            calibration = OutputCalibration.Load(file, records.Length - 1, labelCount);
        }
        return new NetworkLayout(sparse, [.. layers], featurizer.FeatureCount, calibration, header.HasLabelMap != 0 ? LabelMap.Load(file, labelCount) : null);
    }

    private const float MaxParameter = 1e10f;

    private static void CheckShape(ModelFile file, int index, bool last, in LayerRecord record, uint inputs)
    {
        bool featureMajor = record.RowOrder == RowOrder.FeatureMajor;
        string? problem = null;
        if (!Enum.IsDefined(record.RowOrder) || !Enum.IsDefined(record.Activation) || !Enum.IsDefined(record.Format) || record.HasSelector > 1 || record.Reserved != 0)
            problem = "a field has an unknown value";
        else if (record.Inputs != inputs)
            problem = $"takes {record.Inputs} inputs where {inputs} come";
        else if (record.Outputs == 0 || record.Outputs > (last ? ModelFormat.MaxWidth : ModelFormat.MaxHiddenWidth))
            problem = $"an impossible width of {record.Outputs}";
        else if (featureMajor && (index != 0 || last || record.HasSelector != 0))
            problem = "only a hidden first layer can be stored feature by feature, and it selects nothing";
        else if (!featureMajor && record.Inputs > ModelFormat.MaxHiddenWidth)
            problem = $"{record.Inputs} inputs are too many for a layer stored neuron by neuron";
        else if (record.Stride != ModelFormat.RowBytes((int)(featureMajor ? record.Outputs : record.Inputs), record.Format))
            problem = $"a row stride of {record.Stride} does not fit";
        else if (!last && record.Activation == LayerActivation.Softmax)
            problem = "softmax is for the output layer";
        else if (!last && record.HasSelector != 0 && record.Activation == LayerActivation.Sigmoid)
            problem = "a hidden layer with selection needs an activation that is 0 where nothing is evaluated";
        if (problem is not null)
            throw file.Error(ModelError.BadShape, $"layer {index}: {problem}");
    }

    private static void CheckNumbers(ModelFile file, int layer, View<float> values, string what, float minimum)
    {
        for (long i = 0; i < values.Length; i++)
        {
            // Written so that NaN fails too.
            if (!(values.Pointer[i] >= minimum && values.Pointer[i] <= MaxParameter))
                throw file.Error(ModelError.BadNumber, $"layer {layer}: {what} {i} is not a usable number");
        }
    }
}
