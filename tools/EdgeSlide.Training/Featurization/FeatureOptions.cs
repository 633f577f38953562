using EdgeSlide.Features;
using EdgeSlide.Model;

namespace EdgeSlide.Training.Featurization;

/// <summary>What the featurizer makes of raw rows; parts that do not fit the kind of input are ignored.</summary>
internal sealed record FeatureOptions
{
    /// <summary>Text: the longest word n-gram.</summary>
    public int MaxGram { get; init; } = 2;

    /// <summary>Text: n-grams that occur in fewer training rows are no features.</summary>
    public int MinCount { get; init; } = 2;

    /// <summary>Text: the most n-grams to keep, the most frequent ones.</summary>
    public int MaxFeatures { get; init; } = 2_000_000;

    /// <summary>Text: hash n-grams to this many features instead of keeping a vocabulary; 0 keeps one.</summary>
    public int HashBuckets { get; init; }

    /// <summary>Next word: this many last words are features by position.</summary>
    public int Positions { get; init; } = 5;

    /// <summary>Next word: this many last words are features as a bag.</summary>
    public int BagWindow { get; init; } = 16;

    public ValueTransform Transform { get; init; } = ValueTransform.None;

    /// <summary>Weigh every feature by ln((rows + 1) / (rows with it + 1)) + 1.</summary>
    public bool Idf { get; init; }

    public ValueNormalization Normalization { get; init; } = ValueNormalization.L2;

    public ulong HashSeed { get; init; }

    public void Validate()
    {
        Require(MaxGram is >= 1 and <= Featurizer.MaxGramLimit, $"the longest n-gram must have 1 to {Featurizer.MaxGramLimit} words");
        Require(MinCount >= 1, "the minimum count must be at least 1");
        Require(MaxFeatures is >= 1 and <= VocabularyIndex.MaxSize, $"there can be 1 to {VocabularyIndex.MaxSize} features");
        Require(HashBuckets is >= 0 and <= ModelFormat.MaxWidth, $"there can be at most {ModelFormat.MaxWidth} hash buckets");
        Require(Positions is >= 0 and <= Featurizer.MaxPositions && BagWindow is >= 0 and <= Featurizer.MaxBagWindow && Positions + BagWindow > 0,
            $"a context has up to {Featurizer.MaxPositions} positions and a bag of up to {Featurizer.MaxBagWindow} words, and at least one of the two");
    }

    private static void Require(bool condition, string message)
    {
        if (!condition)
            throw new ArgumentException(message);
    }
}
