using EdgeSlide.Training.Data;

namespace EdgeSlide.Training.Scale;

/// <summary>
/// What every label looks like: a set of features of its own. Nothing is stored; a label's set comes from its number, so
/// that millions of labels take no memory. One per thread.
/// </summary>
internal sealed class Prototypes(ScaleOptions options, ZipfFeatures features)
{
    private readonly int[] _stamps = new int[options.Features];
    private int _stamp;

    /// <summary>Writes a label's features, in the order in which they were drawn.</summary>
    public void Draw(int label, Span<int> row)
    {
        _stamp++;
        Complete(row, 0, Random(label, 1));
    }

    /// <summary>A query for a label: some of its features, and chance ones in place of the others.</summary>
    public void DrawQuery(int query, Span<int> row, out int label)
    {
        Xoshiro256 random = Random(query, 2);
        label = random.Below(options.Labels);
        Draw(label, row);
        int kept = 0;
        ulong threshold = (ulong)(options.Keep * (1L << 32));
        foreach (int feature in row)
        {
            if (random.Below(1UL << 32) < threshold)
                row[kept++] = feature;
        }
        // The dropped ones keep their stamps, so that chance does not bring them back.
        Complete(row, kept, random);
        row.Sort();
    }

    /// <summary>Random numbers that belong to one label or query.</summary>
    public Xoshiro256 Random(int index, int purpose) => new(StableHash.Mix(options.Seed * 0x9E3779B97F4A7C15 + (ulong)purpose) ^ (ulong)index * 0xD1B54A32D192ED03);

    private void Complete(Span<int> row, int count, Xoshiro256 random)
    {
        while (count < row.Length)
        {
            int feature = features.Draw(random);
            if (_stamps[feature] == _stamp)
                continue;
            _stamps[feature] = _stamp;
            row[count++] = feature;
        }
    }
}
