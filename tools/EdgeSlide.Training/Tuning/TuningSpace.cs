using System.Globalization;
using EdgeSlide.Hashing;
using EdgeSlide.Model;

namespace EdgeSlide.Training.Tuning;

/// <summary>How a setting uses one source.</summary>
/// <param name="Cap">Entries kept per bucket; 0 leaves the source out.</param>
/// <param name="MinVote">The smallest stored vote (1 to 255) that is kept.</param>
/// <param name="Weight">Multiplies the source's votes.</param>
/// <param name="Beam">Centroid trees: nodes that a query follows in each level.</param>
internal sealed record SourceSetting(int Cap, int MinVote, float Weight, int Beam);

/// <summary>One way to select candidates.</summary>
internal sealed record TuningSetting(int Budget, float VoteBlend, IReadOnlyList<SourceSetting> Sources);

internal enum Knob
{
    Budget,
    VoteBlend,
    Cap,
    MinVote,
    Weight,
    Beam,
}

/// <summary>One number of a setting and the values that it may take, cheapest first where they cost.</summary>
internal sealed record Dimension(Knob Knob, int Source, float[] Values)
{
    /// <summary>False for what changes answers but hardly what they cost.</summary>
    public bool Costs => Knob is not (Knob.VoteBlend or Knob.Weight);
}

/// <summary>
/// The settings that are searched: a grid of steps that grow with the value. A point is an index for every dimension; points
/// that mean the same (knobs of a source that is left out) have one form.
/// </summary>
internal sealed class TuningSpace
{
    private static readonly float[] Blends = [0f, 0.125f, 0.25f, 0.5f, 0.75f, 1f, 1.5f, 2f, 3f, 4f, 6f, 8f, 12f, 16f];
    private static readonly float[] MinVotes = [160, 128, 96, 80, 64, 56, 48, 40, 32, 24, 20, 16, 12, 8, 4, 1];
    private static readonly float[] Weights = [0.125f, 0.25f, 0.5f, 1f, 2f, 4f, 8f];
    private static readonly float[] Beams = [1, 2, 3, 4, 5, 6, 8, 10, 12, 16];

    /// <summary>Whoever asks for the first five answers shall get five.</summary>
    private const int LeastBudget = 5;

    private readonly int _sources;

    /// <param name="sources">What there is to use.</param>
    /// <param name="labels">Width of the layer.</param>
    /// <param name="current">The setting of the model as it is; its values are among the steps.</param>
    public TuningSpace(IReadOnlyList<TuningSource> sources, int labels, TuningSetting current)
    {
        _sources = sources.Count;
        int mostBudget = Math.Min(labels, Math.Min(LayerSelector.MaxBudget, 2 * current.Budget));
        var dimensions = new List<Dimension>
        {
            new(Knob.Budget, -1, Steps(Math.Min(LeastBudget, mostBudget), mostBudget, current.Budget)),
            new(Knob.VoteBlend, -1, With(Blends, current.VoteBlend)),
        };
        for (int s = 0; s < sources.Count; s++)
        {
            SourceSetting now = current.Sources[s];
            dimensions.Add(new Dimension(Knob.Cap, s, [0, .. Steps(1, Math.Max(1, sources[s].LargestBucket), Math.Max(1, now.Cap))]));
            dimensions.Add(new Dimension(Knob.MinVote, s, MinVotes));
            if (sources.Count > 1)
                dimensions.Add(new Dimension(Knob.Weight, s, Weights));
            if (sources[s].Record.Kind == SourceKind.Centroids)
                dimensions.Add(new Dimension(Knob.Beam, s, With(Beams, now.Beam)));
        }
        Dimensions = dimensions;
    }

    public IReadOnlyList<Dimension> Dimensions { get; }

    /// <summary>The point that is nearest to a setting; exact for the current one.</summary>
    public int[] PointOf(TuningSetting setting) => Canonical([.. Dimensions.Select(d => Nearest(d.Values, d.Knob switch
    {
        Knob.Budget => setting.Budget,
        Knob.VoteBlend => setting.VoteBlend,
        Knob.Cap => setting.Sources[d.Source].Cap,
        Knob.MinVote => setting.Sources[d.Source].MinVote,
        Knob.Weight => setting.Sources[d.Source].Weight,
        _ => setting.Sources[d.Source].Beam,
    }))]);

    public TuningSetting SettingOf(int[] point)
    {
        var sources = new SourceSetting[_sources];
        Array.Fill(sources, new SourceSetting(0, 1, 1f, 1));
        int budget = 1;
        float blend = 0f;
        for (int d = 0; d < point.Length; d++)
        {
            Dimension dimension = Dimensions[d];
            float value = dimension.Values[point[d]];
            switch (dimension.Knob)
            {
                case Knob.Budget: budget = (int)value; break;
                case Knob.VoteBlend: blend = value; break;
                case Knob.Cap: sources[dimension.Source] = sources[dimension.Source] with { Cap = (int)value }; break;
                case Knob.MinVote: sources[dimension.Source] = sources[dimension.Source] with { MinVote = (int)value }; break;
                case Knob.Weight: sources[dimension.Source] = sources[dimension.Source] with { Weight = value }; break;
                default: sources[dimension.Source] = sources[dimension.Source] with { Beam = (int)value }; break;
            }
        }
        return new TuningSetting(budget, blend, sources);
    }

    public static string Key(int[] point) => string.Join(',', point.Select(i => i.ToString(CultureInfo.InvariantCulture)));

    /// <summary>The most expensive point with the given blend: the largest budget, full buckets of the sources that are wanted, the widest beam.</summary>
    public int[] Richest(int[] like, Func<int, bool> wanted) => Canonical([.. Dimensions.Select((d, i) => d.Knob switch
    {
        Knob.VoteBlend or Knob.Weight => like[i],
        Knob.Beam => Math.Max(like[i], Nearest(d.Values, 6)),
        Knob.Cap when !wanted(d.Source) => 0,
        _ => d.Values.Length - 1,
    })]);

    /// <summary>The point with one index moved; null where there is no such step or no source would be left.</summary>
    public int[]? Move(int[] point, int dimension, int steps)
    {
        int to = Math.Max(0, point[dimension] + steps);
        Dimension moved = Dimensions[dimension];
        if (to >= moved.Values.Length || to == point[dimension] || (moved.Source >= 0 && moved.Knob != Knob.Cap && !Uses(point, moved.Source)))
            return null;
        int[] next = [.. point];
        next[dimension] = to;
        return Enumerable.Range(0, _sources).Any(s => Uses(next, s)) ? Canonical(next) : null;
    }

    public bool Uses(int[] point, int source)
    {
        for (int d = 0; d < point.Length; d++)
        {
            if (Dimensions[d].Knob == Knob.Cap && Dimensions[d].Source == source)
                return point[d] > 0;
        }
        return false;
    }

    private int[] Canonical(int[] point)
    {
        for (int d = 0; d < point.Length; d++)
        {
            Dimension dimension = Dimensions[d];
            if (dimension.Source < 0 || dimension.Knob == Knob.Cap || Uses(point, dimension.Source))
                continue;
            point[d] = dimension.Knob == Knob.MinVote ? dimension.Values.Length - 1 : Nearest(dimension.Values, dimension.Knob == Knob.Weight ? 1f : 4f);
        }
        return point;
    }

    /// <summary>Whole numbers in steps of at most a quarter, with both ends and one value in between.</summary>
    private static float[] Steps(int first, int last, int with)
    {
        var steps = new SortedSet<float> { Math.Max(first, last), Math.Clamp(with, first, Math.Max(first, last)) };
        for (int value = first; value < last; value += Math.Max(1, value / 5))
            steps.Add(value);
        return [.. steps];
    }

    private static float[] With(float[] values, float value) => [.. new SortedSet<float>(values) { value }];

    private static int Nearest(float[] values, float value)
    {
        int best = 0;
        for (int i = 1; i < values.Length; i++)
        {
            if (Math.Abs(values[i] - value) < Math.Abs(values[best] - value))
                best = i;
        }
        return best;
    }
}
