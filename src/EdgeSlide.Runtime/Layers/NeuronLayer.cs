using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using EdgeSlide.Hashing;
using EdgeSlide.Kernels;
using EdgeSlide.Model;

namespace EdgeSlide.Layers;

/// <summary>A neuron's dequantization: logit = dot * (Scale * activation scale) + Bias. One cache miss, not two.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NeuronAffine
{
    public float Scale;
    public float Bias;
}

/// <summary>
/// A fully connected layer stored neuron by neuron. Evaluates all its neurons, or only those that a selector names.
/// </summary>
internal sealed unsafe class NeuronLayer
{
    private readonly byte* _rows;
    private readonly View<NeuronAffine> _affine;

    public NeuronLayer(View<byte> rows, View<NeuronAffine> affine, LayerRecord record, LayerSelector? selector)
    {
        _rows = rows.Pointer;
        _affine = affine;
        Inputs = (int)record.Inputs;
        Stride = ModelFormat.RowStride(Inputs);
        RowBytes = (int)record.Stride;
        Format = record.Format;
        Outputs = (int)record.Outputs;
        Activation = record.Activation;
        Selector = selector;
    }

    public int Inputs { get; }

    public int Outputs { get; }

    /// <summary>Inputs, padded: the length of the vectors that the rows meet.</summary>
    public int Stride { get; }

    public int RowBytes { get; }

    public WeightFormat Format { get; }

    public LayerActivation Activation { get; }

    public LayerSelector? Selector { get; private set; }

    /// <summary>True if a weight is -128, which the kernels cannot take. Rows may be longer than a span.</summary>
    public static bool AnyOutOfRange(View<sbyte> weights)
    {
        for (long done = 0; done < weights.Length;)
        {
            int count = (int)Math.Min(weights.Length - done, 1 << 30);
            if (new ReadOnlySpan<sbyte>(weights.Pointer + done, count).Contains(sbyte.MinValue))
                return true;
            done += count;
        }
        return false;
    }

    /// <summary>The same neurons behind another selector, for tuning.</summary>
    public NeuronLayer WithSelector(LayerSelector selector)
    {
        var copy = (NeuronLayer)MemberwiseClone();
        copy.Selector = selector;
        return copy;
    }

    public long BytesPerNeuron => RowBytes + sizeof(NeuronAffine);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void PrefetchNeuron(int id)
    {
        Prefetch.Line(_affine.Pointer + id);
        Prefetch.Row(_rows + (long)id * RowBytes, RowBytes);
    }

    /// <summary>
    /// Writes the layer's input in the form that its rows take: quantized to INT8, or as it is where they are FP16. Returns what
    /// one step of it is worth.
    /// </summary>
    /// <param name="x">[Stride] values.</param>
    /// <param name="prepared">Memory for as many floats.</param>
    public float Prepare(float* x, sbyte* prepared) => Prepare(Format, x, prepared, Stride);

    public static float Prepare(WeightFormat format, float* x, sbyte* prepared, int stride)
    {
        if (format != WeightFormat.Fp16)
            return FloatKernels.Quantize(x, prepared, stride);
        new ReadOnlySpan<float>(x, stride).CopyTo(new Span<float>(prepared, stride));
        return 1f;
    }

    /// <summary>The logits of <paramref name="count"/> consecutive neurons from <paramref name="first"/> on.</summary>
    public void Logits<TKernel>(sbyte* x, float xScale, int first, int count, float* logits) where TKernel : struct, IKernel
    {
        if (Format == WeightFormat.Int8)
        {
            TKernel.DotRows((sbyte*)_rows + (long)first * RowBytes, count, x, IsNonNegative(x), Stride, (int*)logits);
            Dequantize(first, count, xScale, logits);
            return;
        }
        int excess = Excess(x), i = 0;
        Vector128<float> scale = Vector128.Create(xScale);
        for (; i + 4 <= count; i += 4)
        {
            byte* row = _rows + (long)(first + i) * RowBytes;
            Vector128<float> dots = Dots<TKernel>(row, row + RowBytes, row + 2L * RowBytes, row + 3L * RowBytes, x, nonNegative: false, excess);
            (Vector128<float> scales, Vector128<float> bias) = Deinterleave((float*)(_affine.Pointer + first + i));
            (dots * (scales * scale) + bias).Store(logits + i);
        }
        for (; i < count; i++)
            logits[i] = Logit<TKernel>(x, xScale, first + i, excess);
    }

    /// <summary>Turns consecutive neurons' dot products into their logits, in place.</summary>
    private void Dequantize(int first, int count, float xScale, float* dots)
    {
        Vector128<float> scale = Vector128.Create(xScale);
        NeuronAffine* affine = _affine.Pointer + first;
        int i = 0;
        for (; i + 4 <= count; i += 4)
        {
            (Vector128<float> scales, Vector128<float> bias) = Deinterleave((float*)(affine + i));
            (Vector128.ConvertToSingle(Vector128.Load((int*)dots + i)) * (scales * scale) + bias).Store(dots + i);
        }
        for (; i < count; i++)
            dots[i] = ((int*)dots)[i] * (affine[i].Scale * xScale) + affine[i].Bias;
    }

    /// <summary>The logits of the named neurons, the same bits as in the dense <see cref="Logits{TKernel}(sbyte*, float, int, int, float*)"/>.</summary>
    public void Logits<TKernel>(sbyte* x, float xScale, int* neurons, int count, float* logits) where TKernel : struct, IKernel
    {
        Vector128<float> scale = Vector128.Create(xScale);
        byte* rows = _rows;
        NeuronAffine* affine = _affine.Pointer;
        bool nonNegative = IsNonNegative(x);
        int excess = Excess(x), i = 0;
        for (; i + 4 <= count; i += 4)
        {
            int a = neurons[i], b = neurons[i + 1], c = neurons[i + 2], d = neurons[i + 3];
            Vector128<float> dots = Dots<TKernel>(rows + (long)a * RowBytes, rows + (long)b * RowBytes, rows + (long)c * RowBytes, rows + (long)d * RowBytes, x, nonNegative, excess);
            Vector128<float> scales = Vector128.Create(affine[a].Scale, affine[b].Scale, affine[c].Scale, affine[d].Scale);
            Vector128<float> bias = Vector128.Create(affine[a].Bias, affine[b].Bias, affine[c].Bias, affine[d].Bias);
            (dots * (scales * scale) + bias).Store(logits + i);
        }
        for (; i < count; i++)
            logits[i] = Logit<TKernel>(x, xScale, neurons[i], excess);
    }

    /// <summary>
    /// The logits of consecutive neurons for several vectors, the same bits as one by one: vector v's from
    /// <paramref name="logits"/> + v * <paramref name="logitStride"/> on.
    /// </summary>
    /// <param name="x">The vectors.</param>
    /// <param name="firstVector">A multiple of the kernel's lanes.</param>
    /// <param name="vectors">How many.</param>
    /// <param name="first">The first neuron.</param>
    /// <param name="count">How many neurons; few enough for their rows to stay in a cache from one vector to the next.</param>
    /// <param name="logits">Receives the logits.</param>
    /// <param name="logitStride">From one vector's logits to the next's.</param>
    public void Logits<TKernel>(QuantizedVectors x, int firstVector, int vectors, int first, int count, float* logits, int logitStride) where TKernel : struct, IKernel
    {
        int done = 0;
        // A group that fills less than half of the lanes is faster one by one.
        for (; TKernel.Lanes > 0 && Format == WeightFormat.Int8 && vectors - done > TKernel.Lanes / 2; done += TKernel.Lanes)
            LogitsByLanes<TKernel>(x, firstVector + done, Math.Min(TKernel.Lanes, vectors - done), first, count, logits + (long)done * logitStride, logitStride);
        for (; done < vectors; done++)
            Logits<TKernel>(x.Plain(firstVector + done), x.Scale(firstVector + done), first, count, logits + (long)done * logitStride);
    }

    private void LogitsByLanes<TKernel>(QuantizedVectors x, int firstVector, int vectors, int first, int count, float* logits, int logitStride) where TKernel : struct, IKernel
    {
        sbyte* group = x.Interleaved(firstVector);
        bool nonNegative = x.IsNonNegative(firstVector);
        int* dots = stackalloc int[4 * TKernel.Lanes];
        int i = 0;
        for (; i + 4 <= count; i += 4)
        {
            sbyte* row = (sbyte*)_rows + (long)(first + i) * Stride;
            TKernel.Dot4Lanes(row, row + Stride, row + 2L * Stride, row + 3L * Stride, group, nonNegative, Stride, dots);
            (Vector128<float> scales, Vector128<float> bias) = Deinterleave((float*)(_affine.Pointer + first + i));
            for (int v = 0; v < vectors; v++)
            {
                Vector128<float> scale = Vector128.Create(x.Scale(firstVector + v));
                (Vector128.ConvertToSingle(Vector128.Load(dots + 4 * v)) * (scales * scale) + bias).Store(logits + (long)v * logitStride + i);
            }
        }
        for (; i < count; i++)
        {
            for (int v = 0; v < vectors; v++)
                logits[(long)v * logitStride + i] = Logit<TKernel>(x.Plain(firstVector + v), x.Scale(firstVector + v), first + i, excess: 0);
        }
    }

    /// <summary>The logit of one neuron, the same bits as four at a time.</summary>
    private float Logit<TKernel>(sbyte* x, float xScale, int neuron, int excess) where TKernel : struct, IKernel
    {
        NeuronAffine affine = _affine.Pointer[neuron];
        byte* row = _rows + (long)neuron * RowBytes;
        float scale = affine.Scale * xScale;
        float dot = Format switch
        {
            WeightFormat.Int8 => TKernel.Dot(x, (sbyte*)row, Stride),
            WeightFormat.Int4 => TKernel.DotInt4(row, x, Stride) - excess,
            _ => HalfRows.Dot((ushort*)row, (float*)x, Stride),
        };
        return dot * scale + affine.Bias;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private Vector128<float> Dots<TKernel>(byte* row0, byte* row1, byte* row2, byte* row3, sbyte* x, bool nonNegative, int excess) where TKernel : struct, IKernel
    {
        Vector128<int> dots;
        if (Format == WeightFormat.Int8)
        {
            TKernel.Dot4((sbyte*)row0, (sbyte*)row1, (sbyte*)row2, (sbyte*)row3, x, nonNegative, Stride, (int*)&dots);
            return Vector128.ConvertToSingle(dots);
        }
        if (Format == WeightFormat.Int4)
        {
            TKernel.Dot4Int4(row0, row1, row2, row3, x, Stride, (int*)&dots);
            return Vector128.ConvertToSingle(dots - Vector128.Create(excess));
        }
        HalfRows.Dot4((ushort*)row0, (ushort*)row1, (ushort*)row2, (ushort*)row3, (float*)x, Stride, (float*)&dots);
        return dots.AsSingle();
    }

    /// <summary>Whether no element of a quantized input is below zero, as after a rectifier.</summary>
    public static bool IsNonNegative(sbyte* x, int stride) => !new ReadOnlySpan<sbyte>(x, stride).ContainsAnyInRange(sbyte.MinValue, (sbyte)-1);

    private bool IsNonNegative(sbyte* x) => Format == WeightFormat.Int8 && IsNonNegative(x, Stride);

    /// <summary>What dot products with INT4 rows are too large by, because of how these are stored.</summary>
    private int Excess(sbyte* x) => Format == WeightFormat.Int4 ? Int4.Zero * Int4.Sum(x, Stride) : 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector128<float> Even, Vector128<float> Odd) Deinterleave(float* pairs)
    {
        Vector128<float> a = Vector128.Load(pairs), b = Vector128.Load(pairs + 4);
        if (Sse.IsSupported)
            return (Sse.Shuffle(a, b, 0b10_00_10_00), Sse.Shuffle(a, b, 0b11_01_11_01));
        if (AdvSimd.Arm64.IsSupported)
            return (AdvSimd.Arm64.UnzipEven(a, b), AdvSimd.Arm64.UnzipOdd(a, b));
        return (Vector128.Create(a[0], a[2], b[0], b[2]), Vector128.Create(a[1], a[3], b[1], b[3]));
    }
}
