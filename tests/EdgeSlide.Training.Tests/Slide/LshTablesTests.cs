using EdgeSlide.Training.Slide;

namespace EdgeSlide.Training.Tests.Slide;

public sealed unsafe class LshTablesTests
{
    [Fact]
    public void A_full_fifo_bucket_keeps_the_newest()
    {
        using var tables = new LshTables(1, 1, 1, 4, 1, BucketPolicy.Fifo, 1);
        int key = 1;
        for (int id = 0; id < 11; id++)
            tables.Add(id, &key);
        Assert.Equal([7, 8, 9, 10], tables.Bucket(1).ToArray().Order());
        Assert.True(tables.Bucket(0).IsEmpty);
        tables.Clear();
        Assert.True(tables.Bucket(1).IsEmpty);
    }

    [Fact]
    public void A_reservoir_keeps_every_neuron_that_came_equally_often()
    {
        const int Neurons = 40, Places = 8, Rounds = 4000;
        int[] kept = new int[Neurons];
        int key = 0;
        for (ulong seed = 1; seed <= Rounds; seed++)
        {
            using var tables = new LshTables(1, 1, 1, Places, 1, BucketPolicy.Reservoir, seed * 1_000_003);
            for (int id = 0; id < Neurons; id++)
                tables.Add(id, &key);
            foreach (int id in tables.Bucket(0))
                kept[id]++;
        }
        double expected = Rounds * Places / (double)Neurons;
        double chiSquare = kept.Sum(k => (k - expected) * (k - expected) / (expected * (1 - (Places / (double)Neurons))));
        // 40 terms, 39 degrees of freedom: above 73 once in a thousand.
        Assert.InRange(chiSquare, 15, 73);
    }

    [Theory]
    [InlineData("Vanilla")]
    [InlineData("TopK")]
    [InlineData("HardThreshold")]
    public void Samplers_choose_distinct_neurons_within_the_budget_and_all_that_are_forced(string sampling)
    {
        const int Neurons = 200, L = 10;
        using var tables = new LshTables(1, L, 3, 16, 3, BucketPolicy.Fifo, 1);
        var random = new Random(2);
        int[] keys = new int[L];
        int[,] bucketOf = new int[Neurons, L];
        fixed (int* k = keys)
        {
            for (int id = 0; id < Neurons; id++)
            {
                for (int t = 0; t < L; t++)
                    keys[t] = bucketOf[id, t] = (t << 3) | random.Next(8);
                tables.Add(id, k);
            }
            for (int t = 0; t < L; t++)
                keys[t] = (t << 3) | 3;
            var sampler = new NeuronSampler(Neurons, L);
            int[] active = new int[Neurons];
            int[] collisions = [.. Enumerable.Range(0, Neurons).Select(id => Enumerable.Range(0, L).Count(t => tables.Bucket((t << 3) | 3).Contains(id)))];
            foreach (bool fill in new[] { false, true })
            {
                fixed (int* a = active)
                {
                    int count = sampler.Choose(tables, k, Enum.Parse<Sampling>(sampling), 2, 30, [5, 199, 5], fill, 7, a);
                    int[] chosen = active[..count];
                    Assert.Equal([5, 199], chosen[..2]);
                    Assert.Equal(count, chosen.Distinct().Count());
                    Assert.InRange(count, 2, 30);
                    if (fill)
                        Assert.Equal(30, count);
                    else if (sampling == "HardThreshold")
                        Assert.All(chosen[2..], id => Assert.True(collisions[id] >= 2));
                    else if (sampling == "TopK")
                        Assert.True(chosen[2..].Min(id => collisions[id]) >= Enumerable.Range(0, Neurons).Except(chosen).Max(id => collisions[id]));
                    Assert.True(sampler.Lookups > 0);
                }
            }
        }
    }
}
