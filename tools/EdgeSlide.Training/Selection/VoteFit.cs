using EdgeSlide.Layers;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Export;

namespace EdgeSlide.Training.Selection;

/// <summary>Fits what a method leaves open on held-out rows: the blend of votes and logits, the sources' weights, each feature's weight.</summary>
internal static class VoteFit
{
    private static readonly float[] Factors = [0.01f, 0.03f, 0.1f, 0.3f, 3f, 10f, 30f, 100f];

    /// <summary>The blend with the best sum of P@1 and P@5, the smallest among equals, and that sum.</summary>
    public static (float Blend, double Value) Blend(CandidateLog log)
    {
        (float Blend, double Value) best = (0f, double.NegativeInfinity);
        foreach (float blend in QuantizationJob.Blends)
        {
            RankingMetrics metrics = Measure(log, blend, null, null);
            double value = metrics.Precision(1) + metrics.Precision(log.Held.K);
            if (value > best.Value + 1e-9)
                best = (blend, value);
        }
        return best;
    }

    public static RankingMetrics Measure(CandidateLog log, float blend, float[]? propensity, DecileMetrics? deciles)
    {
        var metrics = new RankingMetrics([1, 3, 5, log.Held.K], propensity, deciles);
        var top = new Prediction[log.Held.K];
        var ranked = new int[log.Held.K];
        for (int row = 0; row < log.Held.Rows.RowCount; row++)
        {
            log.Rank(row, blend, top, ranked);
            metrics.Add(ranked, log.Held.Rows.RowLabels(row));
        }
        return metrics;
    }

    /// <summary>Tries factors on one source's weight after the other, keeping what raises the value of the best blend.</summary>
    public static float[] Weights(HeldRows held, NeuronLayer output, IReadOnlyList<(ICandidateSource Source, float Weight)> sources, bool[] open, int budget, CancellationToken cancel)
    {
        float[] weights = [.. sources.Select(s => s.Weight)];
        double best = Value(weights);
        for (int i = 0; i < weights.Length; i++)
        {
            if (!open[i])
                continue;
            float start = weights[i];
            foreach (float factor in Factors)
            {
                float[] tried = [.. weights];
                tried[i] = start * factor;
                double value = Value(tried);
                if (value > best + 1e-9)
                    (best, weights) = (value, tried);
            }
        }
        return weights;

        double Value(float[] w) => Blend(CandidateLog.Run(held, output, [.. sources.Select((s, i) => (s.Source, w[i]))], budget, cancel)).Value;
    }

    /// <summary>
    /// A weight for every feature's bucket, by gradient descent on the softmax over a row's candidates; features that no
    /// held-out row has keep the weight 1.
    /// </summary>
    public static float[] Trust(FeatureBuckets buckets, CandidateLog log, float blend)
    {
        const int Epochs = 5;
        const float Rate = 0.05f, Limit = 2f;
        var logWeights = new float[buckets.FeatureCount];
        Dataset rows = log.Held.Rows;
        for (int epoch = 0; epoch < Epochs && blend > 0f; epoch++)
        {
            for (int row = 0; row < rows.RowCount; row++)
                Step(row);
        }
        return [.. logWeights.Select(MathF.Exp)];

        void Step(int row)
        {
            int[] neurons = [.. log.Neurons(row)];
            var place = new Dictionary<int, int>();
            for (int c = 0; c < neurons.Length; c++)
                place[neurons[c]] = c;
            var votes = new float[neurons.Length];
            var parts = new List<(int Feature, int Candidate, float Vote)>();
            for (int i = 0; i < rows.RowFeatures(row).Length; i++)
            {
                int feature = rows.RowFeatures(row)[i];
                float value = MathF.Abs(rows.RowValues(row)[i]) * MathF.Exp(logWeights[feature]);
                foreach ((int neuron, float vote) in buckets.Bucket(feature))
                {
                    if (!place.TryGetValue(neuron, out int candidate))
                        continue;
                    votes[candidate] += value * vote;
                    parts.Add((feature, candidate, value * vote));
                }
            }
            var share = new float[neurons.Length];
            float most = float.NegativeInfinity, total = 0f, right = 0f;
            for (int c = 0; c < share.Length; c++)
                most = MathF.Max(most, share[c] = log.Logits(row)[c] + blend * MathF.Log2(MathF.Max(1e-20f, votes[c])));
            var isTrue = new bool[share.Length];
            for (int c = 0; c < share.Length; c++)
            {
                total += share[c] = MathF.Exp(share[c] - most);
                isTrue[c] = rows.RowLabels(row).Contains(neurons[c]);
                right += isTrue[c] ? share[c] : 0f;
            }
            if (!(right > 0f))
                return;
            foreach ((int feature, int c, float vote) in parts)
            {
                // Softmax of all candidates minus softmax among the true ones.
                float error = share[c] / total - (isTrue[c] ? share[c] / right : 0f);
                float slope = error * blend * 1.442695f * vote / MathF.Max(1e-20f, votes[c]);
                logWeights[feature] = Math.Clamp(logWeights[feature] - Rate * slope, -Limit, Limit);
            }
        }
    }
}
