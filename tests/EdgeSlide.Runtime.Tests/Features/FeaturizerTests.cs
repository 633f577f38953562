using System.Text;
using EdgeSlide.Features;
using EdgeSlide.Kernels;
using EdgeSlide.Model;
using EdgeSlide.Runtime.Tests.Support;

namespace EdgeSlide.Runtime.Tests.Features;

public sealed class FeaturizerTests
{
    private static readonly FeaturizerRecord Sparse = TestNetwork.OfNumbers(FeaturizerKind.Sparse, 10).Featurizer;
    private static readonly FeaturizerRecord Dense = TestNetwork.OfNumbers(FeaturizerKind.Dense, 4).Featurizer;

    [Fact]
    public void Words_of_the_vocabulary_count_and_unknown_words_are_ignored()
    {
        TestNetwork text = TestNetwork.OfText(20, hashed: false);
        Featurizer featurizer = Create(text.Featurizer with { Normalization = ValueNormalization.None }, text.Vocabulary);
        Assert.Equal([(3, 1f), (7, 2f)], FromText(featurizer, "w7 unknown W3, w7!"));
        Assert.Empty(FromText(featurizer, ""));
        Assert.Empty(FromText(featurizer, "nothing known here"));
    }

    [Fact]
    public void Every_ngram_length_from_the_shortest_to_the_longest_is_a_feature()
    {
        ulong a = Hash("a"), b = Hash("b"), c = Hash("c");
        ulong[] grams = [a, b, c, TokenHash.Extend(a, b), TokenHash.Extend(b, c), TokenHash.Extend(TokenHash.Extend(a, b), c)];
        FeaturizerRecord record = TestNetwork.OfText(6, hashed: false, maxGram: 3).Featurizer with { HashSeed = 0, Normalization = ValueNormalization.None };
        ulong[] vocabulary = VocabularyIndex.Build(grams);
        Assert.Equal([0, 1, 2, 3, 4, 5], FromText(Create(record, vocabulary), "a b c").Select(f => f.Id));
        Assert.Equal([0, 1, 3], FromText(Create(record, vocabulary), "a b a").Select(f => f.Id));
        Assert.Equal([3, 4, 5], FromText(Create(record with { MinGram = 2 }, vocabulary), "a b c").Select(f => f.Id));
        Assert.Equal([0, 1, 2], FromText(Create(record with { MaxGram = 1 }, vocabulary), "a b c").Select(f => f.Id));
    }

    [Fact]
    public void Hashed_ngrams_are_the_reduced_hashes()
    {
        FeaturizerRecord record = TestNetwork.OfText(1000, hashed: true, maxGram: 2).Featurizer with { HashSeed = 0, Normalization = ValueNormalization.None };
        IEnumerable<int> expected = new[] { Hash("low"), Hash("power"), TokenHash.Extend(Hash("low"), Hash("power")) }.Select(h => TokenHash.Reduce(h, 1000)).Order();
        Assert.Equal(expected, FromText(Create(record), "Low power").Select(f => f.Id));
    }

    [Fact]
    public void A_context_is_its_last_words_by_position_and_as_a_bag()
    {
        TestNetwork context = TestNetwork.OfContext(10, positions: 2, bag: 4);
        Featurizer featurizer = Create(context.Featurizer, context.Vocabulary);
        // Of "w2 w3 w4 w5 w3" the last two by position (w3 at 0, w5 at 10 + 5) and the last four as a bag from 20 on.
        Assert.Equal([(3, 1f), (15, 1f), (23, 2f), (24, 1f), (25, 1f)], FromText(featurizer, "w2 w3 w4 w5 w3"));
        // w0 starts every line; an unknown word is w1.
        Assert.Equal([(1, 1f), (10, 1f), (20, 1f), (21, 1f)], FromText(featurizer, "never-heard"));
        Assert.Equal([(0, 1f), (20, 1f)], FromText(featurizer, ""));
    }

    [Fact]
    public void A_context_without_special_tokens_looks_no_further_back_for_unknown_words()
    {
        TestNetwork context = TestNetwork.OfContext(10, positions: 2, bag: 0);
        Featurizer featurizer = Create(context.Featurizer with { UnknownToken = FeaturizerRecord.NoToken, LineStartToken = FeaturizerRecord.NoToken }, context.Vocabulary);
        Assert.Equal([(4, 1f)], FromText(featurizer, "never-heard w4"));
        Assert.Equal([(4, 1f)], FromText(featurizer, "w4 never-heard"));
        Assert.Empty(FromText(featurizer, "w4 never heard"));
        Assert.Empty(FromText(featurizer, ""));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Training_and_prediction_see_the_same_context(bool specialTokens)
    {
        TestNetwork context = TestNetwork.OfContext(30, positions: 3, bag: 8);
        Featurizer featurizer = specialTokens
            ? Create(context.Featurizer, context.Vocabulary)
            : Create(context.Featurizer with { UnknownToken = FeaturizerRecord.NoToken, LineStartToken = FeaturizerRecord.NoToken }, context.Vocabulary);
        var random = new TestRandom(3);
        string[] words = [.. Enumerable.Range(0, 60).Select(_ => random.Chance(20) ? "unheard" : $"w{random.Below(30)}")];
        int[] line = [.. words.Select(w => featurizer.TokenId(TokenHash.Of(Encoding.UTF8.GetBytes(w), 17)))];
        int start = specialTokens ? 1 : 0;
        if (specialTokens)
            line = [0, .. line];
        Assert.Equal(!specialTokens, line.Contains(-1));
        using var features = new FeatureVector();
        for (int position = start; position <= line.Length; position++)
        {
            featurizer.FromContext(line, position, features);
            Assert.Equal(FromText(featurizer, string.Join(' ', words[..(position - start)])), Pairs(features));
        }
    }

    [Theory]
    [InlineData(ValueTransform.None, -3f, 4f)]
    [InlineData(ValueTransform.Binary, 1f, 1f)]
    [InlineData(ValueTransform.Log1P, -1.3862944f, 1.6094379f)]
    [InlineData(ValueTransform.Sqrt, -1.7320508f, 2f)]
    internal void Transforms_keep_the_sign(ValueTransform transform, float minusThree, float four)
    {
        Featurizer featurizer = Create(Sparse with { Transform = transform });
        List<(int Id, float Value)> result = FromSparse(featurizer, [8, 2], [-3f, 4f]);
        Assert.Equal([2, 8], result.Select(f => f.Id));
        Assert.Equal(four, result[0].Value, 1e-6f);
        Assert.Equal(minusThree, result[1].Value, 1e-6f);
    }

    [Fact]
    public void Feature_weights_come_after_the_transform_and_normalization_last()
    {
        float[] weights = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
        Featurizer featurizer = Create(Sparse with { Transform = ValueTransform.Sqrt, Normalization = ValueNormalization.L2 }, weights: weights);
        List<(int Id, float Value)> result = FromSparse(featurizer, [1, 2, 0], [9f, 4f, 100f]);
        // sqrt(9) * 1 = 3 and sqrt(4) * 2 = 4 have the length 5; the feature of weight 0 is gone.
        Assert.Equal([(1, 0.6f), (2, 0.8f)], result.Select(f => (f.Id, MathF.Round(f.Value, 6))));
    }

    [Fact]
    public void Zeros_are_no_features()
    {
        Assert.Equal([(1, 5f), (3, 2f)], FromSparse(Create(Sparse), [1, 2, 3], [5f, 0f, 2f]));
        using var features = new FeatureVector();
        Create(Dense).FromDense([0f, 1f, -0f, 3f], features);
        Assert.Equal([(1, 1f), (3, 3f)], Pairs(features));
    }

    [Theory]
    [InlineData(new[] { 10 }, new[] { 1f }, "feature 10 is out of range (the model has 10)")]
    [InlineData(new[] { -1 }, new[] { 1f }, "feature -1 is out of range (the model has 10)")]
    [InlineData(new[] { 3, 5, 3 }, new[] { 1f, 2f, 3f }, "a feature stands twice in one input")]
    [InlineData(new[] { 3 }, new[] { float.NaN }, "feature 3 has a value that is not a finite number")]
    [InlineData(new[] { 3 }, new[] { float.PositiveInfinity }, "feature 3 has a value that is not a finite number")]
    [InlineData(new[] { 3 }, new[] { float.NegativeInfinity }, "feature 3 has a value that is not a finite number")]
    [InlineData(new[] { 3 }, new[] { 1f, 2f }, "1 feature ids but 2 values")]
    [InlineData(new[] { 3, 4 }, new[] { 3e38f, 3e38f }, "the input's values are too large")]
    public void A_bad_sparse_vector_is_refused_with_its_reason(int[] ids, float[] values, string message) =>
        Assert.Equal(message, Assert.Throws<InputException>(() => FromSparse(Create(Sparse), ids, values)).Message);

    [Fact]
    public void A_bad_dense_vector_is_refused_with_its_reason()
    {
        using var features = new FeatureVector();
        Featurizer featurizer = Create(Dense);
        Assert.Equal("3 values where the model takes 4", Assert.Throws<InputException>(() => featurizer.FromDense([1, 2, 3], features)).Message);
        Assert.Equal("5 values where the model takes 4", Assert.Throws<InputException>(() => featurizer.FromDense([1, 2, 3, 4, 5], features)).Message);
        Assert.Equal("feature 2 has a value that is not a finite number", Assert.Throws<InputException>(() => featurizer.FromDense([1, 2, float.NaN, 4], features)).Message);
    }

    [Fact]
    public void Text_and_numbers_are_not_mistaken_for_each_other()
    {
        using var features = new FeatureVector();
        TestNetwork text = TestNetwork.OfText(20, hashed: false);
        Featurizer textual = Create(text.Featurizer, text.Vocabulary), numeric = Create(Sparse);
        Assert.Equal("this model takes numbers, not text", Assert.Throws<InputException>(() => numeric.FromText("w1"u8, features)).Message);
        Assert.Equal("this model takes text, not numbers", Assert.Throws<InputException>(() => textual.FromSparse([1], [1f], features)).Message);
        Assert.Equal("this model takes text, not numbers", Assert.Throws<InputException>(() => textual.FromDense(new float[20], features)).Message);
    }

    [Fact]
    public void More_features_than_the_accumulators_can_hold_are_refused()
    {
        Featurizer featurizer = Create(TestNetwork.OfNumbers(FeaturizerKind.Sparse, 1 << 20).Featurizer);
        int[] ids = [.. Enumerable.Range(0, FeatureVector.MaxCount)];
        float[] values = [.. ids.Select(_ => 1f)];
        Assert.Equal(FeatureVector.MaxCount, FromSparse(featurizer, ids, values).Count);
        Assert.Equal($"more than {FeatureVector.MaxCount} features in one input",
            Assert.Throws<InputException>(() => FromSparse(featurizer, [.. ids, 70_000], [.. values, 1f])).Message);
    }

    [Fact]
    public void Equal_ids_add_up_when_a_vector_becomes_canonical()
    {
        using var features = new FeatureVector(2);
        foreach ((int id, float value) in new[] { (5, 1f), (2, 2f), (5, 3f), (9, 4f), (2, 5f), (1, 6f) })
            features.Add(id, value);
        features.Canonicalize();
        Assert.Equal([(1, 6f), (2, 7f), (5, 4f), (9, 4f)], Pairs(features));
    }

    [Theory]
    [InlineData("0 features")]
    [InlineData("n-grams")]
    [InlineData("indexing")]
    [InlineData("impossible size")]
    [InlineData("differ in number")]
    [InlineData("context of")]
    [InlineData("do not fit")]
    [InlineData("special token")]
    [InlineData("unknown value")]
    public void Impossible_parameters_are_refused(string reason)
    {
        TestNetwork text = TestNetwork.OfText(20, hashed: false), context = TestNetwork.OfContext(10, 2, 4);
        (FeaturizerRecord record, ulong[]? vocabulary) = reason switch
        {
            "0 features" => (Sparse with { FeatureCount = 0 }, null),
            "n-grams" => (text.Featurizer with { MaxGram = 6 }, text.Vocabulary),
            "indexing" => (Sparse with { Indexing = FeatureIndexing.Hashed }, null),
            "impossible size" => (text.Featurizer, new ulong[20]),
            "differ in number" => (text.Featurizer with { FeatureCount = 21 }, text.Vocabulary),
            "context of" => (context.Featurizer with { Positions = 0, BagWindow = 0 }, context.Vocabulary),
            "do not fit" => (context.Featurizer with { FeatureCount = 29 }, context.Vocabulary),
            "special token" => (context.Featurizer with { UnknownToken = 10 }, context.Vocabulary),
            _ => (Sparse with { Transform = (ValueTransform)9 }, (ulong[]?)null),
        };
        Assert.Contains(reason, Assert.Throws<ArgumentException>(() => Create(record, vocabulary)).Message, StringComparison.Ordinal);
    }

    private static Featurizer Create(FeaturizerRecord record, ulong[]? vocabulary = null, float[]? weights = null) => Featurizer.Create(record, vocabulary, weights);

    private static ulong Hash(string token) => TokenHash.Of(Encoding.UTF8.GetBytes(token), 0);

    private static List<(int Id, float Value)> FromText(Featurizer featurizer, string text)
    {
        using var features = new FeatureVector();
        featurizer.FromText(Encoding.UTF8.GetBytes(text), features);
        return Pairs(features);
    }

    private static List<(int Id, float Value)> FromSparse(Featurizer featurizer, int[] ids, float[] values)
    {
        using var features = new FeatureVector();
        featurizer.FromSparse(ids, values, features);
        return Pairs(features);
    }

    private static List<(int Id, float Value)> Pairs(FeatureVector features) => [.. features.IdSpan.ToArray().Zip(features.ValueSpan.ToArray())];
}

public sealed class RowParserTests
{
    [Theory]
    [InlineData("1,2 3:0.5 7:2", "1,2", "3=0.5 7=2")]
    [InlineData(" 3:0.5 7:-2e-1", "", "3=0.5 7=-0.2")]
    [InlineData("3:0.5\t7:1", "", "3=0.5 7=1")]
    [InlineData("12", "12", "")]
    [InlineData("", "", "")]
    [InlineData("5  1:1 ", "5", "1=1")]
    public void Sparse_rows_are_labels_and_pairs(string line, string labels, string features)
    {
        using var output = new FeatureVector();
        ReadOnlySpan<byte> found = RowParser.Sparse(Encoding.UTF8.GetBytes(line), output);
        Assert.Equal(labels, Encoding.UTF8.GetString(found));
        Assert.Equal(features, string.Join(' ', output.IdSpan.ToArray().Zip(output.ValueSpan.ToArray(), (id, value) => FormattableString.Invariant($"{id}={value}"))));
    }

    [Theory]
    [InlineData("1:1 2", "'2' is not id:value")]
    [InlineData("1:1 x:2", "'x:2' does not begin with a feature id")]
    [InlineData("1:1 -2:2", "'-2:2' does not begin with a feature id")]
    [InlineData("1:1 99999999999:2", "'99999999999:2' does not begin with a feature id")]
    [InlineData("1:1 2.5:2", "'2.5:2' does not begin with a feature id")]
    [InlineData("1:", "'1:' is not a number")]
    [InlineData("1:2x", "'1:2x' is not a number")]
    [InlineData("1:2:3", "'1:2:3' is not a number")]
    [InlineData("1:NaN", "'1:NaN' is not a finite number")]
    [InlineData("1:-Infinity", "'1:-Infinity' is not a finite number")]
    [InlineData("1:1e99", "'1:1e99' is not a finite number")]
    [InlineData("1:\u0007\u001b[31m", "'1:??[31m' is not a number")]
    public void A_bad_sparse_row_is_refused_with_its_word(string line, string message)
    {
        using var output = new FeatureVector();
        Assert.Equal(message, Assert.Throws<InputException>(() => _ = RowParser.Sparse(Encoding.UTF8.GetBytes(line), output).Length).Message);
    }

    [Fact]
    public void Dense_rows_are_counted_and_their_zeros_left_out()
    {
        using var output = new FeatureVector();
        Assert.Equal(6, RowParser.Dense("1, 2.5 ,0,-0,1e-3,\t7"u8, output));
        Assert.Equal([0, 1, 4, 5], output.IdSpan.ToArray());
        Assert.Equal([1f, 2.5f, 1e-3f, 7f], output.ValueSpan.ToArray());
    }

    [Theory]
    [InlineData("1,,2", "'' is not a number")]
    [InlineData("1,2,", "'' is not a number")]
    [InlineData("1;2", "'1;2' is not a number")]
    [InlineData("1,NaN", "'NaN' is not a finite number")]
    [InlineData("1,0x10", "'0x10' is not a number")]
    public void A_bad_dense_row_is_refused_with_its_field(string line, string message)
    {
        using var output = new FeatureVector();
        Assert.Equal(message, Assert.Throws<InputException>(() => RowParser.Dense(Encoding.UTF8.GetBytes(line), output)).Message);
    }
}
