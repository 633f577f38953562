using EdgeSlide.Kernels;
using EdgeSlide.Model;

namespace EdgeSlide.Layers;

/// <summary>
/// The inputs of several queries for one layer, in the form that its rows take: one after the other, and for INT8 rows also
/// interleaved in groups for kernels that take a vector per lane (<see cref="IKernel.Dot4Lanes"/>).
/// </summary>
internal sealed unsafe class QuantizedVectors : IDisposable
{
    private readonly int _stride;
    private readonly int _lanes;
    private readonly WeightFormat _format;
    private readonly int _bytes;
    private readonly NativeBuffer<sbyte> _plain;
    private readonly NativeBuffer<sbyte> _interleaved;
    private readonly NativeBuffer<float> _scales;
    private readonly NativeBuffer<bool> _nonNegative;

    /// <param name="capacity">The most vectors.</param>
    /// <param name="stride">Of the layer's rows.</param>
    /// <param name="lanes">The kernel's.</param>
    /// <param name="format">Of the layer's rows.</param>
    public QuantizedVectors(int capacity, int stride, int lanes, WeightFormat format = WeightFormat.Int8)
    {
        _stride = stride;
        _format = format;
        _lanes = lanes = format == WeightFormat.Int8 ? lanes : 0;
        _bytes = format == WeightFormat.Fp16 ? sizeof(float) * stride : stride;
        int groups = lanes == 0 ? 0 : (capacity + lanes - 1) / lanes;
        _plain = new NativeBuffer<sbyte>(capacity * _bytes);
        _interleaved = new NativeBuffer<sbyte>(groups * lanes * stride);
        _scales = new NativeBuffer<float>(capacity);
        _nonNegative = new NativeBuffer<bool>(groups);
    }

    public int Count { get; private set; }

    public sbyte* Plain(int vector) => _plain.Pointer + (long)vector * _bytes;

    public float Scale(int vector) => _scales.Pointer[vector];

    /// <summary>The group that begins with this vector.</summary>
    public sbyte* Interleaved(int vector) => _interleaved.Pointer + (long)vector * _stride;

    public bool IsNonNegative(int vector) => _nonNegative.Pointer[vector / _lanes];

    public void Clear() => Count = 0;

    public void Add(float* x)
    {
        _scales.Pointer[Count] = NeuronLayer.Prepare(_format, x, Plain(Count), _stride);
        Count++;
    }

    /// <summary>Fills the interleaved form.</summary>
    public void Interleave()
    {
        for (int first = 0; _lanes > 0 && first < Count; first += _lanes)
        {
            uint* group = (uint*)Interleaved(first);
            bool negative = false;
            for (int lane = 0; lane < _lanes; lane++)
            {
                bool used = first + lane < Count;
                uint* vector = (uint*)Plain(used ? first + lane : first);
                for (int i = 0; i < _stride / 4; i++)
                    group[i * _lanes + lane] = used ? vector[i] : 0;
                negative |= used && !NeuronLayer.IsNonNegative((sbyte*)vector, _stride);
            }
            _nonNegative.Pointer[first / _lanes] = !negative;
        }
    }

    public void Dispose()
    {
        _plain.Dispose();
        _interleaved.Dispose();
        _scales.Dispose();
        _nonNegative.Dispose();
    }
}
