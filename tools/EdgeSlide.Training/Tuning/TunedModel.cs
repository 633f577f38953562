using System.Runtime.InteropServices;
using System.Text.Json;
using EdgeSlide.Hashing;
using EdgeSlide.Model;
using EdgeSlide.Training.Calibration;
using EdgeSlide.Training.Export;

namespace EdgeSlide.Training.Tuning;

/// <summary>Writes a model again with other tables in front of its output layer; everything else stays as it is, byte for byte.</summary>
internal static class TunedModel
{
    /// <param name="provenance">What to record about the tuning, as members of an object.</param>
    public static void Write(string path, EdgeSlideModel model, ExportedSelector selector, StoredCalibration? calibration, Action<Utf8JsonWriter> provenance)
    {
        int layer = selector.Layer;
        var sections = new List<SectionContent>();
        foreach (Section section in model.File.Sections)
        {
            if (section.Kind is SectionKind.Calibration
                || (section.Layer == layer && section.Kind is SectionKind.Selector or SectionKind.HashPlanes or SectionKind.BucketOffsets or SectionKind.BucketEntries))
                continue;
            byte[] bytes = model.File.GetAll<byte>(section.Kind, section.Layer, section.Part).Span.ToArray();
            if (section.Kind == SectionKind.Provenance)
                bytes = WithTuning(bytes, provenance);
            else if (section.Kind == SectionKind.Network)
                SetFlags(bytes, layer, calibration is not null);
            sections.Add(new SectionContent(section.Kind, section.Layer, section.Part, bytes));
        }
        sections.AddRange(ModelExporter.SelectorSections(selector));
        if (calibration is not null)
            sections.Add(ModelExporter.CalibrationSection(layer, calibration));
        ModelWriter.Write(path, sections);
    }

    private static void SetFlags(byte[] network, int layer, bool calibrated)
    {
        ref NetworkHeader header = ref MemoryMarshal.AsRef<NetworkHeader>(network);
        header.HasCalibration = calibrated ? 1u : 0u;
        MemoryMarshal.Cast<byte, LayerRecord>(network.AsSpan(Marshal.SizeOf<NetworkHeader>()))[layer].HasSelector = 1;
    }

    /// <summary>The provenance with a member "tuning"; an earlier one is replaced, and a calibration is no longer another model's.</summary>
    private static byte[] WithTuning(byte[] json, Action<Utf8JsonWriter> write)
    {
        using JsonDocument old = JsonDocument.Parse(json);
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream))
        {
            writer.WriteStartObject();
            foreach (JsonProperty property in old.RootElement.EnumerateObject())
            {
                if (property.Name is not ("tuning" or "calibration_from"))
                    property.WriteTo(writer);
            }
            writer.WriteStartObject("tuning");
            write(writer);
            writer.WriteEndObject();
            writer.WriteEndObject();
        }
        return stream.ToArray();
    }
}
