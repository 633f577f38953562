namespace EdgeSlide.Energy;

/// <summary>What a sensor's readings are.</summary>
public enum SensorQuantity
{
    /// <summary>Power in watts at the moment of reading (in fact a mean over the chip's last conversion).</summary>
    Power,

    /// <summary>Energy in joules since some point in the past; only differences mean anything.</summary>
    Energy,
}

/// <summary>Whether a detected sensor can be read by this user.</summary>
public enum SensorAccess
{
    /// <summary>The last read gave a number.</summary>
    Readable,

    /// <summary>The kernel refuses to open a file: no permission.</summary>
    Denied,

    /// <summary>The channel or its supply is switched off or in a state in which its reading is not a load.</summary>
    Disabled,

    /// <summary>The file opens but a read fails or is not a number.</summary>
    Failing,
}

/// <summary>Outcome of one reading.</summary>
public enum ReadStatus
{
    /// <summary>A value was read.</summary>
    Ok,

    /// <summary>This reading failed (bus busy, value not a number); the next may succeed.</summary>
    Missed,

    /// <summary>The sensor is gone and will not come back through this handle.</summary>
    Lost,
}

/// <summary>Facts about a sensor. An unknown figure is null, never a guess.</summary>
/// <param name="Id">Stable name to select the sensor by, e.g. <c>ina226@1-0041/power1</c>.</param>
/// <param name="Driver">Kernel driver, chip or tool the readings come from.</param>
/// <param name="Rail">Supply rail, from the board's labels where it has any.</param>
/// <param name="Quantity">Watts or joules.</param>
/// <param name="Resolution">Smallest step in watts or joules; for a volts-times-amperes channel at the present voltage.</param>
/// <param name="UpdateInterval">Time between new values in the chip.</param>
/// <param name="Access">Whether it can be read now.</param>
/// <param name="Note">What to know or to do, one line, or null.</param>
/// <param name="MaxSampleRateHz">Rate above which reading would disturb what is measured.</param>
public sealed record SensorInfo(
    string Id,
    string Driver,
    string Rail,
    SensorQuantity Quantity,
    double? Resolution,
    TimeSpan? UpdateInterval,
    SensorAccess Access,
    string? Note,
    double MaxSampleRateHz = 1000)
{
    /// <summary>"W" or "J".</summary>
    public string Unit => Quantity == SensorQuantity.Power ? "W" : "J";
}

/// <summary>An open sensor. Readings come from one thread at a time and allocate nothing while they succeed.</summary>
public interface ISensor : IDisposable
{
    /// <summary>Facts about the sensor.</summary>
    SensorInfo Info { get; }

    /// <summary>Reads watts or joules (see <see cref="SensorInfo.Quantity"/>); <paramref name="value"/> is valid only on <see cref="ReadStatus.Ok"/>.</summary>
    ReadStatus TryRead(out double value);
}

/// <summary>A sensor that discovery found, not yet opened.</summary>
public sealed class DetectedSensor
{
    private readonly Func<SensorInfo, ISensor> _open;

    internal DetectedSensor(SensorInfo info, int rank, Func<SensorInfo, ISensor> open)
    {
        Info = info;
        Rank = rank;
        _open = open;
    }

    /// <summary>Facts gathered at discovery.</summary>
    public SensorInfo Info { get; }

    /// <summary>Order of preference when the user names no sensor; lower is better.</summary>
    internal int Rank { get; }

    /// <summary>Opens the sensor for measuring.</summary>
    /// <exception cref="EnergyException">It cannot be read; the message says what to do.</exception>
    public ISensor Open()
    {
        if (Info.Access != SensorAccess.Readable)
            throw new EnergyException($"sensor {Info.Id} cannot be used: {Info.Note ?? "its reading fails"}");
        try
        {
            return _open(Info);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new EnergyException($"sensor {Info.Id} could be listed but not opened ({EnergyException.ReasonOf(e)}): list again with `edgeslide sensors`", e);
        }
    }
}
