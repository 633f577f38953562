using EdgeSlide.Energy;
#if EDGESLIDE_IOT
using EdgeSlide.Energy.Iot;
#endif

namespace EdgeSlide.Cli.Commands;

/// <summary>
/// Devices that are opened by description rather than found: I2C chips without a kernel driver and GPIO through
/// System.Device.Gpio, in builds that hold those libraries (-p:EdgeSlideIot=true, the default for ARM).
/// </summary>
internal static class Devices
{
    private const string I2cPrefix = "i2c:", IotPrefix = "iot:";

    /// <summary>Null if the name is not an I2C description such as i2c:ina219@1-0x40,0.1.</summary>
    public static ISensor? TryOpenSensor(string? name)
    {
        if (name is null || !name.StartsWith(I2cPrefix, StringComparison.Ordinal))
            return null;
#if EDGESLIDE_IOT
        return I2cSensors.Open(name[I2cPrefix.Length..]);
#else
        throw new EnergyException($"{name}: this build reads chips through their kernel drivers only; load the driver (firmware-configs/README.md), or build with -p:EdgeSlideIot=true");
#endif
    }

    /// <summary>CHIP:LINE through the kernel, iot:PIN through System.Device.Gpio.</summary>
    public static ITriggerLine OpenLine(string line, bool initiallyHigh)
    {
        if (!line.StartsWith(IotPrefix, StringComparison.Ordinal))
            return GpioCharacterDevice.Open(line, initiallyHigh);
#if EDGESLIDE_IOT
        return IotTriggerLine.Open(line[IotPrefix.Length..], initiallyHigh);
#else
        throw new EnergyException($"{line}: this build has no System.Device.Gpio; write CHIP:LINE, for example gpiochip0:17, or build with -p:EdgeSlideIot=true");
#endif
    }
}
