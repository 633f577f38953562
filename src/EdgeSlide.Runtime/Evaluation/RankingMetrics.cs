namespace EdgeSlide.Evaluation;

/// <summary>
/// Precision at k (correct answers among the first k, divided by k) and nDCG at k, averaged over examples that have at
/// least one label. Definitions as in the extreme classification repository.
/// </summary>
internal sealed class RankingMetrics
{
    public const int Depth = 5;

    private readonly double[] _precision = new double[Depth];
    private readonly double[] _ndcg = new double[Depth];

    public long Examples { get; private set; }

    public double PrecisionAt(int k) => Examples == 0 ? double.NaN : _precision[k - 1] / Examples;

    public double NdcgAt(int k) => Examples == 0 ? double.NaN : _ndcg[k - 1] / Examples;

    /// <summary>Adds one example; without labels it is left out.</summary>
    public void Add(ReadOnlySpan<Prediction> ranked, ReadOnlySpan<int> labels)
    {
        if (labels.IsEmpty)
            return;
        Examples++;
        int hits = 0;
        double gain = 0, ideal = 0;
        for (int i = 0; i < Depth; i++)
        {
            double discount = 1.0 / Math.Log2(i + 2);
            if (i < ranked.Length && labels.Contains(ranked[i].Label))
            {
                hits++;
                gain += discount;
            }
            if (i < labels.Length)
                ideal += discount;
            _precision[i] += hits / (double)(i + 1);
            _ndcg[i] += gain / ideal;
        }
    }
}
