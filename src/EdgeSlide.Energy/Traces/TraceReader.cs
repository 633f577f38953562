using System.Globalization;

namespace EdgeSlide.Energy;

/// <summary>How to read an external meter's recording.</summary>
public sealed record TraceOptions
{
    /// <summary>Supply voltage for meters that record current only (PPK2, LPM01A), volts.</summary>
    public double? SupplyVolts { get; init; }

    /// <summary>The edge that the run's trigger used.</summary>
    public TriggerPolarity Polarity { get; init; }

    /// <summary>Header of the digital column that saw the trigger, when the automatic choice is wrong.</summary>
    public string? MarkColumn { get; init; }
}

/// <summary>Watts over time as an external meter recorded them, with the trigger edges it saw.</summary>
/// <param name="File">Where it came from.</param>
/// <param name="Times">Seconds of the meter's clock, ascending.</param>
/// <param name="Watts">Power.</param>
/// <param name="Edges">Times of the marking edges, seconds; empty without a digital column.</param>
/// <param name="MarkColumn">The digital column, or null.</param>
internal sealed record Trace(string File, double[] Times, double[] Watts, double[] Edges, string? MarkColumn)
{
    public double RateHz => (Times.Length - 1) / (Times[^1] - Times[0]);

    /// <summary>True when the times are seconds since 1970, which a clock-disciplined meter gives.</summary>
    public bool HasUnixTime => Times[0] > 1e9;
}

/// <summary>
/// Reads the CSV exports of Joulescope, PPK2, Otii and LPM01A, and any other with a header that names a time column and a
/// power column, or current with or without voltage. Units stand in the header: (ms), [uA], _mW. Without a header the
/// first two columns are seconds and watts.
/// </summary>
internal static class TraceReader
{
    private enum Quantity
    {
        Other,
        Time,
        Power,
        Current,
        Voltage,
        Digital,
    }

    private sealed record Column(int Index, Quantity Quantity, double Scale, string Name);

    public static Trace Read(string path, TraceOptions options)
    {
        try
        {
            using var reader = new StreamReader(path);
            return Read(reader, path, options);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new EnergyException($"{path}: the trace cannot be read ({EnergyException.ReasonOf(e)})", e);
        }
    }

    public static Trace Read(TextReader reader, string file, TraceOptions options)
    {
        var times = new List<double>();
        var watts = new List<double>();
        var digital = new List<ulong>();
        Layout? layout = null;
        int number = 0;
        bool text = false; // lines of words have been skipped
        for (string? line = reader.ReadLine(); line is not null; line = reader.ReadLine())
        {
            number++;
            if (string.IsNullOrWhiteSpace(line))
                continue;
            layout ??= Layout.Detect(line, options, file, number, afterHeader: text);
            text |= layout is null && !line.StartsWith('#');
            if (layout is null)
            {
                if (number > 100)
                    break; // a preamble is never that long
                continue;
            }
            if (layout.HeaderLine == number)
                continue;
            layout.Parse(line, file, number, out double time, out double power, out ulong bits);
            if (times.Count > 0 && time <= times[^1])
                throw new EnergyException($"{file}:{number}: time does not advance; export the recording in time order");
            times.Add(time);
            watts.Add(power);
            digital.Add(bits);
        }
        if (layout is null)
            throw new EnergyException($"{file}: no header names a time column and a power or current column; write two columns, seconds and watts");
        if (times.Count < 2)
            throw new EnergyException($"{file}: {times.Count} samples are too few for a trace");
        (double[] edges, string? column) = layout.FindEdges(times, digital, options);
        return new Trace(file, [.. times], [.. watts], edges, column);
    }

    private sealed class Layout
    {
        private readonly Column _time;
        private readonly Column? _power, _current, _voltage;
        private readonly Column[] _digital;
        private readonly char _delimiter;
        private readonly double _supply;

        private Layout(Column time, Column? power, Column? current, Column? voltage, Column[] digital, char delimiter, double supply, int headerLine)
        {
            (_time, _power, _current, _voltage, _digital, _delimiter, _supply, HeaderLine) = (time, power, current, voltage, digital, delimiter, supply, headerLine);
        }

        /// <summary>Line of the header; 0 without one.</summary>
        public int HeaderLine { get; }

        public static Layout? Detect(string line, TraceOptions options, string file, int number, bool afterHeader)
        {
            char delimiter = line.Contains(';') ? ';' : line.Contains('\t') ? '\t' : ',';
            string[] cells = line.TrimStart('#', ' ').Split(delimiter, StringSplitOptions.TrimEntries);
            if (cells.Length < 2)
                return null;
            if (Number(cells[0], delimiter, out _) && Number(cells[1], delimiter, out _))
            {
                // Below words that were not understood, numbers have units that are not known either.
                if (afterHeader)
                    return null;
                return new Layout(new Column(0, Quantity.Time, 1, "time"), new Column(1, Quantity.Power, 1, "power"), null, null, [], delimiter, 0, 0);
            }
            var columns = new Column[cells.Length];
            for (int i = 0; i < cells.Length; i++)
                columns[i] = Classify(cells[i].Trim('"', ' '), i, options);
            Column? First(Quantity quantity) => Array.Find(columns, c => c.Quantity == quantity);
            Column? time = First(Quantity.Time), power = First(Quantity.Power), current = First(Quantity.Current), voltage = First(Quantity.Voltage);
            if (time is null || (power is null && current is null))
                return null;
            if (power is null && voltage is null && options.SupplyVolts is not > 0)
                throw new EnergyException($"{file}:{number}: the trace holds current but no voltage; give the supply voltage, for example --supply-voltage 5");
            Column[] digital = Array.FindAll(columns, c => c.Quantity == Quantity.Digital && (options.MarkColumn is null || c.Name == options.MarkColumn));
            if (options.MarkColumn is not null && digital.Length == 0)
                throw new EnergyException($"{file}:{number}: there is no column '{options.MarkColumn}'");
            return new Layout(time, power, current, voltage, digital, delimiter, options.SupplyVolts ?? 0, number);
        }

        public void Parse(string line, string file, int number, out double time, out double watts, out ulong bits)
        {
            string[] cells = line.Split(_delimiter, StringSplitOptions.TrimEntries);
            double Value(Column column)
            {
                if (column.Index < cells.Length && Number(cells[column.Index], _delimiter, out double value))
                    return value * column.Scale;
                throw new EnergyException($"{file}:{number}: column '{column.Name}' holds no number");
            }
            time = Value(_time);
            watts = _power is not null ? Value(_power) : Value(_current!) * (_voltage is not null ? Value(_voltage) : _supply);
            bits = 0;
            int position = 0;
            foreach (Column column in _digital)
            {
                string cell = column.Index < cells.Length ? cells[column.Index].Trim('"') : "";
                // PPK2 packs eight lines into one cell of eight characters, D0 first.
                foreach (char c in cell)
                {
                    if (c is '1' or '0' && position < 64)
                        bits |= (ulong)(c - '0') << position++;
                    else if (c == '.')
                        break;
                }
            }
        }

        /// <summary>Edges of the first digital line that has any.</summary>
        public (double[] Edges, string? Column) FindEdges(List<double> times, List<ulong> digital, TraceOptions options)
        {
            bool falling = options.Polarity == TriggerPolarity.Falling;
            for (int bit = 0; bit < 64 && _digital.Length > 0; bit++)
            {
                var edges = new List<double>();
                for (int i = 1; i < digital.Count; i++)
                {
                    bool before = (digital[i - 1] >> bit & 1) != 0, now = (digital[i] >> bit & 1) != 0;
                    if (before != now && now != falling)
                        edges.Add(times[i]);
                }
                if (edges.Count > 0)
                    return ([.. edges], $"digital line {bit} of {string.Join("+", Array.ConvertAll(_digital, c => c.Name))}");
            }
            return ([], null);
        }

        private static Column Classify(string header, int index, TraceOptions options)
        {
            string name = header.ToLowerInvariant().Replace('µ', 'u').Replace('μ', 'u');
            if (header == options.MarkColumn)
                return new Column(index, Quantity.Digital, 1, header);
            string unit = Unit(name);
            Quantity quantity =
                name.Contains("time", StringComparison.Ordinal) ? Quantity.Time
                : name.Contains("power", StringComparison.Ordinal) || name is "watts" || unit is "w" or "mw" or "uw" or "nw" ? Quantity.Power
                : name.Contains("current", StringComparison.Ordinal) || IsAmperes(name) || unit is "a" or "ma" or "ua" or "na" || name is "i" ? Quantity.Current
                : name.Contains("voltage", StringComparison.Ordinal) || name is "v" or "volts" ? Quantity.Voltage
                : IsDigital(name) ? Quantity.Digital
                : Quantity.Other;
            double scale = quantity is Quantity.Other or Quantity.Digital ? 1 : unit switch
            {
                "ms" or "ma" or "mv" or "mw" => 1e-3,
                "us" or "ua" or "uv" or "uw" => 1e-6,
                "ns" or "na" or "nw" => 1e-9,
                _ => 1,
            };
            return new Column(index, quantity, scale, header);
        }

        /// <summary>Whole words: "sample" and "amplitude" are no currents.</summary>
        private static bool IsAmperes(string name) =>
            Array.Exists(name.Split([' ', '_', '(', ')', '[', ']']), word => word is "amps" or "ampere" or "amperes");

        private static bool IsDigital(string name) =>
            name.StartsWith("gpi", StringComparison.Ordinal) || name.StartsWith("digital", StringComparison.Ordinal) || name.StartsWith("trigger", StringComparison.Ordinal)
            || name is "d0-d7" or "mark" or "in0" or "in1" || (name.Length == 2 && name[0] == 'd' && char.IsAsciiDigit(name[1]));

        /// <summary>The unit in brackets or after the last underscore, lower case; empty for SI units unspoken.</summary>
        private static string Unit(string name)
        {
            int open = name.LastIndexOfAny(['(', '[']);
            if (open >= 0)
                return name[(open + 1)..].TrimEnd(')', ']').Trim();
            int cut = name.LastIndexOfAny(['_', ' ']);
            // A last "a" may as well be part of a name: "digital a".
            return cut >= 0 && name.Length - cut <= 3 && name[(cut + 1)..] is not "a" and string unit ? unit : "";
        }

        private static bool Number(string cell, char delimiter, out double value)
        {
            cell = cell.Trim('"');
            // Where columns part at semicolons, a comma is a decimal point.
            if (delimiter == ';')
                cell = cell.Replace(',', '.');
            return double.TryParse(cell, NumberStyles.Float, CultureInfo.InvariantCulture, out value) && double.IsFinite(value);
        }
    }
}
