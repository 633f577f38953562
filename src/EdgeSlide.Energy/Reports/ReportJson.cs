using System.Text.Json;
using EdgeSlide.Energy.Meter;

namespace EdgeSlide.Energy.Reports;

/// <summary>
/// The report as one JSON object. The top-level figures are the first variant's; unknown values are null. Written by hand:
/// no reflection, and the names are the contract.
/// </summary>
internal static class ReportJson
{
    public static void Write(EnergyReport report, Utf8JsonWriter json)
    {
        VariantResult first = report.Variants[0];
        json.WriteStartObject();
        json.WriteNumber("energy_uj_gross_median", first.GrossMedianMicrojoules);
        json.WriteNumber("energy_uj_net_median", first.NetMedianMicrojoules);
        json.WriteNumber("ci95_low", first.GrossInterval.Low);
        json.WriteNumber("ci95_high", first.GrossInterval.High);
        json.WriteNumber("windows", first.Windows);
        json.WriteNumber("samples", report.Quality.Samples);
        json.WriteNumber("dropped", report.Quality.Dropped);
        json.WriteString("sensor", report.Sensor.Id);
        json.WriteString("rail", report.Sensor.Rail);
        json.WriteNumber("power_w_idle", report.IdlePowerWatts);
        json.WriteNumber("inferences", first.Inferences);
        Number(json, "lsh_over_dense_energy_ratio", report.Variants is [{ Name: "lsh" }, { Name: "dense" }] ? report.Ratio : null);
        if (report.RatioInterval is Interval ratio)
        {
            json.WriteNumber("ratio_ci95_low", ratio.Low);
            json.WriteNumber("ratio_ci95_high", ratio.High);
        }
        json.WriteStartArray("variants");
        foreach (VariantResult v in report.Variants)
        {
            json.WriteStartObject();
            json.WriteString("name", v.Name);
            json.WriteNumber("energy_uj_gross_median", v.GrossMedianMicrojoules);
            json.WriteNumber("ci95_low", v.GrossInterval.Low);
            json.WriteNumber("ci95_high", v.GrossInterval.High);
            json.WriteNumber("energy_uj_net_median", v.NetMedianMicrojoules);
            json.WriteNumber("net_ci95_low", v.NetInterval.Low);
            json.WriteNumber("net_ci95_high", v.NetInterval.High);
            json.WriteNumber("windows", v.Windows);
            json.WriteNumber("inferences", v.Inferences);
            json.WriteNumber("power_w", v.AverageWatts);
            json.WriteNumber("us_per_inference", v.MicrosecondsPerInference);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteStartArray("flags");
        foreach (string flag in report.Flags)
            json.WriteStringValue(flag);
        json.WriteEndArray();

        json.WriteString("driver", report.Sensor.Driver);
        json.WriteString("quantity", report.Sensor.Quantity == SensorQuantity.Power ? "sampled power" : "cumulative energy");
        Number(json, "resolution", report.Sensor.Resolution);
        Number(json, "update_interval_s", report.Sensor.UpdateInterval?.TotalSeconds);
        json.WriteString("sensor_note", report.Sensor.Note);
        json.WriteNumber("sample_rate_hz", report.Quality.RateHz);
        Number(json, "sampling_cpu_share", report.Quality.CpuShare);
        Number(json, "sampling_busy_share", report.Quality.BusyShare);
        Number(json, "sampling_allocated_bytes", report.Quality.AllocatedBytes);
        json.WriteNumber("power_w_idle_before", report.IdlePowerBeforeWatts);
        json.WriteNumber("power_w_idle_after", report.IdlePowerAfterWatts);
        json.WriteString("trigger", report.Context.Trigger);
        json.WriteString("alignment", report.Context.Alignment);
        json.WriteString("board", report.Context.Board);
        json.WriteString("system", System.Runtime.InteropServices.RuntimeInformation.OSDescription);
        json.WriteString("governor", report.Context.Governor);
        json.WriteString("started_utc", report.Started.UtcDateTime);
        json.WriteNumber("bootstrap_seed", Statistics.Seed);
        json.WriteStartObject("notes");
        foreach ((string key, string value) in report.Notes)
            json.WriteString(key, value);
        json.WriteEndObject();

        json.WriteStartArray("window_results");
        foreach (WindowResult w in report.Windows)
            WriteWindow(json, w);
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void WriteWindow(Utf8JsonWriter json, WindowResult w)
    {
        json.WriteStartObject();
        json.WriteNumber("window", w.Number);
        json.WriteString("variant", w.Variant);
        json.WriteNumber("start_s", w.StartSeconds);
        json.WriteNumber("seconds", w.Seconds);
        json.WriteNumber("inferences", w.Inferences);
        json.WriteNumber("energy_j", w.Joules);
        json.WriteNumber("energy_uj_gross", w.GrossMicrojoules);
        json.WriteNumber("energy_uj_net", w.NetMicrojoules);
        json.WriteNumber("samples", w.Samples);
        json.WriteNumber("max_gap_s", w.MaxGapSeconds);
        json.WriteNumber("start_event", w.StartEvent);
        json.WriteNumber("end_event", w.EndEvent);
        if (w.Environment is EnvironmentReading e)
        {
            Number(json, "mhz_min", e.MinMegahertz);
            Number(json, "mhz_max", e.MaxMegahertz);
            Number(json, "celsius_max", e.MaxCelsius);
            Number(json, "throttled", e.Throttled);
        }
        json.WriteEndObject();
    }

    private static void Number(Utf8JsonWriter json, string name, double? value)
    {
        if (value is double known && double.IsFinite(known))
            json.WriteNumber(name, known);
        else
            json.WriteNull(name);
    }
}
