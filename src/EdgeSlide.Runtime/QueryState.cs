using EdgeSlide.Features;
using EdgeSlide.Hashing;
using EdgeSlide.Kernels;

namespace EdgeSlide;

/// <summary>What one query carries from stage to stage. Memory is native and kept, so a warm state allocates nothing.</summary>
internal sealed class QueryState(NetworkLayout layout) : IDisposable
{
    public FeatureVector Features { get; } = new();

    /// <summary>The vector that the layers have reached, padded with zeros.</summary>
    public NativeBuffer<float> Vector { get; } = new(layout.VectorLength);

    /// <summary>Neurons elected in the layer at hand, and their votes. A vector's slots to spare, for branch-free listing.</summary>
    public NativeBuffer<int> Candidates { get; } = new(layout.MaxBudget + TopVotes.Slack);

    public NativeBuffer<float> Votes { get; } = new(layout.MaxBudget + TopVotes.Slack);

    /// <summary>How many neurons of the output layer were elected; -1 before the election.</summary>
    public int Elected { get; set; }

    public long Multiplications { get; set; }

    public long Bytes { get; set; }

    public PredictionCost Cost { get; set; }

    /// <summary>Forgets the last query; its features stay.</summary>
    public void Begin()
    {
        Elected = -1;
        Multiplications = Bytes = 0;
    }

    public void Dispose()
    {
        Features.Dispose();
        Vector.Dispose();
        Candidates.Dispose();
        Votes.Dispose();
    }
}
