using System.Runtime.Intrinsics;

namespace EdgeSlide.Training.Training;

/// <summary>
/// Gradients of neurons' weights, dW = dZ^T H, a few neurons at a time and applied at once, so that no gradient matrix is
/// kept. H is the input of one layer at a time, packed by <see cref="Pack"/>.
/// </summary>
internal sealed unsafe class NeuronGradients : IDisposable
{
    private readonly int _batchSize;
    private readonly int _scratchStride;
    private readonly NativeArray<float> _inputs;
    private readonly NativeArray<float> _scratch;

    /// <param name="batchSize">Rows at most.</param>
    /// <param name="widest">The largest stride of a layer's input.</param>
    /// <param name="labelTile">Labels that a worker packs at a time.</param>
    /// <param name="workers">How many threads there are.</param>
    internal NeuronGradients(int batchSize, int widest, int labelTile, int workers)
    {
        _batchSize = batchSize;
        _inputs = new NativeArray<float>(Gemm.PackedLength(batchSize, widest));
        // Per worker: a packed tile of labels or hidden neurons, or packed gradients and a tile of weight gradients.
        _scratchStride = Math.Max((int)Gemm.PackedLength(widest, labelTile), (Gemm.TileRows * (batchSize + widest)) + widest);
        _scratch = new NativeArray<float>((long)_scratchStride * workers);
    }

    /// <summary>A worker's own memory, for whoever needs some within a phase.</summary>
    internal float* Scratch(int worker) => _scratch.Items + ((nint)worker * _scratchStride);

    /// <summary>Takes the rows that are the input of the layer whose neurons follow.</summary>
    internal void Pack(float* hidden, int stride, int rows) => Gemm.Pack(hidden, stride, null, 0, rows, rows, stride, _inputs.Items);

    /// <summary>
    /// Updates up to 8 neurons, the rows <paramref name="ids"/> of the layer, by dZ(row, i) = z[row * zStride + i].
    /// </summary>
    internal void Update(DenseLayer layer, float* z, int zStride, int rows, ReadOnlySpan<int> ids, in AdamStep step, int worker)
    {
        int stride = layer.Matrix.Stride;
        float* packed = Scratch(worker);
        float* gradient = packed + ((nint)Gemm.TileRows * _batchSize);
        Vector256<float> sum = default;
        for (int row = 0; row < rows; row++)
        {
            Vector256<float> v = Vector256.Load(z + ((nint)row * zStride));
            Vector256.Store(v, packed + (row * Gemm.TileRows));
            sum += v;
        }
        Gemm.Multiply(Gemm.TileRows, rows, stride, packed, 1, Gemm.TileRows, _inputs.Items, gradient, stride, accumulate: false);
        for (int i = 0; i < ids.Length; i++)
        {
            layer.Matrix.Update(ids[i], gradient + (i * stride), step);
            layer.Bias.Update(ids[i], sum[i], step);
        }
    }

    public void Dispose()
    {
        _inputs.Dispose();
        _scratch.Dispose();
    }
}
