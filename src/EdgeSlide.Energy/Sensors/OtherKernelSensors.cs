namespace EdgeSlide.Energy.Sensors;

/// <summary>
/// Power channels of industrial I/O devices: the <c>ina2xx-adc</c> driver, and NVIDIA's <c>ina3221x</c> of JetPack 4
/// (Jetson Nano), which names its rails. Units by the IIO ABI: raw times scale gives milliwatts.
/// </summary>
internal static class IioSensors
{
    public static void Discover(SysfsTree tree, List<DetectedSensor> found)
    {
        foreach (string directory in tree.Directories("sys/bus/iio/devices"))
        {
            string driver = tree.ReadText(directory + "/name") ?? "iio";
            string device = tree.DeviceName(directory);
            // IIO devices hang below their parent; there the bus name is the parent directory.
            if (device.StartsWith("iio:device", StringComparison.Ordinal))
                device = ParentName(tree, directory) ?? device;
            for (int n = 0; n < 8; n++)
            {
                AddRaw(tree, found, directory, driver, device, n);
                AddProcessed(tree, found, directory, driver, device, n);
            }
        }
    }

    private static void AddRaw(SysfsTree tree, List<DetectedSensor> found, string directory, string driver, string device, int n)
    {
        string file = $"{directory}/in_power{n}_raw";
        if (!tree.Exists(file))
            return;
        (SensorAccess access, string? note) = SensorDiscovery.Probe(tree, file);
        double? scale = tree.ReadNumber($"{directory}/in_power{n}_scale");
        if (scale is not > 0 && access == SensorAccess.Readable)
            (access, note) = (SensorAccess.Failing, $"{tree.PathOf($"{directory}/in_power{n}_scale")} is missing: without it the raw value has no unit");
        // ina2xx-adc converts shunt and bus in turn; a power value needs both, each averaged over the ratio.
        TimeSpan? interval = null;
        if (tree.ReadNumber(directory + "/in_voltage0_integration_time") is > 0 and double shunt && tree.ReadNumber(directory + "/in_voltage1_integration_time") is > 0 and double bus)
            interval = TimeSpan.FromSeconds((shunt + bus) * (tree.ReadNumber(directory + "/in_oversampling_ratio") ?? 1));
        double step = (scale ?? 0) * 1e-3;
        var info = new SensorInfo($"iio:{driver}@{device}/power{n}", driver + " (IIO)", driver, SensorQuantity.Power, scale is > 0 ? step : null, interval, access, note);
        found.Add(new DetectedSensor(info, SensorRank.Iio, i => new ScaledSensor(i, SysfsValue.Open(tree, file), step)));
    }

    private static void AddProcessed(SysfsTree tree, List<DetectedSensor> found, string directory, string driver, string device, int n)
    {
        string file = $"{directory}/in_power{n}_input";
        if (!tree.Exists(file))
            return;
        string rail = tree.ReadText($"{directory}/rail_name_{n}") ?? driver;
        (SensorAccess access, string? note) = SensorDiscovery.Probe(tree, file);
        var info = new SensorInfo($"iio:{driver}@{device}/power{n}", driver + " (IIO)", rail, SensorQuantity.Power, 1e-3, null, access, note);
        int rank = rail.EndsWith("_IN", StringComparison.Ordinal) ? SensorRank.BoardInput : SensorRank.Iio;
        found.Add(new DetectedSensor(info, rank, i => new ScaledSensor(i, SysfsValue.Open(tree, file), 1e-3)));
    }

    private static string? ParentName(SysfsTree tree, string directory)
    {
        try
        {
            string? target = Directory.ResolveLinkTarget(tree.PathOf(directory), returnFinalTarget: true)?.FullName;
            return target is null ? null : Path.GetFileName(Path.GetDirectoryName(target));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}

/// <summary>
/// Energy counters of the powercap framework (Intel and AMD RAPL), microjoules with wrap-around at
/// <c>max_energy_range_uj</c> (kernel ABI sysfs-class-powercap). Readable by root only since the PLATYPUS attack.
/// </summary>
internal static class PowercapSensors
{
    public static void Discover(SysfsTree tree, List<DetectedSensor> found)
    {
        foreach (string directory in tree.Directories("sys/class/powercap"))
        {
            string file = directory + "/energy_uj";
            string zone = Path.GetFileName(directory);
            // The memory-mapped interface shows the same package a second time.
            if (!tree.Exists(file) || zone.StartsWith("intel-rapl-mmio", StringComparison.Ordinal))
                continue;
            string rail = tree.ReadText(directory + "/name") ?? zone;
            (SensorAccess access, string? note) = SensorDiscovery.Probe(tree, file);
            double? range = tree.ReadNumber(directory + "/max_energy_range_uj");
            if (range is not > 0 && access == SensorAccess.Readable)
                (access, note) = (SensorAccess.Failing, $"{tree.PathOf(directory)}/max_energy_range_uj is missing: wrap-around could not be told from a reset");
            // The update interval of about 1 ms is Intel's (SDM 3B, 15.10.3); AMD documents the same.
            var info = new SensorInfo($"powercap/{zone}", "powercap", rail, SensorQuantity.Energy, 1e-6, TimeSpan.FromMilliseconds(1), access,
                SensorDiscovery.Join(note, "processor package only, a model on some parts; board, storage and supply losses are not in it"));
            int rank = rail == "psys" ? SensorRank.BoardInput + 1 : rail.StartsWith("package", StringComparison.Ordinal) ? SensorRank.Package : SensorRank.Part;
            double wrap = range ?? 0;
            found.Add(new DetectedSensor(info, rank, i => new WrappingCounter(i, SysfsValue.Open(tree, file), 1e-6, wrap)));
        }
    }
}

/// <summary>
/// Batteries and supplies: microwatts, or microvolts times microamperes (kernel ABI sysfs-class-power). A battery's
/// reading is the device's consumption only while it discharges; some drivers give the current a negative sign then.
/// </summary>
internal static class PowerSupplySensors
{
    public static void Discover(SysfsTree tree, List<DetectedSensor> found)
    {
        foreach (string directory in tree.Directories("sys/class/power_supply"))
        {
            string name = Path.GetFileName(directory);
            bool hasPower = tree.Exists(directory + "/power_now");
            if (!hasPower && !(tree.Exists(directory + "/voltage_now") && tree.Exists(directory + "/current_now")))
                continue;
            bool battery = tree.ReadText(directory + "/type") == "Battery";
            string power = directory + "/power_now", volts = directory + "/voltage_now", amperes = directory + "/current_now";
            (SensorAccess access, string? note) = hasPower ? SensorDiscovery.Probe(tree, power) : SensorDiscovery.Probe(tree, volts, amperes);
            string status = tree.ReadText(directory + "/status") ?? "unknown";
            if (battery && status != "Discharging" && access == SensorAccess.Readable)
                (access, note) = (SensorAccess.Disabled, $"battery status is '{status}', so its current is not the device's: unplug the charger");
            var info = new SensorInfo($"power_supply/{name}", "power_supply", name, SensorQuantity.Power, hasPower ? 1e-6 : null, null, access,
                SensorDiscovery.Join(note, battery ? "fuel gauges update every few seconds: use windows of minutes" : null) is { Length: > 0 } joined ? joined : null);
            found.Add(new DetectedSensor(info, SensorRank.Battery, i => hasPower
                ? new MagnitudeSensor(new ScaledSensor(i, SysfsValue.Open(tree, power), 1e-6))
                : new ProductSensor(i, SysfsValue.Open(tree, volts), SysfsValue.Open(tree, amperes), 1e-12, magnitude: true)));
        }
    }

    private sealed class MagnitudeSensor(ScaledSensor inner) : ISensor
    {
        public SensorInfo Info => inner.Info;

        public ReadStatus TryRead(out double value)
        {
            ReadStatus status = inner.TryRead(out value);
            value = Math.Abs(value);
            return status;
        }

        public void Dispose() => inner.Dispose();
    }
}

/// <summary>The Raspberry Pi 5's own power management chip.</summary>
internal static class PmicSensors
{
    private const string Caveat = "sum of the PMIC's rails: what the 5 V pins and USB ports feed (HATs, drives) and the regulator's loss are not in it";

    public static void Discover(SysfsTree tree, IProcessRunner runner, List<DetectedSensor> found)
    {
        string? model = tree.ReadText("proc/device-tree/model");
        if (model is null || !(model.Contains("Raspberry Pi 5", StringComparison.Ordinal) || model.Contains("Compute Module 5", StringComparison.Ordinal)))
            return;
        string? text = runner.Run(PmicSensor.Command, PmicSensor.Arguments);
        SensorAccess access = SensorAccess.Readable;
        string? note = null;
        int rails = 0;
        if (text is null)
            (access, note) = (SensorAccess.Denied, $"`{PmicSensor.Command} {PmicSensor.Arguments}` does not run: install raspi-utils and add the user to group video");
        else if (!PmicSensor.TrySum(text, out _, out rails))
            (access, note) = (SensorAccess.Failing, $"`{PmicSensor.Command} {PmicSensor.Arguments}` printed something unexpected: update the firmware");
        // Each reading starts a process and a mailbox call, some milliseconds of CPU: five a second at most.
        var info = new SensorInfo("pmic", "vcgencmd pmic_read_adc", rails > 0 ? $"sum of {rails} PMIC rails" : "PMIC rails", SensorQuantity.Power, null, null, access,
            SensorDiscovery.Join(note, Caveat), MaxSampleRateHz: 5);
        found.Add(new DetectedSensor(info, SensorRank.Pmic, i => new PmicSensor(i, runner)));
    }
}
