using EdgeSlide.Training.Data;
using EdgeSlide.Training.Networks;
using EdgeSlide.Training.Training;

namespace EdgeSlide.Training.Tests.Training;

public sealed class TrainingCoreTests
{
    // With these options an Adam step is w -= rate * g / (|g| / huge + 1): plain gradient descent, whose difference shows g.
    private static readonly TrainerOptions Descent = Generated.Small with
    {
        Mode = OutputMode.Full, Beta1 = 0, Beta2 = 0, Epsilon = 1e6f, LearningRate = 1e3f, RowSecondMoments = false, InputMomentum = true,
    };

    private const double RateOverEpsilon = 1e3 / 1e6;

    [Theory]
    [InlineData(OutputLoss.Softmax, 0, 1)]
    [InlineData(OutputLoss.Softmax, 1, 1)]
    [InlineData(OutputLoss.Softmax, 0, 2)]
    [InlineData(OutputLoss.Sigmoid, 0, 1)]
    [InlineData(OutputLoss.Sigmoid, 0, 2)]
    [InlineData(OutputLoss.Softmax, 0, 1, Activation.Identity)]
    [InlineData(OutputLoss.Softmax, 0, 2, Activation.Identity)]
    public void Gradients_agree_with_numeric_differences(OutputLoss loss, float labelCountPower, int depth, Activation activation = Activation.Relu)
    {
        Dataset data = Generated.Topics(rows: 8, features: 30, labels: 19, dense: true);
        TrainerOptions options = Descent with { Loss = loss, LabelCountPower = labelCountPower, HiddenSizes = depth == 1 ? [5] : [5, 7], Activation = activation, BatchSize = 8 };
        using WorkerTeam team = new(1);
        using TrainingCore core = new(options, data, team);
        Network before = core.CreateNetwork(), after = core.CreateNetwork();
        // Random biases: at 0, a row without active units below would sit on the kink of the ReLU.
        core.CopyTo(before);
        Random random = new(3);
        foreach (NetworkLayer layer in before.Layers)
        {
            for (int i = 0; i < layer.Bias.Length; i++)
                layer.Bias[i] = random.NextSingle() - 0.4f;
        }
        core.CopyFrom(before);
        int[] rows = [.. Enumerable.Range(0, data.RowCount)];
        double reported = core.Step(rows, 1, options.LearningRate, null);
        core.CopyTo(after);
        if (labelCountPower == 0)
            Assert.Equal(Reference(before, data, loss, 0) / rows.Length, reported, 1e-4);

        for (int layer = 0; layer < before.Layers.Count; layer++)
        {
            for (int trial = 0; trial < 30; trial++)
            {
                float[] weights = trial % 3 == 0 ? before.Layers[layer].Bias : before.Layers[layer].Weights;
                float[] moved = trial % 3 == 0 ? after.Layers[layer].Bias : after.Layers[layer].Weights;
                int at = random.Next(weights.Length);
                double analytic = (weights[at] - (double)moved[at]) / RateOverEpsilon;
                float saved = weights[at];
                const float H = 2e-3f;
                weights[at] = saved + H;
                double up = Reference(before, data, loss, labelCountPower);
                weights[at] = saved - H;
                double down = Reference(before, data, loss, labelCountPower);
                weights[at] = saved;
                double numeric = (up - down) / (2 * (double)H);
                Assert.True(Math.Abs(numeric - analytic) < 0.02 * (1 + Math.Abs(numeric)), $"layer {layer} weight {at}: {analytic} against {numeric}");
            }
        }
    }

    [Theory]
    [InlineData(Activation.Relu)]
    [InlineData(Activation.Identity)]
    public void Dropped_hidden_units_get_no_gradient_and_the_others_are_scaled(Activation function)
    {
        const int Width = 64, Rows = 200;
        var activation = new HiddenActivation(function, 0.25f, 7);
        using var h = new NativeArray<float>(Width);
        using var gradient = new NativeArray<float>(Width);
        int dropped = 0, negative = 0;
        for (int row = 0; row < Rows; row++)
        {
            for (int i = 0; i < Width; i++)
                (h[i], gradient[i]) = (i % 2 == 0 ? 3f : -3f, 1f);
            unsafe
            {
                activation.Forward(h.Items, Width, 0, row);
                activation.Backward(gradient.Items, h.Items, 1, Width);
            }
            for (int i = 0; i < Width; i++)
            {
                float kept = i % 2 == 0 ? 4f : function == Activation.Relu ? 0f : -4f;
                Assert.True(h[i] == 0 || h[i] == kept, $"unit {i} is {h[i]}");
                Assert.Equal(h[i] == 0 ? 0f : 4f / 3, gradient[i]);
                dropped += i % 2 == 0 && h[i] == 0 ? 1 : 0;
                negative += h[i] < 0 ? 1 : 0;
            }
        }
        Assert.InRange(dropped / (Rows * Width / 2.0), 0.22, 0.28);
        Assert.InRange(negative / (Rows * Width / 2.0), function == Activation.Relu ? 0 : 0.72, function == Activation.Relu ? 0 : 0.78);
    }

    [Theory]
    [InlineData(OutputLoss.Softmax)]
    [InlineData(OutputLoss.Sigmoid)]
    public void Label_chunks_give_the_step_of_one_pass(OutputLoss loss)
    {
        Dataset data = Generated.Topics(rows: 32, features: 90, labels: 700);
        Network whole = OneStep(Descent with { Loss = loss }, data, 1);
        Network chunked = OneStep(Descent with { Loss = loss, LogitBytes = 1 }, data, 1);
        for (int layer = 0; layer < 2; layer++)
        {
            for (int i = 0; i < whole.Layers[layer].Weights.Length; i++)
                Assert.Equal(whole.Layers[layer].Weights[i], chunked.Layers[layer].Weights[i], 2e-5f);
        }
    }

    [Theory]
    [InlineData(Activation.Relu)]
    [InlineData(Activation.Identity)]
    public void A_step_is_bit_identical_for_any_number_of_threads(Activation activation)
    {
        Dataset data = Generated.Topics(rows: 100, features: 300, labels: 700);
        TrainerOptions options = Generated.Small with { BatchSize = 100, FeatureDropout = 0.3f, HiddenDropout = 0.2f, HiddenSizes = [24, 17], Activation = activation, RandomNegatives = 300 };
        Network one = OneStep(options, data, 1);
        Network three = OneStep(options, data, 3);
        for (int layer = 0; layer < one.Layers.Count; layer++)
        {
            Assert.Equal(one.Layers[layer].Weights, three.Layers[layer].Weights);
            Assert.Equal(one.Layers[layer].Bias, three.Layers[layer].Bias);
        }
    }

    [Fact]
    public void A_step_without_active_labels_moves_nothing()
    {
        Dataset labelled = Generated.Topics(rows: 16, features: 90, labels: 70);
        // The second half of the rows has no labels.
        Dataset data = new()
        {
            FeatureCount = labelled.FeatureCount, LabelCount = labelled.LabelCount, FeatureOffsets = labelled.FeatureOffsets, FeatureIds = labelled.FeatureIds,
            FeatureValues = labelled.FeatureValues, LabelIds = labelled.LabelIds, LabelOffsets = [.. labelled.LabelOffsets.Select(at => Math.Min(at, labelled.LabelOffsets[8]))],
        };
        using WorkerTeam team = new(1);
        using TrainingCore core = new(Descent with { Mode = OutputMode.Sampled, RandomNegatives = 0, BatchSize = 8 }, data, team);
        Network before = core.CreateNetwork(), after = core.CreateNetwork();
        core.Step([.. Enumerable.Range(0, 8)], 1, 1e3f, null);
        core.CopyTo(before);
        core.Step([.. Enumerable.Range(8, 8)], 2, 1e3f, null);
        core.CopyTo(after);
        Assert.Equal(before.Layers[0].Weights, after.Layers[0].Weights);
        Assert.Equal(before.Layers[0].Bias, after.Layers[0].Bias);
        Assert.Equal(before.Layers[1].Weights, after.Layers[1].Weights);
    }

    [Fact]
    public void Drawing_every_label_is_the_full_softmax()
    {
        Dataset data = Generated.Topics(rows: 32, features: 90, labels: 70);
        Network full = OneStep(Descent, data, 1);
        Network sampled = OneStep(Descent with { Mode = OutputMode.Sampled, RandomNegatives = 1000 }, data, 1);
        for (int i = 0; i < full.Layers[1].Weights.Length; i++)
            Assert.Equal(full.Layers[1].Weights[i], sampled.Layers[1].Weights[i], 2e-5f);
    }

    [Theory]
    [InlineData(0f, 120, 0)]
    [InlineData(0.7f, 120, 0)]
    [InlineData(0f, 60, 60)]
    [InlineData(0.7f, 60, 60)]
    public void The_sampled_gradient_estimates_the_full_one(float negativePower, int random, int lsh)
    {
        Dataset data = Generated.Topics(rows: 8, features: 90, labels: 400);
        TrainerOptions options = Descent with { BatchSize = 8 };
        Network start = OneStep(options, data, 1, steps: 0);
        Network full = OneStep(options, data, 1);
        double[] mean = new double[full.Layers[0].Weights.Length];
        const int Draws = 200;
        for (int draw = 0; draw < Draws; draw++)
        {
            Network sampled = OneStep(
                options with { Mode = OutputMode.Sampled, RandomNegatives = random, NegativePower = negativePower, LshNegatives = lsh, LshBits = 4 }, data, 1, seed: draw * 1000);
            for (int i = 0; i < mean.Length; i++)
                mean[i] += (sampled.Layers[0].Weights[i] - start.Layers[0].Weights[i]) / (double)Draws;
        }
        double error = 0, size = 0;
        for (int i = 0; i < mean.Length; i++)
        {
            double exact = full.Layers[0].Weights[i] - start.Layers[0].Weights[i];
            error += (mean[i] - exact) * (mean[i] - exact);
            size += exact * exact;
        }
        Assert.True(Math.Sqrt(error / size) < 0.1, $"relative error {Math.Sqrt(error / size)}");
    }

    [Theory]
    [InlineData(1, 0, 0)]
    [InlineData(2, 0, 0)]
    [InlineData(2, 4, 0)]
    [InlineData(1, 0, 100)]
    [InlineData(2, 4, 100)]
    public void A_step_allocates_nothing_after_the_first(int threads, int tableNegatives, int lshNegatives)
    {
        Dataset data = Generated.Topics(rows: 128, features: 300, labels: 700);
        TrainerOptions options = Generated.Small with { BatchSize = 128, RandomNegatives = 100, TableNegatives = tableNegatives, LshNegatives = lshNegatives };
        int[] rows = [.. Enumerable.Range(0, 128)];
        using WorkerTeam team = new(threads);
        using TrainingCore core = new(options, data, team);
        using LikelyLabels? tables = tableNegatives == 0 ? null : new(options, data, rows, team);
        tables?.Rebuild(core);
        core.RebuildSampler(rows);
        for (int i = 0; i < 3; i++)
            core.Step(rows, (ulong)i, 0.01f, tables);
        long[] allocated = new long[threads];
        int arrived = 0;
        // Each thread reports its own count: they wait for each other, so that none takes another's turn.
        Action<int, int> report = (_, worker) =>
        {
            Interlocked.Increment(ref arrived);
            while (Volatile.Read(ref arrived) < threads)
                Thread.Yield();
            allocated[worker] = GC.GetAllocatedBytesForCurrentThread();
        };
        // The least of several tries: the runtime itself may allocate once on a thread while it compiles better code.
        long least = long.MaxValue;
        for (int attempt = 0; attempt < 5; attempt++)
        {
            arrived = 0;
            team.Run(threads, report);
            long before = allocated.Sum();
            for (int i = 0; i < 10; i++)
                core.Step(rows, (ulong)i, 0.01f, tables);
            arrived = 0;
            team.Run(threads, report);
            least = Math.Min(least, allocated.Sum() - before);
        }
        Assert.Equal(0, least);
    }

    private static Network OneStep(TrainerOptions options, Dataset data, int threads, int steps = 1, int seed = 5)
    {
        using WorkerTeam team = new(threads);
        using TrainingCore core = new(options, data, team);
        int[] rows = [.. Enumerable.Range(0, Math.Min(data.RowCount, options.BatchSize))];
        core.RebuildSampler(rows);
        for (int i = 0; i < steps; i++)
            core.Step(rows, (ulong)seed, options.LearningRate, null);
        Network network = core.CreateNetwork();
        core.CopyTo(network);
        return network;
    }

    /// <summary>Sum of the rows' losses by plain loops.</summary>
    private static double Reference(Network network, Dataset data, OutputLoss loss, float labelCountPower)
    {
        double total = 0;
        for (int row = 0; row < data.RowCount; row++)
        {
            double[] h = [.. network.Layers[0].Bias.Select(b => (double)b)];
            for (int j = 0; j < data.RowFeatures(row).Length; j++)
            {
                for (int i = 0; i < h.Length; i++)
                    h[i] += data.RowValues(row)[j] * network.Layers[0].Weights[(data.RowFeatures(row)[j] * h.Length) + i];
            }
            bool linear = network.Layers[0].Activation == Activation.Identity;
            foreach (NetworkLayer layer in network.Layers.Skip(1))
            {
                double[] below = [.. h.Select(x => linear ? x : Math.Max(0, x))];
                h = [.. Enumerable.Range(0, layer.Outputs).Select(o => layer.Bias[o] + below.Select((x, i) => x * layer.Weights[(o * layer.Inputs) + i]).Sum())];
            }
            int[] labels = data.RowLabels(row).ToArray();
            double weight = Math.Pow(labels.Length, labelCountPower);
            double max = h.Max();
            double logSum = max + Math.Log(h.Sum(z => Math.Exp(z - max)));
            total += weight * (loss == OutputLoss.Softmax
                ? labels.Sum(label => (logSum - h[label]) / labels.Length)
                : h.Sum(z => Math.Max(z, 0) + Math.Log(1 + Math.Exp(-Math.Abs(z)))) - labels.Sum(label => h[label]));
        }
        return total;
    }
}
