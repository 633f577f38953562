namespace EdgeSlide.Evaluation;

/// <summary>
/// How well probabilities say how often the first answer is right: expected calibration error in 15 bins of equal width
/// (Naeini et al., AAAI 2015) and the mean negative log-likelihood of right and wrong.
/// </summary>
internal sealed class CalibrationError
{
    private const int Bins = 15;

    private readonly double[] _confidence = new double[Bins];
    private readonly double[] _right = new double[Bins];
    private double _loss;

    public long Examples { get; private set; }

    public double Expected
    {
        get
        {
            double sum = 0;
            for (int i = 0; i < Bins; i++)
                sum += Math.Abs(_confidence[i] - _right[i]);
            return Examples == 0 ? double.NaN : sum / Examples;
        }
    }

    public double LogLoss => Examples == 0 ? double.NaN : _loss / Examples;

    /// <summary>Adds one example; an answer without a probability is left out.</summary>
    public void Add(float probability, bool correct)
    {
        if (float.IsNaN(probability))
            return;
        Examples++;
        int bin = Math.Min(Bins - 1, (int)(probability * Bins));
        _confidence[bin] += probability;
        _right[bin] += correct ? 1 : 0;
        _loss -= Math.Log(Math.Max(1e-12, correct ? probability : 1.0 - probability));
    }
}
