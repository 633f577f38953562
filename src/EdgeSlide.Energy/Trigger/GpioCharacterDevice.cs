using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace EdgeSlide.Energy;

/// <summary>
/// An output line requested from the kernel's GPIO character device (uAPI v2, linux/gpio.h, kernel 5.10 and later). The
/// kernel returns the line to its default when the process ends, however it ends.
/// </summary>
public sealed unsafe partial class GpioCharacterDevice : ITriggerLine
{
    // _IOWR(0xB4, 0x07, struct gpio_v2_line_request) and _IOWR(0xB4, 0x0F, struct gpio_v2_line_values)
    private const uint GetLine = 0xC250_B407, SetValues = 0xC010_B40F;
    private const ulong FlagOutput = 1 << 3;
    private const uint AttributeOutputValues = 2;
    private const int OpenReadWrite = 2, OpenCloseOnExec = 0x80000;
    private const int Denied = 13, Busy = 16, Invalid = 22, Missing = 2;

    private readonly SafeFileHandle _lineHandle;

    private GpioCharacterDevice(string name, SafeFileHandle lineHandle)
    {
        Name = name;
        _lineHandle = lineHandle;
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <summary>Requests a line as an output that starts high.</summary>
    /// <param name="specification"><c>gpiochip0:17</c>, <c>/dev/gpiochip0:17</c> or just <c>17</c> for the first chip.</param>
    /// <param name="initiallyHigh">Level to start with.</param>
    /// <exception cref="EnergyException">The line does not exist, is in use or not permitted; the message says what to do.</exception>
    public static GpioCharacterDevice Open(string specification, bool initiallyHigh = true)
    {
        (string path, int line) = Parse(specification);
        string name = $"{Path.GetFileName(path)}:{line}";
        if (!OperatingSystem.IsLinux())
            throw new EnergyException($"trigger {name}: GPIO lines are driven through Linux's character device only");
        using var chip = new SafeFileHandle(open(path, OpenReadWrite | OpenCloseOnExec), ownsHandle: true);
        if (chip.IsInvalid)
            throw Failure(name, path, Marshal.GetLastPInvokeError());

        LineRequest request = default;
        request.Offsets[0] = (uint)line;
        "edgeslide-trigger"u8.CopyTo(new Span<byte>(request.Consumer, 32));
        request.Flags = FlagOutput;
        request.AttributeCount = 1;
        request.AttributeId = AttributeOutputValues;
        request.AttributeValue = initiallyHigh ? 1u : 0u;
        request.AttributeMask = 1;
        request.LineCount = 1;
        if (ioctl((int)chip.DangerousGetHandle(), GetLine, &request) < 0)
            throw Failure(name, path, Marshal.GetLastPInvokeError());
        return new GpioCharacterDevice(name, new SafeFileHandle(request.Descriptor, ownsHandle: true));
    }

    /// <inheritdoc/>
    public void Drive(bool high)
    {
        LineValues values = new() { Bits = high ? 1u : 0u, Mask = 1 };
        if (ioctl((int)_lineHandle.DangerousGetHandle(), SetValues, &values) < 0)
            throw new EnergyException($"trigger {Name}: the line can no longer be driven (errno {Marshal.GetLastPInvokeError()}): is the chip still there?");
    }

    /// <inheritdoc/>
    public void Dispose() => _lineHandle.Dispose();

    internal static (string Path, int Line) Parse(string specification)
    {
        int colon = specification.LastIndexOf(':');
        string chip = colon < 0 ? "gpiochip0" : specification[..colon];
        if (!int.TryParse(specification.AsSpan(colon + 1), System.Globalization.NumberStyles.None, null, out int line) || line > 1023 || chip.Length == 0)
            throw new EnergyException($"'{specification}' is not a GPIO line: write CHIP:LINE, for example gpiochip0:17 (`gpioinfo` lists them)");
        return (chip.StartsWith('/') ? chip : "/dev/" + chip, line);
    }

    private static EnergyException Failure(string name, string path, int error) => new(error switch
    {
        Missing => $"trigger {name}: {path} does not exist; `gpiodetect` lists the chips",
        Denied => $"trigger {name}: no permission to open {path}: install firmware-configs/udev/91-edgeslide-gpio.rules and add the user to its group, or run as root",
        Busy => $"trigger {name}: another program or driver holds the line; `gpioinfo` names it",
        Invalid => $"trigger {name}: the chip has no such line or cannot drive it",
        _ => $"trigger {name}: the kernel refuses the line (errno {error})",
    });

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int ioctl(int descriptor, nuint request, void* argument);

    /// <summary>struct gpio_v2_line_request with one attribute spelled out; 592 bytes.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 592)]
    internal struct LineRequest
    {
        [FieldOffset(0)] public fixed uint Offsets[64];
        [FieldOffset(256)] public fixed byte Consumer[32];
        [FieldOffset(288)] public ulong Flags;
        [FieldOffset(296)] public uint AttributeCount;
        [FieldOffset(320)] public uint AttributeId;
        [FieldOffset(328)] public ulong AttributeValue;
        [FieldOffset(336)] public ulong AttributeMask;
        [FieldOffset(560)] public uint LineCount;
        [FieldOffset(588)] public int Descriptor;
    }

    /// <summary>struct gpio_v2_line_values; 16 bytes.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct LineValues
    {
        public ulong Bits;
        public ulong Mask;
    }
}
