namespace EdgeSlide.Training.Calibration;

/// <summary>
/// A logistic curve from a share to the probability of being right, p = 1 / (1 + e^-(Slope z + Offset)) with z = ln(share / (1 - share)),
/// by maximum likelihood (Platt 1999).
/// </summary>
/// <param name="LogLoss">Mean negative log-likelihood of right and wrong.</param>
/// <param name="Ece">Expected calibration error in 15 bins of equal width.</param>
internal sealed record PlattFit(double Slope, double Offset, double LogLoss, double Ece)
{
    private const double Margin = 1e-6;
    private const double SmallestSlope = 1e-3;

    public static PlattFit Of(List<(double Share, bool Correct)> answers)
    {
        double[] z = new double[answers.Count];
        for (int i = 0; i < z.Length; i++)
        {
            double share = Math.Clamp(answers[i].Share, Margin, 1 - Margin);
            z[i] = Math.Log(share / (1 - share));
        }
        double slope = 1, offset = 0;
        // Newton's method on a convex loss; the small prior towards the identity keeps separable data finite.
        const double prior = 1e-3;
        for (int round = 0; round < 50; round++)
        {
            double g0 = prior * (slope - 1), g1 = prior * offset, h00 = prior, h01 = 0, h11 = prior;
            for (int i = 0; i < z.Length; i++)
            {
                double p = 1 / (1 + Math.Exp(-((slope * z[i]) + offset))), e = p - (answers[i].Correct ? 1 : 0), w = p * (1 - p);
                g0 += e * z[i];
                g1 += e;
                h00 += w * z[i] * z[i];
                h01 += w * z[i];
                h11 += w;
            }
            double det = (h00 * h11) - (h01 * h01);
            if (!(det > 1e-12))
                break;
            double d0 = ((h11 * g0) - (h01 * g1)) / det, d1 = ((h00 * g1) - (h01 * g0)) / det;
            double length = Math.Max(1, Math.Max(Math.Abs(d0), Math.Abs(d1)) / 2);
            slope = Math.Clamp(slope - (d0 / length), SmallestSlope, 50);
            offset = Math.Clamp(offset - (d1 / length), -50, 50);
            if (Math.Abs(d0) + Math.Abs(d1) < 1e-9)
                break;
        }
        double loss = 0;
        const int bins = 15;
        double[] confidence = new double[bins], right = new double[bins];
        for (int i = 0; i < z.Length; i++)
        {
            double p = 1 / (1 + Math.Exp(-((slope * z[i]) + offset)));
            loss -= Math.Log(Math.Max(1e-12, answers[i].Correct ? p : 1 - p));
            int bin = Math.Min(bins - 1, (int)(p * bins));
            confidence[bin] += p;
            right[bin] += answers[i].Correct ? 1 : 0;
        }
        double ece = 0;
        for (int b = 0; b < bins; b++)
            ece += Math.Abs(confidence[b] - right[b]);
        return new PlattFit(slope, offset, loss / Math.Max(1, z.Length), ece / Math.Max(1, z.Length));
    }
}
