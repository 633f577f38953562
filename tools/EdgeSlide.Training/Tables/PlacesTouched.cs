using EdgeSlide.Hashing;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Export;

namespace EdgeSlide.Training.Tables;

/// <summary>
/// How many different places a query touches that depend on the order of the neurons, in the mean over rows: it is they that a
/// reordering can save.
/// </summary>
/// <param name="ScaleLines">Cache lines of scales and biases, eight bytes a neuron.</param>
/// <param name="RowLines">Cache lines of weight rows.</param>
/// <param name="RowPages">Pages of weight rows.</param>
internal sealed record PlacesTouched(double ScaleLines, double RowLines, double RowPages)
{
    private const int Line = 64;
    private const int Page = 4096;
    private const int MostRows = 2000;

    /// <summary>Votes with the feature buckets as the device does, row by row.</summary>
    /// <param name="rowBytes">Of a neuron.</param>
    public static PlacesTouched Measure(ExportedSelector selector, Dataset rows, int rowBytes)
    {
        ExportedSource[] sources = [.. selector.Sources.Where(s => s.Record.Kind == Model.SourceKind.Features)];
        var sums = new double[3];
        int counted = Math.Min(MostRows, rows.RowCount);
        var votes = new Dictionary<int, float>();
        var values = new float[256];
        for (int row = 0; row < counted; row++)
        {
            votes.Clear();
            foreach (ExportedSource source in sources)
            {
                BucketTable.DecodeVotes(source.Buckets.VoteScale * source.Record.Weight, values);
                ReadOnlySpan<int> features = rows.RowFeatures(row);
                for (int f = 0; f < features.Length; f++)
                {
                    float weight = MathF.Abs(rows.RowValues(row)[f]);
                    for (uint i = source.Buckets.Offsets[features[f]]; i < source.Buckets.Offsets[features[f] + 1]; i++)
                    {
                        int neuron = (int)(source.Buckets.Entries[i] >> BucketTable.VoteBits);
                        votes[neuron] = votes.GetValueOrDefault(neuron) + weight * values[source.Buckets.Entries[i] & 0xFF];
                    }
                }
            }
            long[] elected = [.. votes.OrderByDescending(v => v.Value).ThenBy(v => v.Key).Take(selector.Budget).Select(v => (long)v.Key)];
            sums[0] += Distinct(elected, 2 * sizeof(float), Line);
            sums[1] += Distinct(elected, rowBytes, Line);
            sums[2] += Distinct(elected, rowBytes, Page);
        }
        double count = Math.Max(1, counted);
        return new PlacesTouched(sums[0] / count, sums[1] / count, sums[2] / count);
    }

    /// <summary>Blocks of a size that hold a byte of the neurons' records.</summary>
    private static int Distinct(long[] neurons, int bytes, int block)
    {
        var blocks = new HashSet<long>();
        foreach (long neuron in neurons)
        {
            for (long at = neuron * bytes / block; at <= (neuron * bytes + bytes - 1) / block; at++)
                blocks.Add(at);
        }
        return blocks.Count;
    }
}
