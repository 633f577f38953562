using EdgeSlide.Training.Data;

namespace EdgeSlide.Training.Evaluation;

/// <summary>How often each label occurred in training: what the measures of the tail are made of.</summary>
public sealed class LabelFrequencies
{
    public const int Groups = 10;

    private readonly int[] _counts;

    /// <param name="rows">Training rows.</param>
    /// <param name="counts">[labels] rows that have the label.</param>
    public LabelFrequencies(int rows, int[] counts)
    {
        ArgumentNullException.ThrowIfNull(counts);
        Rows = rows;
        _counts = counts;
    }

    public int Rows { get; }

    public ReadOnlySpan<int> Counts => _counts;

    /// <summary>Labels of all rows together.</summary>
    public long Total => _counts.Sum(count => (long)count);

    public static LabelFrequencies Of(IRowSource training)
    {
        ArgumentNullException.ThrowIfNull(training);
        int[] counts = new int[training.LabelCount];
        for (int row = 0; row < training.RowCount; row++)
        {
            foreach (int label in training.RowLabels(row))
                counts[label]++;
        }
        return new LabelFrequencies(training.RowCount, counts);
    }

    /// <summary>
    /// [labels] 1 / p(label) = 1 + C (n + B)^-A with n the label's training rows of N and C = (ln N - 1) (B + 1)^A
    /// (Jain, Prabhu and Varma, KDD 2016; A = 0.55, B = 1.5 is their choice for data without better knowledge). With fewer than
    /// e rows C would be negative and p above 1, infinite or negative: there C = 0, p = 1 for every label, and PSP@k is P@k
    /// over the best that the row's labels allow.
    /// </summary>
    public float[] InversePropensities(double a = 0.55, double b = 1.5)
    {
        double c = Math.Max(0, Math.Log(Rows) - 1) * Math.Pow(b + 1, a);
        float[] inverse = new float[_counts.Length];
        for (int label = 0; label < inverse.Length; label++)
            inverse[label] = (float)(1 + (c * Math.Pow(_counts[label] + b, -a)));
        return inverse;
    }

    /// <summary>
    /// [labels] the group of each label when all are ordered by frequency, equal ones by id, and cut into ten groups of equally
    /// many: 0 holds the rarest tenth, 9 the most frequent.
    /// </summary>
    public byte[] Deciles()
    {
        int[] order = new int[_counts.Length];
        for (int i = 0; i < order.Length; i++)
            order[i] = i;
        int[] keys = (int[])_counts.Clone();
        // Array.Sort does not keep equal keys in order; the id as second key does.
        Array.Sort(order, (x, y) => keys[x] != keys[y] ? keys[x].CompareTo(keys[y]) : x.CompareTo(y));
        byte[] groups = new byte[order.Length];
        for (int rank = 0; rank < order.Length; rank++)
            groups[order[rank]] = (byte)((long)rank * Groups / order.Length);
        return groups;
    }
}

/// <summary>
/// Accuracy by label frequency. For each tenth of the labels: of the test rows that have a label of it, the share whose first
/// answer is such a label (P@1), and of the pairs of a row and such a label, the share found among the first five (recall).
/// </summary>
/// <param name="groups">[labels] from <see cref="LabelFrequencies.Deciles"/>.</param>
public sealed class DecileMetrics(byte[] groups)
{
    private readonly long[] _rows = new long[LabelFrequencies.Groups];
    private readonly long[] _firsts = new long[LabelFrequencies.Groups];
    private readonly long[] _pairs = new long[LabelFrequencies.Groups];
    private readonly long[] _found = new long[LabelFrequencies.Groups];

    /// <summary>Test rows that have a label of the group.</summary>
    public long Rows(int group) => _rows[group];

    /// <summary>NaN where no test row has a label of the group.</summary>
    public double PrecisionAt1(int group) => _firsts[group] / (double)_rows[group];

    public double RecallAt5(int group) => _found[group] / (double)_pairs[group];

    public void Add(ReadOnlySpan<int> ranked, ReadOnlySpan<int> labels)
    {
        int seen = 0;
        foreach (int label in labels)
        {
            int group = groups[label];
            _pairs[group]++;
            if ((seen >> group & 1) == 0)
                _rows[group]++;
            seen |= 1 << group;
            int at = ranked.IndexOf(label);
            if (at == 0)
                _firsts[group]++;
            if (at is >= 0 and < 5)
                _found[group]++;
        }
    }
}
