using System.Text;
using EdgeSlide.Features;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Export;
using EdgeSlide.Training.Featurization;
using EdgeSlide.Training.Networks;
using EdgeSlide.Training.Slide;
using EdgeSlide.Training.Tables;
using EdgeSlide.Training.Tests.Training;
using EdgeSlide.Training.Training;

namespace EdgeSlide.Training.Tests.Data;

/// <summary>Rows in mapped files give the same bytes as rows in memory.</summary>
public sealed class SpillTests : IDisposable
{
    private readonly TemporaryFiles _files = new();

    public void Dispose() => _files.Dispose();

    public static TheoryData<string> Forms() => ["text", "xc", "dense"];

    [Theory]
    [MemberData(nameof(Forms))]
    public void Network_model_and_scores_do_not_depend_on_where_rows_are(string form)
    {
        string path = _files.Write("rows", Rows(form, 700));
        (byte[] Network, byte[] Model, double[] Scores) memory = Make(path, RowStorage.Memory, "memory"), spilled = Make(path, RowStorage.In(_files.Folder), "spilled");
        Assert.Equal(memory.Network, spilled.Network);
        Assert.Equal(memory.Model, spilled.Model);
        Assert.Equal(memory.Scores, spilled.Scores);
        Assert.Equal(["memory.eslide", "memory.esnet", "rows", "spilled.eslide", "spilled.esnet"], Directory.GetFiles(_files.Folder).Select(Path.GetFileName).Order());
    }

    [Fact]
    public void Rows_of_a_text_do_not_depend_on_where_they_are()
    {
        string path = _files.Write("text", string.Concat(Enumerable.Range(0, 3000).Select(i => $"w{i % 7} w{i % 11} w{i % 3}\n")));
        TokenStream stream = TokenFormat.Read(path, TokenFormat.BuildVocabulary(path));
        Featurizer featurizer = FeaturizerFit.Fit(stream.Vocabulary, new FeatureOptions());
        AssertSame(featurizer.Featurize(stream), featurizer.Featurize(stream, RowStorage.In(_files.Folder)));
    }

    [Fact]
    public void Training_by_hashing_weights_does_not_depend_on_where_rows_are()
    {
        Dataset memory = XcFormat.Read(_files.Write("rows", Rows("xc", 400))).ToDataset(), spilled = XcFormat.Read(_files.Path("rows"), storage: RowStorage.In(_files.Folder)).ToDataset();
        Network[] networks = [.. new[] { memory, spilled }.Select(rows =>
        {
            using var trainer = new SlideTrainer(new SlideOptions { Hidden = [16], Active = [1f, 0.5f], Threads = 1, Epochs = 1 }, rows);
            return trainer.Run(null, CancellationToken.None).Network;
        })];
        AssertSame(networks[0], networks[1]);
    }

    [Fact]
    public void Labels_found_in_several_files_get_the_same_ids()
    {
        string[] paths = [_files.Write("a", "beta,10\tone\n9\ttwo\n"), _files.Write("b", "alpha,9\tthree\n")];
        IReadOnlyList<TextDataset> sets = TextFormat.Read(paths, storage: RowStorage.In(_files.Folder));
        Assert.Equal(["9", "10", "alpha", "beta"], sets[0].Labels.Names);
        Assert.Equal([3, 1], sets[0].RowLabels(0).ToArray());
        Assert.Equal([2, 0], sets[1].RowLabels(0).ToArray());
    }

    [Fact]
    public void Bad_rows_are_reported_and_counted_in_the_order_of_the_file()
    {
        // Several blocks, so that parsing runs ahead of the first bad row.
        string good = string.Concat(Enumerable.Range(0, 120_000).Select(i => $"{i % 5}\ta row of text number {i}\n"));
        string path = _files.Write("a", good + "no tab\n" + good + "no tab either\n");
        RowStorage storage = RowStorage.In(_files.Folder);
        Assert.Equal($"{path}:120001: no tab between labels and text", Assert.Throws<DataFormatException>(() => TextFormat.Read(path, storage: storage)).Message);
        var skipped = new SkippedRows();
        TextDataset rows = TextFormat.Read(path, skipped: skipped, storage: storage);
        Assert.Equal((240_000, 2L), (rows.RowCount, skipped.Count));
        Assert.Equal($"{path}:120001: no tab between labels and text", skipped.First!.Message);
        Assert.Equal("a row of text number 119999"u8, rows.RowText(239_999));
    }

    [Fact]
    public void Telling_which_rows_come_next_allocates_nothing()
    {
        Dataset rows = XcFormat.Read(_files.Write("rows", Rows("xc", 300)), storage: RowStorage.In(_files.Folder)).ToDataset();
        int[] next = [.. Enumerable.Range(0, 300).Reverse()];
        rows.WillNeed(next);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 10; i++)
            rows.WillNeed(next);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        rows.WillNeed([]);
    }

    private (byte[], byte[], double[]) Make(string path, RowStorage storage, string name)
    {
        RawDataset all = RowFormats.Read([path], storage: storage)[0];
        (RawDataset train, RawDataset held) = all switch
        {
            TextDataset text => text.Split(0.2, 1),
            SparseDataset sparse => sparse.Split(0.2, 1),
            _ => ((RawDataset, RawDataset))((DenseDataset)all).Split(0.2, 1),
        };
        Featurizer featurizer = FeaturizerFit.Fit(train, new FeatureOptions { MinCount = 1, Idf = true });
        Dataset rows = featurizer.Featurize(train), heldRows = featurizer.Featurize(held);
        Assert.Equal(storage, rows.Storage);
        TrainingResult result = new Trainer(Generated.Small with { FeatureDropout = 0.2f, Threads = 2 }, rows, heldRows).Run();
        var model = new TrainedModel(result.Network, featurizer, train.Labels.Names, true, new TrainingRecord()) { Frequencies = LabelFrequencies.Of(rows) };
        model.Save(_files.Path(name + ".esnet"));
        ExportedSelector selector = SelectorBuilder.Build(result.Network, rows, new SelectorOptions { HiddenTables = 2, HiddenBits = 4, Centroids = new TreeShape(2, 16, 4, 256) });
        ModelExporter.Write(_files.Path(name + ".eslide"), QuantizedNetwork.From(result.Network, denseInput: featurizer.Kind == Model.FeaturizerKind.Dense), featurizer, [selector], null, "{}"u8.ToArray());
        using var scorer = new DenseScorer(result.Network, 1);
        var metrics = new RankingMetrics([1, 3]);
        metrics.Add(scorer.Score(heldRows, 3), heldRows);
        return (File.ReadAllBytes(_files.Path(name + ".esnet")), File.ReadAllBytes(_files.Path(name + ".eslide")),
            [metrics.Precision(1), metrics.Precision(3), .. result.History.Select(epoch => epoch.P1)]);
    }

    private static string Rows(string form, int count)
    {
        var random = new Random(7);
        var text = new StringBuilder(form == "xc" ? $"{count} 60 12\n" : "");
        for (int row = 0; row < count; row++)
        {
            int label = random.Next(12);
            int[] features = [.. Enumerable.Range(0, 6).Select(_ => random.Next(4) == 0 ? random.Next(60) : label * 5 + random.Next(5)).Distinct().Order()];
            text.Append(form switch
            {
                "xc" => $"{label} {string.Join(' ', features.Select(f => $"{f}:{1 + f % 3}"))}\n",
                "text" => $"label {label},any{label % 2}\t{string.Join(' ', features.Select(f => $"word{f}"))}\n",
                _ => $"{label},{string.Join(',', Enumerable.Range(0, 60).Select(f => features.Contains(f) ? "1.5" : "0"))}\n",
            });
        }
        return text.ToString();
    }

    private static void AssertSame(Dataset expected, Dataset actual)
    {
        Assert.Equal(expected.FeatureOffsets.ToArray(), actual.FeatureOffsets.ToArray());
        Assert.Equal(expected.FeatureIds.ToArray(), actual.FeatureIds.ToArray());
        Assert.Equal(expected.FeatureValues.ToArray(), actual.FeatureValues.ToArray());
        Assert.Equal(expected.LabelOffsets.ToArray(), actual.LabelOffsets.ToArray());
        Assert.Equal(expected.LabelIds.ToArray(), actual.LabelIds.ToArray());
        Assert.Equal(expected.Fingerprint(), actual.Fingerprint());
    }

    private static void AssertSame(Network expected, Network actual)
    {
        for (int layer = 0; layer < expected.Layers.Count; layer++)
        {
            Assert.Equal(expected.Layers[layer].Weights, actual.Layers[layer].Weights);
            Assert.Equal(expected.Layers[layer].Bias, actual.Layers[layer].Bias);
        }
    }
}
