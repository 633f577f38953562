using EdgeSlide.Training.Training;

namespace EdgeSlide.Training.Tests.Training;

public sealed class NegativeSamplerTests
{
    private static readonly int[] Counts = [0, 0, 1, 3, 8, 15, 24, 48, 99, 0, 400, 2];

    [Theory]
    [InlineData(0f)]
    [InlineData(0.5f)]
    [InlineData(1f)]
    public void Labels_are_drawn_in_proportion_to_a_power_of_their_frequency(float power)
    {
        NegativeSampler sampler = new(Counts, power, draws: 5);
        double[] expected = [.. Counts.Select(count => Math.Pow(count + 1, power))];
        double total = expected.Sum();
        const int Draws = 200_000;
        int[] drawn = new int[Counts.Length];
        for (int i = 0; i < Draws; i++)
            drawn[sampler.Draw(Noise.Mix((ulong)i))]++;
        for (int label = 0; label < Counts.Length; label++)
        {
            double q = expected[label] / total, error = Math.Sqrt(q * (1 - q) * Draws);
            Assert.True(Math.Abs(drawn[label] - (q * Draws)) < 5 * error, $"label {label}: {drawn[label]} of {Draws}, expected {q * Draws:F0}");
        }
    }

    [Fact]
    public void Weights_of_the_labels_in_a_set_add_up_to_all_labels_on_average()
    {
        NegativeSampler sampler = new(Counts, 0.5f, draws: 4);
        ActiveSet active = new(Counts.Length, sampler);
        double[] mean = new double[Counts.Length];
        const int Sets = 100_000;
        for (int set = 0; set < Sets; set++)
        {
            active.Reset();
            active.Add(5);
            active.Draw(4, Noise.Mix((ulong)set));
            for (int slot = 0; slot < active.Count; slot++)
                mean[active.Ids[slot]] += active.Weight(slot) / (double)Sets;
        }
        for (int label = 0; label < Counts.Length; label++)
            Assert.True(Math.Abs(mean[label] - 1) < 0.06, $"label {label} counts {mean[label]:F3} times on average");
    }
}
