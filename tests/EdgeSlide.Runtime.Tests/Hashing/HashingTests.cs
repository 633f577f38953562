using System.Runtime.InteropServices;
using EdgeSlide.Features;
using EdgeSlide.Hashing;
using EdgeSlide.Kernels;
using EdgeSlide.Model;
using EdgeSlide.Runtime.Tests.Support;

namespace EdgeSlide.Runtime.Tests.Hashing;

public sealed unsafe class HashingTests
{
    [Theory]
    [InlineData(8)]
    [InlineData(64)]
    [InlineData(256)]
    [InlineData(1024)]
    public void The_fast_transform_equals_the_matrix(int length)
    {
        var random = new TestRandom(1);
        using var x = new NativeBuffer<float>(length);
        // Integers: the float transform must be exact.
        for (int i = 0; i < length; i++)
            x.Pointer[i] = random.Below(2001) - 1000;
        double[] expected = ReferencePredictor.NaiveHadamard([.. x.Span.ToArray()]);
        Hadamard.Transform(x.Pointer, length);
        Assert.Equal(expected, x.Span.ToArray().Select(v => (double)v));
    }

    [Fact]
    public void The_transform_twice_gives_the_vector_times_its_length()
    {
        var random = new TestRandom(2);
        using var x = new NativeBuffer<float>(128);
        for (int i = 0; i < 128; i++)
            x.Pointer[i] = random.Below(201) - 100;
        float[] before = x.Span.ToArray();
        Hadamard.Transform(x.Pointer, 128);
        Hadamard.Transform(x.Pointer, 128);
        Assert.Equal(before.Select(v => 128 * v), x.Span.ToArray());
    }

    [Theory]
    [InlineData(128)]
    [InlineData(100)]
    [InlineData(20)]
    public void Two_vectors_share_a_bit_with_probability_one_minus_angle_over_pi(int inputs)
    {
        const int Tables = 8, Bits = 8;
        int rounds = SimHash.RoundsFor(inputs, Tables, Bits);
        int trials = Effort.Times(400);
        foreach (double angle in new[] { 0.2, 0.8, Math.PI / 2, 2.5 })
        {
            long equal = 0, total = 0;
            var random = new TestRandom((ulong)(inputs + angle * 1000));
            for (int trial = 0; trial < trials; trial++)
            {
                float[] mean = [.. Enumerable.Range(0, inputs).Select(_ => random.Float(-1, 1))];
                double[] a = Gaussian(random, inputs), b = Gaussian(random, inputs);
                // b becomes the vector at the wanted angle to a.
                double dot = a.Zip(b, (p, q) => p * q).Sum() / a.Sum(v => v * v);
                b = [.. b.Zip(a, (q, p) => q - dot * p)];
                double ratio = Math.Sqrt(a.Sum(v => v * v) / b.Sum(v => v * v));
                b = [.. b.Zip(a, (q, p) => Math.Cos(angle) * p + Math.Sin(angle) * ratio * q)];
                float[] planes = SimHash.CreatePlanes(mean, rounds, random.Next());
                int[] keysA = Keys(planes, inputs, Tables, Bits, rounds, [.. a.Zip(mean, (v, m) => (float)v + m)]);
                int[] keysB = Keys(planes, inputs, Tables, Bits, rounds, [.. b.Zip(mean, (v, m) => (float)v + m)]);
                for (int t = 0; t < Tables; t++)
                {
                    Assert.Equal(t, keysA[t] >> Bits);
                    equal += Bits - System.Numerics.BitOperations.PopCount((uint)(keysA[t] ^ keysB[t]));
                    total += Bits;
                }
            }
            double expected = 1 - angle / Math.PI;
            // The bits of one transform are not independent, so their number counts for a quarter.
            double sigma = Math.Sqrt(expected * (1 - expected) / (total / 4.0));
            Assert.InRange(equal / (double)total, expected - 5 * sigma, expected + 5 * sigma);
        }
    }

    [Fact]
    public void Keys_equal_those_of_naive_matrices_over_several_rounds()
    {
        var random = new TestRandom(4);
        TestNetwork network = TestNetwork.OfNumbers(FeaturizerKind.Dense, 40).WithLayers(random, [], 50).WithSelector(random, 5, features: false, simHash: true);
        const int Tables = 20, Bits = 7;
        int rounds = SimHash.RoundsFor(40, Tables, Bits);
        Assert.Equal(3, rounds); // 140 bits at 64 a round.
        float[] mean = [.. Enumerable.Range(0, 40).Select(_ => random.Float(-1, 1)), .. new float[24]];
        float[] planes = [.. mean, .. SimHash.CreatePlanes(mean, rounds, 99).Skip(64)];
        var source = new TestSource
        {
            Record = new SourceRecord { Kind = SourceKind.SimHash, KeyCount = Tables << Bits, Tables = Tables, Bits = Bits, Rounds = (uint)rounds, Weight = 1, VoteScale = 1 },
            Buckets = [],
            Planes = planes,
        };
        for (int i = 0; i < 20; i++)
        {
            float[] x = [.. Enumerable.Range(0, 40).Select(_ => random.Float(-3, 3))];
            Assert.Equal(ReferencePredictor.Keys(source, 40, x), Keys(planes, 40, Tables, Bits, rounds, x));
        }
    }

    [Fact]
    public void Planes_are_the_mean_and_as_many_signs_of_either_kind()
    {
        float[] planes = SimHash.CreatePlanes([1f, 2f, 3f], 20, 5);
        Assert.Equal(SimHash.PlaneLength(3, 20), planes.Length);
        Assert.Equal([1f, 2f, 3f, 0f], planes[..4]);
        Assert.All(planes[3..64], v => Assert.Equal(0f, v));
        Assert.All(planes[64..], v => Assert.Equal(1f, MathF.Abs(v)));
        Assert.InRange(planes[64..].Count(v => v > 0), 1280 - 150, 1280 + 150);
        Assert.NotEqual(planes, SimHash.CreatePlanes([1f, 2f, 3f], 20, 6));
    }

    [Fact]
    public void A_stored_vote_is_within_half_a_step_of_the_vote_and_never_zero()
    {
        var values = new float[256];
        BucketTable.DecodeVotes(2.5f, values);
        Assert.Equal(0f, values[0]);
        Assert.Equal(2.5f, values[255]);
        for (int i = 1; i <= 1000; i++)
        {
            float vote = 2.5f * i / 1000;
            byte stored = BucketTable.EncodeVote(vote, 2.5f);
            Assert.InRange(MathF.Abs(MathF.Sqrt(values[stored] / 2.5f) - MathF.Sqrt(vote / 2.5f)), 0, 0.5001f / 255);
        }
        Assert.Equal(1, BucketTable.EncodeVote(1e-20f, 2.5f));
        Assert.Equal(0xABCDEF12u, BucketTable.Pack(0xABCDEF, 0x12));
    }

    [Fact]
    public void The_entries_of_all_sources_together_are_limited()
    {
        // A query may open every bucket of every source, and what it opens is counted in 32 bits.
        Assert.Null(BucketTable.TooMany([]));
        Assert.Null(BucketTable.TooMany([BucketTable.MaxEntries]));
        Assert.Null(BucketTable.TooMany([BucketTable.MaxEntries - 5L, 0, 5]));
        Assert.Equal((1L << 30) + 1, BucketTable.TooMany([BucketTable.MaxEntries - 5L, 6]));
        Assert.Equal(8L << 30, BucketTable.TooMany([.. Enumerable.Repeat((long)BucketTable.MaxEntries, 8)]));
        Assert.Equal(1L << 32, BucketTable.TooMany([1L << 31, 1L << 31]));
    }

    [Fact]
    public void Centroid_sections_longer_than_a_span_are_checked_to_their_end()
    {
        const int Inputs = 4096, Nodes = (1 << 19) + 1;
        long length = CentroidTree.SectionLength(Inputs, Nodes), rows = (long)Nodes * Inputs;
        Assert.True(rows > int.MaxValue);
        // Zeros that were never written to take no memory.
        byte* section = (byte*)NativeMemory.AllocZeroed((nuint)length);
        try
        {
            var view = new View<byte>(section, length);
            Assert.Null(CentroidTree.Problem(view, Nodes, Inputs));
            section[CentroidTree.HeaderSize + rows - 1] = 0x80;
            Assert.Equal("a centre is outside -127..127", CentroidTree.Problem(view, Nodes, Inputs));
        }
        finally
        {
            NativeMemory.Free(section);
        }
    }

    private static double[] Gaussian(TestRandom random, int length) =>
        [.. Enumerable.Range(0, length).Select(_ => Math.Sqrt(-2 * Math.Log(random.Float(1e-7f, 1))) * Math.Cos(2 * Math.PI * random.Float(0, 1)))];

    private static int[] Keys(float[] planes, int inputs, int tables, int bits, int rounds, float[] vector)
    {
        fixed (float* p = planes)
        {
            var hash = new SimHash(inputs, tables, bits, rounds, new View<float>(p, planes.Length));
            using var x = new NativeBuffer<float>(hash.Dimensions);
            using var scratch = new NativeBuffer<float>(hash.Dimensions);
            using var keys = new NativeBuffer<int>(tables);
            vector.CopyTo(x.Span);
            hash.Keys(x.Pointer, scratch.Pointer, keys.Pointer);
            return keys.Span.ToArray();
        }
    }
}

/// <summary>The count of votes against sorting all of them.</summary>
public sealed unsafe class BallotTests : IDisposable
{
    private const int Width = 5000;
    private const int Features = 200;

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("distinct votes")]
    [InlineData("few values, many ties")]
    [InlineData("all equal")]
    [InlineData("some votes of zero")]
    public void The_neurons_with_most_votes_are_elected_and_the_lower_id_wins_a_tie(string votes)
    {
        Func<TestRandom, byte> vote = votes switch
        {
            "distinct votes" => r => (byte)(1 + r.Below(255)),
            "few values, many ties" => r => (byte)(100 + 50 * r.Below(3)),
            "all equal" => _ => 77,
            _ => r => (byte)(r.Below(3) * 100),
        };
        var random = new TestRandom(11);
        // Buckets of very different sizes; the largest alone outgrows the ballot's first capacity.
        TestNetwork network = Network(random, key => key % 50 == 49 ? 3000 : key % 7, (_, _) => (random.Below(Width), vote(random)));
        using EdgeSlideModel model = network.Open(_folder);
        using var ballot = new Ballot(model.Layout.Output.Selector!, Width, model.Layout.Output.Inputs);
        using var features = new FeatureVector();
        for (int round = 0; round < Effort.Times(300); round++)
        {
            features.Clear();
            foreach (int id in Enumerable.Range(0, 1 + random.Below(12)).Select(_ => random.Below(Features)).Distinct().Order())
                features.Add(id, votes.StartsWith("distinct", StringComparison.Ordinal) ? random.Float(-2f, 2f) : 1f);
            int budget = round % 10 == 0 ? LayerSelector.MaxBudget : 1 + random.Below(100);
            Dictionary<int, float> expected = Sum(network, features);
            AssertElects(ballot, features, budget, expected);
        }
    }

    [Fact]
    public void Budgets_at_and_around_the_number_of_candidates_elect_exactly_that_many()
    {
        var random = new TestRandom(12);
        TestNetwork network = Network(random, _ => 10, (key, i) => (key * 10 + i, (byte)(1 + (key * 10 + i) % 255)));
        using EdgeSlideModel model = network.Open(_folder);
        using var ballot = new Ballot(model.Layout.Output.Selector!, Width, model.Layout.Output.Inputs);
        using var features = new FeatureVector();
        features.Add(3, 1f);
        features.Add(77, 1f);
        features.Add(120, 0.5f);
        for (int budget = 1; budget <= 32; budget++)
            AssertElects(ballot, features, budget, Sum(network, features));
    }

    [Fact]
    public void A_ballot_forgets_the_last_query()
    {
        var random = new TestRandom(13);
        TestNetwork network = Network(random, _ => 5, (key, i) => (key, (byte)(i + 1)));
        using EdgeSlideModel model = network.Open(_folder);
        using var ballot = new Ballot(model.Layout.Output.Selector!, Width, model.Layout.Output.Inputs);
        using var features = new FeatureVector();
        foreach (int key in new[] { 3, 9, 3, 14 })
        {
            features.Clear();
            features.Add(key, 1f);
            AssertElects(ballot, features, 4, Sum(network, features));
            Assert.Equal(5, ballot.EntriesRead);
            Assert.Equal(1, ballot.BucketsRead);
        }
    }

    [Fact]
    public void A_value_of_zero_or_nothing_but_zero_votes_elects_nobody()
    {
        var random = new TestRandom(14);
        TestNetwork network = Network(random, _ => 5, (key, i) => (key, 0));
        using EdgeSlideModel model = network.Open(_folder);
        using var ballot = new Ballot(model.Layout.Output.Selector!, Width, model.Layout.Output.Inputs);
        using var features = new FeatureVector();
        features.Add(3, 1f);
        features.Add(5, 0f);
        AssertElects(ballot, features, 4, []);
    }

    [Fact]
    public void Votes_of_several_sources_add_up_though_the_table_grows_between_them()
    {
        var random = new TestRandom(15);
        TestNetwork network = Network(random, key => key < 100 ? key % 20 : 400, (_, _) => (random.Below(Width), (byte)(1 + random.Below(255))));
        using EdgeSlideModel model = network.Open(_folder);
        using var few = new FeatureVector();
        using var many = new FeatureVector();
        for (int round = 0; round < Effort.Times(50); round++)
        {
            // A new ballot, so that its table grows at the second source; in the second vote it only takes more of it.
            using var ballot = new Ballot(model.Layout.Output.Selector!, Width, model.Layout.Output.Inputs);
            for (int vote = 0; vote < 3; vote++)
            {
                few.Clear();
                many.Clear();
                few.Add(random.Below(100), 1f);
                many.Add(100 + random.Below(100), 0.5f);
                Dictionary<int, float> sums = Sum(network, few);
                foreach ((int id, float more) in Sum(network, many))
                    sums[id] = sums.GetValueOrDefault(id) + more;
                // A neuron twice in the second bucket: (a + b) + c is not a + (b + c).
                AssertElects(ballot, [few, many], 8, sums, tolerance: 1e-5f);
            }
        }
    }

    [Fact]
    public void A_vote_that_was_not_ended_leaves_nothing()
    {
        var random = new TestRandom(16);
        TestNetwork network = Network(random, key => key % 20, (_, _) => (random.Below(Width), (byte)(1 + random.Below(255))));
        using EdgeSlideModel model = network.Open(_folder);
        using var ballot = new Ballot(model.Layout.Output.Selector!, Width, model.Layout.Output.Inputs);
        using var features = new FeatureVector();
        features.Add(19, 1f);
        ballot.Begin();
        ballot.VoteByFeatures(features);
        AssertElects(ballot, features, 8, Sum(network, features));
    }

    private static TestNetwork Network(TestRandom random, Func<int, int> bucketSize, Func<int, int, (int, byte)> entry)
    {
        TestNetwork network = TestNetwork.OfNumbers(FeaturizerKind.Sparse, Features).WithLayers(random, [8], Width).WithSelector(random, 50, features: true, simHash: false);
        List<(int, byte)>[] buckets = network.Output.Selector!.Sources[0].Buckets;
        for (int key = 0; key < Features; key++)
        {
            buckets[key].Clear();
            for (int i = 0; i < bucketSize(key); i++)
                buckets[key].Add(entry(key, i));
        }
        return network;
    }

    private static Dictionary<int, float> Sum(TestNetwork network, FeatureVector features)
    {
        TestSource source = network.Output.Selector!.Sources[0];
        var sums = new Dictionary<int, float>();
        for (int i = 0; i < features.Count; i++)
        {
            foreach ((int id, byte stored) in source.Buckets[features.Ids[i]])
            {
                float vote = MathF.Abs(features.Values[i]) * (source.Record.VoteScale * source.Record.Weight * (stored * stored / 65025f));
                if (vote > 0f)
                    sums[id] = sums.GetValueOrDefault(id) + vote;
            }
        }
        return sums;
    }

    private static void AssertElects(Ballot ballot, FeatureVector features, int budget, Dictionary<int, float> sums) =>
        AssertElects(ballot, [features], budget, sums, tolerance: 0f);

    private static void AssertElects(Ballot ballot, FeatureVector[] sources, int budget, Dictionary<int, float> sums, float tolerance)
    {
        (int Id, float Votes)[] expected = [.. sums.OrderByDescending(s => s.Value).ThenBy(s => s.Key).Take(budget).Select(s => (s.Key, s.Value)).Order()];
        using var ids = new NativeBuffer<int>(LayerSelector.MaxBudget + TopVotes.Slack);
        using var votes = new NativeBuffer<float>(LayerSelector.MaxBudget + TopVotes.Slack);
        ballot.Begin();
        foreach (FeatureVector features in sources)
        {
            ballot.PrefetchOffsets(features);
            ballot.PrefetchBuckets(features);
            ballot.VoteByFeatures(features);
        }
        int count = ballot.Count(budget, ids.Pointer, votes.Pointer);
        (int Id, float Votes)[] elected = [.. Enumerable.Range(0, count).Select(i => (ids.Pointer[i], votes.Pointer[i])).Order()];
        Assert.Equal(expected.Select(e => e.Id), elected.Select(e => e.Id));
        foreach ((var wanted, var found) in expected.Zip(elected))
            Assert.InRange(found.Votes, wanted.Votes * (1f - tolerance), wanted.Votes * (1f + tolerance));
    }
}
