using System.Runtime.InteropServices;
using EdgeSlide.Features;
using EdgeSlide.Model;
using EdgeSlide.Training.Data;

namespace EdgeSlide.Training.Featurization;

/// <summary>
/// Fits the device's featurizer to training rows. Features are numbered by falling frequency, so that the rows of common
/// features lie together in the model: fewer pages are touched per query.
/// </summary>
internal static class FeaturizerFit
{
    public static Featurizer Fit(RawDataset train, FeatureOptions options)
    {
        options.Validate();
        switch (train)
        {
            case TextDataset text:
                return FitText(text, options);
            case SparseDataset sparse:
                return FitNumbers(FeaturizerKind.Sparse, sparse.FeatureCount, sparse.RowCount, options, frequency =>
                {
                    for (int row = 0; row < sparse.RowCount; row++)
                    {
                        foreach (int id in sparse.RowFeatures(row))
                            frequency[id]++;
                    }
                });
            case DenseDataset dense:
                return FitNumbers(FeaturizerKind.Dense, dense.ValueCount, dense.RowCount, options, frequency =>
                {
                    for (int row = 0; row < dense.RowCount; row++)
                    {
                        ReadOnlySpan<float> values = dense.RowValues(row);
                        for (int i = 0; i < values.Length; i++)
                            frequency[i] += values[i] == 0f ? 0 : 1;
                    }
                });
            default:
                throw new ArgumentException("unknown kind of rows", nameof(train));
        }
    }

    /// <summary>A next-word featurizer: the vocabulary decides everything, the text nothing.</summary>
    public static Featurizer Fit(TokenVocabulary vocabulary, FeatureOptions options)
    {
        options.Validate();
        ulong[] hashes = new ulong[vocabulary.Count];
        for (int id = 0; id < hashes.Length; id++)
            hashes[id] = TokenHash.Of(vocabulary.Words[id], options.HashSeed);
        long features = (long)vocabulary.Count * (options.Positions + (options.BagWindow > 0 ? 1 : 0));
        if (features > ModelFormat.MaxWidth)
            throw new ArgumentException($"{vocabulary.Count} words at {options.Positions} positions are more than {ModelFormat.MaxWidth} features");
        return Featurizer.Create(new FeaturizerRecord
        {
            Kind = FeaturizerKind.Context,
            FeatureCount = (uint)features,
            Indexing = FeatureIndexing.Vocabulary,
            Tokenizer = TokenizerKind.Whitespace,
            Transform = options.Transform,
            Normalization = options.Normalization,
            HashSeed = options.HashSeed,
            VocabularySize = (uint)vocabulary.Count,
            Positions = (uint)options.Positions,
            BagWindow = (uint)options.BagWindow,
            UnknownToken = vocabulary.UnknownId is { } unknown ? (uint)unknown : FeaturizerRecord.NoToken,
            LineStartToken = (uint)vocabulary.EndOfLineId,
        }, VocabularyIndex.Build(hashes), weights: null);
    }

    private static Featurizer FitText(TextDataset train, FeatureOptions options)
    {
        var record = new FeaturizerRecord
        {
            Kind = FeaturizerKind.Text,
            Tokenizer = TokenizerKind.Words,
            MinGram = 1,
            MaxGram = (ushort)options.MaxGram,
            Transform = options.Transform,
            Normalization = options.Normalization,
            HashSeed = options.HashSeed,
            UnknownToken = FeaturizerRecord.NoToken,
            LineStartToken = FeaturizerRecord.NoToken,
        };
        ulong[]? slots = null;
        float[]? idf = null;
        if (options.HashBuckets > 0)
        {
            record.Indexing = FeatureIndexing.Hashed;
            record.FeatureCount = (uint)options.HashBuckets;
            if (options.Idf)
            {
                var frequency = new int[options.HashBuckets];
                CountGrams(train, options, gram => Interlocked.Increment(ref frequency[TokenHash.Reduce(gram, options.HashBuckets)]));
                idf = InverseFrequencies(frequency, train.RowCount);
            }
        }
        else
        {
            (ulong[] hashes, int[] frequency) = CollectGrams(train, options);
            if (hashes.Length == 0)
                throw new ArgumentException($"no word occurs in at least {options.MinCount} rows");
            record.Indexing = FeatureIndexing.Vocabulary;
            record.FeatureCount = record.VocabularySize = (uint)hashes.Length;
            slots = VocabularyIndex.Build(hashes);
            if (options.Idf)
                idf = InverseFrequencies(frequency, train.RowCount);
        }
        return Featurizer.Create(record, slots, idf);
    }

    /// <param name="count">Adds each feature's number of rows.</param>
    private static Featurizer FitNumbers(FeaturizerKind kind, int featureCount, int rows, FeatureOptions options, Action<int[]> count)
    {
        float[]? idf = null;
        if (options.Idf)
        {
            var frequency = new int[featureCount];
            count(frequency);
            idf = InverseFrequencies(frequency, rows);
        }
        return Featurizer.Create(new FeaturizerRecord
        {
            Kind = kind,
            FeatureCount = (uint)featureCount,
            Transform = options.Transform,
            Normalization = options.Normalization,
            UnknownToken = FeaturizerRecord.NoToken,
            LineStartToken = FeaturizerRecord.NoToken,
        }, null, idf);
    }

    private static float[] InverseFrequencies(int[] frequency, int rows) =>
        [.. frequency.Select(f => (float)(Math.Log((rows + 1.0) / (f + 1.0)) + 1.0))];

    /// <summary>The n-grams to keep by falling number of rows, hash breaking ties, with those numbers.</summary>
    private static (ulong[] Hashes, int[] Frequency) CollectGrams(TextDataset train, FeatureOptions options)
    {
        // Shards by the hash's top bits, so that threads count without a common lock.
        const int Shards = 64;
        var counts = new Dictionary<ulong, int>[Shards];
        for (int i = 0; i < Shards; i++)
            counts[i] = [];
        CountGrams(train, options, gram =>
        {
            Dictionary<ulong, int> shard = counts[gram >> 58];
            lock (shard)
                CollectionsMarshal.GetValueRefOrAddDefault(shard, gram, out _)++;
        });
        var kept = new List<(ulong Hash, int Count)>();
        foreach (Dictionary<ulong, int> shard in counts)
        {
            foreach ((ulong hash, int count) in shard)
            {
                if (count >= options.MinCount)
                    kept.Add((hash, count));
            }
        }
        kept.Sort((a, b) => a.Count != b.Count ? b.Count.CompareTo(a.Count) : a.Hash.CompareTo(b.Hash));
        if (kept.Count > options.MaxFeatures)
            kept.RemoveRange(options.MaxFeatures, kept.Count - options.MaxFeatures);
        return ([.. kept.Select(k => k.Hash)], [.. kept.Select(k => k.Count)]);
    }

    /// <summary>Calls <paramref name="add"/>, from several threads, once per row for each different n-gram of the row.</summary>
    private static void CountGrams(TextDataset train, FeatureOptions options, Action<ulong> add)
    {
        const int Chunk = 4096;
        Parallel.For(0, (train.RowCount + Chunk - 1) / Chunk, chunk =>
        {
            var row = new HashSet<ulong>();
            Span<ulong> grams = stackalloc ulong[Featurizer.MaxGramLimit];
            for (int i = chunk * Chunk; i < Math.Min(train.RowCount, (chunk + 1) * Chunk); i++)
            {
                row.Clear();
                var window = new GramWindow(grams, 1, options.MaxGram);
                var reader = new TokenReader(train.RowText(i), TokenizerKind.Words, options.HashSeed);
                while (reader.TryRead(out ulong token))
                {
                    foreach (ulong gram in window.Push(token))
                        row.Add(gram);
                }
                foreach (ulong gram in row)
                    add(gram);
            }
        });
    }
}
