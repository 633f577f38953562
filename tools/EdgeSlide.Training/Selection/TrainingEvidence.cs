using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Networks;
using EdgeSlide.Training.Tables;

namespace EdgeSlide.Training.Selection;

/// <summary>
/// What sources may learn from: the network, the training rows, their votes and their hidden vectors. The expensive parts
/// are made when first asked for.
/// </summary>
internal sealed class TrainingEvidence : IDisposable
{
    /// <summary>What a row shares out by softmax, and among how many answers, where it does not vote by rank.</summary>
    public const float SoftVote = 4f;
    public const int SoftDepth = 32;

    private readonly Lazy<WeightedRows> _votes;
    private readonly Lazy<WeightedRows> _softVotes;
    private readonly Lazy<float[]> _hidden;

    public TrainingEvidence(Network network, Dataset rows, SelectorOptions options, CancellationToken cancel = default)
    {
        (Network, Rows, Options, Cancel) = (network, rows, options, cancel);
        Scorer = new DenseScorer(network);
        _votes = new(() => RowVotes.Collect(Scorer, rows, network.OutputCount, options, cancel));
        _softVotes = new(() => RowVotes.Collect(Scorer, rows, network.OutputCount, options with { VoteDepth = SoftDepth, SoftVote = SoftVote }, cancel));
        _hidden = new(() =>
        {
            var all = new float[checked(rows.RowCount * Width)];
            Scorer.Hidden(rows, 0, rows.RowCount, all);
            return all;
        });
    }

    public Network Network { get; }

    public Dataset Rows { get; }

    public SelectorOptions Options { get; }

    public CancellationToken Cancel { get; }

    public DenseScorer Scorer { get; }

    public int Width => Network.Layers[^1].Inputs;

    public int Neurons => Network.OutputCount;

    /// <summary>Votes by rank, as quantize casts them.</summary>
    public WeightedRows Votes => _votes.Value;

    /// <summary>Votes by the softmax of the 32 best logits, beside the true labels'.</summary>
    public WeightedRows SoftVotes => _softVotes.Value;

    /// <summary>[rows x width] the output layer's inputs.</summary>
    public float[] Hidden => _hidden.Value;

    /// <summary>The output layer's weights of one neuron.</summary>
    public ReadOnlySpan<float> Row(int neuron) => Network.Layers[^1].Weights.AsSpan(neuron * Width, Width);

    /// <summary>The mean of the hidden vectors.</summary>
    public float[] Mean()
    {
        var sum = new double[Width];
        for (int i = 0; i < Hidden.Length; i++)
            sum[i % Width] += Hidden[i];
        return [.. sum.Select(s => (float)(s / Math.Max(1, Rows.RowCount)))];
    }

    public void Dispose() => Scorer.Dispose();
}
