namespace EdgeSlide.Training.Tuning;

/// <summary>One setting with what it answers and costs, on all rows of the search.</summary>
/// <param name="Setting">Null for evaluating every neuron.</param>
/// <param name="Psp1">Null where the labels' frequencies are not known.</param>
/// <param name="LossP1">Points below the reference; negative if better.</param>
/// <param name="Nanoseconds">Median of a query; null where it was not measured.</param>
internal sealed record TuningPoint(
    TuningSetting? Setting, double P1, double P5, double? Psp1, double LossP1, double LossP5, double? LossPsp1,
    double Multiplications, double Bytes, double ActiveNeurons, long TableBytes, double? Nanoseconds)
{
    /// <summary>The larger of both losses, in points.</summary>
    public double Loss => Math.Max(LossP1, LossP5);
}

/// <summary>What a search found.</summary>
/// <param name="Sources">Names of the sources that settings refer to by position.</param>
/// <param name="Rows">Validation rows that every point was measured on.</param>
/// <param name="Trials">Settings that were tried, on few rows or all.</param>
/// <param name="Current">The model as it is; null if it had no tables.</param>
/// <param name="Chosen">The cheapest that keeps the loss; null if none does.</param>
/// <param name="ChosenError">Standard error of the chosen setting's loss of P@1, in points, from the rows where it and the reference differ.</param>
/// <param name="Front">The settings that no other one beats in both accuracy and cost, cheapest first.</param>
/// <param name="Points">All settings that were tried on all rows.</param>
internal sealed record TuningResult(
    IReadOnlyList<string> Sources, int Rows, int Trials, double Seconds, TuningOptions Options, long ModelBytes,
    TuningPoint Dense, TuningPoint? Current, TuningPoint? Chosen, double ChosenError, TuningPoint? Nearest,
    IReadOnlyList<TuningPoint> Front, IReadOnlyList<TuningPoint> Points);
