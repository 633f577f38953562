using EdgeSlide.Training.Data;
using EdgeSlide.Training.Selection;

namespace EdgeSlide.Training.Tests.Selection;

[Collection(nameof(SharedSelection))]
public sealed class ComparisonTests(SelectionFixture fixture)
{
    [Fact]
    public void Every_method_keeps_its_budget_and_says_what_it_costs_and_repeats_itself()
    {
        string[] methods =
        [
            "features:entries=8@16", "features:entries=8,trust=fit@16", "hidden:tables=8,bits=5,entries=16,probes=3@16", "planes:tables=4,bits=5,entries=16@16",
            "tree:levels=2,branch=8,votes=soft@16", "router:branch=8,votes=soft@16", "weights:family=dwta,k=1,tables=10@16", "lss:tables=4,bits=4@16", "clusters:count=20,open=3@16", "head:labels=9@16",
            "neighbours:rows=4@16", "features:entries=8+head:labels=9,weight=fit@16",
        ];
        using SelectionComparison comparison = fixture.Comparison();
        ComparisonRow dense = comparison.Dense();
        Assert.Equal((300, comparison.TestRows), ((int)dense.NeuronsMean, 300));
        Assert.Equal(1.0, dense.MultiplicationShare, 6);
        foreach (string method in methods)
        {
            ComparisonRow row = comparison.Run(MethodSpec.Parse(method));
            Assert.Equal(method, row.Method);
            // A query without candidates is answered densely, which the mean shows.
            Assert.InRange(row.NeuronsMean, 1, 20);
            Assert.Equal(row.NeuronsMean / 300, row.NeuronShare, 6);
            Assert.True(row.MultiplicationShare > row.NeuronShare, $"{method}: hashing is free?");
            Assert.True(row.TableBytes > 0, method);
            foreach (double value in new[] { row.P1, row.P5, row.Psp1, row.Psp5, row.Recall1, row.Recall5 })
                Assert.InRange(value, 0, 1);
            Assert.Equal(row with { Weights = [], P1ByDecile = [] }, comparison.Run(MethodSpec.Parse(method)) with { Weights = [], P1ByDecile = [] });
            if (!method.StartsWith("head", StringComparison.Ordinal))
                Assert.True(row.Recall1 > 2 * 16 / 300.0, $"{method}: recall {row.Recall1} is no better than chance");
        }
    }

    [Fact]
    public void Exact_neighbours_and_feature_buckets_answer_as_well_as_the_whole_network()
    {
        using SelectionComparison comparison = fixture.Comparison();
        double dense = comparison.Dense().P1;
        Assert.True(dense > 0.6, $"the network itself only reaches {dense}");
        foreach (string method in new[] { "features@32", "neighbours:rows=16@32", "tree:levels=2,branch=16,beam=8@64" })
        {
            ComparisonRow row = comparison.Run(MethodSpec.Parse(method));
            Assert.True(row.P1 >= dense - 0.03, $"{method}: {row.P1}, all neurons {dense}");
        }
    }

    [Fact]
    public void Fitted_weights_are_never_worse_on_the_rows_they_were_fitted_to()
    {
        using EdgeSlideModel model = fixture.Open("fit", new EdgeSlide.Training.Tables.SelectorOptions());
        HeldRows held = HeldRows.Of(model, fixture.Held);
        (ICandidateSource Source, float Weight)[] sources =
        [
            (new FeatureBuckets(fixture.Evidence, fixture.Evidence.Votes, 8), 1f), (new FrequentLabels(fixture.Evidence, 100), 50f),
        ];
        double Value(params float[] weights) =>
            VoteFit.Blend(CandidateLog.Run(held, model.Layout.Output, [.. sources.Select((s, i) => (s.Source, weights[i]))], 8, default)).Value;
        float[] fitted = VoteFit.Weights(held, model.Layout.Output, sources, [false, true], 8, default);
        Assert.Equal(1f, fitted[0]);
        Assert.True(fitted[1] < 50f, "a head that crowds out the right answers keeps its weight");
        Assert.True(Value(fitted) > Value(1f, 50f));
    }

    [Fact]
    public void Features_that_mislead_lose_weight()
    {
        // Features 0 to 29 name their label; feature 30 is in every row, its bucket full of whatever is frequent.
        var rows = new List<(int[] Features, int Label)>();
        var random = new Random(3);
        for (int i = 0; i < 2000; i++)
        {
            int label = (int)(30 * Math.Pow(random.NextDouble(), 2));
            rows.Add(([label, 30], label));
        }
        Dataset data = new()
        {
            FeatureCount = 31,
            LabelCount = 30,
            FeatureOffsets = [.. Enumerable.Range(0, rows.Count + 1).Select(i => 2L * i)],
            FeatureIds = [.. rows.SelectMany(r => r.Features)],
            FeatureValues = [.. rows.SelectMany(_ => new[] { 0.2f, 1f })],
            LabelOffsets = [.. Enumerable.Range(0, rows.Count + 1).Select(i => (long)i)],
            LabelIds = [.. rows.Select(r => r.Label)],
        };
        // An untrained network: its logits say nothing, the votes must do.
        var network = EdgeSlide.Training.Tests.Export.Samples.Network(1, 31, 8, 30);
        using var evidence = new TrainingEvidence(network, data, new EdgeSlide.Training.Tables.SelectorOptions { TopVote = 0f, NextVote = 0f, TrueVote = 1f });
        using EdgeSlideModel model = EdgeSlide.Training.Tests.Export.Samples.Export(EdgeSlide.Features.Featurizer.Create(
            new EdgeSlide.Model.FeaturizerRecord { Kind = EdgeSlide.Model.FeaturizerKind.Sparse, FeatureCount = 31 }, null, null), 30, out string path);
        HeldRows held = HeldRows.Of(model, data);
        var buckets = new FeatureBuckets(evidence, evidence.Votes, 30);
        CandidateLog log = CandidateLog.Run(held, model.Layout.Output, [(buckets, 1f)], 30, default);
        float[] trust = VoteFit.Trust(buckets, log, blend: 4f);
        Assert.True(trust[30] < 0.5f * trust[..30].Average(), $"the misleading feature weighs {trust[30]}, the others {trust[..30].Average()}");
        File.Delete(path);
    }

    [Theory]
    [InlineData("magic", "'magic' is none of features")]
    [InlineData("features@0", "budget after @")]
    [InlineData("features@many", "budget after @")]
    [InlineData("features@1@2", "budget after @")]
    [InlineData("features:bits=3", "takes entries=")]
    [InlineData("features:entries=8,entries=9", "each at most once")]
    [InlineData("features:entries=0.5", "entries=0.5 is not a number from 1 to 4096")]
    [InlineData("features:entries=nan", "entries=nan is not a number")]
    [InlineData("weights:family=blake", "family=blake is none of simhash")]
    [InlineData("tree:votes=loud", "votes=loud is none of rank, soft")]
    [InlineData("tree:branch=1", "branch=1 is not a number from 2 to")]
    [InlineData("head+tree:levels=4,branch=64", "method 'head+tree:levels=4,branch=64': a tree has at most")]
    [InlineData("router:filed=0", "filed=0 is not a number from 1 to")]
    [InlineData("hidden:tables=256,bits=20", "tables times bits must be at most 4096")]
    [InlineData("weights:rare=2", "rare=2 is not a number from 0 to 1")]
    [InlineData("clusters:count=16,open=17", "open=17 is not a number from 1 to 16")]
    public void A_wrong_specification_says_what_is_wrong_before_there_is_data(string text, string message)
    {
        ArgumentException e = Assert.Throws<ArgumentException>(() => MethodSpec.Parse(text));
        Assert.Contains(message, e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_specification_is_read_as_it_is_written()
    {
        MethodSpec spec = MethodSpec.Parse("features:entries=8+weights:family=dwta,rare=0.5,weight=fit@48");
        Assert.Equal((48, 2), (spec.Budget, spec.Sources.Count));
        Assert.Equal((8, 1f, false), (spec.Sources[0].Count("entries", 16, 1, 100), spec.Sources[0].Weight, spec.Sources[0].FitsWeight));
        Assert.Equal(("dwta", 0.5f, true), (spec.Sources[1].Word("family", "simhash"), spec.Sources[1].Number("rare", 1f, 0f, 1f), spec.Sources[1].FitsWeight));
        Assert.Equal(MethodSpec.DefaultBudget, MethodSpec.Parse("tree").Budget);
    }
}
