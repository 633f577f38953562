using EdgeSlide.Hashing;

namespace EdgeSlide.Training.Tables;

/// <summary>How a layer's candidate selection is built.</summary>
internal sealed record SelectorOptions
{
    /// <summary>The most neurons evaluated per query without held-out rows to choose it on.</summary>
    public const int DefaultBudget = 32;

    /// <summary>The most neurons evaluated per query; null takes at most <see cref="DefaultBudget"/>, and less where held-out rows allow it.</summary>
    public int? Budget { get; init; }

    /// <summary>Entries kept per bucket.</summary>
    public int BucketSize { get; init; } = 16;

    /// <summary>Buckets keyed by the input's features.</summary>
    public bool FeatureBuckets { get; init; } = true;

    /// <summary>SimHash tables keyed by the layer's input; 0 for none.</summary>
    public int HiddenTables { get; init; }

    /// <summary>Bits of each of those tables.</summary>
    public int HiddenBits { get; init; } = 10;

    /// <summary>A tree of cluster centres over the layer's input whose nodes are buckets; null for none.</summary>
    public TreeShape? Centroids { get; init; }

    /// <summary>A tree over the labels with learned routing whose nodes are buckets; null for none.</summary>
    public TreeShape? LabelTree { get; init; }

    /// <summary>Passes over the training rows by which the nodes of a label tree learn.</summary>
    public int RouterEpochs { get; init; } = 3;

    /// <summary>Weight of the votes' logarithm in the ranking; null searches it on validation rows.</summary>
    public float? VoteBlend { get; init; }

    /// <summary>A row's vote for the label that the network ranks first.</summary>
    public float TopVote { get; init; } = 2f;

    /// <summary>A row's vote for each label that the network ranks second to tenth.</summary>
    public float NextVote { get; init; } = 0.7f;

    /// <summary>A row's vote for each of its true labels.</summary>
    public float TrueVote { get; init; } = 1f;

    /// <summary>
    /// A vote for a label counts (rows of a label in the mean / rows of this one)^this: above 0, rare labels take places among the
    /// candidates that votes alone would leave to frequent ones.
    /// </summary>
    public float TailPower { get; init; }

    /// <summary>How many of the network's answers a row votes for.</summary>
    public int VoteDepth { get; init; } = 10;

    /// <summary>Above 0, a row shares out this much among those answers as a softmax of their logits does, in place of the votes by rank.</summary>
    public float SoftVote { get; init; }

    /// <summary>At most about this many training rows are scored by the network; the rest vote for their true labels only.</summary>
    public int ScoredRows { get; init; } = 600_000;

    public ulong Seed { get; init; } = 1;

    public void Validate()
    {
        Require(Budget is null or (>= 1 and <= LayerSelector.MaxBudget), $"the budget must be 1 to {LayerSelector.MaxBudget}");
        Require(BucketSize is >= 1 and <= 4096, "the bucket size must be 1 to 4096");
        Require(HiddenTables is >= 0 and <= LayerSelector.MaxTables, $"there can be at most {LayerSelector.MaxTables} hidden tables");
        Require(HiddenBits is >= 1 and <= SimHash.MaxBits, $"a table has 1 to {SimHash.MaxBits} bits");
        Centroids?.Validate("centroid tree");
        LabelTree?.Validate("label tree");
        Require(FeatureBuckets || HiddenTables > 0 || Centroids is not null || LabelTree is not null, "a selector needs feature buckets, hidden tables or a tree");
        Require(RouterEpochs is >= 1 and <= 100, "a label tree learns in 1 to 100 passes");
        Require(VoteBlend is null or (>= 0f and <= 1000f), "the vote blend must be 0 to 1000");
        Require(VoteDepth is >= 1 and <= 256, "a row votes for 1 to 256 of the network's answers");
        Require(SoftVote >= 0f, "votes must not be negative");
        Require(TailPower is >= 0f and <= 2f, "the tail power must be 0 to 2");
        Require(ScoredRows >= 0, "the number of scored rows must not be negative");
        Require(TopVote >= 0f && NextVote >= 0f && TrueVote >= 0f && TopVote + NextVote + TrueVote > 0f, "votes must not be negative, and not all zero");
    }

    private static void Require(bool condition, string message)
    {
        if (!condition)
            throw new ArgumentException(message);
    }
}

/// <summary>The shape of a tree over a layer's input.</summary>
/// <param name="Levels">Levels below the root.</param>
/// <param name="Branch">Children of each node.</param>
/// <param name="Beam">Nodes that a query follows in each level.</param>
/// <param name="BucketSize">Entries kept per node.</param>
internal sealed record TreeShape(int Levels, int Branch, int Beam, int BucketSize)
{
    /// <param name="what">The tree's name, for messages.</param>
    public void Validate(string what)
    {
        Require(Levels is >= 1 and <= CentroidTree.MaxLevels, $"a {what} has 1 to {CentroidTree.MaxLevels} levels");
        Require(Branch is >= 2 and <= CentroidTree.MaxBranch, $"a {what} branches into 2 to {CentroidTree.MaxBranch}");
        Require(Beam is >= 1 and <= CentroidTree.MaxBeam, $"a {what}'s beam is 1 to {CentroidTree.MaxBeam} nodes wide");
        Require(CentroidTree.NodeCount(Branch, Levels) >= 0, $"a {what} has at most {CentroidTree.MaxNodes} nodes");
        Require(BucketSize is >= 1 and <= 4096, $"the bucket size of a {what} must be 1 to 4096");
    }

    private static void Require(bool condition, string message)
    {
        if (!condition)
            throw new ArgumentException(message);
    }
}
