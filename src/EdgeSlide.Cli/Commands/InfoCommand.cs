using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Json;
using EdgeSlide.Cli.Output;
using EdgeSlide.Features;
using EdgeSlide.Hashing;
using EdgeSlide.Kernels;
using EdgeSlide.Layers;
using EdgeSlide.Model;

namespace EdgeSlide.Cli.Commands;

/// <summary>Tells what is in a model and what it needs.</summary>
internal static class InfoCommand
{
    private const string HashTables = "hash tables";

    public static Command Create()
    {
        Argument<string> model = CommonOptions.Model();
        Option<bool> json = CommonOptions.Json();
        Option<bool> noVerify = CommonOptions.NoVerify();
        var command = new Command("info", "Show a model's parts, their sizes, the memory it needs, and where it comes from.") { model, json, noVerify };
        command.SetAction(parsed => Run(parsed.GetValue(model)!, parsed.GetValue(json), !parsed.GetValue(noVerify)));
        return command;
    }

    private static int Run(string path, bool json, bool verify)
    {
        using EdgeSlideModel model = EdgeSlideModel.Open(path, verify);
        string provenance = OneLine(model.Provenance);
        using var output = new OutputWriter();
        if (json)
            WriteJson(output, model, provenance, verify);
        else
            WriteText(output, model, provenance, verify);
        output.Flush();
        return ExitCodes.Ok;
    }

    /// <summary>JSON without white space and with control characters escaped: who made the file may have written anything.</summary>
    private static string OneLine(string json)
    {
        var line = new StringBuilder(json.Length);
        bool text = false, escaped = false;
        foreach (char c in json)
        {
            if (!text && c <= ' ')
                continue;
            if (char.IsControl(c))
                line.Append("\\u00").Append(((int)c).ToString("x2", CultureInfo.InvariantCulture));
            else
                line.Append(c);
            if (c == '"' && !escaped)
                text = !text;
            escaped = c == '\\' && !escaped;
        }
        return line.ToString();
    }

    /// <summary>Bytes a predictor allocates: buffers as wide as the hidden layers, and room for the votes of about 2,000 neurons.</summary>
    private static long PredictorBytes(EdgeSlideModel model)
    {
        long bytes = model.Layout.MaxHiddenWidth * 16L + LayerSelector.MaxBudget * 12L;
        foreach (NeuronLayer layer in model.Layout.Layers)
            bytes += layer.Selector is null ? 0 : 100_000;
        return bytes;
    }

    /// <summary>The width at which hashing began to pay on the machine that built the model; null if its provenance does not say.</summary>
    private static int? BreakEvenWidth(EdgeSlideModel model)
    {
        using JsonDocument provenance = JsonDocument.Parse(model.Provenance);
        try
        {
            return provenance.RootElement.TryGetProperty("speed_at_export", out JsonElement speed) && speed.ValueKind == JsonValueKind.Object
                && speed.TryGetProperty("break_even_width", out JsonElement width) && width.ValueKind == JsonValueKind.Number && width.TryGetInt32(out int value)
                ? value
                : null;
        }
        catch (InvalidOperationException)
        {
            // A name with half a surrogate pair is JSON, but cannot be compared.
            return null;
        }
    }

    /// <summary>Sections of like purpose, in the order of their first.</summary>
    private static List<Part> Parts(EdgeSlideModel model)
    {
        var parts = new List<Part>();
        foreach (Section section in model.File.Sections)
        {
            string name = PartOf(section);
            Part? part = parts.Find(p => p.Name == name);
            if (part is null)
                parts.Add(part = new Part(name));
            part.Bytes += section.Length;
        }
        return parts;
    }

    private static string PartOf(Section section) => section.Kind switch
    {
        SectionKind.Weights or SectionKind.Scales or SectionKind.Bias => section.Layer == 0 ? "input layer" : "other layers",
        SectionKind.Selector or SectionKind.HashPlanes or SectionKind.BucketOffsets or SectionKind.BucketEntries => HashTables,
        SectionKind.LabelOffsets or SectionKind.LabelText => "label names",
        SectionKind.LabelMap => "label map",
        SectionKind.Featurizer or SectionKind.Vocabulary or SectionKind.FeatureWeights => "featurizer",
        _ => "header and provenance",
    };

    private static string Name(WeightFormat format) => format switch
    {
        WeightFormat.Int4 => "INT4",
        WeightFormat.Fp16 => "FP16",
        _ => "INT8",
    };

    private static string Describe(Featurizer f) => f.Kind switch
    {
        FeaturizerKind.Text => $"text, word n-grams of {f.Record.MinGram} to {f.Record.MaxGram}, {(f.Record.Indexing == FeatureIndexing.Hashed ? "hashed" : "by vocabulary")}",
        FeaturizerKind.Context => $"next word, {f.Record.Positions} last words by position, {f.Record.BagWindow} as a bag",
        FeaturizerKind.Sparse => "sparse rows, id:value",
        _ => "dense rows",
    };

    private static void WriteText(OutputWriter output, EdgeSlideModel model, string provenance, bool verified)
    {
        output.Write($"{model.File.Path}: {model.File.Length:N0} bytes, {(verified ? "checksums match" : "checksums not checked")}\n\n");
        output.Write($"input      {Describe(model.Featurizer)}; {model.FeatureCount:N0} features\n");
        if (model.Layout.SparseInput is { } sparse)
            output.Write($"layer 0    {model.FeatureCount:N0} -> {sparse.Outputs:N0}, {sparse.Activation}, sparse input, {Name(sparse.Format)} weights\n");
        int index = model.Layout.SparseInput is null ? 0 : 1;
        foreach (NeuronLayer layer in model.Layout.Layers)
        {
            output.Write($"layer {index++}    {layer.Inputs:N0} -> {layer.Outputs:N0}, {layer.Activation}, {Name(layer.Format)} weights\n");
            if (layer.Selector is not { } selector)
                continue;
            output.Write($"           selects at most {selector.Budget} neurons, vote blend {selector.VoteBlend:G3}; auto mode uses {(selector.Pays ? "lsh" : "dense")}{(layer == model.Layout.Output && BreakEvenWidth(model) is { } width ? $" (break-even where it was built: about {width:N0} labels)" : "")}\n");
            foreach (CandidateSource source in selector.Sources)
            {
                output.Write($"           {(source.Record.Kind == SourceKind.SimHash ? $"SimHash buckets, K={source.Record.Bits} L={source.Record.Tables}" : source.Tree is { } tree ? $"centroid buckets, {tree.Levels} levels of {tree.Branch}, beam {tree.Beam}" : "feature buckets")}, {source.Record.KeyCount:N0} keys, {source.Buckets.EntryCount:N0} entries\n");
            }
        }
        output.Write($"labels     {model.LabelCount:N0}{(model.Labels.HasNames ? "" : ", without names")}{(model.Layout.LabelMap is null ? "" : ", neurons reordered")}\n\n");
        foreach (Part part in Parts(model))
            output.Write($"{part.Name,-24}{part.Bytes,14:N0} bytes {(double)part.Bytes / model.File.Length,7:P1}\n");
        output.Write($"{"memory per thread",-24}{PredictorBytes(model),14:N0} bytes\n");
        output.Write($"{"memory at most",-24}{model.File.Length + PredictorBytes(model),14:N0} bytes with every page of the model touched\n\n");
        output.Write($"kernel     {KernelSelector.Choose(Environment.GetEnvironmentVariable(KernelSelector.Variable))} (supported here: {string.Join(", ", Array.FindAll(KernelSelector.Names, KernelSelector.IsSupported))})\n");
        output.Write($"provenance {provenance}\n");
    }

    private static void WriteJson(OutputWriter output, EdgeSlideModel model, string provenance, bool verified)
    {
        Utf8JsonWriter json = output.Json;
        json.WriteStartObject();
        json.WriteString("path", model.File.Path);
        json.WriteNumber("model_bytes", model.File.Length);
        json.WriteBoolean("checksums_verified", verified);
        json.WriteString("input", Describe(model.Featurizer));
        json.WriteNumber("features", model.FeatureCount);
        json.WriteNumber("labels", model.LabelCount);
        json.WriteBoolean("neurons_reordered", model.Layout.LabelMap is not null);
        json.WriteStartArray("layers");
        if (model.Layout.SparseInput is { } sparse)
            WriteLayer(json, model.FeatureCount, sparse.Outputs, sparse.Activation, sparse.Format, null);
        foreach (NeuronLayer layer in model.Layout.Layers)
            WriteLayer(json, layer.Inputs, layer.Outputs, layer.Activation, layer.Format, layer.Selector);
        json.WriteEndArray();
        json.WriteStartArray("sections");
        foreach (Section section in model.File.Sections)
        {
            json.WriteStartObject();
            json.WriteString("name", section.Name);
            json.WriteNumber("bytes", section.Length);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteNumber("table_bytes", Parts(model).Find(p => p.Name == HashTables)?.Bytes ?? 0);
        json.WriteNumber("memory_per_thread_bytes", PredictorBytes(model));
        if (BreakEvenWidth(model) is { } width)
            json.WriteNumber("break_even_width", width);
        json.WriteString("kernel", KernelSelector.Choose(Environment.GetEnvironmentVariable(KernelSelector.Variable)));
        json.WritePropertyName("provenance");
        json.WriteRawValue(provenance);
        json.WriteEndObject();
        output.EndJsonLine();
    }

    private static void WriteLayer(Utf8JsonWriter json, int inputs, int outputs, LayerActivation activation, WeightFormat format, LayerSelector? selector)
    {
        json.WriteStartObject();
        json.WriteNumber("inputs", inputs);
        json.WriteNumber("outputs", outputs);
        json.WriteString("activation", activation.ToString());
        json.WriteString("weights", Name(format));
        if (selector is not null)
        {
            json.WriteNumber("budget", selector.Budget);
            json.WriteNumber("vote_blend", selector.VoteBlend);
            json.WriteBoolean("lsh_pays", selector.Pays);
            json.WriteStartArray("sources");
            foreach (CandidateSource source in selector.Sources)
            {
                json.WriteStartObject();
                json.WriteString("kind", source.Record.Kind.ToString());
                json.WriteNumber("keys", source.Record.KeyCount);
                json.WriteNumber("bits", source.Record.Bits);
                json.WriteNumber("tables", source.Record.Tables);
                json.WriteNumber("entries", source.Buckets.EntryCount);
                json.WriteEndObject();
            }
            json.WriteEndArray();
        }
        json.WriteEndObject();
    }

    private sealed class Part(string name)
    {
        public string Name => name;

        public long Bytes { get; set; }
    }
}
