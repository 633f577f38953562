using EdgeSlide.Training.Training;

namespace EdgeSlide.Training.Tables;

/// <summary>
/// Trains linear softmax classifiers from hidden vectors to groups of labels: a row's target is its votes, summed by group.
/// Adam over standardized inputs; the result does not depend on the number of threads.
/// </summary>
internal sealed unsafe class RouterTrainer
{
    private const int BatchSize = 512;
    private const int Stripe = 64;
    private const int MostRows = 600_000;
    private const float Rate = 0.02f;

    private readonly float[] _hidden;
    private readonly int _width;
    private readonly WeightedRows _votes;
    private readonly ulong _seed;
    private readonly float[] _mean;
    private readonly float _scale;

    public RouterTrainer(float[] hidden, int width, WeightedRows votes, ulong seed)
    {
        (_hidden, _width, _votes, _seed) = (hidden, width, votes, seed);
        var sum = new double[width];
        var squares = new double[width];
        for (int i = 0; i < hidden.Length; i++)
        {
            sum[i % width] += hidden[i];
            squares[i % width] += (double)hidden[i] * hidden[i];
        }
        double rows = Math.Max(1, votes.RowCount), variance = 0;
        _mean = [.. sum.Select(s => (float)(s / rows))];
        for (int j = 0; j < width; j++)
            variance += (squares[j] / rows - Math.Pow(sum[j] / rows, 2)) / width;
        _scale = (float)(1 / Math.Sqrt(Math.Max(1e-12, variance)));
    }

    /// <param name="groups">[labels] each label's group.</param>
    /// <param name="count">Groups.</param>
    /// <param name="epochs">Passes over the rows.</param>
    /// <param name="rows">[count x width] receives the classifier, for inputs as they are.</param>
    /// <param name="bias">[count] receives its biases.</param>
    public void Train(int[] groups, int count, int epochs, Span<float> rows, Span<float> bias, CancellationToken cancel)
    {
        int wide = VectorMath.Pad(_width + 1), stride = VectorMath.Pad(count);
        using var weights = new NativeArray<float>((long)count * wide); // the bias is the weight of an input of 1
        using var gradient = new NativeArray<float>((long)count * wide);
        using var first = new NativeArray<float>((long)count * wide);
        using var second = new NativeArray<float>((long)count * wide);
        using var x = new NativeArray<float>((long)BatchSize * wide);
        using var scores = new NativeArray<float>((long)BatchSize * stride);
        using var packedWeights = new NativeArray<float>(Gemm.PackedLength(wide, count));
        using var packedInputs = new NativeArray<float>(Gemm.PackedLength(BatchSize, wide));
        int used = Math.Min(MostRows, _votes.RowCount);
        int[] order = [.. Enumerable.Range(0, used).Select(i => (int)((long)i * _votes.RowCount / used))];
        int steps = epochs * Math.Max(1, used / BatchSize), step = 0;
        for (int epoch = 0; epoch < epochs; epoch++)
        {
            Noise.Shuffle(order, Noise.Seed(_seed, 8, (ulong)epoch));
            // Rows beyond the last whole batch wait for another epoch's shuffle.
            for (int batch = 0; batch + BatchSize <= used || (batch == 0 && used > 0); batch += BatchSize, step++)
            {
                cancel.ThrowIfCancellationRequested();
                int size = Math.Min(BatchSize, used - batch);
                int begin = batch;
                x.Clear();
                Gemm.PackTransposed(weights.Items, wide, null, count, wide, packedWeights.Items);
                Parallel.For(0, (size + Stripe - 1) / Stripe, stripe =>
                {
                    int from = stripe * Stripe, rowsHere = Math.Min(Stripe, size - from);
                    for (int i = from; i < from + rowsHere; i++)
                        Standardize(order[begin + i], x.Span((long)i * wide, wide));
                    Gemm.Multiply(rowsHere, wide, count, x.Items + (nint)from * wide, wide, 1, packedWeights.Items, scores.Items + (nint)from * stride, stride, accumulate: false);
                    for (int i = from; i < from + rowsHere; i++)
                        Error(order[begin + i], groups, scores.Items + (nint)i * stride, count);
                });
                Gemm.Pack(x.Items, wide, null, 0, size, size, wide, packedInputs.Items);
                float rate = Rate * (1f - step / (float)steps);
                float correct1 = 1f / (1f - MathF.Pow(0.9f, step + 1)), correct2 = 1f / (1f - MathF.Pow(0.999f, step + 1));
                Parallel.For(0, (count + Stripe - 1) / Stripe, stripe =>
                {
                    int from = stripe * Stripe, groupsHere = Math.Min(Stripe, count - from);
                    Gemm.Multiply(groupsHere, size, wide, scores.Items + from, 1, stride, packedInputs.Items, gradient.Items + (nint)from * wide, wide, accumulate: false);
                    for (nint i = (nint)from * wide; i < (nint)(from + groupsHere) * wide; i++)
                    {
                        float g = gradient.Items[i] / size;
                        first.Items[i] = 0.9f * first.Items[i] + 0.1f * g;
                        second.Items[i] = 0.999f * second.Items[i] + 0.001f * g * g;
                        weights.Items[i] -= rate * first.Items[i] * correct1 / (MathF.Sqrt(second.Items[i] * correct2) + 1e-8f);
                    }
                });
            }
        }
        for (int group = 0; group < count; group++)
        {
            float* own = weights.Items + (nint)group * wide;
            bias[group] = own[_width];
            for (int j = 0; j < _width; j++)
            {
                rows[group * _width + j] = own[j] * _scale;
                bias[group] -= own[j] * _scale * _mean[j];
            }
        }
    }

    private void Standardize(int row, Span<float> x)
    {
        for (int j = 0; j < _width; j++)
            x[j] = (_hidden[row * _width + j] - _mean[j]) * _scale;
        x[_width] = 1f;
    }

    /// <summary>Scores become the softmax minus the target; all zero for a row that votes for nothing.</summary>
    private void Error(int row, int[] groups, float* scores, int count)
    {
        float total = 0f;
        for (long v = _votes.Offsets[row]; v < _votes.Offsets[row + 1]; v++)
            total += _votes.Weights[v];
        if (!(total > 0f))
        {
            new Span<float>(scores, count).Clear();
            return;
        }
        int padded = VectorMath.Pad(count);
        float most = float.NegativeInfinity;
        for (int i = 0; i < count; i++)
            most = MathF.Max(most, scores[i]);
        new Span<float>(scores + count, padded - count).Fill(-1e30f);
        VectorMath.ScaledExp(scores, most, 1f / VectorMath.SumExp(scores, most, padded), padded);
        for (long v = _votes.Offsets[row]; v < _votes.Offsets[row + 1]; v++)
            scores[groups[_votes.Ids[v]]] -= _votes.Weights[v] / total;
    }
}
