namespace EdgeSlide.Energy.Meter;

/// <summary>Medians and bootstrap intervals. Seeded: the same windows always print the same interval.</summary>
internal static class Statistics
{
    public const int Replicates = 10_000;
    public const int Seed = 20141;

    public static double Mean(ReadOnlySpan<double> values)
    {
        double sum = 0;
        foreach (double value in values)
            sum += value;
        return sum / values.Length;
    }

    public static double Median(ReadOnlySpan<double> values)
    {
        if (values.IsEmpty)
            throw new ArgumentException("no values", nameof(values));
        double[] sorted = values.ToArray();
        return MedianInPlace(sorted);
    }

    /// <summary>
    /// 95% percentile bootstrap of the median. Two levels: windows are drawn with replacement, and each drawn window is
    /// perturbed by its own standard error, so that five windows that agree by luck do not claim certainty.
    /// </summary>
    public static Interval MedianInterval(ReadOnlySpan<double> values, ReadOnlySpan<double> errors) =>
        Bootstrap(values, errors, default, default);

    /// <summary>The same for the ratio of two medians over windows measured in pairs.</summary>
    public static Interval MedianRatioInterval(ReadOnlySpan<double> numerators, ReadOnlySpan<double> numeratorErrors, ReadOnlySpan<double> denominators, ReadOnlySpan<double> denominatorErrors) =>
        Bootstrap(numerators, numeratorErrors, denominators, denominatorErrors);

    private static Interval Bootstrap(ReadOnlySpan<double> a, ReadOnlySpan<double> aErrors, ReadOnlySpan<double> b, ReadOnlySpan<double> bErrors)
    {
        var random = new Random(Seed);
        var medians = new double[Replicates];
        var drawA = new double[a.Length];
        var drawB = new double[b.Length];
        for (int r = 0; r < Replicates; r++)
        {
            for (int i = 0; i < a.Length; i++)
            {
                int k = random.Next(a.Length);
                drawA[i] = a[k] + (aErrors[k] * Normal(random));
                if (b.Length > 0)
                    drawB[i] = b[k] + (bErrors[k] * Normal(random));
            }
            medians[r] = b.Length > 0 ? MedianInPlace(drawA) / MedianInPlace(drawB) : MedianInPlace(drawA);
        }
        Array.Sort(medians);
        return new Interval(medians[(int)(0.025 * Replicates)], medians[(int)Math.Ceiling(0.975 * Replicates) - 1]);
    }

    private static double MedianInPlace(double[] values)
    {
        Array.Sort(values);
        int half = values.Length / 2;
        return values.Length % 2 == 1 ? values[half] : 0.5 * (values[half - 1] + values[half]);
    }

    private static double Normal(Random random)
    {
        double u = 1 - random.NextDouble();
        return Math.Sqrt(-2 * Math.Log(u)) * Math.Cos(2 * Math.PI * random.NextDouble());
    }
}
