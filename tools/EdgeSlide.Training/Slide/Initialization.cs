namespace EdgeSlide.Training.Slide;

/// <summary>
/// How large first weights must be so that a signal neither grows nor fades from layer to layer when only some neurons
/// pass theirs on (the argument of He et al. 2015, for the neurons that stay). The largest 5% of normal activations have
/// nine times the mean square of what a ReLU lets through: with weights made for a ReLU the signal would grow ninefold
/// in every layer, and the network would not learn.
/// </summary>
internal static class Initialization
{
    private const int Steps = 4000;
    private const double Range = 8;

    /// <summary>
    /// The mean square that a neuron among the active ones passes on if activations are standard normal and
    /// <paramref name="share"/> of the neurons are active: 1/2 if all or a random share are.
    /// </summary>
    public static double MeanSquare(ActiveMode mode, double share)
    {
        if (share >= 1 || mode is ActiveMode.Dense or ActiveMode.Dropout)
            return 0.5;
        if (mode != ActiveMode.AdaptiveDropout)
        {
            double threshold = Solve(-Range, Range, t => Integral(z => z > t ? 1 : 0), share);
            return Integral(z => z > Math.Max(threshold, 0) ? z * z : 0) / share;
        }
        double bias = Solve(-2 * Range, 2 * Range, b => -Integral(z => Sigmoid(z + b)), -share);
        return Integral(z => z > 0 ? z * z * Sigmoid(z + bias) : 0) / share;
    }

    private static double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));

    /// <summary>The mean of a function of a standard normal number.</summary>
    private static double Integral(Func<double, double> value)
    {
        double sum = 0, width = 2 * Range / Steps;
        for (int i = 0; i < Steps; i++)
        {
            double z = -Range + ((i + 0.5) * width);
            sum += value(z) * Math.Exp(-z * z / 2);
        }
        return sum * width / Math.Sqrt(2 * Math.PI);
    }

    /// <summary>Where a falling function takes a value.</summary>
    private static double Solve(double low, double high, Func<double, double> falling, double value)
    {
        for (int i = 0; i < 40; i++)
        {
            double middle = (low + high) / 2;
            (low, high) = falling(middle) > value ? (middle, high) : (low, middle);
        }
        return low;
    }
}
