using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using EdgeSlide.Cli.Output;
using EdgeSlide.Energy;

namespace EdgeSlide.Cli.Commands;

/// <summary>Lists the machine's power sensors.</summary>
internal static class SensorsCommand
{
    public static Command Create()
    {
        Option<bool> json = CommonOptions.Json();
        Option<string> root = CommonOptions.SysfsRoot();
        var command = new Command("sensors", """
            List the power sensors of this machine, best first.

            Each line gives the identifier for `edgeslide energy --sensor`, whether it can be read, the rail, a reading, the
            resolution, the time between new values and the driver. What the kernel does not tell is "unknown".
            """)
        {
            json, root,
        };
        command.SetAction(parsed => Run(parsed.GetValue(json), parsed.GetValue(root)!));
        return command;
    }

    private static int Run(bool json, string root)
    {
        IReadOnlyList<DetectedSensor> sensors = SensorDiscovery.Discover(root);
        using var output = new OutputWriter();
        if (json)
            WriteJson(output, sensors);
        else
            WriteText(output, sensors);
        output.Flush();
        // Says why, where nothing can be used.
        SensorDiscovery.Select(sensors);
        return ExitCodes.Ok;
    }

    private static void WriteText(OutputWriter output, IReadOnlyList<DetectedSensor> sensors)
    {
        if (sensors.Count == 0)
            return;
        int id = 0, rail = 0;
        foreach (DetectedSensor sensor in sensors)
        {
            id = Math.Max(id, sensor.Info.Id.Length);
            rail = Math.Max(rail, sensor.Info.Rail.Length);
        }
        output.Write($"{"sensor".PadRight(id)}  access    {"rail".PadRight(rail)}  {"reading",-12}{"resolution",-12}{"update",-10}driver\n");
        foreach (DetectedSensor sensor in sensors)
        {
            SensorInfo info = sensor.Info;
            string update = info.UpdateInterval is TimeSpan t ? Figure(t.TotalMilliseconds, "ms") : "unknown";
            output.Write($"{info.Id.PadRight(id)}  {info.Access.ToString().ToLowerInvariant(),-10}{info.Rail.PadRight(rail)}  {Reading(sensor) ?? "-",-12}{Figure(info.Resolution, info.Unit),-12}{update,-10}{info.Driver}\n");
            if (!string.IsNullOrEmpty(info.Note))
                output.Write($"  {info.Note}\n");
        }
    }

    private static void WriteJson(OutputWriter output, IReadOnlyList<DetectedSensor> sensors)
    {
        Utf8JsonWriter json = output.Json;
        json.WriteStartArray();
        foreach (DetectedSensor sensor in sensors)
        {
            SensorInfo info = sensor.Info;
            json.WriteStartObject();
            json.WriteString("id", info.Id);
            json.WriteString("driver", info.Driver);
            json.WriteString("rail", info.Rail);
            json.WriteString("unit", info.Unit);
            WriteNumber(json, "value", Value(sensor));
            WriteNumber(json, "resolution", info.Resolution);
            WriteNumber(json, "update_interval_s", info.UpdateInterval?.TotalSeconds);
            json.WriteString("access", info.Access.ToString().ToLowerInvariant());
            json.WriteString("note", info.Note);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        output.EndJsonLine();
    }

    private static string? Reading(DetectedSensor sensor) => Value(sensor) is double value ? Figure(value, sensor.Info.Unit) : null;

    private static double? Value(DetectedSensor sensor)
    {
        if (sensor.Info.Access != SensorAccess.Readable)
            return null;
        using ISensor open = sensor.Open();
        return open.TryRead(out double value) == ReadStatus.Ok ? value : null;
    }

    private static string Figure(double? value, string unit) =>
        value is double known ? string.Create(CultureInfo.InvariantCulture, $"{known:0.######} {unit}") : "unknown";

    private static void WriteNumber(Utf8JsonWriter json, string name, double? value)
    {
        if (value is double known)
            json.WriteNumber(name, known);
        else
            json.WriteNull(name);
    }
}
