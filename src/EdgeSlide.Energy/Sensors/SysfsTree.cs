using Microsoft.Win32.SafeHandles;

namespace EdgeSlide.Energy.Sensors;

/// <summary>
/// Read access to a tree of kernel attributes under a root: "/" on a device, a directory of plain files in a test.
/// Virtual where a test must stand in for what the kernel does (permissions do not bind the superuser).
/// </summary>
internal class SysfsTree(string root)
{
    public string Root { get; } = root;

    public string PathOf(string relative) => Path.Combine(Root, relative);

    public virtual bool Exists(string relative) => File.Exists(PathOf(relative));

    /// <summary>Subdirectories as paths relative to the root, in the order people count (hwmon2 before hwmon10).</summary>
    public virtual IReadOnlyList<string> Directories(string relative)
    {
        try
        {
            string path = PathOf(relative);
            if (!Directory.Exists(path))
                return [];
            string[] names = Array.ConvertAll(Directory.GetDirectories(path), directory => Path.GetFileName(directory));
            Array.Sort(names, Compare);
            return Array.ConvertAll(names, name => relative + "/" + name);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    /// <summary>Opens an attribute for repeated reading.</summary>
    public virtual SafeFileHandle Open(string relative) =>
        // FileShare.ReadWrite: anything narrower takes a lock that other monitors would trip over.
        File.OpenHandle(PathOf(relative), FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);

    /// <summary>The attribute's text without surrounding white space; null when it is missing or cannot be read.</summary>
    public string? ReadText(string relative)
    {
        try
        {
            if (!Exists(relative))
                return null;
            using SafeFileHandle handle = Open(relative);
            Span<byte> buffer = stackalloc byte[1024];
            int length = RandomAccess.Read(handle, buffer, 0);
            string text = System.Text.Encoding.UTF8.GetString(buffer[..length]).Trim(' ', '\t', '\r', '\n', '\0');
            return text.Length == 0 ? null : text;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>The attribute as a number; null when it is missing, unreadable or not a number.</summary>
    public double? ReadNumber(string relative)
    {
        string? text = ReadText(relative);
        return text is not null && DecimalText.TryParse(System.Text.Encoding.UTF8.GetBytes(text), out double value) ? value : null;
    }

    /// <summary>
    /// The bus name of the device behind a class directory (1-0040), which unlike hwmon3 or iio:device0 survives a
    /// reboot; the class directory's own name when there is no device link.
    /// </summary>
    public string DeviceName(string classDirectory)
    {
        try
        {
            FileSystemInfo? target = Directory.ResolveLinkTarget(PathOf(classDirectory + "/device"), returnFinalTarget: true);
            if (target is not null)
                return target.Name;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
        }
        return Path.GetFileName(classDirectory);
    }

    private static int Compare(string a, string b)
    {
        int order = string.CompareOrdinal(WithoutNumber(a), WithoutNumber(b));
        if (order == 0)
            order = TrailingNumber(a).CompareTo(TrailingNumber(b));
        return order != 0 ? order : string.CompareOrdinal(a, b);
    }

    private static string WithoutNumber(string name) => name.TrimEnd('0', '1', '2', '3', '4', '5', '6', '7', '8', '9');

    private static int TrailingNumber(string name)
    {
        int start = name.Length;
        while (start > 0 && char.IsAsciiDigit(name[start - 1]) && name.Length - start < 9)
            start--;
        return start == name.Length ? -1 : int.Parse(name.AsSpan(start));
    }
}

/// <summary>An open attribute that is read again and again at offset 0, which makes the kernel produce a new value.</summary>
internal sealed class SysfsValue(SafeFileHandle handle) : IDisposable
{
    // errno values: the device was unbound or its driver unloaded while the file stayed open.
    private const int NoSuchDevice = 19, NoSuchDeviceOrAddress = 6, NoSuchFile = 2;

    private readonly byte[] _buffer = new byte[64];

    public static SysfsValue Open(SysfsTree tree, string relative) => new(tree.Open(relative));

    public ReadStatus TryRead(out double value)
    {
        value = 0;
        try
        {
            int length = RandomAccess.Read(handle, _buffer, 0);
            return DecimalText.TryParse(_buffer.AsSpan(0, length), out value) ? ReadStatus.Ok : ReadStatus.Missed;
        }
        catch (IOException e) when (e.HResult is NoSuchDevice or NoSuchDeviceOrAddress or NoSuchFile)
        {
            return ReadStatus.Lost;
        }
        catch (IOException)
        {
            return ReadStatus.Missed;
        }
        catch (Exception e) when (e is UnauthorizedAccessException or ObjectDisposedException)
        {
            return ReadStatus.Lost;
        }
    }

    public void Dispose() => handle.Dispose();
}

/// <summary>Decimal numbers as the kernel prints them: sign, digits, optional fraction. Allocates nothing.</summary>
internal static class DecimalText
{
    /// <summary>False for an empty text, for anything after the number but white space, and for more than 18 digits.</summary>
    public static bool TryParse(ReadOnlySpan<byte> text, out double value)
    {
        value = 0;
        int i = 0;
        while (i < text.Length && IsSpace(text[i]))
            i++;
        bool negative = i < text.Length && text[i] == '-';
        if (i < text.Length && text[i] is (byte)'-' or (byte)'+')
            i++;
        long digits = 0;
        int count = 0, fraction = 0;
        bool point = false;
        for (; i < text.Length; i++)
        {
            if (text[i] == '.' && !point)
            {
                point = true;
                continue;
            }
            int digit = text[i] - '0';
            if ((uint)digit > 9)
                break;
            if (++count > 18)
                return false;
            digits = (digits * 10) + digit;
            if (point)
                fraction++;
        }
        while (i < text.Length && IsSpace(text[i]))
            i++;
        if (count == 0 || i != text.Length)
            return false;
        value = digits;
        if (fraction > 0)
            value /= PowersOfTen[fraction];
        if (negative)
            value = -value;
        return true;
    }

    private static ReadOnlySpan<double> PowersOfTen =>
        [1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18];

    private static bool IsSpace(byte value) => value is (byte)' ' or (byte)'\t' or (byte)'\n' or (byte)'\r' or 0;
}
