using EdgeSlide.Training.Tables;

namespace EdgeSlide.Training.Selection;

/// <summary>
/// The votes of the training rows nearest to the query, found by looking at all of them: not a method for a device, but
/// what all buckets over the hidden vector approximate.
/// </summary>
internal sealed class NearestRows(TrainingEvidence evidence, WeightedRows votes, int count) : ICandidateSource
{
    private readonly float[] _norms = Norms(evidence);

    public long Bytes => sizeof(float) * (long)evidence.Hidden.Length + (sizeof(int) + sizeof(float)) * (long)votes.Ids.Length;

    public void Vote(QueryVector query, VoteTally tally, float weight)
    {
        int width = evidence.Width, rows = evidence.Rows.RowCount, kept = Math.Min(count, rows);
        if (kept == 0)
            return;
        var nearest = new PriorityQueue<int, float>();
        float worst = float.NegativeInfinity;
        for (int row = 0; row < rows; row++)
        {
            // Minus half the squared distance, but for the query's own norm.
            float score = SphericalKMeans.Dot(query.HiddenSpan, evidence.Hidden.AsSpan(row * width, width)) - _norms[row];
            if (nearest.Count == kept && score <= worst)
                continue;
            if (nearest.Count == kept)
                nearest.Dequeue();
            nearest.Enqueue(row, score);
            nearest.TryPeek(out _, out worst);
        }
        (int Row, float Score)[] all = [.. nearest.UnorderedItems];
        float best = all.Max(n => n.Score), spread = MathF.Max(1e-9f, all.Average(n => best - n.Score));
        foreach ((int row, float score) in all)
        {
            for (long i = votes.Offsets[row]; i < votes.Offsets[row + 1]; i++)
                tally.Add(votes.Ids[i], weight * votes.Weights[i] * MathF.Exp((score - best) / spread));
        }
        tally.Operations += (long)rows * width;
    }

    private static float[] Norms(TrainingEvidence evidence)
    {
        var norms = new float[evidence.Rows.RowCount];
        Parallel.For(0, norms.Length, row =>
        {
            ReadOnlySpan<float> x = evidence.Hidden.AsSpan(row * evidence.Width, evidence.Width);
            norms[row] = SphericalKMeans.Dot(x, x) / 2;
        });
        return norms;
    }
}
