namespace EdgeSlide.Training.Training;

/// <summary>
/// Draws labels with a probability that follows their frequency: (rows with the label + 1) to a power. A fixed number of
/// draws with replacement names a label with probability pi = 1 - (1 - q)^draws, so one that was named stands for 1 / pi
/// labels like it (Horvitz and Thompson, 1952). Draws take constant time (the alias method of Walker, 1977).
/// </summary>
internal sealed class NegativeSampler
{
    private readonly float[] _keep;
    private readonly int[] _alias;
    private readonly float[] _weights;

    /// <param name="counts">[labels] rows that have the label.</param>
    internal NegativeSampler(ReadOnlySpan<int> counts, float power, int draws)
    {
        int labels = counts.Length;
        double[] q = new double[labels];
        double sum = 0;
        for (int i = 0; i < labels; i++)
            sum += q[i] = Math.Pow(counts[i] + 1.0, power);
        _weights = new float[labels];
        for (int i = 0; i < labels; i++)
            _weights[i] = (float)(-1 / (Math.Pow(1 - Math.Min(q[i] / sum, 1 - 1e-9), draws) - 1));
        _keep = new float[labels];
        _alias = new int[labels];
        FillAlias(q, labels / sum);
    }

    /// <summary>How many labels a drawn label stands for, itself included.</summary>
    internal float Weight(int label) => _weights[label];

    internal int Draw(ulong random)
    {
        int label = Noise.Below(random, _alias.Length);
        return (uint)random * (1 / 4294967296f) < _keep[label] ? label : _alias[label];
    }

    /// <summary>Pairs labels that are drawn less than the average with one that is drawn more.</summary>
    private void FillAlias(double[] q, double scale)
    {
        int[] stack = new int[q.Length];
        int small = 0, large = q.Length;
        for (int i = 0; i < q.Length; i++)
        {
            q[i] *= scale;
            _alias[i] = i;
            if (q[i] < 1)
                stack[small++] = i;
            else
                stack[--large] = i;
        }
        while (small > 0 && large < q.Length)
        {
            int less = stack[--small], more = stack[large];
            _keep[less] = (float)q[less];
            _alias[less] = more;
            q[more] -= 1 - q[less];
            if (q[more] < 1)
            {
                large++;
                stack[small++] = more;
            }
        }
        // What is left is 1 up to rounding.
        while (small > 0)
            _keep[stack[--small]] = 1;
        while (large < q.Length)
            _keep[stack[large++]] = 1;
    }
}
