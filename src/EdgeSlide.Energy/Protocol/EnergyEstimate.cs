using System.Globalization;
using System.Text.Json;

namespace EdgeSlide.Energy;

/// <summary>Operations of one inference.</summary>
/// <param name="Int8MultiplyAdds">8-bit multiplications, each with a 32-bit addition.</param>
/// <param name="Float32MultiplyAdds">Single-precision multiplications, each with an addition.</param>
/// <param name="CacheBytes">Bytes read from on-chip memory.</param>
/// <param name="DramBytes">Bytes read from DRAM.</param>
public sealed record OperationCounts(double Int8MultiplyAdds, double Float32MultiplyAdds, double CacheBytes, double DramBytes);

/// <summary>
/// Energy from operation counts: a model, not a measurement. Constants for a 45 nm process at 0.9 V from M. Horowitz,
/// "Computing's energy problem (and what we can do about it)", ISSCC 2014, figure 1.1.9. Instruction overhead, leakage and
/// the rest of the board are not in it, so it compares two algorithms and predicts no battery.
/// </summary>
public sealed record EnergyEstimate(OperationCounts Operations)
{
    /// <summary>8-bit integer multiplication, picojoules.</summary>
    public const double Int8MultiplyPicojoules = 0.2;

    /// <summary>32-bit integer addition, picojoules.</summary>
    public const double Int32AddPicojoules = 0.1;

    /// <summary>32-bit floating-point multiplication, picojoules.</summary>
    public const double Float32MultiplyPicojoules = 3.7;

    /// <summary>32-bit floating-point addition, picojoules.</summary>
    public const double Float32AddPicojoules = 0.9;

    /// <summary>64 bits from a 1 MiB cache, picojoules.</summary>
    public const double Cache64Picojoules = 100;

    /// <summary>64 bits from DRAM, picojoules: the middle of the published 1300 to 2600.</summary>
    public const double Dram64Picojoules = 1950;

    /// <summary>Energy in the model, microjoules.</summary>
    public double Microjoules => 1e-6 * (
        (Operations.Int8MultiplyAdds * (Int8MultiplyPicojoules + Int32AddPicojoules)) +
        (Operations.Float32MultiplyAdds * (Float32MultiplyPicojoules + Float32AddPicojoules)) +
        (Operations.CacheBytes / 8 * Cache64Picojoules) +
        (Operations.DramBytes / 8 * Dram64Picojoules));

    private const string Source = "45 nm, 0.9 V; M. Horowitz, \"Computing's energy problem\", ISSCC 2014, figure 1.1.9";

    /// <summary>The figure for programs, labelled like the text.</summary>
    public void Write(Utf8JsonWriter json)
    {
        ArgumentNullException.ThrowIfNull(json);
        json.WriteNumber("energy_uj_model_not_measured", Microjoules);
        json.WriteNumber("int8_multiply_adds", Operations.Int8MultiplyAdds);
        json.WriteNumber("float32_multiply_adds", Operations.Float32MultiplyAdds);
        json.WriteNumber("cache_bytes", Operations.CacheBytes);
        json.WriteNumber("dram_bytes", Operations.DramBytes);
        json.WriteString("constants", Source);
    }

    /// <summary>The figure with its label, constants and source.</summary>
    public string ToText() => string.Create(CultureInfo.InvariantCulture, $"""
        MODEL, NOT A MEASUREMENT: {Microjoules:G4} uJ per inference by operation counts
          {Operations.Int8MultiplyAdds:0} INT8 multiply-adds x {Int8MultiplyPicojoules + Int32AddPicojoules:0.###} pJ, {Operations.Float32MultiplyAdds:0} FP32 multiply-adds x {Float32MultiplyPicojoules + Float32AddPicojoules:0.###} pJ,
          {Operations.CacheBytes:0} bytes of cache x {Cache64Picojoules / 8} pJ, {Operations.DramBytes:0} bytes of DRAM x {Dram64Picojoules / 8} pJ
          {Source}; no instruction overhead, leakage or board

        """);
}
