using System.Globalization;
using System.Text;
using System.Text.Json;

namespace EdgeSlide.Energy;

/// <summary>A battery as its label states it.</summary>
/// <param name="MilliampereHours">Rated capacity.</param>
/// <param name="Volts">Nominal voltage.</param>
/// <param name="Efficiency">Share of the energy that reaches the measured rail: converter efficiency times usable depth.</param>
public sealed record Battery(double MilliampereHours, double Volts, double Efficiency = 0.85)
{
    /// <summary>Usable energy in joules.</summary>
    public double UsableJoules => MilliampereHours * 1e-3 * 3600 * Volts * Efficiency;

    /// <summary>Predicted life in hours at a mean power in watts.</summary>
    /// <exception cref="EnergyException">A figure is out of range.</exception>
    public double HoursAt(double watts)
    {
        if (!(MilliampereHours > 0) || !(Volts > 0) || !(Efficiency is > 0 and <= 1) || !double.IsFinite(UsableJoules))
            throw new EnergyException("a battery needs a capacity in mAh and a voltage above zero, and an efficiency above 0 and at most 1");
        if (!(watts > 0))
            throw new EnergyException("battery life needs a mean power above zero");
        return UsableJoules / 3600 / watts;
    }
}

/// <summary>Mean power of an answer-then-sleep loop.</summary>
/// <param name="Sensor">Where the power came from.</param>
/// <param name="Variant">The way of doing the work that was measured.</param>
/// <param name="Period">Time from one answer to the next.</param>
/// <param name="Cycles">Periods measured.</param>
/// <param name="Inferences">Inferences executed.</param>
/// <param name="AverageWatts">Mean power over whole periods.</param>
/// <param name="ActiveSeconds">Mean time per period spent answering.</param>
/// <param name="LateCycles">Periods in which the answer took longer than the period.</param>
/// <param name="Quality">How well the sampling went.</param>
public sealed record DutyCycleReport(
    SensorInfo Sensor, string Variant, TimeSpan Period, long Cycles, long Inferences, double AverageWatts, double ActiveSeconds, long LateCycles, SamplingQuality Quality)
{
    /// <summary>Energy of one period, answer and sleep, in joules.</summary>
    public double JoulesPerPeriod => AverageWatts * Period.TotalSeconds;

    /// <summary>
    /// Mean power at another period, from the measured one and the sleeping power:
    /// P(T) = P_sleep + (P_measured - P_sleep) x T_measured / T.
    /// </summary>
    public double AverageWattsAt(TimeSpan period, double sleepWatts)
    {
        if (period.TotalSeconds < ActiveSeconds)
            throw new EnergyException(string.Create(CultureInfo.InvariantCulture, $"an answer takes {ActiveSeconds:0.######} s and does not fit a period of {period.TotalSeconds:0.######} s"));
        return sleepWatts + ((AverageWatts - sleepWatts) * (Period / period));
    }

    /// <summary>The report for programs, one JSON object.</summary>
    public string ToJson(Battery? battery = null)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream))
        {
            json.WriteStartObject();
            json.WriteString("mode", Variant);
            json.WriteNumber("power_w_average", AverageWatts);
            json.WriteNumber("energy_j_per_period", JoulesPerPeriod);
            json.WriteNumber("period_s", Period.TotalSeconds);
            json.WriteNumber("active_s_per_period", ActiveSeconds);
            json.WriteNumber("periods", Cycles);
            json.WriteNumber("late_periods", LateCycles);
            json.WriteNumber("inferences", Inferences);
            json.WriteString("sensor", Sensor.Id);
            json.WriteString("rail", Sensor.Rail);
            json.WriteNumber("samples", Quality.Samples);
            json.WriteNumber("dropped", Quality.Dropped);
            if (battery is null)
                json.WriteNull("battery_life_h");
            else
                json.WriteNumber("battery_life_h", battery.HoursAt(AverageWatts));
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(stream.GetBuffer(), 0, (int)stream.Length);
    }

    /// <summary>The report for people, with the battery's formula where one is given.</summary>
    public string ToText(Battery? battery = null)
    {
        var text = new StringBuilder();
        void Line(FormattableString line) => text.Append(line.ToString(CultureInfo.InvariantCulture)).Append('\n');
        Line($"mode               {Variant}");
        Line($"average power      {AverageWatts:0.######} W over {Cycles} periods of {Period.TotalSeconds:0.######} s");
        Line($"energy per period  {JoulesPerPeriod:0.######} J (answer and sleep)");
        Line($"answering          {ActiveSeconds * 1e6:0.##} us per period ({ActiveSeconds / Period.TotalSeconds * 100:0.####}% of the time), {Inferences} inferences");
        if (LateCycles > 0)
            Line($"warning            {LateCycles} answers took longer than the period");
        Line($"sensor             {Sensor.Id}, rail {Sensor.Rail}, {Quality.RateHz:0.###} Hz, {Quality.Samples} samples, {Quality.Dropped} dropped");
        if (battery is not null)
        {
            double hours = battery.HoursAt(AverageWatts);
            Line($"battery life       {hours:0.##} h ({hours / 24:0.##} days) = {battery.MilliampereHours:0.###} mAh x {battery.Volts:0.###} V x {battery.Efficiency:0.###} / {AverageWatts * 1e3:0.####} mW");
            text.Append("                   life = capacity x voltage x efficiency / average power; self-discharge and ageing are not in it\n");
        }
        return text.ToString();
    }
}
