using EdgeSlide.Energy.Sensors;

namespace EdgeSlide.Energy.Tests;

/// <summary>The data sheets' worked examples over a simulated bus.</summary>
public sealed class InaChipTests
{
    private sealed class SimulatedBus : IRegisterBus
    {
        public Dictionary<byte, ushort> Registers { get; } = [];

        public bool Silent { get; set; }

        public bool Disposed { get; private set; }

        public ushort Read(byte register) => Silent ? throw new IOException("no acknowledge") : Registers[register];

        public void Write(byte register, ushort value)
        {
            if (Silent)
                throw new IOException("no acknowledge");
            Registers[register] = value;
        }

        public void Dispose() => Disposed = true;
    }

    [Theory]
    // SBOS448 section 8.5.4: 10 A through 2 mOhm at 11.98 V
    [InlineData("Ina219", 0x07D0, 0x5D98, 0.002, 0.020, 11.98, 119.8)]
    // SBOS547 table 8-1: the same load
    [InlineData("Ina226", 0x1F40, 0x2570, 0.002, 0.020, 11.98, 119.8)]
    [InlineData("Ina231", 0x1F40, 0x2570, 0.002, 0.020, 11.98, 119.8)]
    // steps of the register tables
    [InlineData("Ina236", 0x1F40, 0x1D4C, 0.002, 0.020, 12.0, 120.0)]
    [InlineData("Ina238", 0x0FA0, 0x0F00, 0.002, 0.020, 12.0, 120.0)]
    public void Worked_examples(string name, ushort shunt, ushort bus, double ohms, double shuntVolts, double busVolts, double watts)
    {
        InaChip chip = Enum.Parse<InaChip>(name);
        Assert.Equal(shuntVolts, InaRegisters.ShuntVolts(chip, shunt), 9);
        Assert.Equal(busVolts, InaRegisters.BusVolts(chip, bus), 9);
        var simulated = new SimulatedBus { Registers = { [InaRegisters.ShuntRegister(chip, 1)] = shunt, [InaRegisters.BusRegister(chip, 1)] = bus } };
        using InaSensor sensor = InaSensor.Open(simulated, chip, 1, ohms, "1-0040");
        Assert.Equal(ReadStatus.Ok, sensor.TryRead(out double value));
        Assert.Equal(watts, value, 6);
    }

    [Theory]
    [InlineData("Ina219", 0x8300, -0.320)] // SBOS448 table 7: -320 mV
    [InlineData("Ina226", 0x8300, -0.080)] // SBOS547 section 8.6.2: -80 mV
    [InlineData("Ina3221", 0xC180, -0.080)] // SBOS576 section 8.6.2.2: -80 mV
    [InlineData("Ina3221", 0x7FF8, 0.1638)] // full scale
    public void Shunt_voltage_is_signed(string chip, ushort register, double volts) => Assert.Equal(volts, InaRegisters.ShuntVolts(Enum.Parse<InaChip>(chip), register), 9);

    [Fact]
    public void Ina219_bus_voltage_uses_its_top_bit_in_the_32_V_range() => Assert.Equal(31.996, InaRegisters.BusVolts(InaChip.Ina219, 0xF9F8), 9);

    [Fact]
    public void Ina3221_channels_are_apart()
    {
        var bus = new SimulatedBus { Registers = { [1] = 0x0320, [2] = 0x1388, [3] = 0x0190, [4] = 0x2580, [5] = 0x00C8, [6] = 0x0CE0 } };
        double[] expected = [5.0 * 0.4, 9.6 * 0.2, 3.296 * 0.1];
        for (int channel = 1; channel <= 3; channel++)
        {
            using InaSensor sensor = InaSensor.Open(bus, InaChip.Ina3221, channel, 0.01, "1-0042");
            sensor.TryRead(out double watts);
            Assert.Equal(expected[channel - 1], watts, 9);
        }
    }

    [Fact]
    public void A_silent_chip_is_one_clear_line_and_a_silent_moment_a_missed_reading()
    {
        var bus = new SimulatedBus { Registers = { [1] = 100, [2] = 0x2710 } };
        using InaSensor sensor = InaSensor.Open(bus, InaChip.Ina219, 1, 0.1, "1-0040");
        bus.Silent = true;
        Assert.Equal(ReadStatus.Missed, sensor.TryRead(out _));
        var dead = new SimulatedBus { Silent = true };
        Assert.Contains("does not answer", Assert.Throws<EnergyException>(() => InaSensor.Open(dead, InaChip.Ina219, 1, 0.1, "1-0040")).Message, StringComparison.Ordinal);
        Assert.True(dead.Disposed);
    }

    [Theory]
    [InlineData(0.0, 1)]
    [InlineData(-0.1, 1)]
    [InlineData(double.NaN, 1)]
    [InlineData(0.1, 2)]
    public void Parameters_out_of_range_are_refused(double ohms, int channel) =>
        Assert.Throws<EnergyException>(() => InaSensor.Open(new SimulatedBus(), InaChip.Ina219, channel, ohms, "1-0040"));
}

public sealed class I2cAddressTests
{
    [Fact]
    public void Descriptions_with_and_without_a_channel()
    {
        Assert.Equal(new I2cAddress(InaChip.Ina219, 1, 0x40, 1, 0.1), I2cAddress.Parse("ina219@1-0x40,0.1", ""));
        Assert.Equal(new I2cAddress(InaChip.Ina3221, 7, 0x42, 2, 0.005), I2cAddress.Parse("INA3221@7-0042/2,0.005", ""));
        Assert.Equal("7-0042", I2cAddress.Parse("ina3221@7-0x42/2,0.005", "").Place);
    }

    [Theory]
    [InlineData("")]
    [InlineData("ina219")]
    [InlineData("ina219@1-0x40")]
    [InlineData("ina999@1-0x40,0.1")]
    [InlineData("0@1-0x40,0.1")]
    [InlineData("ina219@x-0x40,0.1")]
    [InlineData("ina219@1-0x80,0.1")]
    [InlineData("ina219@1-0x40/x,0.1")]
    [InlineData("ina219@1-0x40,much")]
    public void Anything_else_is_refused_with_the_usage(string text) => Assert.Contains("usage", Assert.Throws<EnergyException>(() => I2cAddress.Parse(text, "usage")).Message, StringComparison.Ordinal);
}
