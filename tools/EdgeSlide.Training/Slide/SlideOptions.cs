namespace EdgeSlide.Training.Slide;

/// <summary>How a layer chooses the neurons that it evaluates for a row.</summary>
internal enum ActiveMode
{
    /// <summary>All.</summary>
    Dense,

    /// <summary>By hash tables of the neurons' weights (SLIDE, 1903.03129; KDD 2017, 1602.08194).</summary>
    Lsh,

    /// <summary>By hash tables of the layer's inputs, whose buckets remember the neurons that such inputs activated most.</summary>
    Votes,

    /// <summary>A random share in training, all of them scaled by that share afterwards (Srivastava et al. 2014).</summary>
    Dropout,

    /// <summary>Each with probability sigmoid(a z + b) of its own activation z ("standout", Ba and Frey 2013); costs a dense layer.</summary>
    AdaptiveDropout,

    /// <summary>Those with the largest activations, found exactly (Makhzani and Frey 2015); costs a dense layer.</summary>
    WinnerTakeAll,
}

internal enum Optimizer
{
    Adam,
    Sgd,
}

/// <summary>Everything that decides a run of <see cref="SlideTrainer"/>.</summary>
internal sealed record SlideOptions
{
    public IReadOnlyList<int> Hidden { get; init; } = [128];

    public ActiveMode Mode { get; init; } = ActiveMode.Lsh;

    /// <summary>Share of active neurons of each layer, the output last; 1 makes a layer dense. One value alone counts for all.</summary>
    public IReadOnlyList<double> Active { get; init; } = [1, 0.01];

    /// <summary>
    /// The fewest output neurons that are active beside a row's labels, whatever the share: a label that competes with no
    /// other has a loss of 0 and learns nothing. An output layer with no more than these and a label is dense.
    /// </summary>
    public int LeastOthers { get; init; } = 15;

    public HashFamilyKind Family { get; init; } = HashFamilyKind.Hadamard;

    public int K { get; init; } = 6;

    public int L { get; init; } = 50;

    public int RangePow { get; init; } = 6;

    public int BucketSize { get; init; } = 128;

    public BucketPolicy Policy { get; init; } = BucketPolicy.Fifo;

    public Sampling Sampling { get; init; } = Sampling.TopK;

    public int Threshold { get; init; } = 2;

    /// <summary>
    /// Centre the neurons and add a coordinate that makes them equally long (Neyshabur and Srebro 2015): then the
    /// largest inner product, bias included, is the smallest angle.
    /// </summary>
    public bool Mips { get; init; } = true;

    /// <summary>
    /// Share of a hidden layer's neurons that are evaluated beyond the active ones; of all of them the largest
    /// activations stay. 0 as in SLIDE: what is found is active.
    /// </summary>
    public double Spare { get; init; }

    /// <summary>Share of the evaluated neurons that training with <see cref="ActiveMode.Votes"/> draws at random.</summary>
    public double Explore { get; init; } = 0.025;

    /// <summary>What is left of a bucket's votes after one more row.</summary>
    public double VoteDecay { get; init; } = 0.95;

    /// <summary>Rows before the first rebuild of the tables.</summary>
    public int RebuildRows { get; init; } = 1000;

    /// <summary>Each gap between rebuilds is this many times the last one: SLIDE's exponentially decaying rebuilds.</summary>
    public double RebuildGrowth { get; init; } = 1.1;

    public Optimizer Optimizer { get; init; } = Optimizer.Adam;

    /// <summary>Falls linearly to a twentieth.</summary>
    public float LearningRate { get; init; } = 3e-4f;

    public int Epochs { get; init; } = 10;

    public int Threads { get; init; }

    public ulong Seed { get; init; } = 1;

    /// <summary>The share of active neurons of layer <paramref name="layer"/> of <paramref name="count"/>.</summary>
    public double Fraction(int layer) => Active.Count == 1 ? Active[0] : Active[layer];

    /// <exception cref="ArgumentException">Names the option and its limits.</exception>
    public void Validate()
    {
        Require(Hidden.Count >= 1 && Hidden.All(w => w is >= 1 and <= 1 << 20), "hidden layers must have 1 to 1048576 neurons");
        Require(Active.Count == 1 || Active.Count == Hidden.Count + 1, $"the active share needs one value, or one for each of the {Hidden.Count + 1} layers");
        Require(Active.All(a => a is > 0 and <= 1), "active shares must be above 0 and at most 1");
        Require(LeastOthers >= 1, "a label must compete with at least 1 other");
        Require(K is >= 1 and <= 32, "K must be 1 to 32");
        Require(L is >= 1 and <= 4096, "L must be 1 to 4096");
        Require(RangePow is >= 1 and <= 20, "the range power must be 1 to 20");
        Require(BucketSize is >= 1 and <= 65536, "the bucket size must be 1 to 65536");
        Require(((long)L << RangePow) * BucketSize <= 1L << 30, "the tables would have more than 2^30 places: lower L, the range power or the bucket size");
        Require(Mode != ActiveMode.Votes || Hidden.Select((w, i) => ((long)L << RangePow) * VoteSlots(w, (int)(Fraction(i) * w))).Max() <= 1L << 28,
            "the tables of votes would have more than 2^28 places: lower L, the range power or the active share");
        Require(Spare is >= 0 and < 1, "the spare share must be at least 0 and below 1");
        Require(Explore is >= 0 and < 1, "the share to explore must be at least 0 and below 1");
        Require(VoteDecay is > 0 and <= 1, "the decay of votes must be above 0 and at most 1");
        Require(Threshold >= 1, "the threshold must be at least 1");
        Require(RebuildRows >= 1 && RebuildGrowth is >= 1 and <= 10, "tables must be rebuilt after at least 1 row, at gaps that grow by 1 to 10");
        Require(LearningRate is > 0 and <= 10, "the learning rate must be above 0 and at most 10");
        Require(Epochs >= 1, "epochs must be positive");
        Require(Threads is >= 0 and <= 1024, "threads must be 0 to 1024");
    }

    /// <summary>Neurons that a bucket of votes holds: with room for twice as many as are active at a time.</summary>
    public int VoteSlots(int neurons, int budget) => Math.Min(neurons, Math.Max(BucketSize, 2 * budget));

    private static void Require(bool condition, string message)
    {
        if (!condition)
            throw new ArgumentException(message);
    }
}
