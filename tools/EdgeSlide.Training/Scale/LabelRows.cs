using System.Runtime.InteropServices;
using EdgeSlide.Features;
using EdgeSlide.Kernels;
using EdgeSlide.Layers;
using EdgeSlide.Model;
using EdgeSlide.Training.Data;

namespace EdgeSlide.Training.Scale;

/// <summary>
/// The output layer of a generated model: each label's row is the centred hidden vector of its prototype plus noise,
/// computed by the device's own input layer.
/// </summary>
internal sealed unsafe class LabelRows(ScaleOptions options, ZipfFeatures features, Featurizer featurizer, SparseInputLayer input)
{
    private readonly float[] _mean = new float[options.Hidden];
    private float _spread;
    private float _length;

    /// <summary>Measures what the first labels' hidden vectors have in common, and how far they lie from it.</summary>
    public void Sample(int count)
    {
        count = Math.Min(count, options.Labels);
        using var worker = new Worker(options, features, featurizer, input);
        var vectors = new float[count][];
        for (int i = 0; i < count; i++)
        {
            vectors[i] = worker.Hidden(i).ToArray();
            for (int j = 0; j < options.Hidden; j++)
                _mean[j] += vectors[i][j] / count;
        }
        double squares = 0, lengths = 0;
        foreach (float[] vector in vectors)
        {
            double square = 0;
            for (int j = 0; j < options.Hidden; j++)
                square += (vector[j] - _mean[j]) * (vector[j] - _mean[j]);
            squares += square;
            lengths += Math.Sqrt(square);
        }
        _spread = (float)Math.Sqrt(squares / count / options.Hidden);
        _length = (float)(lengths / count);
    }

    /// <summary>Writes rows, scales and biases of all labels, and the rarest features of each.</summary>
    public void Fill(byte[] rows, byte[] affine, int[] keys, float logitScale, CancellationToken cancel)
    {
        const int Chunk = 1024;
        int stride = ModelFormat.RowStride(options.Hidden);
        Parallel.For(0, (options.Labels + Chunk - 1) / Chunk, new ParallelOptions { CancellationToken = cancel },
            () => new Worker(options, features, featurizer, input),
            (chunk, _, worker) =>
            {
                var affines = MemoryMarshal.Cast<byte, NeuronAffine>(affine.AsSpan());
                for (int label = chunk * Chunk; label < Math.Min(options.Labels, (chunk + 1) * Chunk); label++)
                {
                    Span<float> weights = worker.Hidden(label);
                    worker.Rarest(keys.AsSpan(label * options.KeysPerLabel, options.KeysPerLabel));
                    Disturb(weights, worker.Noise(label));
                    affines[label] = Quantize(weights, MemoryMarshal.Cast<byte, sbyte>(rows.AsSpan(label * stride, options.Hidden)), logitScale);
                }
                return worker;
            }, worker => worker.Dispose());
    }

    /// <summary>Centres the vector and adds errors of the given size, as a network that was trained on few examples has them.</summary>
    private void Disturb(Span<float> weights, Xoshiro256 random)
    {
        float amplitude = (float)options.Noise * _spread * 1.7320508f;
        for (int j = 0; j < weights.Length; j++)
            weights[j] += amplitude * ((int)(random.Next() >> 40) * (2f / (1 << 24)) - 1f) - _mean[j];
    }

    /// <summary>A row of fixed length; the bias takes away what all queries have in common.</summary>
    private NeuronAffine Quantize(ReadOnlySpan<float> weights, Span<sbyte> row, float logitScale)
    {
        float max = 0f, square = 0f, common = 0f;
        for (int j = 0; j < weights.Length; j++)
        {
            max = MathF.Max(max, MathF.Abs(weights[j]));
            square += weights[j] * weights[j];
            common += weights[j] * _mean[j];
        }
        if (!(max > 1e-30f))
            return default;
        float inverse = 127f / max, scale = logitScale / (MathF.Sqrt(square) * _length);
        for (int j = 0; j < weights.Length; j++)
            row[j] = (sbyte)MathF.Round(weights[j] * inverse);
        return new NeuronAffine { Scale = max / 127f * scale, Bias = -common * scale };
    }

    /// <summary>One thread's working memory.</summary>
    private sealed class Worker(ScaleOptions options, ZipfFeatures features, Featurizer featurizer, SparseInputLayer input) : IDisposable
    {
        private readonly Prototypes _prototypes = new(options, features);
        private readonly FeatureVector _vector = new();
        private readonly NativeBuffer<int> _sums = new(ModelFormat.RowStride(options.Hidden));
        private readonly NativeBuffer<float> _hidden = new(ModelFormat.RowStride(options.Hidden));
        private readonly int[] _row = new int[options.RowFeatures];
        private readonly float[] _values = [.. Enumerable.Repeat(1f, options.RowFeatures)];
        private readonly Kernel _kernel = KernelSelector.Dispatch(KernelSelector.Choose(null), new KernelFactory());

        public Span<float> Hidden(int label)
        {
            _prototypes.Draw(label, _row);
            Array.Sort(_row);
            featurizer.FromSparse(_row, _values, _vector);
            _kernel.Forward(input, _vector, _sums.Pointer, _hidden.Pointer);
            FloatKernels.Relu(_hidden.Pointer, _hidden.Length);
            return _hidden.Span[..options.Hidden];
        }

        /// <summary>The rarest features of the last label, the rarest first.</summary>
        public void Rarest(Span<int> keys)
        {
            int count = 0;
            foreach (int feature in _row)
            {
                int at = count < keys.Length ? count++ : keys.Length;
                if (at == keys.Length && features.Weights[feature] <= features.Weights[keys[at - 1]])
                    continue;
                for (at = Math.Min(at, keys.Length - 1); at > 0 && features.Weights[keys[at - 1]] < features.Weights[feature]; at--)
                    keys[at] = keys[at - 1];
                keys[at] = feature;
            }
        }

        public Xoshiro256 Noise(int label) => _prototypes.Random(label, 3);

        public void Dispose()
        {
            _vector.Dispose();
            _sums.Dispose();
            _hidden.Dispose();
        }
    }

    private abstract class Kernel
    {
        public abstract void Forward(SparseInputLayer layer, FeatureVector vector, int* sums, float* y);
    }

    private sealed class Kernel<TKernel> : Kernel where TKernel : struct, IKernel
    {
        public override void Forward(SparseInputLayer layer, FeatureVector vector, int* sums, float* y) => layer.Forward<TKernel>(vector, sums, y);
    }

    private sealed class KernelFactory : IKernelVisitor<Kernel>
    {
        public Kernel Visit<TKernel>() where TKernel : struct, IKernel => new Kernel<TKernel>();
    }
}
