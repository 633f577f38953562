using EdgeSlide.Training.Data;

namespace EdgeSlide.Training.Training;

/// <summary>The first layer under training: an embedding per feature, which rows add up.</summary>
internal sealed unsafe class InputLayer : IDisposable
{
    internal InputLayer(TrainerOptions options, IRowSource data, ulong seed)
    {
        int width = options.HiddenSizes[0];
        Embedding = new AdamMatrix(data.FeatureCount, width, options.InputMomentum, options.RowSecondMoments, RowTime.Own);
        Embedding.Randomize(1 / MathF.Sqrt(MeanSquaredNorm(data)), seed);
        Bias = new AdamVector(width, RowTime.Shared);
    }

    internal AdamMatrix Embedding { get; }

    internal AdamVector Bias { get; }

    /// <summary>The sum of a row's embeddings, times its values.</summary>
    internal void Forward(MiniBatch batch, int row, float* h)
    {
        int stride = Embedding.Stride;
        new ReadOnlySpan<float>(Bias.Weights, stride).CopyTo(new Span<float>(h, stride));
        ReadOnlySpan<int> features = batch.Features(row);
        ReadOnlySpan<float> values = batch.Values(row);
        for (int j = 0; j < features.Length; j++)
        {
            if (j + 3 < features.Length)
                Embedding.Prefetch(features[j + 3]);
            VectorMath.AddScaled(h, Embedding.Row(features[j]), values[j], stride);
        }
    }

    /// <summary>Gathers and applies the gradient of each embedding of a group.</summary>
    /// <param name="gradient">[rows x stride] of the hidden vectors.</param>
    /// <param name="sum">A worker's own memory.</param>
    internal void Update(MiniBatch.FeatureGroup features, float* gradient, in AdamStep step, float* sum)
    {
        int stride = Embedding.Stride;
        for (int slot = 0; slot < features.Count; slot++)
        {
            if (slot + 1 < features.Count)
                Embedding.PrefetchState(features.Feature(slot + 1));
            new Span<float>(sum, stride).Clear();
            ReadOnlySpan<int> rows = features.RowsOf(slot);
            ReadOnlySpan<float> values = features.ValuesOf(slot);
            for (int i = 0; i < rows.Length; i++)
                VectorMath.AddScaled(sum, gradient + ((nint)rows[i] * stride), values[i], stride);
            Embedding.Update(features.Feature(slot), sum, step);
        }
    }

    internal void UpdateBias(int rows, float* gradient, in AdamStep step, float* sum)
    {
        int stride = Embedding.Stride;
        new Span<float>(sum, stride).Clear();
        for (int row = 0; row < rows; row++)
            VectorMath.AddScaled(sum, gradient + ((nint)row * stride), 1, stride);
        for (int i = 0; i < Bias.Length; i++)
            Bias.Update(i, sum[i], step);
    }

    public void Dispose()
    {
        Embedding.Dispose();
        Bias.Dispose();
    }

    /// <summary>Mean squared length of an input row (of a sample of them): the scale at which a first layer gives hidden values of variance 1.</summary>
    private static float MeanSquaredNorm(IRowSource data)
    {
        const int Sample = 1 << 17;
        using RowCursor cursor = data.CreateCursor();
        int rows = Math.Min(data.RowCount, Sample);
        double sum = 0;
        for (int i = 0; i < rows; i++)
        {
            cursor.MoveTo((int)((long)i * data.RowCount / rows));
            foreach (float value in cursor.Values)
                sum += value * value;
        }
        double mean = sum / Math.Max(1, rows);
        return mean > 0 ? (float)mean : 1;
    }
}
