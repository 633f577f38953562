using EdgeSlide.Training.Slide;

namespace EdgeSlide.Training.Tests.Slide;

public sealed class InitializationTests
{
    [Theory]
    [InlineData("Dense", 1.0)]
    [InlineData("Dropout", 0.05)]
    [InlineData("WinnerTakeAll", 0.05)]
    [InlineData("WinnerTakeAll", 0.25)]
    [InlineData("Votes", 0.05)]
    [InlineData("Lsh", 0.9)]
    [InlineData("AdaptiveDropout", 0.05)]
    [InlineData("AdaptiveDropout", 0.5)]
    public void The_mean_square_is_what_simulated_neurons_pass_on(string name, double share)
    {
        ActiveMode mode = Enum.Parse<ActiveMode>(name);
        var random = new Random(1);
        const int Neurons = 400_000;
        double[] z = [.. Enumerable.Range(0, Neurons).Select(_ => Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()))];
        double[] active;
        if (mode is ActiveMode.Dense or ActiveMode.Dropout)
        {
            active = z[..(int)(Neurons * share)];
        }
        else if (mode == ActiveMode.AdaptiveDropout)
        {
            double bias = 0;
            for (int step = 0; step < 200; step++)
                bias += 2 * (share - z[..20_000].Average(v => 1 / (1 + Math.Exp(-(v + bias)))));
            active = [.. z.Where(v => random.NextDouble() < 1 / (1 + Math.Exp(-(v + bias))))];
        }
        else
        {
            active = [.. z.OrderDescending().Take((int)(Neurons * share))];
        }
        double measured = active.Average(v => Math.Max(0, v) * Math.Max(0, v));
        Assert.InRange(Initialization.MeanSquare(mode, share), measured * 0.96, measured * 1.04);
    }

    /// <summary>The reason for it all: the signal keeps its size through layers of few active neurons.</summary>
    [Theory]
    [InlineData("WinnerTakeAll", 0.05)]
    [InlineData("WinnerTakeAll", 0.5)]
    [InlineData("Dense", 1.0)]
    public unsafe void First_weights_keep_the_signal_from_layer_to_layer(string mode, double share)
    {
        var options = new SlideOptions { Hidden = [400, 400, 400, 400], Mode = Enum.Parse<ActiveMode>(mode), Active = [share, share, share, share, 1] };
        using var network = new SlideNetwork(300, 10, 300, options);
        using SlideState state = network.CreateState();
        var random = new Random(2);
        int[] ids = [.. Enumerable.Range(0, 300)];
        float[] values = [.. ids.Select(_ => (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble())))];
        fixed (int* i = ids)
        fixed (float* v = values)
            network.Forward(state, i, v, 300, [], training: false, 1);
        double[] sizes = [.. state.Layers.SkipLast(1).Select(l => Math.Sqrt(Enumerable.Range(0, l.Count).Sum(n => (double)l.Values[n] * l.Values[n])))];
        Assert.InRange(sizes[^1] / sizes[0], 0.6, 1.6);
    }
}
