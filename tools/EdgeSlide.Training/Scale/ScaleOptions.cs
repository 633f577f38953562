using EdgeSlide.Hashing;
using EdgeSlide.Model;

namespace EdgeSlide.Training.Scale;

/// <summary>The shape of a generated wide model; the defaults are Amazon-670K's.</summary>
internal sealed record ScaleOptions
{
    public int Labels { get; init; } = 670_091;

    public int Features { get; init; } = 135_909;

    public int Hidden { get; init; } = 128;

    /// <summary>Features of a label's prototype and of a query.</summary>
    public int RowFeatures { get; init; } = 75;

    /// <summary>The share of its label's features that a query keeps; the others are replaced by chance ones.</summary>
    public double Keep { get; init; } = 0.7;

    /// <summary>Error of a label's weights, relative to the weights that fit its prototype.</summary>
    public double Noise { get; init; } = 0.7;

    /// <summary>A label stands in the buckets of this many of its rarest features.</summary>
    public int KeysPerLabel { get; init; } = 4;

    public int Budget { get; init; } = 32;

    public float VoteBlend { get; init; } = 1f;

    public ulong Seed { get; init; } = 1;

    /// <summary>How the input layer's weights are stored. Those of INT4 and FP16 are rounded from those of INT8.</summary>
    public WeightFormat InputRows { get; init; } = WeightFormat.Int8;

    /// <summary>About what writing takes: the rows of both layers, keys and buckets, and scales; for a moment the input layer in FP32.</summary>
    public long WorkingBytes => ((long)Labels + Features) * (ModelFormat.RowStride(Hidden) + 16L) + 8L * KeysPerLabel * Labels
        + (InputRows == WeightFormat.Int8 ? 0 : (long)Features * Hidden * sizeof(float));

    public void Validate()
    {
        Require(Labels >= 1 && (long)Labels * ModelFormat.RowStride(Math.Clamp(Hidden, 1, ModelFormat.MaxHiddenWidth)) <= Array.MaxLength, "the label rows must fit into 2 GiB");
        Require(Features is >= 1 and <= ModelFormat.MaxWidth, $"there can be 1 to {ModelFormat.MaxWidth:N0} features");
        Require(Hidden is >= 1 and <= ModelFormat.MaxHiddenWidth, $"the hidden layer has 1 to {ModelFormat.MaxHiddenWidth:N0} neurons");
        Require((long)Features * Math.Max(ModelFormat.RowStride(Hidden), ModelFormat.RowBytes(Hidden, InputRows)) <= Array.MaxLength, "the feature rows must fit into 2 GiB");
        Require(RowFeatures is >= 1 and <= 4096 && RowFeatures <= Features / 2, "a row has at most 4096 features and at most half of all");
        Require(Keep is > 0 and <= 1, "the share of kept features must be above 0 and at most 1");
        Require(Noise is >= 0 and <= 100, "the noise must be 0 to 100");
        Require(KeysPerLabel >= 1 && KeysPerLabel <= RowFeatures && (long)KeysPerLabel * Labels * sizeof(uint) <= Array.MaxLength, "a label has at least one key, and no more than its row has features");
        Require(Budget is >= 1 and <= LayerSelector.MaxBudget, $"the budget must be 1 to {LayerSelector.MaxBudget}");
        Require(VoteBlend is >= 0f and <= 1000f, "the vote blend must be 0 to 1000");
    }

    private static void Require(bool condition, string message)
    {
        if (!condition)
            throw new ArgumentException(message);
    }
}
