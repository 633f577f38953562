using System.Globalization;
using System.Text;
using EdgeSlide.Energy.Sensors;
using FsCheck;
using FsCheck.Fluent;

namespace EdgeSlide.Energy.Tests;

/// <summary>Whatever the files hold, a reading is the number they mean or no reading at all.</summary>
public sealed class SensorPropertyTests
{
    [Fact]
    public void Decimal_text_agrees_with_the_framework()
    {
        Gen<string> number = from sign in Gen.Elements("", "-", "+")
                             from digits in Gen.Choose(0, int.MaxValue)
                             from fraction in Gen.Elements("", ".5", ".000532", ".25000000")
                             from end in Gen.Elements("", "\n", " \n", "\0")
                             select $"{sign}{digits}{fraction}{end}";
        Prop.ForAll(number.ToArbitrary(), text =>
        {
            bool ok = DecimalText.TryParse(Encoding.ASCII.GetBytes(text), out double value);
            double expected = double.Parse(text.TrimEnd('\n', ' ', '\0'), CultureInfo.InvariantCulture);
            return ok && Math.Abs(value - expected) <= 1e-15 * Math.Abs(expected);
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Text_that_is_not_one_number_is_refused()
    {
        foreach (string text in new[] { "", "\n", "-", ".", "1 2", "0x10", "1e6", "nan", "inf", "12a", "1.2.3", "--1", "1234567890123456789" })
            Assert.False(DecimalText.TryParse(Encoding.ASCII.GetBytes(text), out _), text);
    }

    [Fact]
    public void Random_bytes_never_throw()
    {
        Prop.ForAll<byte[]>(bytes =>
        {
            bool ok = DecimalText.TryParse(bytes, out double value);
            return !ok || (double.IsFinite(value) && bytes.Any(b => b is >= (byte)'0' and <= (byte)'9'));
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Products_keep_units_and_the_sign_of_the_current()
    {
        Gen<(int Millivolts, int Milliamperes)> channel = from v in Gen.Choose(0, 26_000) from i in Gen.Choose(-16_000, 16_000) select (v, i);
        Prop.ForAll(channel.ToArbitrary(), c =>
        {
            using var tree = new FakeTree();
            tree.AddClassDevice("sys/class/hwmon/hwmon0", "1-0042", ("name", "ina3221"), ("in1_input", Text(c.Millivolts)), ("curr1_input", Text(c.Milliamperes)), ("shunt1_resistor", "10000"));
            using ISensor sensor = tree.Discover().Single().Open();
            return sensor.TryRead(out double watts) == ReadStatus.Ok && Math.Abs(watts - (c.Millivolts * 1e-3 * c.Milliamperes * 1e-3)) < 1e-9;
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Counters_grow_by_the_sum_of_increments_across_any_number_of_wraps()
    {
        Gen<(int Range, int[] Steps)> counter = from range in Gen.Choose(1_000, 100_000)
                                                from steps in Gen.NonEmptyListOf(Gen.Choose(0, range - 1))
                                                select (range, steps.ToArray());
        Prop.ForAll(counter.ToArbitrary(), c =>
        {
            using var tree = new FakeTree();
            long value = c.Range / 2;
            tree.Add("sys/class/powercap/intel-rapl:0", ("name", "package-0"), ("energy_uj", Text(value)), ("max_energy_range_uj", Text(c.Range)));
            using ISensor sensor = tree.Discover().Single().Open();
            sensor.TryRead(out double first);
            double last = first;
            foreach (int step in c.Steps)
            {
                value = (value + step) % c.Range;
                File.WriteAllText(Path.Combine(tree.Root, "sys/class/powercap/intel-rapl:0/energy_uj"), Text(value) + "\n");
                if (sensor.TryRead(out double now) != ReadStatus.Ok || now < last)
                    return false;
                last = now;
            }
            return Math.Abs(last - first - (c.Steps.Sum(s => (double)s) * 1e-6)) < 1e-6;
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Any_subset_of_missing_denied_or_garbled_files_lists_without_an_exception_and_never_reads_a_number()
    {
        string[] files = ["name", "in1_label", "in1_input", "curr1_input", "shunt1_resistor", "update_interval", "in1_enable"];
        Gen<(int[] Fate, int Kind)> damage = from fate in Gen.ArrayOf(Gen.Choose(0, 4), files.Length) from kind in Gen.Choose(0, 2) select (fate, kind);
        Prop.ForAll(damage.ToArbitrary(), d =>
        {
            using var tree = new FakeTree();
            string[] values = ["ina3221", "VDD_IN", "5000", "400", "10000", "7", "1"];
            string[] garbage = ["", "not a number", "12\u00003"];
            var kept = new List<(string, string)>();
            for (int i = 0; i < files.Length; i++)
            {
                if (d.Fate[i] == 1)
                    continue;
                kept.Add((files[i], d.Fate[i] == 2 ? garbage[d.Kind] : values[i]));
                if (d.Fate[i] == 3)
                    tree.Tree.Denied.Add("sys/class/hwmon/hwmon0/" + files[i]);
            }
            tree.AddClassDevice("sys/class/hwmon/hwmon0", "1-0040", [.. kept]);
            IReadOnlyList<DetectedSensor> sensors = tree.Discover();
            bool whole = d.Fate[2] is 0 or 4 && d.Fate[3] is 0 or 4;
            foreach (DetectedSensor sensor in sensors)
            {
                if (!whole && sensor.Info.Access == SensorAccess.Readable)
                    return false;
                if (sensor.Info.Access != SensorAccess.Readable && string.IsNullOrEmpty(sensor.Info.Note))
                    return false;
            }
            return sensors.Count <= 1;
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void A_file_that_stops_giving_numbers_misses_readings_and_recovers()
    {
        using var tree = new FakeTree();
        tree.AddClassDevice("sys/class/hwmon/hwmon0", "1-0040", ("name", "ina219"), ("power1_input", "1000000"));
        using ISensor sensor = tree.Discover().Single().Open();
        string file = Path.Combine(tree.Root, "sys/class/hwmon/hwmon0/power1_input");
        Assert.Equal(ReadStatus.Ok, sensor.TryRead(out _));
        File.WriteAllText(file, "");
        Assert.Equal(ReadStatus.Missed, sensor.TryRead(out _));
        File.WriteAllText(file, "2000000\n");
        Assert.Equal(ReadStatus.Ok, sensor.TryRead(out double watts));
        Assert.Equal(2.0, watts, 12);
    }

    private static string Text(long value) => value.ToString(CultureInfo.InvariantCulture);
}
