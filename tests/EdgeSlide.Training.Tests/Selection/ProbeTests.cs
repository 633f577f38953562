using System.Numerics;
using EdgeSlide.Training.Selection;

namespace EdgeSlide.Training.Tests.Selection;

public sealed class ProbeTests
{
    [Fact]
    public void Probes_are_the_codes_with_the_least_margins_flipped_in_order()
    {
        const int Tables = 3, Bits = 6, Probes = 20;
        var random = new Random(1);
        for (int trial = 0; trial < 50; trial++)
        {
            float[] values = [.. Enumerable.Range(0, Tables * Bits).Select(_ => (float)(random.NextDouble() - 0.5))];
            var maker = new ProjectionKeys(new Fixed(values), Tables, Bits, Probes);
            using var query = new QueryVector(64);
            var keys = new int[maker.MaxKeys];
            var weights = new float[maker.MaxKeys];
            Assert.Equal(Tables * Probes, maker.Keys(query, training: false, keys, weights, out long operations));
            Assert.True(operations > 0);
            for (int table = 0; table < Tables; table++)
            {
                float[] own = values[(table * Bits)..((table + 1) * Bits)];
                int code = own.Aggregate(0, (c, v) => c << 1 | (v > 0 ? 1 : 0));
                float Cost(int other) => Enumerable.Range(0, Bits).Sum(i => ((code ^ other) >> (Bits - 1 - i) & 1) * own[i] * own[i]);
                int[] expected = [.. Enumerable.Range(0, 1 << Bits).OrderBy(Cost).Take(Probes).Select(c => table << Bits | c)];
                int[] found = keys[(table * Probes)..((table + 1) * Probes)];
                Assert.Equal(expected.Select(k => Cost(k & 63)), found.Select(k => Cost(k & 63)), (a, b) => Math.Abs(a - b) < 1e-6f);
                Assert.Equal(Probes, found.Distinct().Count());
                Assert.All(found, key => Assert.Equal(table, key >> Bits));
                float[] shares = weights[(table * Probes)..((table + 1) * Probes)];
                Assert.Equal(1f, shares[0]);
                Assert.Equal(shares.OrderByDescending(w => w), shares);
            }
            Assert.Equal(Tables, maker.Keys(query, training: true, keys, weights, out _));
        }
    }

    [Fact]
    public void There_are_no_more_probes_than_codes()
    {
        var maker = new ProjectionKeys(new Fixed([0.1f, -0.2f, 0.3f]), 1, 3, 64);
        using var query = new QueryVector(64);
        var keys = new int[64];
        Assert.Equal(8, maker.Keys(query, training: false, keys, new float[64], out _));
        Assert.Equal(8, keys[..8].Distinct().Count());
        Assert.Equal(1, BitOperations.PopCount((uint)(keys[0] ^ keys[1])));
    }

    private sealed class Fixed(float[] values) : IProjection
    {
        public long Bytes => 0;

        public long Operations => 1;

        public void Project(QueryVector query, Span<float> to) => values.CopyTo(to);
    }
}
