using EdgeSlide.Training.Slide;

namespace EdgeSlide.Training.Tests.Slide;

public sealed unsafe class VoteSamplerTests
{
    private const int Neurons = 60, Slots = 12, L = 3;

    /// <summary>Votes as the rule says them, kept by neuron: no places, no challenges.</summary>
    [Fact]
    public void Neurons_that_win_again_and_again_are_chosen_for_the_same_buckets_only()
    {
        using var tables = new VoteTables(new BucketKeys(1, L, 2, 2), Slots, 0.9f);
        var sampler = new VoteSampler(Neurons, Slots);
        int[] chosen = new int[Neurons];
        fixed (int* c = chosen)
        {
            int* here = stackalloc int[L], there = stackalloc int[L];
            for (int t = 0; t < L; t++)
                (here[t], there[t]) = ((t << 2) | 1, (t << 2) | 2);
            int* winners = stackalloc int[6];
            for (ulong round = 0; round < 60; round++)
            {
                for (int i = 0; i < 6; i++)
                    winners[i] = i < 5 ? i * 7 : (int)((11 + round) % Neurons); // five that stay and one that passes by
                sampler.Vote(tables, here, winners, winners[5] % 7 == 0 && winners[5] < 35 ? 5 : 6, round);
            }
            int count = sampler.Choose(tables, here, 5, 0, training: false, 1, c);
            Assert.Equal([0, 7, 14, 21, 28], chosen[..count].Order());
            Assert.Equal(0, sampler.Choose(tables, there, 5, 0, training: false, 1, c));
            Assert.Equal(L * Slots, sampler.Lookups);
        }
    }

    [Fact]
    public void A_new_habit_drives_out_an_old_one()
    {
        using var tables = new VoteTables(new BucketKeys(1, 1, 1, 1), 8, 0.8f);
        var sampler = new VoteSampler(Neurons, 8);
        int key = 1;
        int[] chosen = new int[Neurons];
        int* winners = stackalloc int[8];
        fixed (int* c = chosen)
        {
            foreach (int first in new[] { 0, 30 })
            {
                for (int i = 0; i < 8; i++)
                    winners[i] = first + i;
                for (ulong round = 0; round < 80; round++)
                    sampler.Vote(tables, &key, winners, 8, round);
                int count = sampler.Choose(tables, &key, 8, 0, training: false, 1, c);
                Assert.Equal(Enumerable.Range(first, 8), chosen[..count].Order());
            }
        }
    }

    [Theory]
    [InlineData(10, 0)]
    [InlineData(10, 3)]
    [InlineData(Neurons, 0)]
    [InlineData(Neurons + 5, 2)]
    public void Training_fills_up_with_distinct_neurons_and_keeps_places_for_unknown_ones(int budget, int explore)
    {
        using var tables = new VoteTables(new BucketKeys(1, 1, 1, 1), Neurons, 0.99f);
        var sampler = new VoteSampler(Neurons, Neurons);
        int key = 0;
        int[] chosen = new int[Neurons + 8], winners = [.. Enumerable.Range(0, 20)];
        fixed (int* c = chosen, w = winners)
        {
            for (ulong round = 0; round < 30; round++)
                sampler.Vote(tables, &key, w, winners.Length, round);
            int strangers = 0;
            for (ulong seed = 0; seed < 50; seed++)
            {
                int count = sampler.Choose(tables, &key, budget, explore, training: true, seed * 1000, c);
                Assert.Equal(count, chosen[..count].Distinct().Count());
                Assert.All(chosen[..count], id => Assert.InRange(id, 0, Neurons - 1));
                Assert.InRange(count, Math.Min(budget, 20), Math.Min(budget, Neurons));
                if (budget <= 20)
                {
                    Assert.Equal(budget, count);
                    Assert.True(chosen[..count].Count(id => id < 20) >= budget - explore);
                }
                strangers += chosen[..count].Count(id => id >= 20);
            }
            if (explore > 0 || budget > 20)
                Assert.True(strangers > 0, "no neuron without votes was ever tried");
            else
                Assert.Equal(0, strangers);
        }
    }
}
