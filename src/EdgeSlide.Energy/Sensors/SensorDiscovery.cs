using EdgeSlide.Energy.Sensors;

namespace EdgeSlide.Energy;

/// <summary>Finds the machine's power sensors and picks one.</summary>
public static class SensorDiscovery
{
    /// <summary>Lists every sensor, usable or not, best first.</summary>
    /// <param name="root">Root of the file system to search: "/" on a device, a copied or made-up tree otherwise.</param>
    public static IReadOnlyList<DetectedSensor> Discover(string root = "/") => Discover(new SysfsTree(root), new ProcessRunner());

    internal static IReadOnlyList<DetectedSensor> Discover(SysfsTree tree, IProcessRunner runner)
    {
        var found = new List<DetectedSensor>();
        HwmonSensors.Discover(tree, found);
        IioSensors.Discover(tree, found);
        PowercapSensors.Discover(tree, found);
        PmicSensors.Discover(tree, runner, found);
        PowerSupplySensors.Discover(tree, found);
        var ranked = new List<DetectedSensor>(found.Count);
        foreach (DetectedSensor sensor in found)
            ranked.Insert(ranked.FindLastIndex(s => s.Rank <= sensor.Rank) + 1, sensor); // behind its equals: discovery order within a rank
        return ranked;
    }

    /// <summary>
    /// The sensor with the given identifier, or without one the best readable sensor. The identifier may also be a rail
    /// name where only one sensor carries it.
    /// </summary>
    /// <exception cref="EnergyException">None matches or none can be read; the message says what to do.</exception>
    public static DetectedSensor Select(IReadOnlyList<DetectedSensor> sensors, string? id = null)
    {
        ArgumentNullException.ThrowIfNull(sensors);
        DetectedSensor[] all = [.. sensors];
        if (id is not null)
        {
            DetectedSensor[] matches = Array.FindAll(all, s => s.Info.Id == id);
            if (matches.Length == 0)
                matches = Array.FindAll(all, s => s.Info.Rail == id);
            return matches.Length switch
            {
                1 => matches[0],
                0 => throw new EnergyException($"no sensor is called '{id}': `edgeslide sensors` lists the {all.Length} found here"),
                _ => throw new EnergyException($"{matches.Length} sensors carry the rail '{id}': give one of the identifiers {string.Join(", ", Array.ConvertAll(matches, s => s.Info.Id))}"),
            };
        }
        if (all.Length == 0)
        {
            throw new EnergyException("no power sensor found on this machine: wire and enable one (firmware-configs/README.md), " +
                "replay an external meter's recording with --sensor csv:FILE, or ask for a labelled model with --estimate");
        }
        DetectedSensor? readable = Array.Find(all, s => s.Info.Access == SensorAccess.Readable);
        if (readable is not null)
            return readable;
        DetectedSensor first = Array.Find(all, s => s.Info.Access == SensorAccess.Denied) ?? all[0];
        throw new EnergyException($"{all.Length} power sensor(s) found but none can be read; {first.Info.Id}: {first.Info.Note}");
    }

    /// <summary>Opens and reads every file once, which is the only proof of permission there is.</summary>
    internal static (SensorAccess Access, string? Note) Probe(SysfsTree tree, params ReadOnlySpan<string> files)
    {
        foreach (string file in files)
        {
            try
            {
                using var value = SysfsValue.Open(tree, file);
                if (value.TryRead(out _) != ReadStatus.Ok)
                    return (SensorAccess.Failing, $"{tree.PathOf(file)} opens but gives no number: check the wiring and the kernel log");
            }
            catch (UnauthorizedAccessException)
            {
                return (SensorAccess.Denied, $"no permission to read {tree.PathOf(file)}: install firmware-configs/udev/90-edgeslide-power.rules and add the user to its group, or run as root");
            }
            catch (IOException e)
            {
                return (SensorAccess.Failing, $"{tree.PathOf(file)} cannot be opened ({EnergyException.ReasonOf(e)})");
            }
        }
        return (SensorAccess.Readable, null);
    }

    internal static string Join(params ReadOnlySpan<string?> notes) => string.Join("; ", Array.FindAll(notes.ToArray(), n => n is not null));
}

/// <summary>Preference when the user names no sensor: whole board before parts, direct power before inferred.</summary>
internal static class SensorRank
{
    public const int BoardInput = 0, Hwmon = 10, Iio = 20, Package = 30, Pmic = 40, Part = 50, Battery = 60;
}
