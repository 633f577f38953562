using System.Runtime.Intrinsics;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Networks;
using EdgeSlide.Training.Training;

namespace EdgeSlide.Training.Evaluation;

/// <summary>The k best labels of each scored row, best first; equal logits are ordered by label id.</summary>
public sealed class TopLabels
{
    internal TopLabels(int rows, int k)
    {
        Rows = rows;
        K = k;
        Labels = new int[checked(rows * k)];
        Logits = new float[Labels.Length];
    }

    public int Rows { get; }

    public int K { get; }

    /// <summary>[Rows x K] label ids; -1 where there are fewer than K labels.</summary>
    public int[] Labels { get; }

    /// <summary>[Rows x K] logits.</summary>
    public float[] Logits { get; }

    public ReadOnlySpan<int> RowLabels(int row) => Labels.AsSpan(row * K, K);

    public ReadOnlySpan<float> RowLogits(int row) => Logits.AsSpan(row * K, K);
}

/// <summary>
/// Scores rows against all labels in FP32 by blocked matrix products and keeps the k best. The output layer is packed once;
/// an instance holds a copy of it, and serves one caller at a time.
/// </summary>
public sealed unsafe class DenseScorer : IDisposable
{
    private const int RowTile = 128;
    private const int LabelTile = 256;

    private readonly Network _network;
    private readonly WorkerTeam _team;
    private readonly NativeArray<float>[] _packed;
    private readonly NativeArray<float>[] _hidden;
    private readonly NativeArray<float> _logits;
    private readonly int _outputWidth;

    public DenseScorer(Network network, int threads = 0)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentOutOfRangeException.ThrowIfNegative(threads);
        _network = network;
        _team = new WorkerTeam(threads == 0 ? Environment.ProcessorCount : threads);
        IReadOnlyList<NetworkLayer> layers = network.Layers;
        _packed = new NativeArray<float>[layers.Count - 1];
        _hidden = new NativeArray<float>[layers.Count - 1];
        for (int i = 0; i < _packed.Length; i++)
        {
            NetworkLayer layer = layers[i + 1];
            _packed[i] = new NativeArray<float>(Gemm.PackedLength(layer.Inputs, layer.Outputs));
            fixed (float* weights = layer.Weights)
                Gemm.PackTransposed(weights, layer.Inputs, null, layer.Outputs, layer.Inputs, _packed[i].Items);
            _hidden[i] = new NativeArray<float>((long)_team.Size * RowTile * layer.Inputs);
        }
        _outputWidth = layers[^1].Inputs;
        _logits = new NativeArray<float>((long)_team.Size * RowTile * LabelTile);
    }

    /// <summary>The k best labels of rows [first, first + count).</summary>
    public TopLabels Score(Dataset data, int first, int count, int k)
    {
        ArgumentNullException.ThrowIfNull(data);
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(first, data.RowCount - count);
        ArgumentOutOfRangeException.ThrowIfLessThan(k, 1);
        if (data.FeatureCount != _network.InputCount)
            throw new ArgumentException($"data has {data.FeatureCount} features, the network {_network.InputCount}", nameof(data));
        TopLabels top = new(count, k);
        _team.Run((count + RowTile - 1) / RowTile, (tile, worker) =>
        {
            int start = tile * RowTile;
            ScoreTile(data, first + start, Math.Min(RowTile, count - start), top, start, worker);
        });
        return top;
    }

    /// <summary>The k best labels of all rows.</summary>
    public TopLabels Score(Dataset data, int k) => Score(data, 0, data?.RowCount ?? 0, k);

    /// <summary>Activations of the last hidden layer of rows [first, first + count), [count x width].</summary>
    public void Hidden(Dataset data, int first, int count, Span<float> hidden)
    {
        ArgumentNullException.ThrowIfNull(data);
        for (int start = 0; start < count; start += RowTile)
        {
            int rows = Math.Min(RowTile, count - start);
            float* h = Forward(data, first + start, rows, 0);
            new ReadOnlySpan<float>(h, rows * _outputWidth).CopyTo(hidden[(start * _outputWidth)..]);
        }
    }

    private void ScoreTile(Dataset data, int first, int rows, TopLabels top, int firstTop, int worker)
    {
        float* hidden = Forward(data, first, rows, worker);
        float* logits = _logits.Items + ((nint)worker * RowTile * LabelTile);
        int labels = _network.OutputCount;
        int k = top.K;
        top.Labels.AsSpan(firstTop * k, rows * k).Fill(-1);
        top.Logits.AsSpan(firstTop * k, rows * k).Fill(float.NegativeInfinity);
        float[] bias = _network.Layers[^1].Bias;
        for (int label = 0; label < labels; label += LabelTile)
        {
            int count = Math.Min(LabelTile, labels - label);
            Gemm.Multiply(
                rows, _outputWidth, count, hidden, _outputWidth, 1, _packed[^1].Items + ((nint)label * _outputWidth),
                logits, LabelTile, accumulate: false);
            for (int i = 0; i < rows; i++)
            {
                Span<int> ids = top.Labels.AsSpan((firstTop + i) * k, k);
                Span<float> best = top.Logits.AsSpan((firstTop + i) * k, k);
                Select(logits + (i * LabelTile), bias.AsSpan(label, count), label, ids, best);
            }
        }
    }

    /// <summary>Merges a run of logits into a row's sorted list of the best.</summary>
    internal static void Select(float* logits, ReadOnlySpan<float> bias, int firstLabel, Span<int> ids, Span<float> best)
    {
        float threshold = best[^1];
        int j = 0;
        fixed (float* b = bias)
        {
            for (; j + Vector512<float>.Count <= bias.Length; j += Vector512<float>.Count)
            {
                Vector512<float> z = Vector512.Load(logits + j) + Vector512.Load(b + j);
                ulong better = Vector512.GreaterThan(z, Vector512.Create(threshold)).ExtractMostSignificantBits();
                for (; better != 0; better &= better - 1)
                {
                    int lane = System.Numerics.BitOperations.TrailingZeroCount(better);
                    threshold = Insert(z[lane], firstLabel + j + lane, ids, best);
                }
            }
        }
        for (; j < bias.Length; j++)
            threshold = Insert(logits[j] + bias[j], firstLabel + j, ids, best);
    }

    private static float Insert(float value, int id, Span<int> ids, Span<float> best)
    {
        int at = best.Length - 1;
        if (!(value > best[at]))
            return best[at];
        for (; at > 0 && value > best[at - 1]; at--)
        {
            best[at] = best[at - 1];
            ids[at] = ids[at - 1];
        }
        best[at] = value;
        ids[at] = id;
        return best[^1];
    }

    /// <summary>Activations of the last hidden layer of up to <see cref="RowTile"/> rows.</summary>
    private float* Forward(Dataset data, int first, int rows, int worker)
    {
        NetworkLayer input = _network.Layers[0];
        int width = input.Outputs;
        float* h = _hidden[0].Items + ((nint)worker * RowTile * width);
        for (int i = 0; i < rows; i++)
        {
            Span<float> sum = new(h + ((nint)i * width), width);
            input.Bias.CopyTo(sum);
            ReadOnlySpan<int> features = data.RowFeatures(first + i);
            ReadOnlySpan<float> values = data.RowValues(first + i);
            for (int j = 0; j < features.Length; j++)
                AddScaled(sum, input.Weights.AsSpan(features[j] * width, width), values[j]);
            Activate(sum, input.Activation);
        }
        for (int layer = 1; layer < _hidden.Length; layer++)
        {
            NetworkLayer dense = _network.Layers[layer];
            float* next = _hidden[layer].Items + ((nint)worker * RowTile * dense.Outputs);
            Gemm.Multiply(rows, dense.Inputs, dense.Outputs, h, dense.Inputs, 1, _packed[layer - 1].Items, next, dense.Outputs, accumulate: false);
            for (int i = 0; i < rows; i++)
            {
                Span<float> row = new(next + ((nint)i * dense.Outputs), dense.Outputs);
                AddScaled(row, dense.Bias, 1);
                Activate(row, dense.Activation);
            }
            h = next;
        }
        return h;
    }

    private static void AddScaled(Span<float> sum, ReadOnlySpan<float> x, float scale)
    {
        int i = 0;
        Vector256<float> factor = Vector256.Create(scale);
        for (; i + 8 <= sum.Length; i += 8)
            Vector256.FusedMultiplyAdd(Vector256.Create(x[i..]), factor, Vector256.Create<float>(sum[i..])).CopyTo(sum[i..]);
        for (; i < sum.Length; i++)
            sum[i] = MathF.FusedMultiplyAdd(x[i], scale, sum[i]);
    }

    private static void Activate(Span<float> values, Activation activation)
    {
        for (int i = 0; i < values.Length && activation == Activation.Relu; i++)
            values[i] = Math.Max(values[i], 0);
    }

    public void Dispose()
    {
        _team.Dispose();
        foreach (NativeArray<float> packed in _packed)
            packed.Dispose();
        foreach (NativeArray<float> hidden in _hidden)
            hidden.Dispose();
        _logits.Dispose();
    }
}
