using EdgeSlide.Training.Slide;

namespace EdgeSlide.Training.Tests.Slide;

/// <summary>Each family's measured collision probability against its theory.</summary>
public sealed unsafe class HashFamilyTests
{
    private const int Dimensions = 64;
    private const int Codes = 512;
    private const int Seeds = 16;

    [Theory]
    [InlineData("SimHash", 0.015)]
    [InlineData("Hadamard", 0.03)]
    [InlineData("SparseProjection", 0.03)] // The law holds asymptotically only.
    public void Bits_of_signed_projections_agree_with_probability_1_minus_the_angle_over_pi(string family, double tolerance)
    {
        var random = new Random(3);
        foreach (double angle in new[] { 0.2, 0.8, Math.PI / 2, 2.4 })
        {
            (float[] x, float[] y) = PairAt(angle, random);
            Assert.InRange(Agreement(Enum.Parse<HashFamilyKind>(family), x, y), 1 - (angle / Math.PI) - tolerance, 1 - (angle / Math.PI) + tolerance);
        }
    }

    [Theory]
    [InlineData("SimHash")]
    [InlineData("Hadamard")]
    [InlineData("SparseProjection")]
    public void Centred_projections_hash_the_difference_from_the_mean(string family)
    {
        var random = new Random(4);
        float[] mean = [.. Enumerable.Range(0, Dimensions).Select(_ => random.NextSingle())];
        float[] x = [.. mean.Select(m => m + random.NextSingle() - 0.5f)];
        float[] difference = [.. x.Zip(mean, (a, b) => a - b)];
        HashFamily plain = HashFamily.Create(Enum.Parse<HashFamilyKind>(family), Dimensions, Codes, 9);
        HashFamily centred = HashFamily.Create(Enum.Parse<HashFamilyKind>(family), Dimensions, Codes, 9);
        centred.Centre(mean);
        int[] a = CodesOf(plain, difference), b = CodesOf(centred, x);
        // Sums in another order may round a projection across 0.
        Assert.InRange(a.Zip(b, (p, q) => p == q ? 0 : 1).Sum(), 0, Codes / 100);
    }

    private static int[] CodesOf(HashFamily family, float[] x)
    {
        int[] codes = new int[family.Codes];
        float[] scratch = new float[family.ScratchLength];
        fixed (float* v = x, s = scratch)
        fixed (int* c = codes)
            family.Hash(null, v, x.Length, s, c);
        return codes;
    }

    [Theory]
    [InlineData("Wta")]
    [InlineData("DensifiedWta")]
    public void Winners_of_random_octets_agree_as_often_as_octets_drawn_at_random(string family)
    {
        var random = new Random(5);
        foreach (double noise in new[] { 0.1, 0.5, 2 })
        {
            // All elements above 0, so that none is absent and densification has nothing to do.
            float[] x = [.. Enumerable.Range(0, Dimensions).Select(_ => 1f + random.NextSingle())];
            float[] y = [.. x.Select(v => v + (float)noise * random.NextSingle())];
            int agree = 0;
            const int Draws = 40_000;
            int[] order = [.. Enumerable.Range(0, Dimensions)];
            for (int draw = 0; draw < Draws; draw++)
            {
                random.Shuffle(order);
                agree += order[..8].MaxBy(i => x[i]) == order[..8].MaxBy(i => y[i]) ? 1 : 0;
            }
            double expected = agree / (double)Draws;
            Assert.InRange(Agreement(Enum.Parse<HashFamilyKind>(family), x, y), expected - 0.03, expected + 0.03);
        }
    }

    [Fact]
    public void Sparse_vectors_without_common_elements_do_not_agree_by_being_empty()
    {
        float[] x = new float[Dimensions], y = new float[Dimensions];
        for (int i = 0; i < 2; i++)
            (x[i], y[30 + i]) = (1 + i, 1 + i);
        Assert.True(Agreement(HashFamilyKind.Wta, x, y) > 0.5, "plain winner-take-all meets in empty octets");
        Assert.InRange(Agreement(HashFamilyKind.DensifiedWta, x, y), 0, 0.25);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(5)]
    [InlineData(12)]
    [InlineData(20)]
    public void Minima_of_sets_agree_with_the_probability_of_their_jaccard_similarity(int common)
    {
        float[] x = new float[Dimensions], y = new float[Dimensions];
        for (int i = 0; i < 20; i++)
            (x[i], y[i + 20 - common]) = (1, 1);
        double jaccard = common / (40.0 - common);
        Assert.InRange(Agreement(HashFamilyKind.MinHash, x, y, 200), jaccard - 0.05, jaccard + 0.05);
    }

    [Fact]
    public void A_vector_with_its_zeros_left_out_has_the_same_codes()
    {
        var random = new Random(9);
        float[] x = [.. Enumerable.Range(0, Dimensions).Select(i => i % 3 == 0 ? random.NextSingle() + 0.1f : 0f)];
        int[] ids = [.. Enumerable.Range(0, Dimensions).Where(i => x[i] != 0)];
        float[] values = [.. ids.Select(i => x[i])];
        foreach (HashFamilyKind kind in Enum.GetValues<HashFamilyKind>())
        {
            HashFamily family = HashFamily.Create(kind, Dimensions, Codes, 7);
            Assert.Equal(Hash(family, x), Hash(family, values, ids));
            Assert.InRange(family.Operations(ids.Length), 1, family.Operations(Dimensions));
            Assert.All(Hash(family, x), code => Assert.InRange(code, 0, (1L << family.CodeBits) - 1));
        }
    }

    private static double Agreement(HashFamilyKind kind, float[] x, float[] y, int seeds = Seeds)
    {
        int agree = 0;
        for (ulong seed = 1; seed <= (ulong)seeds; seed++)
        {
            HashFamily family = HashFamily.Create(kind, Dimensions, Codes, seed);
            agree += Hash(family, x).Zip(Hash(family, y)).Count(pair => pair.First == pair.Second);
        }
        return agree / (double)(seeds * Codes);
    }

    private static int[] Hash(HashFamily family, float[] values, int[]? ids = null)
    {
        int[] codes = new int[family.Codes];
        float[] scratch = GC.AllocateArray<float>(family.ScratchLength + 64, pinned: true);
        fixed (float* v = values)
        fixed (int* i = ids)
        fixed (int* c = codes)
        fixed (float* s = scratch)
            family.Hash(i, v, values.Length, s, c);
        return codes;
    }

    private static (float[] X, float[] Y) PairAt(double angle, Random random)
    {
        double[] a = Direction(random), b = Direction(random);
        double dot = a.Zip(b, (p, q) => p * q).Sum();
        double[] orthogonal = [.. b.Zip(a, (q, p) => q - (dot * p))];
        double length = Math.Sqrt(orthogonal.Sum(v => v * v));
        return ([.. a.Select(v => (float)v)], [.. a.Zip(orthogonal, (p, q) => (float)((Math.Cos(angle) * p) + (Math.Sin(angle) * q / length)))]);
    }

    private static double[] Direction(Random random)
    {
        double[] x = [.. Enumerable.Range(0, Dimensions).Select(_ => Enumerable.Range(0, 12).Sum(_ => random.NextDouble()) - 6)];
        double length = Math.Sqrt(x.Sum(v => v * v));
        return [.. x.Select(v => v / length)];
    }
}
