using EdgeSlide.Training.Data;

namespace EdgeSlide.Training.Evaluation;

/// <summary>
/// Ranking quality over rows that have at least one label; rows without are skipped. With rel(i) = 1 if the i-th prediction
/// is a true label:
/// <list type="bullet">
/// <item>P@k = (rel(1) + ... + rel(k)) / k, whatever the number of true labels;</item>
/// <item>nDCG@k = sum of rel(i) / log2(i + 1), divided by its best possible value for the row;</item>
/// <item>PSP@k = the same sum as P@k with every hit weighted by its inverse propensity, divided by the best possible value
/// over all rows (Jain, Prabhu and Varma, KDD 2016).</item>
/// </list>
/// Each is a sum over rows divided by a sum over rows, so instances for parts of a data set can be added.
/// </summary>
public sealed class RankingMetrics
{
    private readonly int[] _ks;
    private readonly float[]? _inversePropensity;
    private readonly double[] _hits;
    private readonly double[] _gain;
    private readonly double[] _weighted;
    private readonly double[] _weightedBest;
    private readonly DecileMetrics? _deciles;

    /// <param name="ks">Cut-offs, for example 1, 3, 5.</param>
    /// <param name="inversePropensity">[labels] weights from <see cref="LabelFrequencies.InversePropensities"/>, or null if PSP is not wanted.</param>
    /// <param name="deciles">Receives the same rows; null if accuracy by label frequency is not wanted.</param>
    public RankingMetrics(IReadOnlyList<int> ks, float[]? inversePropensity = null, DecileMetrics? deciles = null)
    {
        ArgumentNullException.ThrowIfNull(ks);
        _ks = [.. ks];
        foreach (int k in _ks)
            ArgumentOutOfRangeException.ThrowIfLessThan(k, 1, nameof(ks));
        _inversePropensity = inversePropensity;
        _deciles = deciles;
        _hits = new double[_ks.Length];
        _gain = new double[_ks.Length];
        _weighted = new double[_ks.Length];
        _weightedBest = new double[_ks.Length];
    }

    /// <summary>Rows counted: those with labels.</summary>
    public int Rows { get; private set; }

    public double Precision(int k) => Ratio(_hits[At(k)], (double)k * Rows);

    public double Ndcg(int k) => Ratio(_gain[At(k)], Rows);

    public double PropensityScoredPrecision(int k) => Ratio(_weighted[At(k)], _weightedBest[At(k)]);

    /// <summary>Adds one row: its predictions, best first (ids below 0 are misses), and its true labels.</summary>
    public void Add(ReadOnlySpan<int> ranked, ReadOnlySpan<int> labels)
    {
        if (labels.IsEmpty)
            return;
        Rows++;
        _deciles?.Add(ranked, labels);
        Span<float> best = labels.Length <= 256 ? stackalloc float[labels.Length] : new float[labels.Length];
        if (_inversePropensity is not null)
        {
            for (int i = 0; i < labels.Length; i++)
                best[i] = _inversePropensity[labels[i]];
            best.Sort(static (x, y) => y.CompareTo(x));
        }
        for (int cut = 0; cut < _ks.Length; cut++)
        {
            int k = _ks[cut];
            double gain = 0, bestGain = 0;
            for (int i = 0; i < Math.Min(k, ranked.Length); i++)
            {
                if (ranked[i] < 0 || !labels.Contains(ranked[i]))
                    continue;
                _hits[cut]++;
                gain += 1 / Math.Log2(i + 2);
                if (_inversePropensity is not null)
                    _weighted[cut] += _inversePropensity[ranked[i]];
            }
            for (int i = 0; i < Math.Min(k, labels.Length); i++)
            {
                bestGain += 1 / Math.Log2(i + 2);
                _weightedBest[cut] += best[i];
            }
            _gain[cut] += gain / bestGain;
        }
    }

    /// <summary>Adds scored rows of a data set, from row <paramref name="first"/> on.</summary>
    public void Add(TopLabels top, Dataset data, int first = 0)
    {
        ArgumentNullException.ThrowIfNull(top);
        ArgumentNullException.ThrowIfNull(data);
        for (int row = 0; row < top.Rows; row++)
            Add(top.RowLabels(row), data.RowLabels(first + row));
    }

    private int At(int k)
    {
        int at = Array.IndexOf(_ks, k);
        return at >= 0 ? at : throw new ArgumentOutOfRangeException(nameof(k), k, "not one of this instance's cut-offs");
    }

    private static double Ratio(double x, double y) => y == 0 ? 0 : x / y;
}
