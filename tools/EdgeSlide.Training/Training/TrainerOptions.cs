using EdgeSlide.Training.Networks;

namespace EdgeSlide.Training.Training;

/// <summary>Which output neurons a step evaluates and updates.</summary>
public enum OutputMode
{
    /// <summary>True labels of the batch, labels named by the tables, and corrected random negatives.</summary>
    Sampled = 0,

    /// <summary>All of them: the reference.</summary>
    Full = 1,
}

/// <summary>What opens the buckets of the tables of likely labels.</summary>
public enum TableKeys
{
    /// <summary>Every input feature: sparse inputs.</summary>
    Features = 0,

    /// <summary>SimHash of the last hidden vector: dense inputs.</summary>
    HiddenVector = 1,
}

public enum OutputLoss
{
    /// <summary>Cross entropy against the true labels of a row, each with probability 1 / their number.</summary>
    Softmax = 0,

    /// <summary>One independent yes-or-no question per label.</summary>
    Sigmoid = 1,
}

public enum LearningRateDecay
{
    None = 0,
    Linear = 1,
    Cosine = 2,
}

/// <summary>What early stopping compares on the validation rows.</summary>
public enum StoppingMetric
{
    PrecisionAt1 = 0,
    PrecisionAt5 = 1,

    /// <summary>Mean of P@1 and P@5.</summary>
    PrecisionAt1And5 = 2,
}

/// <summary>Everything that decides a training run. The same options, data and machine word size give the same network.</summary>
public sealed record TrainerOptions
{
    /// <summary>Widths of the hidden layers; the first is summed from the embeddings of the input's features.</summary>
    public IReadOnlyList<int> HiddenSizes { get; init; } = [128];

    /// <summary>Of the hidden layers: <see cref="Networks.Activation.Relu"/>, or <see cref="Networks.Activation.Identity"/> for none.</summary>
    public Activation Activation { get; init; } = Activation.Relu;

    public int Epochs { get; init; } = 10;

    public int BatchSize { get; init; } = 512;

    public OutputMode Mode { get; init; } = OutputMode.Sampled;

    public OutputLoss Loss { get; init; } = OutputLoss.Softmax;

    /// <summary>Random negatives per batch (sampled mode), drawn as <see cref="NegativePower"/> says.</summary>
    public int RandomNegatives { get; init; } = 1024;

    /// <summary>Negatives are drawn in proportion to (rows with the label + 1) to this power; 0 draws uniformly.</summary>
    public float NegativePower { get; init; } = 0.5f;

    /// <summary>Labels per row that the tables of likely labels add to the batch's active set (sampled mode); 0 builds no tables.</summary>
    public int TableNegatives { get; init; }

    /// <summary>Labels kept per bucket of those tables.</summary>
    public int TableBucketSize { get; init; } = 8;

    public TableKeys TableKeys { get; init; } = TableKeys.Features;

    /// <summary>
    /// Further draws per batch (sampled mode) from hash tables over the output neurons, probed with the batch's hidden vectors; 0
    /// builds no such tables.
    /// </summary>
    public int LshNegatives { get; init; }

    /// <summary>K: bits of a bucket's number in those tables.</summary>
    public int LshBits { get; init; } = 8;

    /// <summary>L: number of those tables.</summary>
    public int LshTables { get; init; } = 32;

    /// <summary>Steps from the first to the second filling of tables of either kind; 0 takes a third of an epoch. Further gaps grow.</summary>
    public int TableRebuildSteps { get; init; }

    /// <summary>By how much each gap between rebuilds is longer than the one before.</summary>
    public float TableRebuildGrowth { get; init; } = 1.6f;

    public float LearningRate { get; init; } = 2e-3f;

    /// <summary>The output layer's learning rate as a multiple of the others'.</summary>
    public float OutputRateScale { get; init; } = 1;

    public LearningRateDecay Decay { get; init; } = LearningRateDecay.Linear;

    /// <summary>Share of all steps in which the learning rate rises from 0.</summary>
    public float WarmUp { get; init; } = 0.02f;

    public float Beta1 { get; init; } = 0.9f;

    public float Beta2 { get; init; } = 0.999f;

    public float Epsilon { get; init; } = 1e-8f;

    /// <summary>Decoupled decay of the weights of rows that are updated, relative to the learning rate.</summary>
    public float WeightDecay { get; init; }

    /// <summary>First moments for the input embeddings: better steps for frequent features, twice the memory where second moments are per row, else 1.5 times.</summary>
    public bool InputMomentum { get; init; } = true;

    /// <summary>One second moment per row (embedding or neuron) instead of one per weight: half the optimizer's memory.</summary>
    public bool RowSecondMoments { get; init; } = true;

    /// <summary>
    /// Let the moments of neurons age in the steps that do not evaluate them, as the full softmax would; otherwise they stand still.
    /// </summary>
    public bool AgeMoments { get; init; } = true;

    /// <summary>Probability with which an input feature is left out of a training row.</summary>
    public float FeatureDropout { get; init; }

    /// <summary>Probability with which a hidden neuron is left out.</summary>
    public float HiddenDropout { get; init; }

    /// <summary>A row with n labels weighs n to this power: 0 counts rows, 1 counts labels.</summary>
    public float LabelCountPower { get; init; }

    public int Seed { get; init; } = 1;

    /// <summary>0 uses all cores. The result does not depend on it.</summary>
    public int Threads { get; init; }

    /// <summary>Epochs without improvement on the validation rows after which training stops; 0 never stops early.</summary>
    public int Patience { get; init; }

    /// <summary>Keep the last epoch also where there are validation rows: what training on all rows would do.</summary>
    public bool KeepLast { get; init; }

    public StoppingMetric StoppingMetric { get; init; } = StoppingMetric.PrecisionAt1;

    /// <summary>At most this many validation rows are scored after an epoch.</summary>
    public int ValidationRows { get; init; } = 20_000;

    /// <summary>Steps between further evaluations within an epoch, which are logged but choose nothing; 0 evaluates at the ends of epochs only.</summary>
    public int EvaluateEvery { get; init; }

    /// <summary>A CSV file that gets a line per evaluation; null writes none.</summary>
    public string? LogPath { get; init; }

    /// <summary>Where to save after every epoch and on cancellation; null saves nothing.</summary>
    public string? CheckpointPath { get; init; }

    /// <summary>Steps between further checkpoints within an epoch; 0 saves at the ends of epochs only.</summary>
    public int CheckpointEvery { get; init; }

    /// <summary>Continue from <see cref="CheckpointPath"/> if it exists.</summary>
    public bool Resume { get; init; }

    /// <summary>Bytes that the logits of one batch may take; more labels are processed in chunks, with their logits computed twice.</summary>
    public long LogitBytes { get; init; } = 256L << 20;

    internal void Validate()
    {
        Require(HiddenSizes.Count > 0 && HiddenSizes.All(size => size is > 0 and <= 65_536), "hidden sizes must be 1 to 65536, at least one");
        Require(Activation is Activation.Relu or Activation.Identity, "hidden layers are rectified or linear");
        Require(Epochs > 0, "epochs must be positive");
        Require(BatchSize is > 0 and <= 65_536, "batch size must be 1 to 65536");
        Require(RandomNegatives >= 0 && TableNegatives >= 0 && TableBucketSize > 0, "numbers of negatives must not be negative");
        Require(LshNegatives >= 0, "numbers of negatives must not be negative");
        Require(LshBits is >= 1 and <= LshSampler.MaxBits, $"LSH bits must be 1 to {LshSampler.MaxBits}");
        Require(LshTables is >= 1 and <= LshSampler.MaxTables, $"LSH tables must be 1 to {LshSampler.MaxTables}");
        Require(TableNegatives == 0 || Mode == OutputMode.Sampled, "table negatives belong to sampled mode: the full softmax evaluates every label");
        Require(LshNegatives == 0 || Mode == OutputMode.Sampled, "LSH negatives belong to sampled mode: the full softmax draws none");
        Require(LshNegatives == 0 || RandomNegatives > 0, "LSH negatives need random negatives beside them: labels in no opened bucket would never be drawn");
        Require(NegativePower is >= 0 and <= 1, "negative power must be 0 to 1");
        Require(TableRebuildSteps >= 0 && TableRebuildGrowth is >= 1 and <= 1000, "gaps between table rebuilds must not be negative and not shrink");
        Require(float.IsFinite(LearningRate) && LearningRate > 0, "learning rate must be positive");
        Require(float.IsFinite(OutputRateScale) && OutputRateScale > 0, "output rate scale must be positive");
        Require(WarmUp is >= 0 and < 1, "warm-up must be at least 0 and below 1");
        Require(Beta1 is >= 0 and < 1 && Beta2 is >= 0 and < 1, "moment decays must be at least 0 and below 1");
        Require(float.IsFinite(Epsilon) && Epsilon > 0, "epsilon must be positive");
        Require(float.IsFinite(WeightDecay) && WeightDecay >= 0, "weight decay must not be negative");
        Require(FeatureDropout is >= 0 and < 1 && HiddenDropout is >= 0 and < 1, "dropout must be at least 0 and below 1");
        Require(LabelCountPower is >= 0 and <= 4, "label power must be 0 to 4");
        Require(!KeepLast || Patience == 0, "patience waits for a better epoch to keep, so it does not go with keeping the last");
        Require(Threads >= 0 && Patience >= 0 && ValidationRows > 0 && CheckpointEvery >= 0 && EvaluateEvery >= 0, "counts must not be negative");
    }

    private static void Require(bool condition, string message)
    {
        if (!condition)
            throw new ArgumentException(message);
    }
}
