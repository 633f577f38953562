using System.Text;
using EdgeSlide.Features;
using EdgeSlide.Hashing;
using EdgeSlide.Model;
using EdgeSlide.Training.Export;
using EdgeSlide.Training.Networks;
using EdgeSlide.Training.Tables;

namespace EdgeSlide.EndToEnd.Tests.Support;

/// <summary>
/// Small models, made by the exporter. Their weights are built rather than trained: feature i lights up hidden neuron
/// i mod width, and label j listens to hidden neuron j mod width, so that the right answers are known.
/// </summary>
internal static class Models
{
    public const int Words = 32;

    private const string Provenance = """{"made_by":"end-to-end tests","accuracy":0.5}""";

    /// <summary>Word "w7" (and "w7" alone) means "Label 7"; feature buckets know it too.</summary>
    public static string Text(Shell shell, string name = "text.eslide", bool names = true, bool selector = true, int labels = Words, string provenance = Provenance)
    {
        const ulong Seed = 5;
        var record = new FeaturizerRecord
        {
            Kind = FeaturizerKind.Text, FeatureCount = Words, Indexing = FeatureIndexing.Vocabulary, MinGram = 1, MaxGram = 1, HashSeed = Seed,
            VocabularySize = Words, Normalization = ValueNormalization.L2, UnknownToken = FeaturizerRecord.NoToken, LineStartToken = FeaturizerRecord.NoToken,
        };
        ulong[] hashes = [.. Enumerable.Range(0, Words).Select(i => TokenHash.Of(Encoding.UTF8.GetBytes($"w{i}"), Seed))];
        return Write(shell, name, Featurizer.Create(record, VocabularyIndex.Build(hashes), null), Diagonal(Words, Words, labels), dense: false,
            selector ? [Selector(Words, labels)] : [], names ? [.. Enumerable.Range(0, labels).Select(i => $"Label {i}")] : null, provenance);
    }

    /// <summary>Hashed word pairs of any text: every word gives an answer.</summary>
    public static string HashedText(Shell shell, int labels = 500)
    {
        const int Features = 4096;
        var record = new FeaturizerRecord
        {
            Kind = FeaturizerKind.Text, FeatureCount = Features, Indexing = FeatureIndexing.Hashed, MinGram = 1, MaxGram = 2, HashSeed = 9,
            Transform = ValueTransform.Log1P, Normalization = ValueNormalization.L2, UnknownToken = FeaturizerRecord.NoToken, LineStartToken = FeaturizerRecord.NoToken,
        };
        return Write(shell, "hashed.eslide", Featurizer.Create(record, null, null), Noise(Features, 64, labels), dense: false, [Selector(Features, labels)], null);
    }

    public static string Sparse(Shell shell) =>
        Write(shell, "sparse.eslide", Featurizer.Create(Numbers(FeaturizerKind.Sparse), null, null), Diagonal(Words, Words, Words), dense: false, [Selector(Words, Words)], null);

    public static string Dense(Shell shell) =>
        Write(shell, "dense.eslide", Featurizer.Create(Numbers(FeaturizerKind.Dense), null, null), Diagonal(Words, Words, Words), dense: true, [], [.. Enumerable.Range(0, Words).Select(i => $"class {i}")]);

    /// <summary>The next word after "w7" is "w7" again; w0 ends lines.</summary>
    public static string NextWord(Shell shell)
    {
        var record = new FeaturizerRecord
        {
            Kind = FeaturizerKind.Context, FeatureCount = Words, Indexing = FeatureIndexing.Vocabulary, Tokenizer = TokenizerKind.Whitespace, HashSeed = 5,
            VocabularySize = Words, Positions = 1, UnknownToken = 1, LineStartToken = 0,
        };
        ulong[] hashes = [.. Enumerable.Range(0, Words).Select(i => TokenHash.Of(Encoding.UTF8.GetBytes($"w{i}"), 5))];
        return Write(shell, "next.eslide", Featurizer.Create(record, VocabularyIndex.Build(hashes), null), Diagonal(Words, Words, Words), dense: false,
            [Selector(Words, Words)], [.. Enumerable.Range(0, Words).Select(i => $"w{i}")]);
    }

    /// <summary>About 30 MB: 200,000 labels of 128 weights, feature buckets, names.</summary>
    public static string ThirtyMegabytes(Shell shell)
    {
        const int Labels = 200_000;
        const ulong Seed = 5;
        var record = new FeaturizerRecord
        {
            Kind = FeaturizerKind.Text, FeatureCount = Words, Indexing = FeatureIndexing.Vocabulary, MinGram = 1, MaxGram = 1, HashSeed = Seed,
            VocabularySize = Words, Normalization = ValueNormalization.L2, UnknownToken = FeaturizerRecord.NoToken, LineStartToken = FeaturizerRecord.NoToken,
        };
        ulong[] hashes = [.. Enumerable.Range(0, Words).Select(i => TokenHash.Of(Encoding.UTF8.GetBytes($"w{i}"), Seed))];
        return Write(shell, "large.eslide", Featurizer.Create(record, VocabularyIndex.Build(hashes), null), Noise(Words, 128, Labels), dense: false,
            [Selector(Words, Labels)], [.. Enumerable.Range(0, Labels).Select(i => $"Label {i}")]);
    }

    private static FeaturizerRecord Numbers(FeaturizerKind kind) =>
        new() { Kind = kind, FeatureCount = Words, UnknownToken = FeaturizerRecord.NoToken, LineStartToken = FeaturizerRecord.NoToken };

    private static Network Diagonal(int features, int hidden, int labels)
    {
        var input = new NetworkLayer(features, hidden, Activation.Relu);
        for (int i = 0; i < features; i++)
            input.Weights[i * hidden + i % hidden] = 1f;
        var output = new NetworkLayer(hidden, labels, Activation.Softmax);
        for (int j = 0; j < labels; j++)
        {
            output.Weights[j * hidden + j % hidden] = 8f;
            output.Bias[j] = -0.001f * j;
        }
        return new Network([input, output]);
    }

    private static Network Noise(int features, int hidden, int labels)
    {
        uint state = 12345;
        var input = new NetworkLayer(features, hidden, Activation.Relu);
        var output = new NetworkLayer(hidden, labels, Activation.Softmax);
        foreach (float[] weights in new[] { input.Weights, output.Weights })
        {
            for (int i = 0; i < weights.Length; i++)
            {
                state = state * 1664525 + 1013904223;
                weights[i] = (int)state * (1f / int.MaxValue);
            }
        }
        return new Network([input, output]);
    }

    /// <summary>Feature i votes for labels i, i + 1 and i + 2, in falling order.</summary>
    private static ExportedSelector Selector(int features, int labels)
    {
        uint[] offsets = [.. Enumerable.Range(0, features + 1).Select(i => (uint)(3 * i))];
        uint[] entries = [.. Enumerable.Range(0, features).SelectMany(i => new[] { 250, 120, 60 }.Select((vote, n) => BucketTable.Pack((i + n) % labels, (byte)vote)))];
        var record = new SourceRecord { Kind = SourceKind.Features, KeyCount = (uint)features, Tables = 1, Weight = 1f };
        return new ExportedSelector(1, 16, 0f, true, [new ExportedSource(record, new FrozenBuckets(offsets, entries, 1f), null)]);
    }

    private static string Write(Shell shell, string name, Featurizer featurizer, Network network, bool dense, ExportedSelector[] selectors, string[]? labels,
        string provenance = Provenance)
    {
        string path = shell.Path(name);
        ModelExporter.Write(path, QuantizedNetwork.From(network, dense), featurizer, selectors, labels, Encoding.UTF8.GetBytes(provenance));
        return path;
    }
}
