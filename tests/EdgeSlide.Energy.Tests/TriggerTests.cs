using System.Runtime.CompilerServices;

namespace EdgeSlide.Energy.Tests;

public sealed class TriggerTests
{
    [Fact]
    public void Structures_match_the_kernels_sizes()
    {
        Assert.Equal(592, Unsafe.SizeOf<GpioCharacterDevice.LineRequest>());
        Assert.Equal(16, Unsafe.SizeOf<GpioCharacterDevice.LineValues>());
    }

    [Theory]
    [InlineData("17", "/dev/gpiochip0", 17)]
    [InlineData("gpiochip4:3", "/dev/gpiochip4", 3)]
    [InlineData("/dev/gpiochip1:0", "/dev/gpiochip1", 0)]
    public void Line_specifications(string text, string path, int line) => Assert.Equal((path, line), GpioCharacterDevice.Parse(text));

    [Theory]
    [InlineData("")]
    [InlineData("gpiochip0:")]
    [InlineData("gpiochip0:-1")]
    [InlineData("gpiochip0:x")]
    [InlineData(":5")]
    [InlineData("gpiochip0:99999")]
    public void Anything_else_is_refused(string text) => Assert.Contains("CHIP:LINE", Assert.Throws<EnergyException>(() => GpioCharacterDevice.Parse(text)).Message, StringComparison.Ordinal);

    [Fact]
    public void A_missing_chip_and_a_file_that_is_no_chip_are_one_clear_line()
    {
        Assert.Contains("does not exist", Assert.Throws<EnergyException>(() => GpioCharacterDevice.Open("/dev/no-such-chip:1")).Message, StringComparison.Ordinal);
        Assert.Contains("errno 25", Assert.Throws<EnergyException>(() => GpioCharacterDevice.Open("/dev/null:1")).Message, StringComparison.Ordinal); // ENOTTY
    }

    [Theory]
    [InlineData(0.5)]
    [InlineData(2_000_000)]
    public void Pulses_out_of_range_are_refused(double microseconds)
    {
        using var line = new NullLine();
        Assert.Throws<EnergyException>(() => new GpioTrigger(line, pulse: TimeSpan.FromMicroseconds(microseconds)));
    }

    private sealed class NullLine : ITriggerLine
    {
        public string Name => "null:0";

        public void Drive(bool high)
        {
        }

        public void Dispose()
        {
        }
    }
}
