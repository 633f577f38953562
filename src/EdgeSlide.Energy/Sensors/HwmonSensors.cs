namespace EdgeSlide.Energy.Sensors;

/// <summary>
/// Sensors under <c>/sys/class/hwmon</c>. Units by the kernel's hwmon sysfs interface: millivolts, milliamperes,
/// microwatts, microjoules, milliseconds.
/// </summary>
internal static class HwmonSensors
{
    public static void Discover(SysfsTree tree, List<DetectedSensor> found)
    {
        foreach (string directory in tree.Directories("sys/class/hwmon"))
        {
            // Drivers from before 2013 (and vendor kernels) put the attributes one level down, beside the parent's.
            string home = tree.Exists(directory + "/name") ? directory : directory + "/device";
            string driver = tree.ReadText(home + "/name") ?? "hwmon";
            string device = tree.DeviceName(directory);
            int before = found.Count;
            for (int n = 1; n <= 16; n++)
                AddPower(tree, found, home, driver, device, n);
            bool hasPower = found.Count > before;
            for (int n = 1; n <= 16; n++)
                AddEnergy(tree, found, home, driver, device, n);
            if (!hasPower)
            {
                for (int n = 0; n <= 16; n++)
                    AddProduct(tree, found, home, driver, device, n);
            }
        }
    }

    private static void AddPower(SysfsTree tree, List<DetectedSensor> found, string home, string driver, string device, int n)
    {
        string file = $"{home}/power{n}_input";
        if (!tree.Exists(file))
            file = $"{home}/power{n}_average";
        if (!tree.Exists(file))
            return;
        string rail = tree.ReadText($"{home}/power{n}_label") ?? tree.ReadText($"{home}/label") ?? driver;
        (SensorAccess access, string? note) = SensorDiscovery.Probe(tree, file);
        var info = new SensorInfo($"{driver}@{device}/power{n}", driver, rail, SensorQuantity.Power,
            InaPowerStep(driver, tree.ReadNumber(home + "/shunt_resistor")), UpdateInterval(tree, home, driver), access, note);
        found.Add(new DetectedSensor(info, RankOf(rail, SensorRank.Hwmon), i => new ScaledSensor(i, SysfsValue.Open(tree, file), 1e-6)));
    }

    private static void AddEnergy(SysfsTree tree, List<DetectedSensor> found, string home, string driver, string device, int n)
    {
        string file = $"{home}/energy{n}_input";
        if (!tree.Exists(file))
            return;
        string rail = tree.ReadText($"{home}/energy{n}_label") ?? driver;
        (SensorAccess access, string? note) = SensorDiscovery.Probe(tree, file);
        var info = new SensorInfo($"{driver}@{device}/energy{n}", driver, rail, SensorQuantity.Energy, 1e-6, UpdateInterval(tree, home, driver), access, note);
        found.Add(new DetectedSensor(info, RankOf(rail, SensorRank.Hwmon) + 1, i => new ScaledSensor(i, SysfsValue.Open(tree, file), 1e-6)));
    }

    private static void AddProduct(SysfsTree tree, List<DetectedSensor> found, string home, string driver, string device, int n)
    {
        bool ina3221 = driver.StartsWith("ina3221", StringComparison.Ordinal);
        // The INA3221's in4..in6 are shunt voltages and curr4 the sum of currents: in4 x curr4 would look like a power.
        if (ina3221 && n is < 1 or > 3)
            return;
        string volts = $"{home}/in{n}_input", amperes = $"{home}/curr{n}_input";
        if (!tree.Exists(volts) || !tree.Exists(amperes))
            return;
        string? voltsLabel = tree.ReadText($"{home}/in{n}_label"), ampereLabel = tree.ReadText($"{home}/curr{n}_label");
        // Elsewhere the same number does not promise the same rail; labels that differ deny it.
        if (!ina3221 && voltsLabel != ampereLabel)
            return;
        string rail = voltsLabel ?? $"{driver} channel {n}";
        (SensorAccess access, string? note) = SensorDiscovery.Probe(tree, volts, amperes);
        if (tree.ReadNumber($"{home}/in{n}_enable") is 0)
            (access, note) = (SensorAccess.Disabled, $"channel is switched off: write 1 to {tree.PathOf($"{home}/in{n}_enable")}");
        double? step = null;
        // INA3221 data sheet (SBOS576) 8.6.2: shunt LSB 40 uV. The current's step dominates that of the product.
        if (ina3221 && access == SensorAccess.Readable && tree.ReadNumber($"{home}/shunt{n}_resistor") is > 0 and double microOhm && tree.ReadNumber(volts) is double mv)
            step = 40.0 / microOhm * Math.Abs(mv) * 1e-3;
        var info = new SensorInfo($"{driver}@{device}/channel{n}", driver, rail, SensorQuantity.Power, step, UpdateInterval(tree, home, driver), access, note);
        found.Add(new DetectedSensor(info, RankOf(rail, SensorRank.Hwmon), i =>
        {
            var u = SysfsValue.Open(tree, volts);
            try
            {
                return new ProductSensor(i, u, SysfsValue.Open(tree, amperes), 1e-6);
            }
            catch
            {
                u.Dispose();
                throw;
            }
        }));
    }

    /// <summary>
    /// Step of the power register in watts as the kernel's ina2xx driver programs the chip: current step 10 uV (INA219) or
    /// 2.5 uV (INA226 family) over the shunt, times 20 or 25 (data sheets SBOS448, SBOS547). Null for other chips.
    /// </summary>
    internal static double? InaPowerStep(string driver, double? shuntMicroOhm) => shuntMicroOhm is not > 0 ? null : driver switch
    {
        "ina219" or "ina220" => 10.0 / shuntMicroOhm * 20,
        "ina226" or "ina230" or "ina231" or "ina260" or "ina234" => 2.5 / shuntMicroOhm * 25,
        _ => null,
    };

    private static TimeSpan? UpdateInterval(SysfsTree tree, string home, string driver)
    {
        if (tree.ReadNumber(home + "/update_interval") is > 0 and double milliseconds)
            return TimeSpan.FromMilliseconds(milliseconds);
        // The driver leaves the INA219 at its power-on setting: 532 us for each of shunt and bus (SBOS448, table 5).
        return driver is "ina219" or "ina220" ? TimeSpan.FromMicroseconds(1064) : null;
    }

    /// <summary>Jetson and similar boards label the supply of the whole module; that is the one to measure by default.</summary>
    private static int RankOf(string rail, int otherwise) =>
        rail is "VDD_IN" or "POM_5V_IN" or "VIN_SYS_5V0" or "VIN" or "CHANNEL_TOTAL" ? SensorRank.BoardInput
        : rail.StartsWith("VDD_", StringComparison.Ordinal) || rail.StartsWith("POM_", StringComparison.Ordinal) ? SensorRank.Part
        : otherwise;
}
