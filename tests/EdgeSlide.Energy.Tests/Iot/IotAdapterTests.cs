using System.Device.Gpio;
using System.Device.I2c;
using EdgeSlide.Energy.Iot;
using EdgeSlide.Energy.Meter;
using EdgeSlide.Energy.Sensors;

namespace EdgeSlide.Energy.Tests.Iot;

/// <summary>The adapters on System.Device.Gpio and Iot.Device.Bindings against a simulated bus and a mock driver.</summary>
public sealed class IotAdapterTests
{
    /// <summary>A chip with 16-bit registers and a register pointer, as the INA family's data sheets describe the bus.</summary>
    private sealed class SimulatedChip(int address) : I2cDevice
    {
        private byte _pointer;

        public Dictionary<byte, ushort> Registers { get; } = [];

        public List<(byte Register, ushort Value)> Writes { get; } = [];

        public bool Silent { get; set; }

        public override I2cConnectionSettings ConnectionSettings => new(1, address);

        public override void Read(Span<byte> buffer)
        {
            if (Silent)
                throw new IOException("no acknowledge");
            ushort value = Registers.GetValueOrDefault(_pointer);
            buffer[0] = (byte)(value >> 8);
            buffer[1] = (byte)value;
        }

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            if (Silent)
                throw new IOException("no acknowledge");
            _pointer = buffer[0];
            if (buffer.Length != 3)
                return;
            ushort value = (ushort)(buffer[1] << 8 | buffer[2]);
            Writes.Add((_pointer, value));
            // INA219: bit 15 of the configuration resets it to 0x399F.
            Registers[_pointer] = _pointer == 0 && (value & 0x8000) != 0 ? (ushort)0x399F : value;
        }

        public override void WriteRead(ReadOnlySpan<byte> writeBuffer, Span<byte> readBuffer)
        {
            Write(writeBuffer);
            Read(readBuffer);
        }
    }

    [Theory]
    [InlineData("ina219@1-0x40,0.002", 0x07D0, 0x5D98, 119.8)] // SBOS448 section 8.5.4
    [InlineData("ina226@1-0x40,0.002", 0x1F40, 0x2570, 119.8)] // SBOS547 table 8-1
    [InlineData("ina219@1-0x40,0.1", 0xF63C, 0x2710, -1.25)] // -25 mV: current flows backwards
    public void Data_sheet_examples_over_the_bus(string description, ushort shunt, ushort bus, double watts)
    {
        using var chip = new SimulatedChip(0x40) { Registers = { [1] = shunt, [2] = bus } };
        using InaSensor sensor = I2cSensors.Open(chip, I2cAddress.Parse(description, ""));
        Assert.Equal(ReadStatus.Ok, sensor.TryRead(out double value));
        Assert.Equal(watts, value, 6);
    }

    [Fact]
    public void The_ina219_is_left_in_its_widest_range_and_continuous()
    {
        using var chip = new SimulatedChip(0x40) { Registers = { [2] = 0x2710 } };
        using InaSensor sensor = I2cSensors.Open(chip, I2cAddress.Parse("ina219@1-0x40,0.1", ""));
        Assert.Equal((0, 0x8000), (chip.Writes[0].Register, chip.Writes[0].Value)); // reset first
        Assert.Equal(0x399F, chip.Registers[0]);
    }

    [Fact]
    public void Reading_allocates_nothing()
    {
        using var chip = new SimulatedChip(0x41) { Registers = { [1] = 1, [2] = 1 } };
        using InaSensor sensor = I2cSensors.Open(chip, I2cAddress.Parse("ina226@1-0x41,0.1", ""));
        for (int i = 0; i < 100; i++)
            sensor.TryRead(out _);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++)
            sensor.TryRead(out _);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [Fact]
    public void A_bus_that_does_not_exist_is_one_clear_line()
    {
        var e = Assert.Throws<EnergyException>(() => I2cSensors.Open("ina219@199-0x40,0.1"));
        Assert.Contains("/dev/i2c-199", e.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', e.Message);
    }

    private sealed class MockDriver : GpioDriver
    {
        public List<bool> Levels { get; } = [];

        public bool Open { get; private set; }

        protected override int PinCount => 40;

        protected override void OpenPin(int pinNumber) => Open = true;

        protected override void ClosePin(int pinNumber) => Open = false;

        protected override void SetPinMode(int pinNumber, PinMode mode) => Assert.Equal(PinMode.Output, mode);

        protected override void SetPinMode(int pinNumber, PinMode mode, PinValue initialValue) => Levels.Add((bool)initialValue);

        protected override PinMode GetPinMode(int pinNumber) => PinMode.Output;

        protected override bool IsPinModeSupported(int pinNumber, PinMode mode) => mode == PinMode.Output;

        protected override PinValue Read(int pinNumber) => Levels[^1];

        protected override void Write(int pinNumber, PinValue value) => Levels.Add((bool)value);

        protected override WaitForEventResult WaitForEvent(int pinNumber, PinEventTypes eventTypes, CancellationToken cancellationToken) => default;

        protected override void AddCallbackForPinValueChangedEvent(int pinNumber, PinEventTypes eventTypes, PinChangeEventHandler callback)
        {
        }

        protected override void RemoveCallbackForPinValueChangedEvent(int pinNumber, PinChangeEventHandler callback)
        {
        }
    }

    [Theory]
    [InlineData(TriggerPolarity.Falling, new[] { true, true, false, true, false, true })]
    [InlineData(TriggerPolarity.Rising, new[] { false, false, true, false, true, false })]
    public void The_trigger_pulses_the_mock_line(TriggerPolarity polarity, bool[] levels)
    {
        var driver = new MockDriver();
        var line = new IotTriggerLine(new GpioController(driver), 17, initiallyHigh: polarity == TriggerPolarity.Falling);
        using (var trigger = new GpioTrigger(line, polarity, TimeSpan.FromMicroseconds(5)))
        {
            MeasurementClock clock = MeasurementClock.System;
            long first = trigger.Fire(clock), second = trigger.Fire(clock);
            Assert.True(second - first >= 5_000);
            Assert.Equal("iot:17", trigger.Name);
            Assert.True(driver.Open);
        }
        Assert.Equal(levels, driver.Levels);
        Assert.False(driver.Open);
    }

    [Fact]
    public void A_name_that_is_no_pin_is_refused() => Assert.Contains("iot:17", Assert.Throws<EnergyException>(() => IotTriggerLine.Open("seventeen", true)).Message, StringComparison.Ordinal);
}
