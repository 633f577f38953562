using System.Globalization;

namespace EdgeSlide.Energy.Sensors;

/// <summary>16-bit registers of a chip on an I2C bus, most significant byte first as the INA family sends them.</summary>
internal interface IRegisterBus : IDisposable
{
    /// <summary>Reads one register.</summary>
    /// <exception cref="IOException">The chip does not answer.</exception>
    ushort Read(byte register);

    /// <summary>Writes one register.</summary>
    /// <exception cref="IOException">The chip does not answer.</exception>
    void Write(byte register, ushort value);
}

/// <summary>
/// Chips of the INA family that are read without a kernel driver. Power is computed here from shunt and bus voltage: both
/// are signed or plainly unsigned in the data sheets, need no calibration register and cannot be stale against each other.
/// </summary>
internal enum InaChip
{
    /// <summary>TI SBOS448: shunt step 10 uV, bus step 4 mV in bits 15..3.</summary>
    Ina219,

    /// <summary>TI SBOS547: shunt step 2.5 uV, bus step 1.25 mV.</summary>
    Ina226,

    /// <summary>TI SBOS644, registers as the INA226's.</summary>
    Ina231,

    /// <summary>TI SBOSA38: shunt step 2.5 uV (ADCRANGE 0), bus step 1.6 mV.</summary>
    Ina236,

    /// <summary>TI SBOSA20: shunt step 5 uV (ADCRANGE 0), bus step 3.125 mV, in registers 4 and 5.</summary>
    Ina238,

    /// <summary>TI SBOS576: three channels, shunt step 40 uV and bus step 8 mV, both in bits 15..3.</summary>
    Ina3221,
}

internal static class InaRegisters
{
    /// <summary>Volts across the shunt; negative when current flows backwards.</summary>
    public static double ShuntVolts(InaChip chip, ushort register) => chip switch
    {
        InaChip.Ina219 => (short)register * 10e-6,
        InaChip.Ina226 or InaChip.Ina231 or InaChip.Ina236 => (short)register * 2.5e-6,
        InaChip.Ina238 => (short)register * 5e-6,
        InaChip.Ina3221 => ((short)register >> 3) * 40e-6,
        _ => throw new ArgumentOutOfRangeException(nameof(chip)),
    };

    /// <summary>Volts on the bus side of the load.</summary>
    public static double BusVolts(InaChip chip, ushort register) => chip switch
    {
        InaChip.Ina219 => (register >> 3) * 4e-3, // unsigned: the 32 V range uses the top bit
        InaChip.Ina226 or InaChip.Ina231 => (register & 0x7FFF) * 1.25e-3,
        InaChip.Ina236 => (register & 0x7FFF) * 1.6e-3,
        InaChip.Ina238 => (register & 0x7FFF) * 3.125e-3,
        InaChip.Ina3221 => ((short)register >> 3) * 8e-3,
        _ => throw new ArgumentOutOfRangeException(nameof(chip)),
    };

    public static byte ShuntRegister(InaChip chip, int channel) => chip switch
    {
        InaChip.Ina238 => 0x04,
        InaChip.Ina3221 => (byte)((2 * channel) - 1),
        _ => 0x01,
    };

    public static byte BusRegister(InaChip chip, int channel) => chip switch
    {
        InaChip.Ina238 => 0x05,
        InaChip.Ina3221 => (byte)(2 * channel),
        _ => 0x02,
    };

    /// <summary>Settings for a continuous measurement, and the time it takes to make a new pair of values.</summary>
    public static (byte Register, ushort Value, TimeSpan Update) Configuration(InaChip chip) => chip switch
    {
        // 32 V range, gain /8 (320 mV), 12 bits for shunt and bus, continuous
        InaChip.Ina219 => (0x00, 0x399F, TimeSpan.FromMicroseconds(2 * 532)),
        // 4 averages, 1.1 ms each, continuous
        InaChip.Ina226 or InaChip.Ina231 => (0x00, 0x4327, TimeSpan.FromMicroseconds(4 * 2 * 1100)),
        InaChip.Ina236 => (0x00, 0x4327, TimeSpan.FromMicroseconds(4 * 2 * 1100)),
        // continuous shunt and bus, 1052 us each, 4 averages (ADC_CONFIG)
        InaChip.Ina238 => (0x01, 0xBB69, TimeSpan.FromMicroseconds(4 * 2 * 1052)),
        // three channels on, no averaging, 1.1 ms each, continuous
        InaChip.Ina3221 => (0x00, 0x7127, TimeSpan.FromMicroseconds(6 * 1100)),
        _ => throw new ArgumentOutOfRangeException(nameof(chip)),
    };
}

/// <summary>Power of one channel of an INA chip over its registers. Allocates nothing while the bus answers.</summary>
internal sealed class InaSensor(SensorInfo info, IRegisterBus bus, InaChip chip, int channel, double shuntOhms) : ISensor
{
    public SensorInfo Info => info;

    /// <summary>Configures the chip and describes the sensor.</summary>
    /// <param name="bus">Owned by the sensor from here on.</param>
    /// <param name="chip">Which chip.</param>
    /// <param name="channel">1 to 3 for the INA3221, else 1.</param>
    /// <param name="shuntOhms">Resistance of the shunt.</param>
    /// <param name="place">Bus and address for the identifier, e.g. 1-0040.</param>
    /// <exception cref="EnergyException">A parameter is out of range or the chip does not answer.</exception>
    public static InaSensor Open(IRegisterBus bus, InaChip chip, int channel, double shuntOhms, string place)
    {
        if (!(shuntOhms is >= 1e-5 and <= 100))
            throw new EnergyException($"a shunt of {shuntOhms} ohm is out of range: give its resistance, for example 0.1");
        if (channel < 1 || channel > (chip == InaChip.Ina3221 ? 3 : 1))
            throw new EnergyException($"{chip} has no channel {channel}");
        string name = chip.ToString().ToLowerInvariant();
        try
        {
            (byte register, ushort value, TimeSpan update) = InaRegisters.Configuration(chip);
            bus.Write(register, value);
            double volts = InaRegisters.BusVolts(chip, bus.Read(InaRegisters.BusRegister(chip, channel)));
            double step = InaRegisters.ShuntVolts(chip, chip == InaChip.Ina3221 ? (ushort)8 : (ushort)1) / shuntOhms * volts;
            var info = new SensorInfo($"i2c:{name}@{place}/{channel}", name + " (I2C)", $"{name} channel {channel}", SensorQuantity.Power, step > 0 ? step : null, update,
                SensorAccess.Readable, $"shunt {shuntOhms} ohm as given; its tolerance is the reading's");
            return new InaSensor(info, bus, chip, channel, shuntOhms);
        }
        catch (IOException e)
        {
            bus.Dispose();
            throw new EnergyException($"{name} at {place} does not answer: check address, wiring and pull-ups (`i2cdetect -y BUS`)", e);
        }
    }

    public ReadStatus TryRead(out double value)
    {
        value = 0;
        try
        {
            double shunt = InaRegisters.ShuntVolts(chip, bus.Read(InaRegisters.ShuntRegister(chip, channel)));
            double volts = InaRegisters.BusVolts(chip, bus.Read(InaRegisters.BusRegister(chip, channel)));
            value = shunt / shuntOhms * volts;
            return ReadStatus.Ok;
        }
        catch (IOException)
        {
            return ReadStatus.Missed; // a bus error may pass; the sampler gives up after a second of them
        }
    }

    public void Dispose() => bus.Dispose();
}

/// <summary>A chip on an I2C bus as the user writes it, e.g. <c>ina219@1-0x40,0.1</c> or <c>ina3221@1-0x42/2,0.01</c>.</summary>
internal readonly record struct I2cAddress(InaChip Chip, int Bus, int Address, int Channel, double ShuntOhms)
{
    /// <summary>Bus and address as the kernel writes them, e.g. 1-0040.</summary>
    public string Place => string.Create(CultureInfo.InvariantCulture, $"{Bus}-{Address:x4}");

    /// <exception cref="EnergyException">The text is malformed; the message ends with <paramref name="usage"/>.</exception>
    public static I2cAddress Parse(string text, string usage)
    {
        int at = text.IndexOf('@'), comma = text.LastIndexOf(','), dash = text.IndexOf('-', Math.Max(0, at));
        if (at > 0 && dash > at && comma > dash
            && Enum.TryParse(text.AsSpan(0, at), ignoreCase: true, out InaChip chip) && Enum.IsDefined(chip) && !char.IsAsciiDigit(text[0])
            && int.TryParse(text.AsSpan(at + 1, dash - at - 1), NumberStyles.None, CultureInfo.InvariantCulture, out int bus)
            && double.TryParse(text.AsSpan(comma + 1), NumberStyles.Float, CultureInfo.InvariantCulture, out double ohms))
        {
            string place = text[(dash + 1)..comma];
            int slash = place.IndexOf('/'), channel = 1;
            bool ok = slash < 0 || int.TryParse(place.AsSpan(slash + 1), NumberStyles.None, CultureInfo.InvariantCulture, out channel);
            ReadOnlySpan<char> digits = slash < 0 ? place : place.AsSpan(0, slash);
            if (digits.StartsWith("0x", StringComparison.Ordinal))
                digits = digits[2..];
            if (ok && int.TryParse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out int address) && address is >= 0x08 and <= 0x77)
                return new I2cAddress(chip, bus, address, channel, ohms);
        }
        throw new EnergyException($"'i2c:{text}' names no sensor: {usage}");
    }
}
