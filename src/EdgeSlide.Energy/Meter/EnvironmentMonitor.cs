using EdgeSlide.Energy.Sensors;

namespace EdgeSlide.Energy.Meter;

/// <summary>
/// Core clocks and temperatures during a run. Read by the sampling thread through handles that stay open; the firmware's
/// throttle flags need a process and are read between windows only.
/// </summary>
internal sealed class EnvironmentMonitor : IDisposable
{
    private readonly SysfsValue[] _frequencies;
    private readonly SysfsValue[] _temperatures;
    private readonly SysfsTree _tree;
    private readonly IProcessRunner _runner;
    private readonly bool _raspberry;
    private readonly int _every;
    private SpinLock _gate = new(enableThreadOwnerTracking: false); // ticks come from the sampling thread, Take and Reset from the measuring one
    private int _tick;

    /// <param name="tree">Where to find cpufreq and thermal zones.</param>
    /// <param name="runner">Runs vcgencmd on a Raspberry Pi.</param>
    /// <param name="every">Ticks between readings.</param>
    public EnvironmentMonitor(SysfsTree tree, IProcessRunner runner, int every)
    {
        _tree = tree;
        _runner = runner;
        _every = Math.Max(1, every);
        _frequencies = Open("sys/devices/system/cpu/cpufreq", "policy", "scaling_cur_freq");
        _temperatures = Open("sys/class/thermal", "thermal_zone", "temp");
        Model = tree.ReadText("proc/device-tree/model");
        _raspberry = Model?.Contains("Raspberry Pi", StringComparison.Ordinal) == true;
        Governor = tree.ReadText("sys/devices/system/cpu/cpufreq/policy0/scaling_governor");
        Reset();
    }

    /// <summary>Board model from the device tree, or null.</summary>
    public string? Model { get; }

    /// <summary>cpufreq governor of the first policy, or null without cpufreq.</summary>
    public string? Governor { get; }

    private double _minMegahertz, _maxMegahertz, _minCelsius, _maxCelsius;

    public void Tick()
    {
        if (_tick++ % _every == 0)
            Update(reset: false);
    }

    /// <summary>Extremes since the last reset (NaN where nothing can be read), plus one reading now.</summary>
    public EnvironmentReading Take()
    {
        EnvironmentReading reading = Update(reset: false);
        return reading with { Throttled = Throttled() };
    }

    public void Reset() => Update(reset: true);

    public void Dispose()
    {
        foreach (SysfsValue value in _frequencies)
            value.Dispose();
        foreach (SysfsValue value in _temperatures)
            value.Dispose();
    }

    private EnvironmentReading Update(bool reset)
    {
        bool entered = false;
        try
        {
            _gate.Enter(ref entered);
            if (reset)
                (_minMegahertz, _maxMegahertz, _minCelsius, _maxCelsius) = (double.NaN, double.NaN, double.NaN, double.NaN);
            else
                ReadAll();
            return new EnvironmentReading(_minMegahertz, _maxMegahertz, _minCelsius, _maxCelsius, null);
        }
        finally
        {
            if (entered)
                _gate.Exit();
        }
    }

    private void ReadAll()
    {
        foreach (SysfsValue frequency in _frequencies)
        {
            if (frequency.TryRead(out double kilohertz) == ReadStatus.Ok)
                Widen(ref _minMegahertz, ref _maxMegahertz, kilohertz * 1e-3);
        }
        foreach (SysfsValue temperature in _temperatures)
        {
            if (temperature.TryRead(out double milli) == ReadStatus.Ok)
                Widen(ref _minCelsius, ref _maxCelsius, milli * 1e-3);
        }
    }

    private static void Widen(ref double min, ref double max, double value)
    {
        // Comparisons with NaN are false, so the first value always lands in both.
        if (!(min <= value))
            min = value;
        if (!(max >= value))
            max = value;
    }

    /// <summary>Bits of <c>vcgencmd get_throttled</c> (0 under-voltage, 1 frequency cap, 2 throttled, 3 soft limit; +16 since boot), or null.</summary>
    private uint? Throttled()
    {
        if (!_raspberry)
            return null;
        string? text = _runner.Run("vcgencmd", "get_throttled")?.Trim();
        const string prefix = "throttled=0x";
        return text is not null && text.StartsWith(prefix, StringComparison.Ordinal)
            && uint.TryParse(text.AsSpan(prefix.Length), System.Globalization.NumberStyles.HexNumber, null, out uint bits) ? bits : null;
    }

    private SysfsValue[] Open(string directory, string prefix, string file)
    {
        var open = new List<SysfsValue>();
        foreach (string child in _tree.Directories(directory))
        {
            if (!Path.GetFileName(child).StartsWith(prefix, StringComparison.Ordinal) || !_tree.Exists($"{child}/{file}"))
                continue;
            try
            {
                open.Add(SysfsValue.Open(_tree, $"{child}/{file}"));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // Supporting data: a zone that cannot be read is one that is not reported.
            }
        }
        return [.. open];
    }
}

/// <summary>Extremes over one window; NaN for what the machine does not tell.</summary>
internal readonly record struct EnvironmentReading(double MinMegahertz, double MaxMegahertz, double MinCelsius, double MaxCelsius, uint? Throttled);
