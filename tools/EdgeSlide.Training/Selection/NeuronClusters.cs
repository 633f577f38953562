namespace EdgeSlide.Training.Selection;

/// <summary>
/// An inverted file over the neurons (IVF for inner products): rows, their biases as one more coordinate, are clustered on
/// the sphere; a query is compared with the centres and opens the best clusters until the budget is full.
/// </summary>
internal sealed class NeuronClusters : ICandidateSource
{
    private readonly float[] _centres;
    private readonly int[] _offsets;
    private readonly int[] _neurons;
    private readonly int _width;
    private readonly int _open;

    /// <param name="evidence">Whose output layer.</param>
    /// <param name="count">Clusters.</param>
    /// <param name="open">Clusters that a query opens.</param>
    /// <param name="copies">Clusters that each neuron is put into.</param>
    public NeuronClusters(TrainingEvidence evidence, int count, int open, int copies)
    {
        (_width, _open) = (evidence.Width, open);
        int wide = _width + 1, neurons = evidence.Neurons;
        // The bias counts as a coordinate against an input as large as the typical hidden vector's norm.
        float bias = 1f / MathF.Max(1e-6f, MeanNorm(evidence));
        var rows = new float[neurons * wide];
        for (int n = 0; n < neurons; n++)
        {
            evidence.Row(n).CopyTo(rows.AsSpan(n * wide));
            rows[n * wide + _width] = evidence.Network.Layers[^1].Bias[n] * bias;
        }
        (float[] centres, int[][] nearest) = SphericalKMeans.Run(rows, wide, count, copies, rounds: 8, evidence.Options.Seed, evidence.Cancel);
        _offsets = new int[count + 1];
        foreach (int cluster in nearest.SelectMany(n => n))
            _offsets[cluster + 1]++;
        for (int c = 0; c < count; c++)
            _offsets[c + 1] += _offsets[c];
        int[] next = _offsets[..^1];
        _neurons = new int[_offsets[^1]];
        for (int n = 0; n < neurons; n++)
        {
            foreach (int cluster in nearest[n])
                _neurons[next[cluster]++] = n;
        }
        // A centre scores by the mean of its members, not by its direction alone: long rows have large logits.
        _centres = new float[count * wide];
        for (int c = 0; c < count; c++)
        {
            Span<float> mean = _centres.AsSpan(c * wide, wide);
            foreach (int n in Members(c))
            {
                for (int j = 0; j < wide; j++)
                    mean[j] += rows[n * wide + j] / Members(c).Length;
            }
            mean[_width] /= bias;
        }
    }

    /// <summary>Centres in INT8 with a scale and a bias, offsets, ids.</summary>
    public long Bytes => (_offsets.Length - 1L) * (_width + 8) + sizeof(int) * ((long)_offsets.Length + _neurons.Length);

    public ReadOnlySpan<int> Members(int cluster) => _neurons.AsSpan(_offsets[cluster], _offsets[cluster + 1] - _offsets[cluster]);

    public void Vote(QueryVector query, VoteTally tally, float weight)
    {
        int count = _offsets.Length - 1, wide = _width + 1;
        var scores = new float[count];
        var order = new int[count];
        for (int c = 0; c < count; c++)
        {
            scores[c] = -(SphericalKMeans.Dot(query.HiddenSpan, _centres.AsSpan(c * wide, _width)) + _centres[c * wide + _width]);
            order[c] = c;
        }
        scores.AsSpan().Sort(order.AsSpan());
        long operations = (long)count * _width;
        for (int rank = 0; rank < Math.Min(_open, count); rank++)
        {
            operations += Members(order[rank]).Length;
            float vote = weight * MathF.Max(1e-20f, MathF.Exp(scores[0] - scores[rank]));
            foreach (int neuron in Members(order[rank]))
                tally.Add(neuron, vote);
        }
        tally.Operations += operations;
    }

    private static float MeanNorm(TrainingEvidence evidence)
    {
        double sum = 0;
        int rows = evidence.Rows.RowCount, step = Math.Max(1, rows / 2000), used = 0;
        for (int row = 0; row < rows; row += step, used++)
        {
            ReadOnlySpan<float> x = evidence.Hidden.AsSpan(row * evidence.Width, evidence.Width);
            sum += MathF.Sqrt(SphericalKMeans.Dot(x, x));
        }
        return (float)(sum / Math.Max(1, used));
    }
}
