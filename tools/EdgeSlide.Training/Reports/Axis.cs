namespace EdgeSlide.Training.Reports;

/// <summary>Maps values to places on a line and chooses round ticks.</summary>
internal sealed class Axis
{
    private readonly bool _log;
    private readonly double _low;
    private readonly double _high;
    private readonly double _from;
    private readonly double _to;

    /// <param name="values">What must fit; those that are not finite, or not positive on a logarithmic axis, do not count.</param>
    /// <param name="from">Where the low end is.</param>
    /// <param name="to">Where the high end is.</param>
    public Axis(IEnumerable<double> values, double from, double to, bool log = false, bool fromZero = false)
    {
        double low = double.PositiveInfinity, high = double.NegativeInfinity;
        foreach (double value in values.Where(v => double.IsFinite(v) && (!log || v > 0)))
            (low, high) = (Math.Min(low, value), Math.Max(high, value));
        if (low > high)
            (low, high) = log ? (1, 10) : (0, 1);
        if (fromZero)
            low = Math.Min(0, low);
        _log = log;
        if (log)
            (low, high) = (Math.Log10(low), Math.Log10(high));
        double margin = high > low ? 0.04 * (high - low) : log ? 0.5 : Math.Max(1e-9, Math.Abs(high) * 0.1);
        (_low, _high) = (fromZero && low == 0 ? 0 : low - margin, high + margin);
        (_from, _to) = (from, to);
    }

    public double Place(double value) => _from + ((_log ? Math.Log10(value) : value) - _low) / (_high - _low) * (_to - _from);

    /// <summary>About <paramref name="count"/> round values.</summary>
    public IReadOnlyList<double> Ticks(int count = 5)
    {
        var ticks = new List<double>();
        if (_log && _high - _low > 0.8)
        {
            double[] digits = _high - _low > 3 ? [1] : _high - _low > 1.5 ? [1, 3] : [1, 2, 5];
            for (int power = (int)Math.Floor(_low); power <= (int)Math.Ceiling(_high); power++)
                ticks.AddRange(digits.Select(d => d * Math.Pow(10, power)).Where(t => Math.Log10(t) >= _low && Math.Log10(t) <= _high));
            return ticks;
        }
        double low = _log ? Math.Pow(10, _low) : _low, high = _log ? Math.Pow(10, _high) : _high;
        double raw = (high - low) / count, unit = Math.Pow(10, Math.Floor(Math.Log10(raw)));
        double step = new[] { 1, 2, 2.5, 5, 10 }.First(m => m * unit >= raw * 0.999) * unit;
        for (double i = Math.Ceiling(low / step); i * step <= high; i++)
            ticks.Add(i * step);
        return ticks;
    }
}
