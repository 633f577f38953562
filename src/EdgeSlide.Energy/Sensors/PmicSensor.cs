namespace EdgeSlide.Energy.Sensors;

/// <summary>
/// The Raspberry Pi 5's power management chip, read through <c>vcgencmd pmic_read_adc</c>. Sums volts times amperes over
/// every rail that reports both. It does not see what the 5 V pins and USB ports feed, nor the regulator's own loss.
/// </summary>
internal sealed class PmicSensor(SensorInfo info, IProcessRunner runner) : ISensor
{
    public const string Command = "vcgencmd";
    public const string Arguments = "pmic_read_adc";

    public SensorInfo Info => info;

    public ReadStatus TryRead(out double value)
    {
        value = 0;
        string? text = runner.Run(Command, Arguments);
        return text is not null && TrySum(text, out value, out _) ? ReadStatus.Ok : ReadStatus.Missed;
    }

    /// <summary>
    /// Lines look like <c>VDD_CORE_A current(7)=0.61234000A</c> and <c>VDD_CORE_V volt(15)=0.72013200V</c>. A line that
    /// does not parse makes the whole reading invalid: a sum with a rail missing would be a made-up number.
    /// </summary>
    internal static bool TrySum(string text, out double watts, out int rails)
    {
        watts = 0;
        rails = 0;
        var currents = new Dictionary<string, double>(StringComparer.Ordinal);
        var voltages = new Dictionary<string, double>(StringComparer.Ordinal);
        foreach (string line in text.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            int space = line.IndexOf(' ');
            int equals = line.LastIndexOf('=');
            if (space < 3 || equals < space || line[space - 2] != '_' || line[^1] != line[space - 1])
                return false;
            if (!DecimalText.TryParse(System.Text.Encoding.UTF8.GetBytes(line[(equals + 1)..^1]), out double value))
                return false;
            string rail = line[..(space - 2)];
            switch (line[^1])
            {
                case 'A': currents[rail] = value; break;
                case 'V': voltages[rail] = value; break;
                default: return false;
            }
        }
        foreach ((string rail, double amperes) in currents)
        {
            if (!voltages.TryGetValue(rail, out double volts))
                return false;
            watts += volts * amperes;
            rails++;
        }
        return rails > 0;
    }

    public void Dispose()
    {
    }
}
