namespace EdgeSlide.Energy.Sensors;

/// <summary>One attribute times a scale: a power file in microwatts, or an energy counter without a known range.</summary>
internal sealed class ScaledSensor(SensorInfo info, SysfsValue file, double scale) : ISensor
{
    public SensorInfo Info => info;

    public ReadStatus TryRead(out double value)
    {
        ReadStatus status = file.TryRead(out value);
        value *= scale;
        return status;
    }

    public void Dispose() => file.Dispose();
}

/// <summary>
/// Voltage times current, for chips without a power register (INA3221) and batteries. The two reads are some 100 us
/// apart; the sampler stamps the middle.
/// </summary>
internal sealed class ProductSensor(SensorInfo info, SysfsValue volts, SysfsValue amperes, double scale, bool magnitude = false) : ISensor
{
    public SensorInfo Info => info;

    public ReadStatus TryRead(out double value)
    {
        value = 0;
        ReadStatus status = volts.TryRead(out double u);
        if (status != ReadStatus.Ok)
            return status;
        status = amperes.TryRead(out double i);
        if (status != ReadStatus.Ok)
            return status;
        value = u * i * scale;
        if (magnitude)
            value = Math.Abs(value);
        return ReadStatus.Ok;
    }

    public void Dispose()
    {
        volts.Dispose();
        amperes.Dispose();
    }
}

/// <summary>
/// A counter that returns to zero after <paramref name="range"/> (in the file's unit). One wrap between two readings is
/// seen; at 100 Hz a second one would need megawatts.
/// </summary>
internal sealed class WrappingCounter(SensorInfo info, SysfsValue file, double scale, double range) : ISensor
{
    private double _last = double.NaN;
    private double _wrapped;

    public SensorInfo Info => info;

    public ReadStatus TryRead(out double value)
    {
        ReadStatus status = file.TryRead(out double raw);
        value = 0;
        if (status != ReadStatus.Ok)
            return status;
        if (raw < 0 || raw > range)
            return ReadStatus.Missed;
        if (raw < _last)
            _wrapped += range;
        _last = raw;
        value = (_wrapped + raw) * scale;
        return ReadStatus.Ok;
    }

    public void Dispose() => file.Dispose();
}
