using System.Diagnostics;
using EdgeSlide.Features;

namespace EdgeSlide.Cli.Input;

/// <summary>Queries as feature vectors, side by side in memory.</summary>
internal sealed class QuerySet
{
    private readonly List<int> _ids = [];
    private readonly List<float> _values = [];
    private readonly List<int> _starts = [0];
    private readonly List<double> _featurizeNs = [];
    private readonly List<double> _featurizeAllocated = [];

    public int Count => _starts.Count - 1;

    public double FeatureMean => _ids.Count / (double)Count;

    public double FeaturizeMedianNs => Median(_featurizeNs);

    public double FeaturizeAllocatedMedian => Median(_featurizeAllocated);

    public static QuerySet Read(EdgeSlideModel model, Predictor predictor, string path, int limit)
    {
        var set = new QuerySet();
        FeatureVector features = predictor.Engine.Features;
        using var reader = new LabelledReader(model, path, LabelNotation.Ids, ignoreLabels: true);
        while (set.Count < limit)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            long start = Stopwatch.GetTimestamp();
            if (!reader.TryRead(features))
                break;
            double ns = Stopwatch.GetElapsedTime(start).TotalNanoseconds;
            long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            if (features.Count == 0)
                continue;
            set._featurizeNs.Add(ns);
            set._featurizeAllocated.Add(allocated);
            set._ids.AddRange(features.IdSpan);
            set._values.AddRange(features.ValueSpan);
            set._starts.Add(set._ids.Count);
        }
        if (set.Count == 0)
            throw new CommandException(ExitCodes.BadInput, $"{path}: holds no query that the model knows anything of");
        return set;
    }

    public void Load(int query, FeatureVector features)
    {
        features.Clear();
        for (int i = _starts[query]; i < _starts[query + 1]; i++)
            features.Add(_ids[i], _values[i]);
    }

    private static double Median(List<double> values)
    {
        double[] sorted = [.. values];
        Array.Sort(sorted);
        return sorted[sorted.Length / 2];
    }
}
