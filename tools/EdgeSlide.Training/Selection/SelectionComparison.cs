using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Export;
using EdgeSlide.Training.Tables;

namespace EdgeSlide.Training.Selection;

/// <summary>One row of the comparison: a method, what it costs and how it answers.</summary>
/// <param name="Method">Its specification, or what it is.</param>
/// <param name="TableBytes">What a model would store for it.</param>
/// <param name="NeuronsMean">Output neurons evaluated per query.</param>
/// <param name="NeuronShare">The same as a share of all.</param>
/// <param name="MultiplicationShare">Hashing, votes and evaluated neurons against evaluating all neurons of the output layer.</param>
/// <param name="Recall1">Share of the rows whose best dense answer was evaluated.</param>
/// <param name="Recall5">Share of the five best dense answers that were evaluated.</param>
/// <param name="VoteBlend">Weight of the votes' logarithm in the ranking, fitted.</param>
/// <param name="Weights">The sources' weights, given or fitted.</param>
/// <param name="P1ByDecile">P@1 by label frequency, the rarest tenth of the labels first; null where no row has such a label.</param>
internal sealed record ComparisonRow(string Method, long TableBytes, double NeuronsMean, double NeuronShare, double MultiplicationShare,
    double P1, double P3, double P5, double Psp1, double Psp3, double Psp5, double Recall1, double Recall5, float VoteBlend,
    IReadOnlyList<float> Weights, IReadOnlyList<double?> P1ByDecile);

/// <summary>
/// Compares candidate selection methods over one network: all learn from the same training rows, leave the same choices to
/// one half of the held-out rows, and are measured on the other half, over the same INT8 weights.
/// </summary>
internal sealed class SelectionComparison : IDisposable
{
    private readonly EdgeSlideModel _model;
    private readonly TrainingEvidence _evidence;
    private readonly HeldRows _tuning;
    private readonly HeldRows _test;
    private readonly float[] _propensity;
    private readonly byte[] _deciles;
    private readonly CancellationToken _cancel;

    /// <param name="modelPath">Where a model file may be written; the caller removes it.</param>
    /// <param name="trained">The network.</param>
    /// <param name="train">Rows to learn from.</param>
    /// <param name="held">Other rows, each second one for tuning.</param>
    /// <param name="mostRows">Held-out rows used, evenly spread.</param>
    /// <param name="options">How training rows vote.</param>
    public SelectionComparison(string modelPath, TrainedModel trained, Dataset train, Dataset held, int mostRows, SelectorOptions options, CancellationToken cancel = default)
    {
        ModelExporter.Write(modelPath, QuantizedNetwork.From(trained.Network, denseInput: trained.Featurizer.Kind == Model.FeaturizerKind.Dense), trained.Featurizer, [], null, "{}"u8.ToArray());
        _model = EdgeSlideModel.Open(modelPath);
        _evidence = new TrainingEvidence(trained.Network, train, options, cancel);
        int used = Math.Min(mostRows, held.RowCount);
        int[] rows = [.. Enumerable.Range(0, used).Select(i => (int)((long)i * held.RowCount / used))];
        _tuning = HeldRows.Of(_model, held.Take([.. rows.Where((_, i) => i % 2 == 0)]), cancel);
        _test = HeldRows.Of(_model, held.Take([.. rows.Where((_, i) => i % 2 == 1)]), cancel);
        LabelFrequencies frequencies = LabelFrequencies.Of(train);
        (_propensity, _deciles, _cancel) = (frequencies.InversePropensities(), frequencies.Deciles(), cancel);
    }

    /// <summary>Rows that every figure is measured on.</summary>
    public int TestRows => _test.Rows.RowCount;

    /// <summary>All neurons, INT8: what the methods are measured against.</summary>
    public ComparisonRow Dense()
    {
        var deciles = new DecileMetrics(_deciles);
        var metrics = new RankingMetrics([1, 3, 5], _propensity, deciles);
        for (int row = 0; row < _test.Rows.RowCount; row++)
            metrics.Add(_test.DenseRow(row), _test.Rows.RowLabels(row));
        return Row("all neurons", 0, _model.LabelCount, 0, metrics, deciles, 1, 1, 0f, []);
    }

    public ComparisonRow Run(MethodSpec spec)
    {
        var sources = new List<(ICandidateSource Source, float Weight)>();
        foreach (SourceSpec source in spec.Sources)
            sources.Add((source.Build(_evidence), source.Weight));
        Layers.NeuronLayer output = _model.Layout.Output;
        for (int i = 0; i < sources.Count; i++)
        {
            if (sources[i].Source is not FeatureBuckets buckets || spec.Sources[i].Word("trust", "1") != "fit")
                continue;
            CandidateLog alone = CandidateLog.Run(_tuning, output, [(buckets, 1f)], spec.Budget, _cancel);
            sources[i] = (buckets.WithTrust(VoteFit.Trust(buckets, alone, VoteFit.Blend(alone).Blend)), sources[i].Weight);
        }
        bool[] open = [.. spec.Sources.Select(s => s.FitsWeight)];
        float[] weights = open.Contains(true)
            ? VoteFit.Weights(_tuning, output, sources, open, spec.Budget, _cancel)
            : [.. sources.Select(s => s.Weight)];
        sources = [.. sources.Select((s, i) => (s.Source, weights[i]))];
        float blend = VoteFit.Blend(CandidateLog.Run(_tuning, output, sources, spec.Budget, _cancel)).Blend;

        CandidateLog log = CandidateLog.Run(_test, output, sources, spec.Budget, _cancel);
        var deciles = new DecileMetrics(_deciles);
        RankingMetrics metrics = VoteFit.Measure(log, blend, _propensity, deciles);
        long neurons = 0, operations = 0, first = 0, firsts = 0, found = 0, all = 0;
        for (int row = 0; row < TestRows; row++)
        {
            ReadOnlySpan<int> elected = log.Neurons(row);
            ReadOnlySpan<int> dense = _test.DenseRow(row);
            // Without candidates the layer is evaluated densely; a row without features is not answered at all.
            neurons += !elected.IsEmpty ? elected.Length : dense[0] >= 0 ? _model.LabelCount : 0;
            operations += log.Operations(row);
            for (int i = 0; i < dense.Length && dense[i] >= 0; i++)
            {
                bool hit = elected.IsEmpty || elected.Contains(dense[i]);
                (firsts, first) = i == 0 ? (firsts + 1, first + (hit ? 1 : 0)) : (firsts, first);
                (all, found) = (all + 1, found + (hit ? 1 : 0));
            }
        }
        long bytes = sources.Sum(s => s.Source.Bytes);
        foreach ((ICandidateSource source, float _) in sources)
            (source as IDisposable)?.Dispose();
        return Row(spec.Text, bytes, neurons / (double)TestRows, operations / (double)TestRows, metrics, deciles,
            first / (double)Math.Max(1, firsts), found / (double)Math.Max(1, all), blend, weights);
    }

    public void Dispose()
    {
        _evidence.Dispose();
        _model.Dispose();
    }

    private ComparisonRow Row(string method, long bytes, double neurons, double operations, RankingMetrics m, DecileMetrics deciles,
        double recall1, double recall5, float blend, IReadOnlyList<float> weights)
    {
        double labels = _model.LabelCount;
        return new ComparisonRow(method, bytes, neurons, neurons / labels, (operations + neurons * _evidence.Width) / (labels * _evidence.Width),
            m.Precision(1), m.Precision(3), m.Precision(5), m.PropensityScoredPrecision(1), m.PropensityScoredPrecision(3), m.PropensityScoredPrecision(5),
            recall1, recall5, blend, weights,
            [.. Enumerable.Range(0, LabelFrequencies.Groups).Select(g => double.IsNaN(deciles.PrecisionAt1(g)) ? (double?)null : deciles.PrecisionAt1(g))]);
    }
}
