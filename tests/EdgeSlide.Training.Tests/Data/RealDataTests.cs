using System.Diagnostics;
using EdgeSlide.Training.Data;
using Xunit.Abstractions;

namespace EdgeSlide.Training.Tests.Data;

/// <summary>The readers on the real sets: every count equals the one in the set's PROVENANCE.md.</summary>
[Trait("Category", "Data")]
public class RealDataTests(ITestOutputHelper output)
{
    [DataFact("yso-finna-en")]
    public void Yso_finna_en_has_the_documented_counts()
    {
        LabelVocabulary labels = LabelVocabulary.Read(RealData.File("yso-finna-en", "labels.tsv.gz"));
        var watch = Stopwatch.StartNew();
        TextDataset train = TextFormat.Read(RealData.File("yso-finna-en", "train.tsv.gz"), labels);
        output.WriteLine($"train read in {watch.ElapsedMilliseconds} ms");
        TextDataset valid = TextFormat.Read(RealData.File("yso-finna-en", "valid.tsv.gz"), labels);
        TextDataset test = TextFormat.Read(RealData.File("yso-finna-en", "test.tsv.gz"), labels);

        Assert.Equal(27_754, labels.Count);
        Assert.Equal("light reading", labels.Names[0]);
        Assert.Equal((588_130, 32_697, 32_658), (train.RowCount, valid.RowCount, test.RowCount));
        int[] inTrain = train.CountLabels(), inValid = valid.CountLabels(), inTest = test.CountLabels();
        int[] all = [.. inTrain.Select((count, id) => count + inValid[id] + inTest[id])];
        Assert.Equal(24_986, inTrain.Count(n => n > 0));
        Assert.Equal((25_147, 21_334, 15_993, 339), (all.Count(n => n >= 1), all.Count(n => n >= 5), all.Count(n => n >= 20), all.Max()));
        Assert.Equal(87, inTest.Where((n, id) => n > 0 && inTrain[id] == 0).Count());
        Assert.Equal(2.44, (double)train.LabelIds.Length / train.RowCount, 2);
        Assert.Equal("Case studies on human rights and fundamental freedoms : a world survey. Vol. 1"u8, train.RowText(0));
        Assert.Equal([175], train.RowLabels(0).ToArray());
    }

    [DataFact("wikitext-2")]
    public void Wikitext_2_has_the_documented_counts()
    {
        TokenVocabulary vocabulary = TokenFormat.ReadVocabulary(RealData.File("wikitext-2", "vocab.txt.gz"));
        Assert.Equal((33_278, 0), (vocabulary.Count, vocabulary.EndOfLineId));
        foreach ((string name, int lines, int tokens) in new[] { ("train", 36_718, 2_088_628), ("valid", 3_760, 217_646), ("test", 4_358, 245_569) })
        {
            var watch = Stopwatch.StartNew();
            TokenStream stream = TokenFormat.Read(RealData.File("wikitext-2", $"{name}.txt.gz"), vocabulary);
            output.WriteLine($"{name} read in {watch.ElapsedMilliseconds} ms");
            Assert.Equal((lines, tokens, 0L), (stream.Ids.Count(id => id == vocabulary.EndOfLineId), stream.Ids.Length, stream.UnknownCount));
        }
        // Train covers all of it but <eos>, and holds <unk> as a word of its own.
        TokenVocabulary built = TokenFormat.BuildVocabulary(RealData.File("wikitext-2", "train.txt.gz"));
        Assert.Equal(33_278, built.Count);
    }

    [DataFact("citeulike-t")]
    public void Citeulike_t_has_the_documented_counts()
    {
        (SparseDataset train, SparseDataset test) = ReadXc("citeulike-t");
        Assert.Equal((20_772, 5_172, 20_000, 52_946), (train.RowCount, test.RowCount, train.FeatureCount, train.Labels.Count));
        AssertRowMeans(train, features: 18.97, labels: 11.16, max: 379);
        AssertRowMeans(test, features: 18.70, labels: 11.36, max: 357);
        AssertTrainLabels(train, test, inTrain: 46_229, testOnly: 6_690);
    }

    [DataFact("amazon-book")]
    public void Amazon_book_has_the_documented_counts()
    {
        (SparseDataset train, SparseDataset test) = ReadXc("amazon-book");
        Assert.Equal((63_446, 7_145, 24_915, 24_915), (train.RowCount, test.RowCount, train.FeatureCount, train.Labels.Count));
        AssertRowMeans(train, features: 9.20, labels: 2.74, max: 3_582);
        Assert.Equal(893, Enumerable.Range(0, train.RowCount).Max(row => train.RowLabels(row).Length));
        AssertRowMeans(test, features: 9.58, labels: 2.83);
        AssertTrainLabels(train, test, inTrain: 21_284, testOnly: 548);
        // The documented 846,434 interactions include the 372 of 88 readers who were left out.
        Assert.Equal(846_434 - 372, train.FeatureIds.Length + test.FeatureIds.Length + train.LabelIds.Length + test.LabelIds.Length);
    }

    [DataFact("delicious-983")]
    public void Delicious_983_has_the_documented_counts()
    {
        LabelVocabulary labels = LabelVocabulary.Read(RealData.File("delicious-983", "labels.txt.gz"));
        (SparseDataset train, SparseDataset test) = ReadXc("delicious-983", labels);
        Assert.Equal((12_920, 3_185, 500, 983), (train.RowCount, test.RowCount, train.FeatureCount, train.Labels.Count));
        AssertRowMeans(train, features: 18.54, labels: 19.05);
        AssertRowMeans(test, features: 17.29, labels: 18.91);
        Assert.Equal((10, 4), (CountUnlabelled(train), CountUnlabelled(test)));
        Assert.Equal("TAG_.imported", train.Labels.Names[0]);

        static int CountUnlabelled(SparseDataset data) => Enumerable.Range(0, data.RowCount).Count(row => data.RowLabels(row).IsEmpty);
    }

    [DataFact("mnist-10k")]
    public void Mnist_10k_has_the_documented_counts()
    {
        IReadOnlyList<DenseDataset> sets = DenseFormat.Read([RealData.File("mnist-10k", "train.csv.gz"), RealData.File("mnist-10k", "test.csv.gz")]);
        Assert.Equal((7_996, 2_004, 784), (sets[0].RowCount, sets[1].RowCount, sets[0].ValueCount));
        Assert.Equal(["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"], sets[0].Labels.Names);
        Assert.Equal([6], sets[0].RowLabels(0).ToArray());
        Assert.InRange(sets[0].ToSparse().FeatureIds.Length / 7_996.0, 149.5, 150.5);
        Assert.Equal((0f, 255f), (sets[0].Values.Min(), sets[0].Values.Max()));
    }

    private (SparseDataset Train, SparseDataset Test) ReadXc(string set, LabelVocabulary? labels = null)
    {
        var watch = Stopwatch.StartNew();
        SparseDataset train = XcFormat.Read(RealData.File(set, "train.xc.txt.gz"), labels);
        output.WriteLine($"{set} train read in {watch.ElapsedMilliseconds} ms");
        return (train, XcFormat.Read(RealData.File(set, "test.xc.txt.gz"), labels ?? train.Labels, train.FeatureCount));
    }

    private static void AssertRowMeans(SparseDataset data, double features, double labels, int? max = null)
    {
        Assert.Equal(features, (double)data.FeatureIds.Length / data.RowCount, 2);
        Assert.Equal(labels, (double)data.LabelIds.Length / data.RowCount, 2);
        if (max is not null) Assert.Equal(max, Enumerable.Range(0, data.RowCount).Max(row => Math.Max(data.RowFeatures(row).Length, data.RowLabels(row).Length)));
        for (int row = 0; row < data.RowCount; row++)
        {
            ReadOnlySpan<int> ids = data.RowFeatures(row);
            for (int i = 1; i < ids.Length; i++) Assert.True(ids[i - 1] < ids[i]);
        }
    }

    private static void AssertTrainLabels(SparseDataset train, SparseDataset test, int inTrain, int testOnly)
    {
        int[] trainCounts = train.CountLabels(), testCounts = test.CountLabels();
        Assert.Equal(inTrain, trainCounts.Count(n => n > 0));
        Assert.Equal(testOnly, testCounts.Where((n, id) => n > 0 && trainCounts[id] == 0).Count());
    }
}
