using System.Text;
using EdgeSlide.Features;
using EdgeSlide.Model;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Featurization;
using EdgeSlide.Training.Tests.Data;
using EdgeSlide.Training.Tests.Export;

namespace EdgeSlide.Training.Tests.Featurization;

public class FeaturizationTests
{
    private static readonly string[] Lines = ["steam engines of the north", "Steam Engines in Norrköping", "a history of the railway", "the railway of the north", ""];

    public static TheoryData<string> TextOptions() => ["vocabulary", "hashed", "idf", "binary"];

    [Theory]
    [MemberData(nameof(TextOptions))]
    public void Training_and_device_see_the_same_features_of_a_text(string kind)
    {
        FeatureOptions options = kind switch
        {
            "hashed" => new FeatureOptions { HashBuckets = 97, MinCount = 1 },
            "idf" => new FeatureOptions { Idf = true, MinCount = 1, MaxGram = 3 },
            "binary" => new FeatureOptions { Transform = ValueTransform.Binary, Normalization = ValueNormalization.None },
            _ => new FeatureOptions(),
        };
        TextDataset rows = Samples.Text(Lines);
        Featurizer featurizer = FeaturizerFit.Fit(rows, options);
        Dataset training = featurizer.Featurize(rows);

        using EdgeSlideModel model = Samples.Export(featurizer, labels: rows.Labels.Count, out string path);
        using var features = new FeatureVector();
        for (int row = 0; row < Lines.Length; row++)
        {
            model.Featurizer.FromText(Encoding.UTF8.GetBytes(Lines[row]), features);
            Assert.Equal(training.RowFeatures(row), features.IdSpan);
            Assert.Equal(training.RowValues(row), features.ValueSpan);
        }
        Assert.True(training.FeatureIds.Length > 0);
        File.Delete(path);
    }

    [Fact]
    public void Frequent_features_come_first_and_rare_ones_are_left_out()
    {
        TextDataset rows = Samples.Text(["x y", "x y", "x z", "x"]);
        Featurizer featurizer = FeaturizerFit.Fit(rows, new FeatureOptions { MaxGram = 1, MinCount = 2, Normalization = ValueNormalization.None });
        Assert.Equal(2, featurizer.FeatureCount);
        Dataset data = featurizer.Featurize(rows);
        Assert.Equal([0, 1], data.RowFeatures(0).ToArray());
        Assert.Equal([0], data.RowFeatures(2).ToArray());
    }

    [Fact]
    public void Inverse_document_frequencies_follow_their_formula()
    {
        TextDataset rows = Samples.Text(["x y", "x y", "x z", "x"]);
        Featurizer featurizer = FeaturizerFit.Fit(rows, new FeatureOptions { MaxGram = 1, MinCount = 1, Idf = true, Normalization = ValueNormalization.None });
        Dataset data = featurizer.Featurize(rows);
        Assert.Equal((float)(Math.Log(5.0 / 5.0) + 1.0), data.RowValues(0)[0]);
        Assert.Equal((float)(Math.Log(5.0 / 3.0) + 1.0), data.RowValues(0)[1]);
    }

    /// <summary>Values that are finite, and whose squares are not, which only the featurizer's options decide.</summary>
    private const string TooLarge = "5 4 3\n0 1:1\n1 2:1e38 3:3e38\nx 1:1\n2 3:1\n0 0:2e38 1:2e38\n";

    [Fact]
    public void A_row_that_cannot_become_features_is_named_by_its_line()
    {
        using var files = new TemporaryFiles();
        string path = files.Write("rows.txt", TooLarge.Replace("x 1:1", "2 1:1", StringComparison.Ordinal));
        SparseDataset rows = XcFormat.Read(path);
        Featurizer featurizer = FeaturizerFit.Fit(rows, new FeatureOptions());
        var failure = Assert.Throws<DataFormatException>(() => featurizer.Featurize(rows));
        Assert.Equal($"{path}:3: the input's values are too large", failure.Message);
        // Rows that were picked keep their lines.
        failure = Assert.Throws<DataFormatException>(() => featurizer.Featurize(rows.Select([3, 4, 1])));
        Assert.Equal(6, failure.Line);
        Assert.Equal(5, FeaturizerFit.Fit(rows, new FeatureOptions { Transform = ValueTransform.Log1P }).Featurize(rows).RowCount);
    }

    [Fact]
    public void Rows_that_cannot_become_features_are_left_out_if_bad_rows_are()
    {
        using var files = new TemporaryFiles();
        string path = files.Write("rows.txt", TooLarge);
        var skipped = new SkippedRows();
        SparseDataset rows = XcFormat.Read(path, skipped: skipped);
        Assert.Equal((1, 4L), (skipped.Count, skipped.First!.Line));
        var refused = new SkippedRows();
        Dataset data = FeaturizerFit.Fit(rows, new FeatureOptions()).Featurize(rows, refused, out RawDataset kept);
        Assert.Equal((2, 3L), (refused.Count, refused.First!.Line));
        Assert.Equal((2, 2), (data.RowCount, kept.RowCount));
        for (int row = 0; row < 2; row++)
            Assert.Equal(kept.RowLabels(row), data.RowLabels(row));
        Assert.Equal([0, 2], data.LabelIds.ToArray());
        Assert.Equal([1, 3], data.FeatureIds.ToArray());
        Assert.Equal([$"{path}:2", $"{path}:5"], Enumerable.Range(0, 2).Select(row => data.RowPlace(row)));
        Assert.Equal(3, Assert.Throws<DataFormatException>(() => FeaturizerFit.Fit(rows, new FeatureOptions()).Featurize(rows.Select([1, 3]), refused, out _)).Line);
    }

    [Fact]
    public void Every_word_of_a_text_is_predicted_from_the_words_before_it_in_its_line()
    {
        string folder = Directory.CreateTempSubdirectory("edgeslide").FullName;
        string text = Path.Combine(folder, "text.txt");
        File.WriteAllText(text, "a b a\nb\n");
        TokenVocabulary vocabulary = TokenFormat.BuildVocabulary(text);
        TokenStream stream = TokenFormat.Read(text, vocabulary);
        var options = new FeatureOptions { Positions = 2, BagWindow = 3, Normalization = ValueNormalization.None };
        Featurizer featurizer = FeaturizerFit.Fit(vocabulary, options);
        Dataset data = featurizer.Featurize(stream);

        int size = vocabulary.Count, eos = vocabulary.EndOfLineId;
        Assert.True(vocabulary.Words.TryGetId("a"u8, out int a));
        Assert.True(vocabulary.Words.TryGetId("b"u8, out int b));
        Assert.Equal([a, b, a, eos, b, eos], data.LabelIds);
        // The third word "a" follows <eos> a b: b last, a before it, and all three in the bag.
        Assert.Equal(new[] { b, size + a, 2 * size + eos, 2 * size + a, 2 * size + b }.Order(), data.RowFeatures(2).ToArray());
        // The first word of the second line sees nothing of the first.
        Assert.Equal([eos, 2 * size + eos], data.RowFeatures(4).ToArray());

        using EdgeSlideModel model = Samples.Export(featurizer, size, out string path);
        using var features = new FeatureVector();
        model.Featurizer.FromText("a b"u8, features);
        Assert.Equal(data.RowFeatures(2), features.IdSpan);
        Assert.Equal(data.RowValues(2), features.ValueSpan);
        File.Delete(path);
        Directory.Delete(folder, recursive: true);
    }

    [Theory]
    [InlineData(5, 16)]
    [InlineData(1, 2)]
    [InlineData(3, 0)]
    public void Rows_made_one_by_one_from_a_text_are_those_made_at_once(int positions, int bag)
    {
        string folder = Directory.CreateTempSubdirectory("edgeslide").FullName;
        string text = Path.Combine(folder, "text.txt");
        var random = new Random(7);
        File.WriteAllText(text, string.Concat(Enumerable.Range(0, 400).Select(_ => random.Next(9) == 0 ? "\n" : $"w{random.Next(20)} ")) + "\n");
        TokenStream stream = TokenFormat.Read(text, TokenFormat.BuildVocabulary(text));
        Featurizer featurizer = FeaturizerFit.Fit(stream.Vocabulary, new FeatureOptions { Positions = positions, BagWindow = bag });
        Dataset all = featurizer.Featurize(stream);
        var rows = new ContextRows(featurizer, stream);
        Assert.Equal((all.RowCount, all.FeatureCount, all.LabelCount), (rows.RowCount, rows.FeatureCount, rows.LabelCount));
        using RowCursor cursor = rows.CreateCursor();
        for (int row = all.RowCount - 1; row >= 0; row--)
        {
            cursor.MoveTo(row);
            Assert.Equal(all.RowFeatures(row), cursor.Ids);
            Assert.Equal(all.RowValues(row), cursor.Values);
            Assert.Equal(all.RowLabels(row), rows.RowLabels(row));
        }
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public void A_text_without_any_repeated_word_is_refused_in_one_line()
    {
        var error = Assert.Throws<ArgumentException>(() => FeaturizerFit.Fit(Samples.Text(["x", "y"]), new FeatureOptions { MinCount = 2 }));
        Assert.DoesNotContain('\n', error.Message);
        Assert.Contains("2 rows", error.Message, StringComparison.Ordinal);
    }
}
