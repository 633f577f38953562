using System.Text.Json;
using EdgeSlide.Hashing;
using EdgeSlide.Model;
using EdgeSlide.Training.Calibration;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Export;
using EdgeSlide.Training.Tables;

namespace EdgeSlide.Training.Tuning;

/// <summary>The network that a model was made of and the rows that fill new tables.</summary>
internal sealed record TuningNetwork(TrainedModel Model, Dataset Train, LabelFrequencies Frequencies);

/// <summary>From a model and validation rows to the cheapest setting that keeps the loss, written as a model of its own.</summary>
internal static class TuningJob
{
    /// <summary>Dense answers are the reference and cost the most; rows are limited so that they take seconds, not minutes.</summary>
    private const double MostReferenceOperations = 1e12;
    private const int LeastRows = 2000;

    /// <summary>Buckets are built this full and cut down by the search.</summary>
    private const int BuiltBucketSize = 64;

    /// <param name="held">Featurized validation rows.</param>
    /// <param name="network">Builds other tables too; null searches what can be derived from the model alone.</param>
    /// <param name="output">The tuned model; nothing is written if no setting keeps the loss.</param>
    public static TuningResult Run(EdgeSlideModel model, Dataset held, TuningNetwork? network, TuningOptions options, string output,
        Action<TuningProgress>? report = null, CancellationToken cancel = default)
    {
        options.Validate();
        NetworkLayout layout = model.Layout;
        int layer = layout.Layers.Length - 1 + (layout.SparseInput is null ? 0 : 1);
        var sources = new List<TuningSource>();
        try
        {
            return Run(model, held, network, options, output, sources, layer, report, cancel);
        }
        finally
        {
            sources.ForEach(s => s.Dispose());
        }
    }

    private static TuningResult Run(EdgeSlideModel model, Dataset held, TuningNetwork? network, TuningOptions options, string output,
        List<TuningSource> sources, int layer, Action<TuningProgress>? report, CancellationToken cancel)
    {
        NetworkLayout layout = model.Layout;
        TuningSetting? current = null;
        if (layout.Output.Selector is { } selector)
        {
            for (int part = 0; part < selector.Sources.Length; part++)
                sources.Add(TuningSource.Of(model, layer, part));
            current = new TuningSetting(selector.Budget, selector.VoteBlend,
                [.. selector.Sources.Select((s, part) => new SourceSetting(Math.Max(1, sources[part].LargestBucket), 1, 1f, s.Record.Kind == SourceKind.Centroids ? (int)s.Record.Rounds : 4))]);
        }
        int own = sources.Count;
        if (network is not null)
            sources.AddRange(BuildSources(network, layout.LabelMap?.Neurons(), report, cancel));
        if (sources.Count == 0)
            throw new ArgumentException("the model has no hash tables to tune; build some from its network and training rows");

        int rows = (int)Math.Min(options.Rows, Math.Max(LeastRows, MostReferenceOperations / ((double)layout.Output.Outputs * layout.Output.Inputs)));
        var evaluator = new TuningEvaluator(layout, sources, held, rows, network?.Frequencies.InversePropensities(), options.Seed, options.Threads);
        if (evaluator.RowCount == 0)
            throw new InvalidDataException("no validation row has a label that the model knows");
        TuningSetting like = new(current?.Budget ?? Math.Min(32, layout.Output.Outputs), current?.VoteBlend ?? 1f,
            [.. sources.Select((s, i) => i < own ? current!.Sources[i] : new SourceSetting(0, 1, 1f, s.Record.Kind == SourceKind.Centroids ? (int)s.Record.Rounds : 4))]);
        var space = new TuningSpace(sources, layout.Output.Outputs, like);
        // Own tables first, then each other source by itself, then all together.
        int[] origin = space.PointOf(like with { Sources = [.. like.Sources.Select((s, i) => i < own || own == 0 ? s with { Cap = Math.Max(1, s.Cap) } : s)] });
        var starts = new List<int[]>();
        if (own > 0)
            starts.Add(space.Richest(origin, s => s < own));
        for (int s = own; s < sources.Count; s++)
        {
            int only = s;
            starts.Add(space.Richest(origin, source => source == only));
        }
        if (sources.Count > own && sources.Count > 1)
            starts.Add(space.Richest(origin, _ => true));
        long restBytes = model.File.Length - (current is null ? 0 : sources.Take(own).Select((s, i) => s.HashBytes + s.Prune(current.Sources[i].Cap, 1).Bytes).Sum());
        TuningResult result = new Tuner(evaluator, sources, space, current is null ? null : like, restBytes, options, report, cancel).Run(starts);
        if (result.Chosen is not null)
            Write(model, held, sources, result, layer, output, report, cancel);
        return result;
    }

    /// <summary>Sources that the model does not have, from two ways to count the rows' votes, with full buckets.</summary>
    private static IEnumerable<TuningSource> BuildSources(TuningNetwork network, int[]? neurons, Action<TuningProgress>? report, CancellationToken cancel)
    {
        bool sparse = network.Model.Featurizer.Kind != FeaturizerKind.Dense;
        SelectorOptions[] builds =
        [
            new() { FeatureBuckets = sparse, BucketSize = BuiltBucketSize, Centroids = new TreeShape(3, 16, 4, 256), HiddenTables = sparse ? 0 : 16, HiddenBits = 10, TopVote = 1f, NextVote = 0.2f, TrueVote = 2f },
            new() { FeatureBuckets = sparse, BucketSize = BuiltBucketSize, Centroids = sparse ? null : new TreeShape(2, 32, 4, 256), HiddenTables = sparse ? 0 : 32, HiddenBits = 8, TopVote = 2f, NextVote = 0.7f, TrueVote = 1f },
        ];
        for (int i = 0; i < builds.Length; i++)
        {
            SelectorOptions build = builds[i];
            report?.Invoke(new TuningProgress($"building tables, {i + 1} of {builds.Length}", 0, 0, ""));
            ExportedSelector selector = SelectorBuilder.Build(network.Model.Network, network.Train, build, cancel);
            foreach (ExportedSource source in selector.Sources)
                yield return TuningSource.Of(source, network.Model.Network.Layers[^1].Inputs, $"votes {build.TopVote:0.#}/{build.NextVote:0.#}/{build.TrueVote:0.#}", neurons);
        }
    }

    private static void Write(EdgeSlideModel model, Dataset held, List<TuningSource> sources, TuningResult result, int layer, string output,
        Action<TuningProgress>? report, CancellationToken cancel)
    {
        TuningPoint chosen = result.Chosen!;
        TuningSetting setting = chosen.Setting!;
        report?.Invoke(new TuningProgress("writing", result.Trials, result.Trials, ""));
        var exported = new ExportedSelector(layer, setting.Budget, setting.VoteBlend, chosen.Nanoseconds < result.Dense.Nanoseconds,
            [.. sources.Select((s, i) => (Source: s, Setting: setting.Sources[i])).Where(s => s.Setting.Cap > 0).Select(s => s.Source.Export(s.Setting))]);
        void Save(string path, FittedCalibration? calibration) => TunedModel.Write(path, model, exported, calibration, json => Record(json, result));

        if (model.Layout.Output.Activation != LayerActivation.Softmax)
        {
            Save(output, null);
            return;
        }
        // Other candidates leave other neurons to the estimate of the softmax's sum, so it is fitted anew.
        string uncalibrated = $"{output}.{Environment.ProcessId}.tuning";
        try
        {
            Save(uncalibrated, null);
            FittedCalibration? calibration;
            using (EdgeSlideModel tuned = EdgeSlideModel.Open(uncalibrated, verifyChecksums: false))
                calibration = CalibrationFit.Fit(tuned, held, CalibrationFit.DefaultSamples(tuned.LabelCount), seed: 1, cancel);
            Save(output, calibration);
        }
        finally
        {
            File.Delete(uncalibrated);
        }
    }

    /// <summary>Counts only: what depends on the machine's pace stays out, so that the same search writes the same file.</summary>
    private static void Record(Utf8JsonWriter json, TuningResult result)
    {
        json.WriteNumber("rows", result.Rows);
        json.WriteNumber("max_loss_points", result.Options.MaxLoss);
        json.WriteString("minimized", result.Options.Objective.ToString().ToLowerInvariant());
        foreach ((string name, TuningPoint? point) in new[] { ("dense", result.Dense), ("before", result.Current), ("after", result.Chosen) })
        {
            if (point is null)
                continue;
            json.WriteStartObject(name);
            json.WriteNumber("p1", Math.Round(point.P1, 5));
            json.WriteNumber("p5", Math.Round(point.P5, 5));
            json.WriteNumber("multiplications", Math.Round(point.Multiplications));
            json.WriteNumber("bytes", Math.Round(point.Bytes));
            json.WriteEndObject();
        }
    }
}
