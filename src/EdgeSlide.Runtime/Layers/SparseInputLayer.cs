using EdgeSlide.Features;
using EdgeSlide.Kernels;
using EdgeSlide.Model;

namespace EdgeSlide.Layers;

/// <summary>
/// The first layer of a network with sparse input: the rows of the present features, each times its value and its scale, are
/// added up. With INT8 and INT4 rows, value times scale becomes an INT16 multiple of a common step, so that the sum is an exact
/// INT32.
/// </summary>
internal sealed unsafe class SparseInputLayer
{
    private readonly byte* _rows;
    private readonly View<float> _scales;
    private readonly View<float> _bias;
    private readonly int _stride;
    private readonly int _rowBytes;

    public SparseInputLayer(View<byte> rows, View<float> scales, View<float> bias, LayerRecord record)
    {
        _rows = rows.Pointer;
        _scales = scales;
        _bias = bias;
        _rowBytes = (int)record.Stride;
        Outputs = (int)record.Outputs;
        _stride = ModelFormat.RowStride(Outputs);
        Format = record.Format;
        Activation = record.Activation;
    }

    public int Outputs { get; }

    public LayerActivation Activation { get; }

    public WeightFormat Format { get; }

    public long BytesPerFeature => _rowBytes + sizeof(float);

    public void PrefetchRows(FeatureVector features)
    {
        for (int i = 0; i < features.Count; i++)
        {
            Prefetch.Line(_scales.Pointer + features.Ids[i]);
            Prefetch.Row(_rows + (long)features.Ids[i] * _rowBytes, _rowBytes);
        }
    }

    /// <summary>y = W x + b, [Outputs] values and zeros up to the padded width.</summary>
    /// <param name="features">The input; its coefficients are overwritten.</param>
    /// <param name="sums">Scratch of the padded width.</param>
    /// <param name="y">Result of the padded width; beyond <see cref="Outputs"/> its values stay 0.</param>
    public void Forward<TKernel>(FeatureVector features, int* sums, float* y) where TKernel : struct, IKernel
    {
        int count = features.Count;
        if (Format == WeightFormat.Fp16)
        {
            AddHalfRows(features, y);
            return;
        }
        float* products = features.Products, values = features.Values, scales = _scales.Pointer;
        int* ids = features.Ids;
        for (int i = 0; i < count; i++)
            products[i] = values[i] * scales[ids[i]];
        float max = FloatKernels.MaxMagnitude(products, count);
        if (!(max > 1e-30f))
        {
            _bias.Span.CopyTo(new Span<float>(y, Outputs));
            return;
        }
        // With this limit the largest possible sum, count * limit * 127, stays within INT32.
        int limit = Math.Min(short.MaxValue, int.MaxValue / 127 / Math.Max(count, 1));
        FloatKernels.QuantizeToInt16(products, limit / max, features.Coefficients, count);
        if (Format == WeightFormat.Int4)
            TKernel.WeightedSumInt4(_rows, _rowBytes, features.Ids, features.Coefficients, count, sums, _stride);
        else
            TKernel.WeightedSum((sbyte*)_rows, _rowBytes, features.Ids, features.Coefficients, count, sums, _stride);
        float step = max / limit;
        int whole = Outputs & ~3;
        FloatKernels.Dequantize(sums, step, _bias.Pointer, y, whole);
        for (int j = whole; j < Outputs; j++)
            y[j] = sums[j] * step + _bias.Pointer[j];
    }

    private void AddHalfRows(FeatureVector features, float* y)
    {
        new Span<float>(y, _stride).Clear();
        for (int i = 0; i < features.Count; i++)
            HalfRows.AddRow((ushort*)(_rows + (long)features.Ids[i] * _rowBytes), features.Values[i] * _scales.Pointer[features.Ids[i]], y, _stride);
        for (int j = 0; j < Outputs; j++)
            y[j] += _bias.Pointer[j];
    }
}
