using EdgeSlide.Kernels;
using EdgeSlide.Model;

namespace EdgeSlide.Features;

/// <summary>
/// Turns raw input into the network's input vector. Immutable and thread-safe; the trainer and the device run this same
/// code, so a model never sees features that it was not trained on.
/// </summary>
internal sealed unsafe class Featurizer
{
    public const int MaxGramLimit = 5;
    public const int MaxPositions = 32;
    public const int MaxBagWindow = 256;

    private readonly FeaturizerRecord _record;
    private readonly VocabularyIndex _vocabulary;
    private readonly View<float> _weights;
    private readonly object? _owner;

    private Featurizer(in FeaturizerRecord record, View<ulong> vocabulary, View<float> weights, object? owner)
    {
        _record = record;
        _vocabulary = new VocabularyIndex(vocabulary);
        _weights = weights;
        _owner = owner;
    }

    public ref readonly FeaturizerRecord Record => ref _record;

    public FeaturizerKind Kind => _record.Kind;

    public int FeatureCount => (int)_record.FeatureCount;

    public bool TakesText => _record.Kind is FeaturizerKind.Text or FeaturizerKind.Context;

    /// <summary>How many of the last tokens a context reaches back.</summary>
    public int ContextLength => (int)Math.Max(_record.Positions, _record.BagWindow);

    /// <summary>Reads and checks the featurizer of a model.</summary>
    public static Featurizer Load(ModelFile file)
    {
        FeaturizerRecord record = file.GetRecord<FeaturizerRecord>(SectionKind.Featurizer, 0, out ReadOnlySpan<byte> rest);
        if (!rest.IsEmpty)
            throw file.Error(ModelError.WrongSectionSize, "section FEAT[0] has the wrong size");
        if (Validate(record) is { } problem)
            throw file.Error(ModelError.BadFeaturizer, $"featurizer: {problem}");
        View<ulong> slots = default;
        if (record.Indexing == FeatureIndexing.Vocabulary)
        {
            slots = file.Get<ulong>(SectionKind.Vocabulary, 0, 0, record.VocabularySlots);
            if (!new VocabularyIndex(slots).IsConsistent((int)record.VocabularySize))
                throw file.Error(ModelError.BadVocabulary, "the vocabulary's hash table is inconsistent");
        }
        View<float> weights = default;
        if (record.HasFeatureWeights != 0)
        {
            weights = file.Get<float>(SectionKind.FeatureWeights, 0, 0, record.FeatureCount);
            foreach (float weight in weights.Span)
            {
                if (!float.IsFinite(weight))
                    throw file.Error(ModelError.BadNumber, "a feature weight is not a finite number");
            }
        }
        return new Featurizer(record, slots, weights, file);
    }

    /// <summary>A featurizer from arrays, for training. The arrays are pinned for its lifetime.</summary>
    public static Featurizer Create(FeaturizerRecord record, ulong[]? vocabularySlots, float[]? weights)
    {
        record.VocabularySlots = (uint)(vocabularySlots?.Length ?? 0);
        record.HasFeatureWeights = weights is null ? 0u : 1u;
        if (Validate(record) is { } problem)
            throw new ArgumentException(problem);
        ulong[] slots = GC.AllocateUninitializedArray<ulong>(vocabularySlots?.Length ?? 0, pinned: true);
        vocabularySlots?.CopyTo(slots, 0);
        float[] pinnedWeights = GC.AllocateUninitializedArray<float>(weights?.Length ?? 0, pinned: true);
        weights?.CopyTo(pinnedWeights, 0);
        return new Featurizer(record,
            new View<ulong>((ulong*)System.Runtime.CompilerServices.Unsafe.AsPointer(ref System.Runtime.InteropServices.MemoryMarshal.GetArrayDataReference(slots)), slots.Length),
            new View<float>((float*)System.Runtime.CompilerServices.Unsafe.AsPointer(ref System.Runtime.InteropServices.MemoryMarshal.GetArrayDataReference(pinnedWeights)), pinnedWeights.Length),
            (slots, pinnedWeights));
    }

    /// <summary>The sections that store this featurizer.</summary>
    public IEnumerable<SectionContent> ToSections()
    {
        yield return SectionContent.Of(SectionKind.Featurizer, 0, 0, [_record]);
        if (_record.Indexing == FeatureIndexing.Vocabulary)
            yield return SectionContent.Of(SectionKind.Vocabulary, 0, 0, _vocabulary.ToArray());
        if (_record.HasFeatureWeights != 0)
            yield return SectionContent.Of(SectionKind.FeatureWeights, 0, 0, _weights.Span.ToArray());
    }

    /// <summary>Text to features. A text without a known word gives an empty vector.</summary>
    /// <exception cref="InputException">Invalid UTF-8, or the model does not take text.</exception>
    public void FromText(ReadOnlySpan<byte> utf8, FeatureVector output)
    {
        output.Clear();
        switch (_record.Kind)
        {
            case FeaturizerKind.Text:
                AddGrams(utf8, output);
                break;
            case FeaturizerKind.Context:
                Span<int> tokens = stackalloc int[MaxBagWindow];
                ReadOnlySpan<int> last = LastTokens(utf8, tokens[..ContextLength]);
                FromContext(last, last.Length, output);
                return;
            default:
                throw new InputException("this model takes numbers, not text");
        }
        Finish(output);
    }

    /// <summary>Token ids of the end of a text, oldest first; at most as many as <paramref name="window"/> holds. Words to be left out are -1.</summary>
    public ReadOnlySpan<int> LastTokens(ReadOnlySpan<byte> utf8, Span<int> window)
    {
        int count = 0;
        if (_record.LineStartToken != FeaturizerRecord.NoToken)
            window[count++] = (int)_record.LineStartToken;
        var reader = new TokenReader(utf8, _record.Tokenizer, _record.HashSeed);
        while (reader.TryRead(out ulong hash))
        {
            if (count == window.Length)
            {
                window[1..].CopyTo(window);
                count--;
            }
            window[count++] = TokenId(hash);
        }
        return window[..count];
    }

    /// <summary>The vocabulary's id for a token's hash, the unknown word's id, or -1 to leave it out.</summary>
    public int TokenId(ulong hash)
    {
        int id = _vocabulary.Find(hash);
        return id >= 0 || _record.UnknownToken == FeaturizerRecord.NoToken ? id : (int)_record.UnknownToken;
    }

    /// <summary>Context features of token ids, oldest first: position p (0 = last) of token t is p * V + t, the bag follows.</summary>
    public void FromContext(ReadOnlySpan<int> tokens, FeatureVector output)
    {
        output.Clear();
        int size = (int)_record.VocabularySize;
        int positions = (int)_record.Positions;
        for (int p = 0; p < positions && p < tokens.Length; p++)
            output.Add(p * size + tokens[^(p + 1)], 1f);
        for (int p = 0; p < (int)_record.BagWindow && p < tokens.Length; p++)
            output.Add(positions * size + tokens[^(p + 1)], 1f);
        Finish(output);
    }

    /// <summary>Features of the context before <paramref name="position"/> in a line of token ids; ids below 0 are left out.</summary>
    public void FromContext(ReadOnlySpan<int> line, int position, FeatureVector output)
    {
        Span<int> window = stackalloc int[MaxBagWindow];
        int count = 0;
        foreach (int token in line[Math.Max(0, position - ContextLength)..position])
        {
            if (token >= 0)
                window[count++] = token;
        }
        FromContext(window[..count], output);
    }

    /// <summary>Feature ids with values, each id once.</summary>
    /// <exception cref="InputException">An id is out of range or stands twice, or a value is not finite.</exception>
    public void FromSparse(ReadOnlySpan<int> ids, ReadOnlySpan<float> values, FeatureVector output)
    {
        output.Clear();
        if (TakesText)
            throw new InputException("this model takes text, not numbers");
        if (ids.Length != values.Length)
            throw new InputException($"{ids.Length} feature ids but {values.Length} values");
        for (int i = 0; i < ids.Length; i++)
            output.Add(ids[i], values[i]);
        FromRaw(output);
    }

    /// <summary>One value per feature.</summary>
    /// <exception cref="InputException">The wrong number of values, or one that is not finite.</exception>
    public void FromDense(ReadOnlySpan<float> values, FeatureVector output)
    {
        output.Clear();
        if (TakesText)
            throw new InputException("this model takes text, not numbers");
        if (values.Length != FeatureCount)
            throw new InputException($"{values.Length} values where the model takes {FeatureCount}");
        for (int i = 0; i < values.Length; i++)
        {
            if (values[i] != 0f)
                output.Add(i, values[i]);
        }
        FromRaw(output);
    }

    /// <summary>Checks and finishes a vector that holds raw ids and values.</summary>
    public void FromRaw(FeatureVector output)
    {
        for (int i = 0; i < output.Count; i++)
        {
            if ((uint)output.Ids[i] >= _record.FeatureCount)
                throw new InputException($"feature {output.Ids[i]} is out of range (the model has {_record.FeatureCount})");
            if (!float.IsFinite(output.Values[i]))
                throw new InputException($"feature {output.Ids[i]} has a value that is not a finite number");
        }
        int before = output.Count;
        output.Canonicalize();
        if (output.Count != before)
            throw new InputException("a feature stands twice in one input");
        Finish(output);
    }

    private void AddGrams(ReadOnlySpan<byte> utf8, FeatureVector output)
    {
        Span<ulong> scratch = stackalloc ulong[MaxGramLimit];
        var window = new GramWindow(scratch, _record.MinGram, _record.MaxGram);
        var reader = new TokenReader(utf8, _record.Tokenizer, _record.HashSeed);
        while (reader.TryRead(out ulong token))
        {
            foreach (ulong gram in window.Push(token))
            {
                int id = _record.Indexing == FeatureIndexing.Vocabulary ? _vocabulary.Find(gram) : TokenHash.Reduce(gram, FeatureCount);
                if (id >= 0)
                    output.Add(id, 1f);
            }
        }
        output.Canonicalize();
    }

    /// <summary>Transform, feature weight, normalization; exact zeros are dropped.</summary>
    private void Finish(FeatureVector vector)
    {
        vector.Canonicalize();
        int* ids = vector.Ids;
        float* values = vector.Values;
        int kept = 0;
        float squares = 0f;
        for (int i = 0; i < vector.Count; i++)
        {
            float value = Transform(values[i]);
            if (!_weights.IsEmpty)
                value *= _weights.Pointer[ids[i]];
            if (value == 0f)
                continue;
            squares += value * value;
            ids[kept] = ids[i];
            values[kept++] = value;
        }
        vector.Truncate(kept);
        if (kept == 0)
            return;
        if (!float.IsFinite(squares))
            throw new InputException("the input's values are too large");
        if (_record.Normalization == ValueNormalization.L2 && squares > 0f)
        {
            float inverse = 1f / MathF.Sqrt(squares);
            for (int i = 0; i < kept; i++)
                values[i] *= inverse;
        }
    }

    private float Transform(float value) => _record.Transform switch
    {
        ValueTransform.Binary => value != 0f ? 1f : 0f,
        ValueTransform.Log1P => value < 0f ? -StableMath.Log1P(-value) : StableMath.Log1P(value),
        ValueTransform.Sqrt => value < 0f ? -MathF.Sqrt(-value) : MathF.Sqrt(value),
        _ => value,
    };

    /// <summary>What is impossible about the parameters, or null.</summary>
    private static string? Validate(in FeaturizerRecord record)
    {
        if (record.FeatureCount is 0 or > ModelFormat.MaxWidth)
            return $"{record.FeatureCount} features are not between 1 and {ModelFormat.MaxWidth}";
        if (!Enum.IsDefined(record.Kind) || !Enum.IsDefined(record.Indexing) || !Enum.IsDefined(record.Tokenizer)
            || !Enum.IsDefined(record.Transform) || !Enum.IsDefined(record.Normalization) || record.HasFeatureWeights > 1)
            return "a parameter has an unknown value";
        bool text = record.Kind == FeaturizerKind.Text;
        bool context = record.Kind == FeaturizerKind.Context;
        if ((record.Indexing == FeatureIndexing.Direct) == (text || context) || (context && record.Indexing != FeatureIndexing.Vocabulary))
            return "its indexing does not fit its kind";
        if (text && (record.MinGram < 1 || record.MaxGram < record.MinGram || record.MaxGram > MaxGramLimit))
            return $"n-grams of {record.MinGram} to {record.MaxGram} words are not within 1 to {MaxGramLimit}";
        if (record.Indexing == FeatureIndexing.Vocabulary
            && (record.VocabularySize == 0 || record.VocabularySize > VocabularyIndex.MaxSize || record.VocabularySlots <= record.VocabularySize || record.VocabularySlots > int.MaxValue))
            return "its vocabulary has an impossible size";
        if (text && record.Indexing == FeatureIndexing.Vocabulary && record.VocabularySize != record.FeatureCount)
            return "its vocabulary and its features differ in number";
        if (context)
        {
            if (record.Positions > MaxPositions || record.BagWindow > MaxBagWindow || record.Positions + record.BagWindow == 0)
                return $"a context of {record.Positions} positions and {record.BagWindow} words in the bag is impossible";
            if ((ulong)record.VocabularySize * (record.Positions + (record.BagWindow > 0 ? 1u : 0u)) != record.FeatureCount)
                return "its vocabulary and its features do not fit";
            if ((record.UnknownToken != FeaturizerRecord.NoToken && record.UnknownToken >= record.VocabularySize)
                || (record.LineStartToken != FeaturizerRecord.NoToken && record.LineStartToken >= record.VocabularySize))
                return "a special token is not in the vocabulary";
        }
        return null;
    }
}
