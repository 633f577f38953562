using EdgeSlide.Training.Slide;

namespace EdgeSlide.Training.Tests.Slide;

public sealed unsafe class SlideNetworkTests
{
    /// <summary>A step of plain gradient descent moves each weight by the rate times its derivative, and leaves inactive neurons alone.</summary>
    [Theory]
    [InlineData("Dense", 1.0)]
    [InlineData("Lsh", 0.5)]
    public void The_step_is_the_gradient_of_the_loss_over_the_active_neurons(string mode, double active)
    {
        var options = new SlideOptions
        {
            Hidden = [14, 12],
            Mode = Enum.Parse<ActiveMode>(mode),
            Active = [active],
            K = 2,
            L = 8,
            RangePow = 4,
            Optimizer = Optimizer.Sgd,
            Seed = 3,
        };
        int[] ids = [1, 4, 9];
        float[] values = [0.7f, -1.2f, 0.5f];
        const float Rate = 1e-3f;
        using var network = new SlideNetwork(10, 9, 3, options);
        using SlideState state = network.CreateState();
        using (var team = new EdgeSlide.Training.Training.WorkerTeam(1))
            network.Rebuild(team, [state]);
        fixed (int* pinnedIds = ids)
        fixed (float* pinnedValues = values)
        {
            int* i = pinnedIds;
            float* v = pinnedValues;
            var expected = new Dictionary<(int, int, int), double>();
            double Loss()
            {
                network.Forward(state, i, v, 3, [2, 7], training: true, 11);
                return SlideNetwork.Softmax(state.Layers[^1], [2, 7]);
            }
            for (int l = 0; l < network.Layers.Count; l++)
            {
                SlideLayer layer = network.Layers[l];
                for (int n = 0; n < layer.Outputs; n++)
                {
                    for (int input = 0; input < layer.Inputs; input++)
                    {
                        float before = layer.Row(n)[input];
                        layer.Row(n)[input] = before + 2e-2f;
                        double above = Loss();
                        layer.Row(n)[input] = before - 2e-2f;
                        double below = Loss();
                        layer.Row(n)[input] = before;
                        expected[(l, n, input)] = (above - below) / 4e-2;
                    }
                }
            }
            float[][] old = [.. network.Layers.Select(l => Weights(l))];
            Assert.Equal(Loss(), network.Train(state, i, v, 3, [2, 7], new SlideStep(false, Rate), 11), 6);
            int moved = 0, wrong = 0;
            for (int l = 0; l < network.Layers.Count; l++)
            {
                SlideLayer layer = network.Layers[l];
                float[] now = Weights(layer);
                for (int n = 0; n < layer.Outputs; n++)
                {
                    for (int input = 0; input < layer.Inputs; input++)
                    {
                        int at = (n * layer.Inputs) + input;
                        double step = (old[l][at] - now[at]) / Rate;
                        moved += step != 0 ? 1 : 0;
                        // A weight whose change pushes a ReLU across 0 has no derivative for a difference to find.
                        wrong += Math.Abs(step - expected[(l, n, input)]) > 0.01 ? 1 : 0;
                    }
                }
            }
            int all = expected.Count;
            Assert.InRange(moved, 20, active < 1 ? all / 2 : all);
            Assert.InRange(wrong, 0, all / 25);
        }
    }

    private static float[] Weights(SlideLayer layer)
    {
        float[] copy = new float[layer.Outputs * layer.Inputs];
        for (int n = 0; n < layer.Outputs; n++)
            new ReadOnlySpan<float>(layer.Row(n), layer.Inputs).CopyTo(copy.AsSpan(n * layer.Inputs));
        return copy;
    }
}
