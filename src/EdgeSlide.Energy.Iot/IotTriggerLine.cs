using System.Device.Gpio;
using System.Globalization;

namespace EdgeSlide.Energy.Iot;

/// <summary>
/// A trigger line on System.Device.Gpio, which picks the board's own driver. On Linux with a GPIO character device
/// <see cref="GpioCharacterDevice"/> does the same without a dependency.
/// </summary>
public sealed class IotTriggerLine : ITriggerLine
{
    private readonly GpioController _controller;
    private readonly GpioPin _pin;

    internal IotTriggerLine(GpioController controller, int pin, bool initiallyHigh)
    {
        _controller = controller;
        _pin = controller.OpenPin(pin, PinMode.Output, initiallyHigh ? PinValue.High : PinValue.Low);
        Name = string.Create(CultureInfo.InvariantCulture, $"iot:{pin}");
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <summary>Opens a pin by its logical number (GPIO 17 is "17").</summary>
    /// <exception cref="EnergyException">There is no such pin or it cannot be driven.</exception>
    public static IotTriggerLine Open(string pin, bool initiallyHigh)
    {
        if (!int.TryParse(pin, NumberStyles.None, CultureInfo.InvariantCulture, out int number))
            throw new EnergyException($"'iot:{pin}' is not a GPIO pin: write its logical number, for example iot:17");
        GpioController? controller = null;
        try
        {
            controller = new GpioController();
            return new IotTriggerLine(controller, number, initiallyHigh);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or PlatformNotSupportedException or InvalidOperationException or ArgumentException)
        {
            controller?.Dispose();
            throw new EnergyException($"trigger iot:{pin}: the pin cannot be opened ({EnergyException.ReasonOf(e)}): check the number and the group of /dev/gpiochip*, or write CHIP:LINE to go through the kernel", e);
        }
    }

    /// <inheritdoc/>
    public void Drive(bool high) => _pin.Write(high ? PinValue.High : PinValue.Low);

    /// <inheritdoc/>
    public void Dispose()
    {
        _pin.Dispose();
        _controller.Dispose();
    }
}
