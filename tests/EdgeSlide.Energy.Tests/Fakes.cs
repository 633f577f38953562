using EdgeSlide.Energy.Meter;
using EdgeSlide.Energy.Sensors;
using Microsoft.Win32.SafeHandles;

namespace EdgeSlide.Energy.Tests;

/// <summary>A directory of plain files laid out like sysfs, removed afterwards.</summary>
internal sealed class FakeTree : IDisposable
{
    public FakeTree()
    {
        Root = Directory.CreateTempSubdirectory("edgeslide-sysfs-").FullName;
        Tree = new RestrictedTree(Root);
    }

    public string Root { get; }

    public RestrictedTree Tree { get; }

    public void Add(string directory, params (string Name, string Value)[] files)
    {
        string path = Path.Combine(Root, directory);
        Directory.CreateDirectory(path);
        foreach ((string name, string value) in files)
            File.WriteAllText(Path.Combine(path, name), value + "\n");
    }

    /// <summary>A class directory whose device link points at a bus device, as in /sys/class/hwmon.</summary>
    public void AddClassDevice(string classDirectory, string busDevice, params (string Name, string Value)[] files)
    {
        string real = Path.Combine(Root, "sys/devices/platform", busDevice);
        Directory.CreateDirectory(real);
        Add(classDirectory, files);
        Directory.CreateSymbolicLink(Path.Combine(Root, classDirectory, "device"), real);
    }

    public IReadOnlyList<DetectedSensor> Discover(IProcessRunner? runner = null) => SensorDiscovery.Discover(Tree, runner ?? new FakeRunner());

    public void Dispose() => Directory.Delete(Root, recursive: true);
}

/// <summary>Refuses chosen files the way the kernel refuses an ordinary user; the tests may run as the superuser.</summary>
internal sealed class RestrictedTree(string root) : SysfsTree(root)
{
    public HashSet<string> Denied { get; } = [];

    public override SafeFileHandle Open(string relative) =>
        Denied.Contains(relative) ? throw new UnauthorizedAccessException("Permission denied") : base.Open(relative);
}

internal sealed class FakeRunner : IProcessRunner
{
    public Dictionary<string, string?> Outputs { get; } = [];

    public string? Run(string fileName, string arguments) => Outputs.GetValueOrDefault($"{fileName} {arguments}");
}

/// <summary>Time that passes only when someone waits or works; periodic ticks fire on the way.</summary>
internal sealed class VirtualClock : MeasurementClock
{
    private long _now = 1_000_000_000;
    private long _period, _due;
    private Action<long>? _tick;

    /// <summary>Returns how many ticks to lose from the given one on.</summary>
    public Func<long, long> Skip { get; set; } = _ => 0;

    // Every look at the clock costs a little, as in life; a loop that waits for it to move then ends.
    public override long Now => _now += 20;

    public double Seconds => _now * 1e-9;

    public void Advance(long nanoseconds)
    {
        long target = _now + nanoseconds;
        while (_tick is not null && _due <= target)
        {
            _now = Math.Max(_now, _due);
            long skipped = Skip(_due);
            _due += (skipped + 1) * _period;
            _tick(skipped);
        }
        _now = Math.Max(_now, target);
    }

    public override void WaitUntil(long nanoseconds) => Advance(Math.Max(0, nanoseconds - _now));

    public override IDisposable StartPeriodic(long period, Action<long> tick)
    {
        (_period, _due, _tick) = (period, _now, tick);
        return new Stopper(this);
    }

    private sealed class Stopper(VirtualClock clock) : IDisposable
    {
        public void Dispose() => clock._tick = null;
    }
}

/// <summary>A sensor whose true power is a function of time.</summary>
internal sealed class SyntheticSensor(VirtualClock clock, Func<double, double> watts, SensorQuantity quantity = SensorQuantity.Power) : ISensor
{
    private double _last = double.NaN, _joules;

    public SensorInfo Info { get; init; } = new("synthetic", "test", "rail", quantity, null, null, SensorAccess.Readable, null);

    public Func<ReadStatus> Status { get; set; } = () => ReadStatus.Ok;

    public Func<double> Noise { get; set; } = () => 0;

    public ReadStatus TryRead(out double value)
    {
        value = 0;
        ReadStatus status = Status();
        if (status != ReadStatus.Ok)
            return status;
        double now = clock.Seconds;
        if (quantity == SensorQuantity.Power)
        {
            value = watts(now) + Noise();
        }
        else
        {
            if (!double.IsNaN(_last))
                _joules += Truth.Integral(watts, _last, now);
            _last = now;
            value = _joules;
        }
        return ReadStatus.Ok;
    }

    public void Dispose()
    {
    }
}

/// <summary>Inferences of fixed length; tells the synthetic sensor through <see cref="Active"/> what is running.</summary>
internal sealed class SyntheticWorkload(VirtualClock clock, params string[] variants) : IWorkload
{
    public IReadOnlyList<string> Variants { get; } = variants;

    public long InferenceNanoseconds { get; set; } = 1_000_000;

    /// <summary>Index of the running variant, -1 when idle.</summary>
    public int Active { get; private set; } = -1;

    public int Input { get; private set; }

    public List<(int Variant, int Input)> Calls { get; } = [];

    public long Run(int variant, int input, Deadline deadline)
    {
        Calls.Add((variant, input));
        (Active, Input) = (variant, input);
        long count = 0;
        do
        {
            clock.Advance(InferenceNanoseconds);
            count++;
        }
        while (!deadline.Passed);
        Active = -1;
        return count;
    }
}

internal static class Truth
{
    /// <summary>Midpoint rule fine enough to be exact beside 0.5%.</summary>
    public static double Integral(Func<double, double> watts, double from, double to)
    {
        int steps = Math.Max(10, (int)Math.Ceiling((to - from) * 20_000));
        double sum = 0, h = (to - from) / steps;
        for (int i = 0; i < steps; i++)
            sum += watts(from + ((i + 0.5) * h));
        return sum * h;
    }

    public static double Normal(Random random) =>
        Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
}
