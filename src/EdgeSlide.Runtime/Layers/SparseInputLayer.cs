using EdgeSlide.Features;
using EdgeSlide.Kernels;
using EdgeSlide.Model;

namespace EdgeSlide.Layers;

/// <summary>
/// The first layer of a network with sparse input: the INT8 rows of the present features, each times its value and its
/// scale, are added up. Value times scale becomes an INT16 multiple of a common step, so that the sum is an exact INT32.
/// </summary>
internal sealed unsafe class SparseInputLayer
{
    private readonly View<sbyte> _rows;
    private readonly View<float> _scales;
    private readonly View<float> _bias;
    private readonly int _stride;

    public SparseInputLayer(View<sbyte> rows, View<float> scales, View<float> bias, LayerRecord record)
    {
        _rows = rows;
        _scales = scales;
        _bias = bias;
        _stride = (int)record.Stride;
        Outputs = (int)record.Outputs;
        Activation = record.Activation;
    }

    public int Outputs { get; }

    public LayerActivation Activation { get; }

    public long BytesPerFeature => _stride + sizeof(float);

    public void PrefetchRows(FeatureVector features)
    {
        for (int i = 0; i < features.Count; i++)
        {
            Prefetch.Line(_scales.Pointer + features.Ids[i]);
            Prefetch.Row(_rows.Pointer + (long)features.Ids[i] * _stride, _stride);
        }
    }

    /// <summary>y = W x + b, [Outputs] values and zeros up to the padded width.</summary>
    /// <param name="features">The input; its coefficients are overwritten.</param>
    /// <param name="sums">Scratch of the padded width.</param>
    /// <param name="y">Result of the padded width; beyond <see cref="Outputs"/> its values stay 0.</param>
    public void Forward<TKernel>(FeatureVector features, int* sums, float* y) where TKernel : struct, IKernel
    {
        int count = features.Count;
        float max = 0f;
        for (int i = 0; i < count; i++)
            max = MathF.Max(max, MathF.Abs(features.Values[i] * _scales.Pointer[features.Ids[i]]));
        if (!(max > 1e-30f))
        {
            _bias.Span.CopyTo(new Span<float>(y, Outputs));
            return;
        }
        // With this limit the largest possible sum, count * limit * 127, stays within INT32.
        int limit = Math.Min(short.MaxValue, int.MaxValue / 127 / Math.Max(count, 1));
        float inverse = limit / max;
        for (int i = 0; i < count; i++)
            features.Coefficients[i] = (short)(int)MathF.Round(features.Values[i] * _scales.Pointer[features.Ids[i]] * inverse);
        TKernel.WeightedSum(_rows.Pointer, _stride, features.Ids, features.Coefficients, count, sums, _stride);
        float step = max / limit;
        for (int j = 0; j < Outputs; j++)
            y[j] = sums[j] * step + _bias.Pointer[j];
    }
}
