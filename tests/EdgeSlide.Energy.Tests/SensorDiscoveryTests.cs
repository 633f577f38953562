using EdgeSlide.Energy.Sensors;

namespace EdgeSlide.Energy.Tests;

public sealed class SensorDiscoveryTests : IDisposable
{
    private readonly FakeTree _tree = new();

    public void Dispose() => _tree.Dispose();

    private static double Read(DetectedSensor sensor)
    {
        using ISensor open = sensor.Open();
        Assert.Equal(ReadStatus.Ok, open.TryRead(out double value));
        return value;
    }

    [Fact]
    public void Ina219_reads_its_power_register_in_microwatts()
    {
        _tree.AddClassDevice("sys/class/hwmon/hwmon0", "1-0040", ("name", "ina219"), ("in0_input", "4"), ("in1_input", "5000"), ("curr1_input", "400"),
            ("power1_input", "2000000"), ("shunt_resistor", "10000"));
        DetectedSensor sensor = Assert.Single(_tree.Discover());
        Assert.Equal("ina219@1-0040/power1", sensor.Info.Id);
        Assert.Equal("W", sensor.Info.Unit);
        Assert.Equal(0.02, sensor.Info.Resolution!.Value, 12);
        Assert.Equal(1.064, sensor.Info.UpdateInterval!.Value.TotalMilliseconds, 6);
        Assert.Equal(2.0, Read(sensor), 12);
    }

    [Theory]
    [InlineData("ina226")]
    [InlineData("ina231")]
    public void Ina226_family_has_a_finer_step_and_its_own_update_interval(string driver)
    {
        _tree.AddClassDevice("sys/class/hwmon/hwmon3", "1-0041", ("name", driver), ("power1_input", "2000000"), ("shunt_resistor", "10000"), ("update_interval", "35"));
        SensorInfo info = Assert.Single(_tree.Discover()).Info;
        Assert.Equal(0.00625, info.Resolution!.Value, 12);
        Assert.Equal(TimeSpan.FromMilliseconds(35), info.UpdateInterval);
    }

    [Fact]
    public void Ina238_keeps_an_unknown_resolution_unknown()
    {
        _tree.AddClassDevice("sys/class/hwmon/hwmon0", "1-0045", ("name", "ina238"), ("in0_input", "1"), ("in1_input", "12000"), ("curr1_input", "100"), ("power1_input", "1200000"));
        DetectedSensor sensor = Assert.Single(_tree.Discover());
        Assert.Null(sensor.Info.Resolution);
        Assert.Null(sensor.Info.UpdateInterval);
        Assert.Equal(1.2, Read(sensor), 12);
    }

    [Fact]
    public void Jetson_Orin_rails_are_products_and_the_module_input_comes_first()
    {
        _tree.AddClassDevice("sys/class/hwmon/hwmon4", "1-0040", ("name", "ina3221"),
            ("in1_label", "VDD_CPU_GPU_CV"), ("in1_input", "5032"), ("curr1_input", "312"), ("shunt1_resistor", "5000"),
            ("in2_label", "VDD_IN"), ("in2_input", "5000"), ("curr2_input", "1200"), ("shunt2_resistor", "5000"), ("in2_enable", "1"),
            ("in3_label", "VDD_SOC"), ("in3_input", "5032"), ("curr3_input", "288"), ("shunt3_resistor", "5000"),
            ("in4_input", "6"), ("curr4_input", "1800"), ("in5_input", "6"), ("in6_input", "1"), ("in7_label", "sum of shunt voltages"), ("in7_input", "13"), ("update_interval", "7"));
        IReadOnlyList<DetectedSensor> sensors = _tree.Discover();
        Assert.Equal(["VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"], sensors.Select(s => s.Info.Rail));
        Assert.Equal("ina3221@1-0040/channel2", sensors[0].Info.Id);
        Assert.Equal(6.0, Read(sensors[0]), 9);
        Assert.Equal(0.040, sensors[0].Info.Resolution!.Value, 9); // 40 uV / 5 mOhm = 8 mA, times 5 V
        Assert.Equal(5.032 * 0.312, Read(sensors[1]), 9);
    }

    [Fact]
    public void Jetson_Nano_on_the_old_vendor_kernel_is_found_through_IIO()
    {
        _tree.Add("sys/bus/iio/devices/iio:device0", ("name", "ina3221x"), ("rail_name_0", "POM_5V_IN"), ("in_power0_input", "2250"), ("rail_name_1", "POM_5V_GPU"), ("in_power1_input", "80"));
        IReadOnlyList<DetectedSensor> sensors = _tree.Discover();
        Assert.Equal("POM_5V_IN", sensors[0].Info.Rail);
        Assert.Equal(2.25, Read(sensors[0]), 12);
        Assert.Equal(2, sensors.Count);
    }

    [Fact]
    public void Channels_of_unknown_chips_pair_only_when_their_labels_agree()
    {
        _tree.Add("sys/class/hwmon/hwmon0", ("name", "pmbus"), ("in1_label", "vin"), ("in1_input", "12000"), ("curr1_label", "iout1"), ("curr1_input", "500"),
            ("in2_label", "rail"), ("in2_input", "3300"), ("curr2_label", "rail"), ("curr2_input", "100"));
        Assert.Equal("rail", Assert.Single(_tree.Discover()).Info.Rail);
    }

    [Fact]
    public void A_channel_that_is_switched_off_says_how_to_switch_it_on()
    {
        _tree.AddClassDevice("sys/class/hwmon/hwmon0", "1-0042", ("name", "ina3221"), ("in1_input", "0"), ("curr1_input", "0"), ("in1_enable", "0"));
        DetectedSensor sensor = Assert.Single(_tree.Discover());
        Assert.Equal(SensorAccess.Disabled, sensor.Info.Access);
        var e = Assert.Throws<EnergyException>(sensor.Open);
        Assert.Contains("in1_enable", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Iio_ina2xx_needs_its_scale()
    {
        _tree.Add("sys/bus/iio/devices/iio:device0", ("name", "ina219"), ("in_power2_raw", "100"), ("in_power2_scale", "20.000000000"),
            ("in_voltage0_integration_time", "0.000532"), ("in_voltage1_integration_time", "0.000532"));
        DetectedSensor sensor = Assert.Single(_tree.Discover());
        Assert.Equal(2.0, Read(sensor), 12);
        Assert.Equal(1.064, sensor.Info.UpdateInterval!.Value.TotalMilliseconds, 6);
        File.Delete(Path.Combine(_tree.Root, "sys/bus/iio/devices/iio:device0/in_power2_scale"));
        Assert.Equal(SensorAccess.Failing, Assert.Single(_tree.Discover()).Info.Access);
    }

    [Fact]
    public void Rapl_wraps_at_its_range_and_the_mmio_twin_is_left_out()
    {
        _tree.Add("sys/class/powercap/intel-rapl:0", ("name", "package-0"), ("energy_uj", "262143000000"), ("max_energy_range_uj", "262143328850"));
        _tree.Add("sys/class/powercap/intel-rapl-mmio:0", ("name", "package-0"), ("energy_uj", "1"), ("max_energy_range_uj", "262143328850"));
        DetectedSensor sensor = Assert.Single(_tree.Discover());
        Assert.Equal("J", sensor.Info.Unit);
        using ISensor open = sensor.Open();
        open.TryRead(out double before);
        File.WriteAllText(Path.Combine(_tree.Root, "sys/class/powercap/intel-rapl:0/energy_uj"), "671150\n");
        Assert.Equal(ReadStatus.Ok, open.TryRead(out double after));
        Assert.Equal(1.0, after - before, 6); // 328,850 uJ to the wrap and 671,150 after it
    }

    [Theory]
    [InlineData("-500000")]
    [InlineData("500000")]
    public void A_discharging_battery_counts_the_same_whatever_its_drivers_sign(string current)
    {
        _tree.Add("sys/class/power_supply/BAT0", ("type", "Battery"), ("status", "Discharging"), ("voltage_now", "3700000"), ("current_now", current));
        Assert.Equal(1.85, Read(Assert.Single(_tree.Discover())), 9);
    }

    [Fact]
    public void A_charging_battery_is_refused()
    {
        _tree.Add("sys/class/power_supply/BAT0", ("type", "Battery"), ("status", "Charging"), ("voltage_now", "4100000"), ("current_now", "900000"));
        var e = Assert.Throws<EnergyException>(() => SensorDiscovery.Select(_tree.Discover()));
        Assert.Contains("unplug the charger", e.Message, StringComparison.Ordinal);
    }

    private const string PmicText = """
         3V7_WL_SW_A current(0)=0.10000000A
        VDD_CORE_A current(7)=2.00000000A
        3V7_WL_SW_V volt(8)=3.70000000V
        VDD_CORE_V volt(15)=0.80000000V
        EXT5V_V volt(24)=5.15000000V
        BATT_V volt(25)=0.00000000V
        """;

    [Fact]
    public void Raspberry_Pi_5_sums_the_rails_and_says_what_they_miss()
    {
        _tree.Add("proc/device-tree", ("model", "Raspberry Pi 5 Model B Rev 1.0\0"));
        var runner = new FakeRunner { Outputs = { ["vcgencmd pmic_read_adc"] = PmicText } };
        DetectedSensor sensor = Assert.Single(_tree.Discover(runner));
        Assert.Equal(0.37 + 1.6, Read(sensor), 9);
        Assert.Contains("5 V pins", sensor.Info.Note, StringComparison.Ordinal);
        Assert.Equal(5, sensor.Info.MaxSampleRateHz);
    }

    [Theory]
    [InlineData(null, SensorAccess.Denied)]
    [InlineData("VDD_CORE_A current(7)=2.0A\n", SensorAccess.Failing)]
    [InlineData("VDD_CORE_A current(7)=?A\nVDD_CORE_V volt(15)=0.8V\n", SensorAccess.Failing)]
    [InlineData("error=1 error_msg=\"Command not registered\"", SensorAccess.Failing)]
    public void A_pmic_reading_with_a_rail_missing_is_no_reading(string? output, SensorAccess access)
    {
        _tree.Add("proc/device-tree", ("model", "Raspberry Pi 5 Model B Rev 1.0\0"));
        var runner = new FakeRunner { Outputs = { ["vcgencmd pmic_read_adc"] = output } };
        Assert.Equal(access, Assert.Single(_tree.Discover(runner)).Info.Access);
    }

    [Fact]
    public void A_Raspberry_Pi_4_has_no_pmic_sensor()
    {
        _tree.Add("proc/device-tree", ("model", "Raspberry Pi 4 Model B Rev 1.4\0"));
        Assert.Empty(_tree.Discover(new FakeRunner { Outputs = { ["vcgencmd pmic_read_adc"] = PmicText } }));
    }

    [Fact]
    public void No_permission_names_the_udev_rule()
    {
        _tree.Add("sys/class/powercap/intel-rapl:0", ("name", "package-0"), ("energy_uj", "1"), ("max_energy_range_uj", "1000"));
        _tree.Tree.Denied.Add("sys/class/powercap/intel-rapl:0/energy_uj");
        DetectedSensor sensor = Assert.Single(_tree.Discover());
        Assert.Equal(SensorAccess.Denied, sensor.Info.Access);
        var e = Assert.Throws<EnergyException>(() => SensorDiscovery.Select([sensor]));
        Assert.Contains("90-edgeslide-power.rules", e.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', e.Message);
    }

    [Fact]
    public void No_sensor_says_what_to_do()
    {
        var e = Assert.Throws<EnergyException>(() => SensorDiscovery.Select(_tree.Discover()));
        Assert.Contains("csv:FILE", e.Message, StringComparison.Ordinal);
        Assert.Contains("--estimate", e.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', e.Message);
    }

    [Fact]
    public void Selection_goes_by_identifier_or_by_a_unique_rail()
    {
        _tree.AddClassDevice("sys/class/hwmon/hwmon0", "1-0040", ("name", "ina219"), ("power1_input", "1"));
        _tree.AddClassDevice("sys/class/hwmon/hwmon10", "1-0041", ("name", "ina219"), ("power1_input", "1"));
        _tree.AddClassDevice("sys/class/hwmon/hwmon2", "1-0044", ("name", "ina226"), ("power1_input", "1"));
        IReadOnlyList<DetectedSensor> sensors = _tree.Discover();
        Assert.Equal(["ina219@1-0040/power1", "ina226@1-0044/power1", "ina219@1-0041/power1"], sensors.Select(s => s.Info.Id)); // hwmon2 before hwmon10
        Assert.Equal("ina219@1-0041/power1", SensorDiscovery.Select(sensors, "ina219@1-0041/power1").Info.Id);
        Assert.Equal("ina226@1-0044/power1", SensorDiscovery.Select(sensors, "ina226").Info.Id);
        Assert.Contains("2 sensors", Assert.Throws<EnergyException>(() => SensorDiscovery.Select(sensors, "ina219")).Message, StringComparison.Ordinal);
        Assert.Contains("edgeslide sensors", Assert.Throws<EnergyException>(() => SensorDiscovery.Select(sensors, "nothing")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Old_drivers_with_attributes_below_the_device_link_are_found()
    {
        _tree.AddClassDevice("sys/class/hwmon/hwmon0", "2-0040");
        _tree.Add("sys/devices/platform/2-0040", ("name", "ina219"), ("power1_input", "3000000"));
        Assert.Equal(3.0, Read(Assert.Single(_tree.Discover())), 12);
    }

    [Fact]
    public void A_sensor_that_vanishes_between_listing_and_opening_is_one_clear_line()
    {
        _tree.AddClassDevice("sys/class/hwmon/hwmon0", "1-0040", ("name", "ina219"), ("power1_input", "1"));
        DetectedSensor sensor = Assert.Single(_tree.Discover());
        Directory.Delete(Path.Combine(_tree.Root, "sys/class/hwmon/hwmon0"), recursive: true);
        Assert.Contains("list again", Assert.Throws<EnergyException>(sensor.Open).Message, StringComparison.Ordinal);
    }
}
