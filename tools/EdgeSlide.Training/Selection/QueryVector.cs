using EdgeSlide.Hashing;
using EdgeSlide.Kernels;
using EdgeSlide.Model;
using EdgeSlide.Training.Data;

namespace EdgeSlide.Training.Selection;

/// <summary>A query as candidate sources see it: its features, and the output layer's input as it is and as INT8. One thread's.</summary>
internal sealed unsafe class QueryVector : IDisposable
{
    private readonly NativeBuffer<float> _hidden;
    private readonly NativeBuffer<sbyte> _quantized;
    private readonly int _stride;
    private Dataset? _rows;
    private int _row;

    public QueryVector(int width)
    {
        Width = width;
        _stride = ModelFormat.RowStride(width);
        _hidden = new NativeBuffer<float>(Math.Max(_stride, SimHash.PaddedDimensions(width)));
        _quantized = new NativeBuffer<sbyte>(_stride);
    }

    public int Width { get; }

    /// <summary>Zero-padded to a power of two.</summary>
    public float* Hidden => _hidden.Pointer;

    public ReadOnlySpan<float> HiddenSpan => _hidden.Span[..Width];

    /// <summary>Zero-padded to the layer's stride.</summary>
    public sbyte* Quantized => _quantized.Pointer;

    /// <summary>What one step of <see cref="Quantized"/> is worth.</summary>
    public float Scale { get; private set; }

    public ReadOnlySpan<int> Features => _rows is null ? default : _rows.RowFeatures(_row);

    public ReadOnlySpan<float> Values => _rows is null ? default : _rows.RowValues(_row);

    public void Load(Dataset? rows, int row, ReadOnlySpan<float> hidden)
    {
        (_rows, _row) = (rows, row);
        hidden.CopyTo(_hidden.Span);
        Scale = FloatKernels.Quantize(_hidden.Pointer, _quantized.Pointer, _stride);
    }

    public void Dispose()
    {
        _hidden.Dispose();
        _quantized.Dispose();
    }
}
