using EdgeSlide.Training.Data;
using EdgeSlide.Training.Networks;
using EdgeSlide.Training.Training;

namespace EdgeSlide.Training.Tests.Training;

public sealed unsafe class LshSamplerTests : IDisposable
{
    private const int Labels = 240;
    private const int Width = 16;
    private const int Rows = 12;

    private static readonly TrainerOptions Options = Generated.Small with
    {
        HiddenSizes = [Width], BatchSize = Rows, LshNegatives = 1, LshBits = 4, LshTables = 6,
    };

    private readonly WorkerTeam _team = new(2);
    private readonly NativeArray<float> _weights = new(Labels * Width);
    private readonly NativeArray<float> _bias = new(VectorMath.Pad(Labels));
    private readonly NativeArray<float> _vectors = new(Rows * Width);

    public LshSamplerTests()
    {
        Random random = new(7);
        for (int i = 0; i < _weights.Length; i++)
            _weights[i] = (float)(random.NextDouble() + random.NextDouble() - 1.2);
        for (int i = 0; i < Labels; i++)
            _bias[i] = random.NextSingle() - 0.5f;
        for (int i = 0; i < _vectors.Length; i++)
            _vectors[i] = Math.Max(0, (3 * random.NextSingle()) - 1);
    }

    public void Dispose()
    {
        _team.Dispose();
        _weights.Dispose();
        _bias.Dispose();
        _vectors.Dispose();
    }

    [Theory]
    [InlineData(1, 2)]
    [InlineData(4, 6)]
    [InlineData(7, 3)]
    public void Labels_are_drawn_with_the_probability_that_is_told(int bits, int tables)
    {
        using LshSampler sampler = Probed(Options with { LshBits = bits, LshTables = tables });
        Assert.Equal(1, Enumerable.Range(0, Labels).Sum(sampler.Probability), 1e-5);
        const int Draws = 200_000;
        int[] drawn = new int[Labels];
        for (int i = 0; i < Draws; i++)
            drawn[sampler.Draw(Noise.Mix((ulong)i))]++;
        for (int label = 0; label < Labels; label++)
        {
            double q = sampler.Probability(label), error = Math.Sqrt((q * (1 - q) * Draws) + 1);
            Assert.True(Math.Abs(drawn[label] - (q * Draws)) < 5 * error, $"label {label}: {drawn[label]} of {Draws}, told {q * Draws:F1}");
        }
    }

    [Theory]
    [InlineData(20, 0.5f, 0, 4)]
    [InlineData(0, 0.5f, 20, 1)]
    [InlineData(10, 0.5f, 15, 4)]
    [InlineData(10, 0f, 15, 4)]
    [InlineData(5, 0.5f, 30, 7)]
    public void The_estimate_of_the_partition_function_is_unbiased_for_every_row(int random, float power, int lsh, int bits)
    {
        using LshSampler sampler = Probed(Options with { LshBits = bits });
        // Tables may be older than the weights.
        for (int i = 0; i < _weights.Length; i++)
            _weights[i] *= (i & 3) * 0.6f;
        int[] counts = [.. Enumerable.Range(0, Labels).Select(label => label * label / 100)];
        ActiveSet active = new(Labels, power > 0 ? new NegativeSampler(counts, power, random) : null, sampler);
        double[] exact = new double[Rows], sum = new double[Rows], squares = new double[Rows];
        double[,] exp = new double[Rows, Labels];
        for (int row = 0; row < Rows; row++)
        {
            for (int label = 0; label < Labels; label++)
                exact[row] += exp[row, label] = Math.Exp(Logit(row, label));
        }
        const int Sets = 20_000;
        Span<double> estimate = stackalloc double[Rows];
        for (int set = 0; set < Sets; set++)
        {
            active.Reset();
            active.Add(5);
            active.Add(77);
            active.Draw(random, Noise.Mix((ulong)set), lsh);
            estimate.Clear();
            for (int slot = 0; slot < active.Count; slot++)
            {
                float weight = active.Weight(slot);
                for (int row = 0; row < Rows; row++)
                    estimate[row] += weight * exp[row, active.Ids[slot]];
            }
            for (int row = 0; row < Rows; row++)
            {
                sum[row] += estimate[row];
                squares[row] += estimate[row] * estimate[row];
            }
        }
        for (int row = 0; row < Rows; row++)
        {
            double mean = sum[row] / Sets, error = Math.Sqrt(((squares[row] / Sets) - (mean * mean)) / Sets);
            Assert.True(error < 0.02 * exact[row], $"row {row}: too noisy to tell, {error} of {exact[row]}");
            Assert.True(Math.Abs(mean - exact[row]) < 4.5 * error, $"row {row}: {mean} +- {error}, expected {exact[row]}");
        }
    }

    [Fact]
    public void Over_random_tables_a_label_is_found_with_the_probability_of_the_law_of_SimHash()
    {
        // Spring and Shrivastava 2017: 1 - (1 - c^K)^L, c = 1 - angle / pi. Without biases and means, angles are those of the
        // vectors, with labels lengthened in a direction of their own to the norm of the longest.
        const int Half = Labels / 2, Seeds = 400;
        for (int i = 0; i < Half * Width; i++)
            _weights[(Half * Width) + i] = -_weights[i];
        _bias.Clear();
        for (int i = 0; i < Width; i++)
            _vectors[Width + i] = -_vectors[i];
        int[] found = new int[Labels];
        for (int seed = 0; seed < Seeds; seed++)
        {
            using LshSampler sampler = new(Options with { Seed = seed }, Labels, _team);
            sampler.Rebuild(_weights.Items, _bias.Items, Width, _vectors.Items, 2);
            sampler.Probe(_vectors.Items, Width, 1);
            for (int label = 0; label < Labels; label++)
                found[label] += sampler.Probability(label) > 0 ? 1 : 0;
        }
        double norm = Math.Sqrt(Enumerable.Range(0, Labels).Max(label => SumOfSquares(_weights, label)) * SumOfSquares(_vectors, 0));
        double chi = 0;
        for (int label = 0; label < Labels; label++)
        {
            double c = 1 - (Math.Acos(Dot(0, label) / norm) / Math.PI), p = 1 - Math.Pow(1 - Math.Pow(c, Options.LshBits), Options.LshTables);
            double deviation = (found[label] - (p * Seeds)) / Math.Sqrt(p * (1 - p) * Seeds);
            Assert.True(Math.Abs(deviation) < 5, $"label {label}: found {found[label]} times of {Seeds}, the law says {p * Seeds:F1}");
            chi += deviation * deviation;
        }
        Assert.InRange(chi / Labels, 0.5, 1.7);
    }

    [Fact]
    public void Active_labels_are_drawn_more_often()
    {
        using LshSampler sampler = Probed(Options with { LshBits = 5, LshTables = 16 });
        double drawn = 0;
        for (int row = 0; row < Rows; row++)
        {
            sampler.Probe(_vectors.Items + (row * Width), Width, 1);
            double[] exp = [.. Enumerable.Range(0, Labels).Select(label => Math.Exp(Logit(row, label)))];
            drawn += exp.Select((e, label) => e * sampler.Probability(label)).Sum() / exp.Sum();
        }
        Assert.True(drawn / Rows > 1.5 / Labels, $"a drawn label has {drawn / Rows:F5} of a row's probability, any label {1.0 / Labels:F5}");
    }

    [Theory]
    [InlineData(0f)]
    [InlineData(0.5f)]
    public void Lsh_draws_make_no_weight_larger(float power)
    {
        using LshSampler sampler = Probed(Options);
        int[] counts = [.. Enumerable.Range(0, Labels)];
        NegativeSampler? frequent = power > 0 ? new NegativeSampler(counts, power, 20) : null;
        ActiveSet with = new(Labels, frequent, sampler), without = new(Labels, frequent);
        with.Draw(20, 3, 20);
        without.Draw(20, 3);
        Assert.True(with.Count > without.Count);
        for (int slot = 0; slot < with.Count; slot++)
        {
            Assert.True(with.Weight(slot) >= 1);
            float alone = frequent?.Weight(with.Ids[slot]) ?? without.DrawnWeight;
            Assert.True(with.Weight(slot) <= alone * 1.000001f, $"label {with.Ids[slot]} weighs {with.Weight(slot)}, without LSH {alone}");
        }
    }

    [Fact]
    public void Empty_tables_draw_nothing()
    {
        using LshSampler sampler = new(Options, Labels, _team);
        sampler.Probe(_vectors.Items, Width, Rows);
        Assert.Equal(-1, sampler.Draw(1));
        ActiveSet active = new(Labels, new NegativeSampler(new int[Labels], 0.5f, 20), sampler), plain = new(Labels, new NegativeSampler(new int[Labels], 0.5f, 20));
        active.Draw(20, 3, 20);
        plain.Draw(20, 3);
        Assert.Equal(plain.Ids.ToArray(), active.Ids.ToArray());
        Assert.Equal(plain.Weight(0), active.Weight(0), 1e-3f);
    }

    [Fact]
    public void The_number_of_threads_changes_nothing()
    {
        Dataset data = Generated.Topics(rows: 300, features: 900, labels: 300);
        TrainerOptions options = Generated.Small with { LshNegatives = 40, HiddenDropout = 0.1f, Epochs = 2, TableRebuildSteps = 2 };
        Network one = new Trainer(options, data).Run().Network;
        Network three = new Trainer(options with { Threads = 3 }, data).Run().Network;
        Network without = new Trainer(options with { LshNegatives = 0 }, data).Run().Network;
        Assert.Equal(one.Layers[1].Weights, three.Layers[1].Weights);
        Assert.NotEqual(one.Layers[1].Weights, without.Layers[1].Weights);
    }

    [Fact]
    public void A_cancelled_run_resumes_bit_for_bit() =>
        Resumption.AssertBitForBit(Generated.Small with { LshNegatives = 30, Epochs = 4, TableRebuildSteps = 7 }, Generated.Topics(rows: 300, features: 300, labels: 200));

    [Fact]
    public void A_checkpoint_with_a_neuron_in_no_bucket_is_refused()
    {
        string path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        try
        {
            using (LshSampler sampler = Probed(Options with { LshBits = 8 }))
            using (CheckpointWriter writer = new(path))
            {
                sampler.Save(writer);
                writer.Commit();
            }
            using LshSampler smaller = new(Options, Labels, _team);
            using CheckpointReader reader = new(path);
            Assert.Contains("bucket", Assert.Throws<InvalidDataException>(() => smaller.Load(reader)).Message, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void The_memory_estimate_includes_the_tables()
    {
        TrainerOptions options = Generated.Small with { LshNegatives = 10, LshTables = 20 };
        long difference = Trainer.EstimateMemory(options, 100, 10_000) - Trainer.EstimateMemory(options with { LshNegatives = 0 }, 100, 10_000);
        Assert.InRange(difference, 20 * 10_000 * 6, 20 * 10_000 * 8);
    }

    [Fact]
    public void Options_without_meaning_are_refused()
    {
        Dataset data = Generated.Topics(rows: 10, features: 30, labels: 20);
        Refused(Generated.Small with { LshNegatives = 1, Mode = OutputMode.Full }, "full softmax");
        Refused(Generated.Small with { LshNegatives = 1, RandomNegatives = 0 }, "random negatives");
        Refused(Generated.Small with { LshNegatives = -1 }, "negative");
        Refused(Generated.Small with { LshBits = 17 }, "bits");
        Refused(Generated.Small with { LshTables = 0 }, "tables");

        void Refused(TrainerOptions options, string reason) =>
            Assert.Contains(reason, Assert.Throws<ArgumentException>(() => new Trainer(options, data)).Message, StringComparison.Ordinal);
    }

    private LshSampler Probed(TrainerOptions options)
    {
        LshSampler sampler = new(options, Labels, _team);
        sampler.Rebuild(_weights.Items, _bias.Items, Width, _vectors.Items, Rows);
        sampler.Probe(_vectors.Items, Width, Rows);
        return sampler;
    }

    private double Logit(int row, int label) => _bias[label] + Dot(row, label);

    private double Dot(int row, int label)
    {
        double sum = 0;
        for (int i = 0; i < Width; i++)
            sum += _vectors[(row * Width) + i] * _weights[(label * Width) + i];
        return sum;
    }

    private static double SumOfSquares(NativeArray<float> rows, int row) => VectorMath.SumOfSquares(rows.Items + (row * Width), Width);
}
