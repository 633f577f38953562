using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;

namespace EdgeSlide.Training.Training;

/// <summary>
/// Scores validation rows with the weights under training, in place: no copy of the network is made, so that evaluating
/// takes a few megabytes whatever the network's size. Answers equal those of <see cref="DenseScorer"/> bit for bit.
/// </summary>
internal sealed unsafe class CoreScorer : IDisposable
{
    private const int LabelTile = 256;
    private const int RowTile = 64;
    private const int K = 5;

    private readonly TrainingCore _core;
    private readonly WorkerTeam _team;
    private readonly int _batchSize;
    private readonly int _stride;
    private readonly NativeArray<float> _packed;
    private readonly NativeArray<float> _logits;
    private readonly TopLabels _top;
    private readonly Action<int, int> _packTile;
    private readonly Action<int, int> _scoreTile;
    private float* _hidden;
    private int _rows;

    internal CoreScorer(TrainingCore core, TrainerOptions options, WorkerTeam team)
    {
        (_core, _team) = (core, team);
        _batchSize = options.BatchSize;
        _stride = core.OutputMatrix.Stride;
        _packed = new NativeArray<float>(Gemm.PackedLength(_stride, core.OutputMatrix.Rows));
        _logits = new NativeArray<float>((long)team.Size * RowTile * LabelTile);
        _top = new TopLabels(_batchSize, K);
        _packTile = PackTile;
        _scoreTile = ScoreTile;
    }

    /// <summary>P@1, P@3, P@5 and nDCG@5 of rows [0, count).</summary>
    internal RankingMetrics Score(IRowSource data, int count)
    {
        RankingMetrics metrics = new([1, 3, K]);
        _team.Run((_core.OutputMatrix.Rows + LabelTile - 1) / LabelTile, _packTile);
        int[] rows = new int[_batchSize];
        for (int first = 0; first < count; first += _batchSize)
        {
            _rows = Math.Min(_batchSize, count - first);
            for (int i = 0; i < _rows; i++)
                rows[i] = first + i;
            _hidden = _core.Forward(data, rows.AsSpan(0, _rows), out _);
            _team.Run((_rows + RowTile - 1) / RowTile, _scoreTile);
            for (int i = 0; i < _rows; i++)
                metrics.Add(_top.RowLabels(i), data.RowLabels(first + i));
        }
        // Training goes on without it for much longer than a score takes.
        _packed.Discard();
        return metrics;
    }

    private void PackTile(int tile, int worker)
    {
        AdamMatrix matrix = _core.OutputMatrix;
        int first = tile * LabelTile;
        Gemm.PackTransposed(
            matrix.Row(first), _stride, null, Math.Min(LabelTile, matrix.Rows - first), _stride, _packed.Items + ((nint)first * _stride));
    }

    private void ScoreTile(int tile, int worker)
    {
        float* logits = _logits.Items + ((nint)worker * RowTile * LabelTile);
        int start = tile * RowTile;
        int rows = Math.Min(RowTile, _rows - start);
        int labels = _core.OutputMatrix.Rows;
        _top.Labels.AsSpan(start * K, rows * K).Fill(-1);
        _top.Logits.AsSpan(start * K, rows * K).Fill(float.NegativeInfinity);
        for (int label = 0; label < labels; label += LabelTile)
        {
            int count = Math.Min(LabelTile, labels - label);
            Gemm.Multiply(
                rows, _stride, count, _hidden + ((nint)start * _stride), _stride, 1, _packed.Items + ((nint)label * _stride),
                logits, LabelTile, accumulate: false);
            ReadOnlySpan<float> bias = new(_core.OutputBias + label, count);
            for (int i = 0; i < rows; i++)
            {
                DenseScorer.Select(
                    logits + (i * LabelTile), bias, label, _top.Labels.AsSpan((start + i) * K, K), _top.Logits.AsSpan((start + i) * K, K));
            }
        }
    }

    public void Dispose()
    {
        _packed.Dispose();
        _logits.Dispose();
    }
}
