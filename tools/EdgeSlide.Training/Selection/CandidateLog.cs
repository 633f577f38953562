using EdgeSlide.Kernels;
using EdgeSlide.Layers;

namespace EdgeSlide.Training.Selection;

/// <summary>The candidates of a method for every held-out row, with votes and INT8 logits, so that rankings can be tried without electing again.</summary>
internal sealed class CandidateLog
{
    private readonly int[] _neurons;
    private readonly float[] _votes;
    private readonly float[] _logits;
    private readonly int[] _counts;
    private readonly long[] _operations;
    private readonly int _budget;

    private CandidateLog(HeldRows held, int budget)
    {
        (Held, _budget) = (held, budget);
        int rows = held.Rows.RowCount;
        _neurons = new int[checked(rows * budget)];
        _votes = new float[_neurons.Length];
        _logits = new float[_neurons.Length];
        _counts = new int[rows];
        _operations = new long[rows];
    }

    public HeldRows Held { get; }

    public ReadOnlySpan<int> Neurons(int row) => _neurons.AsSpan(row * _budget, _counts[row]);

    public ReadOnlySpan<float> Votes(int row) => _votes.AsSpan(row * _budget, _counts[row]);

    public ReadOnlySpan<float> Logits(int row) => _logits.AsSpan(row * _budget, _counts[row]);

    /// <summary>What finding the candidates cost: hashing, and one for each entry read.</summary>
    public long Operations(int row) => _operations[row];

    public static unsafe CandidateLog Run(HeldRows held, NeuronLayer output, IReadOnlyList<(ICandidateSource Source, float Weight)> sources, int budget, CancellationToken cancel)
    {
        var log = new CandidateLog(held, Math.Min(budget, output.Outputs));
        int rows = held.Rows.RowCount;
        Parallel.For(0, (rows + 63) / 64, new ParallelOptions { CancellationToken = cancel }, () => (Tally: new VoteTally(output.Outputs), Query: new QueryVector(held.Width)), (block, _, local) =>
        {
            for (int row = block * 64; row < Math.Min(rows, (block + 1) * 64); row++)
            {
                local.Query.Load(held.Rows, row, held.HiddenRow(row));
                foreach ((ICandidateSource source, float weight) in sources)
                    source.Vote(local.Query, local.Tally, weight);
                log._operations[row] = local.Tally.Operations;
                int at = row * log._budget;
                log._counts[row] = local.Tally.Elect(log._budget, log._neurons.AsSpan(at, log._budget), log._votes.AsSpan(at, log._budget));
                fixed (int* neurons = log._neurons)
                {
                    fixed (float* logits = log._logits)
                        output.Logits<Vector128Kernel>(local.Query.Quantized, local.Query.Scale, neurons + at, log._counts[row], logits + at);
                }
            }
            return local;
        }, local => local.Query.Dispose());
        return log;
    }

    /// <summary>The best answers of one row by logit + blend * log2(vote); the dense ones if the row has no candidates.</summary>
    public void Rank(int row, float blend, Span<Prediction> top, Span<int> ranked)
    {
        ranked.Fill(-1);
        if (_counts[row] == 0)
        {
            Held.DenseRow(row).CopyTo(ranked);
            return;
        }
        var best = new TopK(top);
        for (int i = 0; i < _counts[row]; i++)
        {
            float logit = Logits(row)[i];
            best.Offer(Neurons(row)[i], logit, blend > 0f ? logit + blend * StableMath.Log2(Votes(row)[i]) : logit);
        }
        for (int i = 0; i < best.Count; i++)
            ranked[i] = top[i].Label;
    }
}
