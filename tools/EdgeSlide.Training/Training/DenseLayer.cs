namespace EdgeSlide.Training.Training;

/// <summary>A fully connected layer under training; hidden ones also keep both packed forms of their weights.</summary>
internal sealed unsafe class DenseLayer(int outputs, int inputs, bool rowSecondMoments, RowTime time) : IDisposable
{
    private NativeArray<float>? _forward;
    private NativeArray<float>? _backward;

    internal AdamMatrix Matrix { get; } = new(outputs, inputs, momentum: true, rowSecondMoments, time);

    internal AdamVector Bias { get; } = new(outputs, time);

    internal float* PackedForward => _forward!.Items;

    internal float* PackedBackward => _backward!.Items;

    internal void Pack()
    {
        _forward ??= new NativeArray<float>(Gemm.PackedLength(Matrix.Stride, Matrix.Rows));
        _backward ??= new NativeArray<float>(Gemm.PackedLength(Matrix.Rows, Matrix.Stride));
        Gemm.PackTransposed(Matrix.Weights, Matrix.Stride, null, Matrix.Rows, Matrix.Stride, _forward.Items);
        Gemm.Pack(Matrix.Weights, Matrix.Stride, null, 0, Matrix.Rows, Matrix.Rows, Matrix.Stride, _backward.Items);
    }

    public void Dispose()
    {
        Matrix.Dispose();
        Bias.Dispose();
        _forward?.Dispose();
        _backward?.Dispose();
    }
}
