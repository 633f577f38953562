using System.Device.I2c;
using EdgeSlide.Energy.Sensors;
using Iot.Device.Adc;

namespace EdgeSlide.Energy.Iot;

/// <summary>
/// Power sensors on an I2C bus without a kernel driver. Where the kernel has one (ina2xx, ina3221), prefer it: it needs no
/// root, survives other readers of the bus and is what `edgeslide sensors` lists.
/// </summary>
public static class I2cSensors
{
    private const string Usage = "write CHIP@BUS-ADDRESS,SHUNT or CHIP@BUS-ADDRESS/CHANNEL,SHUNT, for example i2c:ina219@1-0x40,0.1 (shunt in ohms)";

    /// <summary>Opens a sensor by description: ina219, ina226, ina231, ina236, ina238 or ina3221.</summary>
    /// <exception cref="EnergyException">The description is malformed or the chip does not answer.</exception>
    public static ISensor Open(string description)
    {
        I2cAddress address = I2cAddress.Parse(description, Usage);
        I2cDevice? device = null;
        try
        {
            device = I2cDevice.Create(new I2cConnectionSettings(address.Bus, address.Address));
            return Open(device, address);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or PlatformNotSupportedException)
        {
            device?.Dispose();
            throw new EnergyException($"i2c:{description}: bus {address.Bus} cannot be opened or the chip does not answer ({EnergyException.ReasonOf(e)}): enable I2C, join the group of /dev/i2c-{address.Bus}, check address and wiring", e);
        }
    }

    internal static InaSensor Open(I2cDevice device, I2cAddress address)
    {
        if (address.Chip == InaChip.Ina219)
            Prepare(device);
        return InaSensor.Open(new I2cRegisterBus(device), address.Chip, address.Channel, address.ShuntOhms, address.Place);
    }

    /// <summary>
    /// What the binding does right: reset, range, gain, bus resolution. Its power, current and shunt readings are left
    /// alone, since it takes signed registers for unsigned ones, its shunt resolution setter shifts twice, and each power
    /// reading rewrites the calibration and waits half a millisecond. <see cref="InaSensor"/> reads the two voltages itself.
    /// </summary>
    private static void Prepare(I2cDevice device)
    {
        using var binding = new Ina219(device);
        binding.Reset();
        binding.BusVoltageRange = Ina219BusVoltageRange.Range32v;
        binding.PgaSensitivity = Ina219PgaSensitivity.PlusOrMinus320mv;
        binding.BusAdcResolutionOrSamples = Ina219AdcResolutionOrSamples.Adc12Bit;
        binding.OperatingMode = Ina219OperatingMode.ShuntAndBusContinuous;
    }
}

/// <summary>16-bit registers over an I2C device, most significant byte first.</summary>
internal sealed class I2cRegisterBus(I2cDevice device) : IRegisterBus
{
    public ushort Read(byte register)
    {
        Span<byte> answer = stackalloc byte[2];
        // One transfer with a repeated start: no other master can move the chip's register pointer in between.
        device.WriteRead([register], answer);
        return (ushort)(answer[0] << 8 | answer[1]);
    }

    public void Write(byte register, ushort value) => device.Write([register, (byte)(value >> 8), (byte)value]);

    public void Dispose() => device.Dispose();
}
