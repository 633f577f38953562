using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Networks;
using EdgeSlide.Training.Slide;
using EdgeSlide.Training.Tests.Training;

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
            LeastOthers = 3,
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

    /// <summary>
    /// Rectangles by three hashed layers with a twentieth of their neurons active, for less than a tenth of the dense
    /// arithmetic, hashing and candidates counted. Chance is one half.
    /// </summary>
    [Fact]
    public void Three_hashed_layers_learn_with_5_percent_of_their_neurons()
    {
        var options = new SlideOptions
        {
            Hidden = [300, 300, 300],
            Family = HashFamilyKind.SparseProjection,
            K = 4,
            L = 12,
            Spare = 0.15,
            RebuildRows = 200,
            RebuildGrowth = 1.3,
            Epochs = 3,
            Threads = 1,
        };
        SweepRow row = KddSweep.Run(ActiveMode.Votes, 0.05, options, ownRate: false, ShapeTasks.Rectangles(1500, 1), ShapeTasks.Rectangles(1000, 2), null, default);
        Assert.InRange(row.P1, 0.85, 1);
        Assert.InRange(row.Fraction, 0.01, 0.1);
        Assert.InRange(row.TrainingFraction, 0.01, 0.1);
    }

    [Fact]
    public void Candidates_are_evaluated_and_the_largest_stay()
    {
        var options = new SlideOptions { Hidden = [200], Active = [0.05, 1], K = 2, L = 20, RangePow = 4, Spare = 0.3, BucketSize = 256 };
        using var network = new SlideNetwork(20, 3, 20, options);
        using SlideState state = network.CreateState();
        using (var team = new EdgeSlide.Training.Training.WorkerTeam(1))
            network.Rebuild(team, [state]);
        int[] ids = [.. Enumerable.Range(0, 20)];
        float[] values = [.. ids.Select(i => MathF.Sin(i))];
        fixed (int* i = ids)
        fixed (float* v = values)
            network.Forward(state, i, v, 20, [], training: true, 5);
        SlideState.LayerState hidden = state.Layers[0];
        Assert.Equal(10, hidden.Count);
        Assert.Equal((70 * 20) + (10 * 3), state.Products);
        float[] all = [.. Enumerable.Range(0, 200).Select(n => Enumerable.Range(0, 20).Sum(i => network.Layers[0].Row(n)[i] * values[i])).OrderDescending()];
        float least = Enumerable.Range(0, 10).Min(n => hidden.Values[n]);
        Assert.True(least >= all[40], $"a neuron of activation {least} stayed, but 40 of 200 have more than {all[40]}, and 70 were candidates");
    }

    /// <summary>A hundredth of 100 labels is one: the row's own, which without others to compete with teaches nothing.</summary>
    [Fact]
    public void A_hundred_labels_are_learned_with_the_default_share_of_them_active()
    {
        Dataset train = Generated.Topics(rows: 3000, features: 300, labels: 100, seed: 1), test = Generated.Topics(rows: 500, features: 300, labels: 100, seed: 2);
        var options = new SlideOptions { Hidden = [32], LearningRate = 3e-3f, Threads = 1 };
        using var trainer = new SlideTrainer(options, train);
        using var dense = new SlideTrainer(options with { Active = [1] }, train);
        SlideResult result = trainer.Run(null, default);
        Assert.True(result.Loss > 0, "a loss of 0: labels have nobody to compete with");
        double best = Precision(dense.Run(null, default).Network, test);
        Assert.InRange(Precision(result.Network, test), best - 0.05, 1);
        SlideScore hashed = trainer.Evaluate(test);
        Assert.True(hashed.P1 > 0.5, $"P@1 {hashed.P1} with 16 of the output neurons, found by hashing");
        Assert.InRange(hashed.Products, 1, (6 * 32) + (16 * 32));
    }

    private static double Precision(Network network, Dataset test)
    {
        var metrics = new RankingMetrics([1]);
        using var scorer = new DenseScorer(network);
        metrics.Add(scorer.Score(test, 1), test);
        return metrics.Precision(1);
    }

    [Fact]
    public void A_row_of_many_labels_is_trained_against_others()
    {
        var options = new SlideOptions { Hidden = [16], K = 2, L = 4, RangePow = 4 };
        using var network = new SlideNetwork(20, 60, 1, options);
        using SlideState state = network.CreateState();
        using (var team = new EdgeSlide.Training.Training.WorkerTeam(1))
            network.Rebuild(team, [state]);
        int id = 3;
        float value = 1;
        int[] labels = [.. Enumerable.Range(20, 30)];
        network.Forward(state, &id, &value, 1, labels, training: true, 5);
        Assert.Equal(45, state.Layers[^1].Count);
        network.Forward(state, &id, &value, 1, [7], training: true, 5);
        Assert.Equal(16, state.Layers[^1].Count);
    }

    [Fact]
    public void Rows_without_labels_are_refused()
    {
        var rows = new Dataset
        {
            FeatureCount = 4, LabelCount = 3, FeatureOffsets = new long[] { 0, 1, 2 }, FeatureIds = new[] { 0, 3 }, FeatureValues = new[] { 1f, 1f },
            LabelOffsets = new long[] { 0, 0, 0 }, LabelIds = Array.Empty<int>(),
        };
        Assert.Contains("no training row has a label", Assert.Throws<InvalidDataException>(() => new SlideTrainer(new SlideOptions(), rows)).Message, StringComparison.Ordinal);
    }

    private static float[] Weights(SlideLayer layer)
    {
        float[] copy = new float[layer.Outputs * layer.Inputs];
        for (int n = 0; n < layer.Outputs; n++)
            new ReadOnlySpan<float>(layer.Row(n), layer.Inputs).CopyTo(copy.AsSpan(n * layer.Inputs));
        return copy;
    }
}
