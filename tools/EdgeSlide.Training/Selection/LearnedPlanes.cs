using EdgeSlide.Training.Slide;
using EdgeSlide.Training.Training;

namespace EdgeSlide.Training.Selection;

/// <summary>
/// Hash planes trained so that a query collides with the neurons of its true labels and not with others, table by table
/// (LSS, 2007.01230; HALOS, MLSys 2022): the agreement of the bits, made smooth by tanh, is pushed up for a pair of a
/// training row and one of its labels, and down for the row and a random other label.
/// </summary>
internal sealed unsafe class LearnedPlanes
{
    private const int Pairs = 60_000;
    private const int BatchSize = 64;
    private const float Rate = 0.02f;
    private const float Sharpness = 4f;

    private readonly float[] _planes; // [width][stride]
    private readonly int _stride;

    private LearnedPlanes(float[] planes, int stride, int count, float[] queryMean, float[] neuronMean) =>
        (_planes, _stride, Count, QueryMean, NeuronMean) = (planes, stride, count, queryMean, neuronMean);

    public int Count { get; }

    /// <summary>Taken off hidden vectors before they are projected.</summary>
    public float[] QueryMean { get; }

    /// <summary>Taken off neurons' rows before they are projected.</summary>
    public float[] NeuronMean { get; }

    public int Width => QueryMean.Length;

    public long Bytes => sizeof(float) * ((long)Width * Count + Width);

    public static LearnedPlanes Train(TrainingEvidence evidence, int tables, int bits)
    {
        int width = evidence.Width, count = tables * bits, stride = VectorMath.Pad(count);
        var neuronMean = new float[width];
        for (int n = 0; n < evidence.Neurons; n++)
        {
            for (int j = 0; j < width; j++)
                neuronMean[j] += evidence.Row(n)[j] / evidence.Neurons;
        }
        var planes = new LearnedPlanes(GC.AllocateArray<float>(width * stride, pinned: true), stride, count, evidence.Mean(), neuronMean);
        for (int i = 0; i < width; i++)
        {
            for (int j = 0; j < count; j++)
                planes._planes[i * stride + j] = Noise.Normal(Noise.Seed(evidence.Options.Seed, 6, ((ulong)i << 24) + (ulong)j));
        }
        planes.Fit(evidence, tables, bits);
        return planes;
    }

    /// <summary>values = planes * (x - mean); <paramref name="values"/> has one element per plane.</summary>
    public void Project(ReadOnlySpan<float> x, ReadOnlySpan<float> mean, Span<float> values)
    {
        float* sum = stackalloc float[_stride];
        new Span<float>(sum, _stride).Clear();
        fixed (float* planes = _planes)
        {
            for (int i = 0; i < x.Length; i++)
                VectorMath.AddScaled(sum, planes + i * _stride, x[i] - mean[i], _stride);
        }
        new ReadOnlySpan<float>(sum, Count).CopyTo(values);
    }

    private void Fit(TrainingEvidence evidence, int tables, int bits)
    {
        int width = Width, rows = evidence.Rows.RowCount;
        if (rows == 0)
            return;
        // Projections are divided by their typical size, so that tanh is neither flat nor linear at the start.
        float queryScale = Spread(i => evidence.Hidden.AsSpan((int)((long)i * rows / 256) * width, width).ToArray(), QueryMean);
        float neuronScale = Spread(i => evidence.Row((int)((long)i * evidence.Neurons / 256)).ToArray(), NeuronMean);
        var none = new float[width];
        var gradient = new float[_planes.Length];
        var squares = new float[_planes.Length];
        var x = new float[3][] { new float[width], new float[width], new float[width] };
        var projected = new float[3][] { new float[Count], new float[Count], new float[Count] };
        var slopes = new float[3][] { new float[_stride], new float[_stride], new float[_stride] };
        for (int pair = 0; pair < Pairs; pair++)
        {
            if ((pair & 1023) == 0)
                evidence.Cancel.ThrowIfCancellationRequested();
            ulong random = Noise.Seed(evidence.Options.Seed, 7, (ulong)pair);
            int row = Noise.Below(random, rows);
            ReadOnlySpan<int> labels = evidence.Rows.RowLabels(row);
            int negative = Noise.Below(Noise.Mix(random ^ 2), evidence.Neurons);
            if (labels.IsEmpty || labels.Contains(negative))
                continue;
            Centre(evidence.Hidden.AsSpan(row * width, width), QueryMean, queryScale, x[0]);
            Centre(evidence.Row(labels[Noise.Below(Noise.Mix(random ^ 1), labels.Length)]), NeuronMean, neuronScale, x[1]);
            Centre(evidence.Row(negative), NeuronMean, neuronScale, x[2]);
            for (int side = 0; side < 3; side++)
            {
                Project(x[side], none, projected[side]);
                for (int j = 0; j < Count; j++)
                    projected[side][j] = MathF.Tanh(projected[side][j]);
                Array.Clear(slopes[side]);
            }
            for (int table = 0; table < tables; table++)
            {
                for (int other = 1; other <= 2; other++)
                {
                    float agreement = 0f;
                    for (int j = table * bits; j < (table + 1) * bits; j++)
                        agreement += projected[0][j] * projected[other][j] / bits;
                    // Softplus loss around half agreement; the sign says which way the pair should move.
                    float sign = other == 1 ? -1f : 1f;
                    float slope = sign * Sharpness / (1f + MathF.Exp(-sign * Sharpness * (agreement - 0.5f))) / bits;
                    for (int j = table * bits; j < (table + 1) * bits; j++)
                    {
                        slopes[0][j] += slope * projected[other][j] * (1f - projected[0][j] * projected[0][j]);
                        slopes[other][j] += slope * projected[0][j] * (1f - projected[other][j] * projected[other][j]);
                    }
                }
            }
            fixed (float* sum = gradient)
            {
                for (int side = 0; side < 3; side++)
                {
                    fixed (float* slope = slopes[side])
                    {
                        for (int i = 0; i < width; i++)
                            VectorMath.AddScaled(sum + i * _stride, slope, x[side][i], _stride);
                    }
                }
            }
            if (pair % BatchSize == BatchSize - 1)
                Step(gradient, squares);
        }
    }

    /// <summary>Adagrad.</summary>
    private void Step(float[] gradient, float[] squares)
    {
        for (int i = 0; i < gradient.Length; i++)
        {
            float g = gradient[i] / BatchSize;
            squares[i] += g * g;
            if (squares[i] > 0f)
                _planes[i] -= Rate * g / MathF.Sqrt(squares[i]);
        }
        Array.Clear(gradient);
    }

    private static float Spread(Func<int, float[]> sample, float[] mean)
    {
        double sum = 0;
        for (int i = 0; i < 256; i++)
        {
            float[] x = sample(i);
            for (int j = 0; j < x.Length; j++)
                sum += Math.Pow(x[j] - mean[j], 2) / 256;
        }
        return (float)(1 / Math.Sqrt(Math.Max(1e-12, sum)));
    }

    private static void Centre(ReadOnlySpan<float> x, float[] mean, float scale, float[] to)
    {
        for (int j = 0; j < to.Length; j++)
            to[j] = (x[j] - mean[j]) * scale;
    }
}

/// <summary>Learned planes as the source of a query's keys.</summary>
internal sealed class LearnedProjection(LearnedPlanes planes) : IProjection
{
    public long Bytes => planes.Bytes;

    public long Operations => (long)planes.Width * planes.Count;

    public void Project(QueryVector query, Span<float> values) => planes.Project(query.HiddenSpan, planes.QueryMean, values);
}

/// <summary>Learned planes as a family of hash functions, for vectors around a given mean.</summary>
internal sealed unsafe class LearnedFamily(LearnedPlanes planes, float[] mean) : HashFamily(planes.Width, planes.Count)
{
    public override int CodeBits => 1;

    public override int ScratchLength => Codes;

    public override long Operations(int count) => (long)count * Codes;

    public override void Hash(int* ids, float* values, int count, float* scratch, int* codes)
    {
        if (ids != null)
            throw new NotSupportedException("learned planes hash dense vectors");
        planes.Project(new ReadOnlySpan<float>(values, count), mean, new Span<float>(scratch, Codes));
        for (int j = 0; j < Codes; j++)
            codes[j] = scratch[j] > 0f ? 1 : 0;
    }
}
