using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Selection;
using EdgeSlide.Training.Tables;

namespace EdgeSlide.Training.Tests.Selection;

/// <summary>What is compared must be what a device does.</summary>
[Collection(nameof(SharedSelection))]
public sealed class ParityTests(SelectionFixture fixture)
{
    [Theory]
    [InlineData("features:entries=16@24", "features")]
    [InlineData("hidden:tables=12,bits=6,entries=16@24", "hidden")]
    [InlineData("tree:levels=2,branch=8,beam=3,entries=40@24", "tree")]
    [InlineData("router:levels=2,branch=8,beam=3,entries=40,filed=3@24", "router")]
    [InlineData("tree:levels=2,branch=8,beam=3,entries=40+router:levels=2,branch=8,beam=3,entries=40,filed=3@24", "trees")]
    [InlineData("features:entries=16+tree:levels=2,branch=8,beam=3,entries=40@24", "both")]
    public void A_method_answers_with_the_devices_labels(string method, string name)
    {
        var options = new SelectorOptions
        {
            Budget = 24,
            VoteBlend = 0.5f,
            FeatureBuckets = name is "features" or "both",
            HiddenTables = name == "hidden" ? 12 : 0,
            HiddenBits = 6,
            Centroids = name is "tree" or "both" or "trees" ? new TreeShape(2, 8, 3, 40) : null,
            LabelTree = name is "router" or "trees" ? new TreeShape(2, 8, 3, 40) : null,
        };
        using EdgeSlideModel model = fixture.Open(name, options);
        MethodSpec spec = MethodSpec.Parse(method);
        HeldRows held = HeldRows.Of(model, fixture.Held);
        (ICandidateSource, float)[] sources = [.. spec.Sources.Select(s => (s.Build(fixture.Evidence), s.Weight))];
        CandidateLog log = CandidateLog.Run(held, model.Layout.Output, sources, spec.Budget, default);

        using Predictor predictor = model.CreatePredictor();
        predictor.Mode = PredictionMode.Lsh;
        var top = new Prediction[held.K];
        var scratch = new Prediction[held.K];
        var ranked = new int[held.K];
        long work = 0, device = 0;
        for (int row = 0; row < fixture.Held.RowCount; row++)
        {
            PredictorEvaluator.Load(fixture.Held, row, predictor.Engine.Features);
            int found = predictor.Run(top);
            log.Rank(row, 0.5f, scratch, ranked);
            Assert.Equal(top.Take(found).Select(p => p.Label), ranked.Where(label => label >= 0));
            Assert.Equal(predictor.Cost.ActiveNeurons, log.Neurons(row).IsEmpty ? SelectionFixture.Labels : log.Neurons(row).Length);
            work += log.Operations(row) + log.Neurons(row).Length * 32;
            device += predictor.Cost.Multiplications - fixture.Held.RowFeatures(row).Length * 32;
        }
        // Rows without candidates cost the device a dense pass, and the log nothing.
        Assert.InRange(work, 1, device);
        Assert.Equal(fixture.Held.RowCount, held.Rows.RowCount);
    }

    [Fact]
    public void The_dense_row_is_the_devices_dense_answer()
    {
        using EdgeSlideModel model = fixture.Open("dense", new SelectorOptions());
        HeldRows held = HeldRows.Of(model, fixture.Held);
        RankingMetrics device = PredictorEvaluator.Evaluate(model, fixture.Held, PredictionMode.Dense, null);
        var mine = new RankingMetrics([1, 3, 5]);
        for (int row = 0; row < fixture.Held.RowCount; row++)
            mine.Add(held.DenseRow(row), fixture.Held.RowLabels(row));
        Assert.Equal(device.Precision(1), mine.Precision(1));
        Assert.Equal(device.Precision(5), mine.Precision(5));
    }
}
