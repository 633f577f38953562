using EdgeSlide.Hashing;
using EdgeSlide.Model;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Scale;
using EdgeSlide.Training.Tables;
using EdgeSlide.Training.Tests.Data;

namespace EdgeSlide.Training.Tests.Scale;

/// <summary>Generated wide models: planted answers, the same every time, tables within their share.</summary>
public sealed class ScaleModelTests : IDisposable
{
    private static readonly ScaleOptions Small = new() { Labels = 5_000, Features = 2_000, RowFeatures = 40 };

    private readonly TemporaryFiles _files = new();

    public void Dispose() => _files.Dispose();

    [Fact]
    public void The_same_seed_gives_the_same_files_and_another_one_others()
    {
        foreach ((string name, ulong seed) in new[] { ("a", 1UL), ("b", 1UL), ("c", 2UL) })
        {
            ScaleModel.Write(_files.Path(name + ".eslide"), Small with { Seed = seed, Labels = 1500 });
            ScaleModel.WriteQueries(_files.Path(name + ".txt"), 50, Small with { Seed = seed, Labels = 1500 });
        }
        foreach (string extension in new[] { ".eslide", ".txt" })
        {
            Assert.Equal(Bytes("a" + extension), Bytes("b" + extension));
            Assert.NotEqual(Bytes("a" + extension), Bytes("c" + extension));
        }
    }

    [Theory]
    [InlineData(nameof(WeightFormat.Int8))]
    [InlineData(nameof(WeightFormat.Int4))]
    public void Hashing_finds_the_planted_label_at_least_as_often_as_the_dense_network(string format)
    {
        WeightFormat inputRows = Enum.Parse<WeightFormat>(format);
        string path = _files.Path("wide.eslide");
        ScaleModel.Write(path, Small with { InputRows = inputRows });
        using EdgeSlideModel model = EdgeSlideModel.Open(path);
        using Predictor predictor = model.CreatePredictor();
        Assert.Equal((Small.Labels, Small.Features), (model.LabelCount, model.FeatureCount));
        Assert.Equal((inputRows, WeightFormat.Int8), (model.Layout.SparseInput!.Format, model.Layout.Output.Format));
        var right = new int[2];
        var top = new Prediction[1];
        const int Queries = 400;
        for (int query = 0; query < Queries; query++)
        {
            int[] row = Query(query, out int label);
            for (int mode = 0; mode < 2; mode++)
            {
                predictor.Mode = mode == 0 ? PredictionMode.Lsh : PredictionMode.Dense;
                Assert.Equal(1, predictor.PredictSparse(row, [.. row.Select(_ => 1f)], top));
                right[mode] += top[0].Label == label ? 1 : 0;
                Assert.InRange(predictor.Cost.ActiveNeurons, 1, mode == 0 ? Small.Budget : Small.Labels);
            }
        }
        // By chance it would be one in 5,000.
        Assert.True(right[1] > 0.6 * Queries, $"dense finds {right[1]} of {Queries}");
        Assert.InRange(right[0], right[1], Queries);
    }

    [Fact]
    public void A_vote_is_the_share_among_the_rows_that_open_the_bucket_as_after_training()
    {
        string path = _files.Path("wide.eslide");
        ScaleModel.Write(path, Small);
        using EdgeSlideModel model = EdgeSlideModel.Open(path);
        CandidateSource source = Assert.Single(model.Layout.Output.Selector!.Sources);
        float[] shares = new ZipfFeatures(Small.Features, new(Small.Seed)).Shares;
        int full = 0;
        for (int feature = 0; feature < Small.Features; feature++)
        {
            ReadOnlySpan<uint> bucket = Bucket(source.Buckets, feature);
            // One row a label, each with the feature at most once; more labels than such rows cannot stand in the bucket.
            double rows = Math.Max(bucket.Length, Math.Min(1, (double)shares[feature] * Small.RowFeatures) * Small.Labels), share = 1 / (rows + TableBuilder.Prior);
            foreach (uint entry in bucket)
            {
                // In steps of 1 of 255 roots, between half and all of the share.
                double root = entry & 255, step = 0.51;
                Assert.InRange(share, source.VoteScale * Math.Pow((root - step) / 255, 2), 2 * source.VoteScale * Math.Pow((root + step) / 255, 2));
            }
            full += bucket.Length > 0 ? 1 : 0;
        }
        Assert.InRange(full, 500, Small.Features);
    }

    [Theory]
    [InlineData(40)]
    [InlineData(30_000)]
    public void Auto_is_not_slower_than_the_better_mode(int labels)
    {
        ScaleOptions options = Small with { Labels = labels };
        string path = _files.Path("wide.eslide");
        Dataset queries = ScaleModel.Queries(200, options);
        ScaleModel.Write(path, options);
        var losses = new List<double>();
        // Other work on the machine can spoil a measurement, not all of them.
        for (int attempt = 0; attempt < 5 && losses.All(l => l > 0.1); attempt++)
        {
            BreakEven built;
            using (EdgeSlideModel model = EdgeSlideModel.Open(path))
                built = BreakEven.Measure(model, queries);
            Assert.InRange(built.NeuronNanoseconds, 0.01, 10_000);
            (double lsh, double dense) = Times(path, queries);
            losses.Add((built.HashingPays ? lsh : dense) / Math.Min(lsh, dense) - 1);
            if (labels == 30_000)
                Assert.InRange(built.Width, 1, labels);
        }
        Assert.True(losses[^1] <= 0.1, "auto loses " + string.Join(", ", losses.Select(l => $"{l:P0}")));
    }

    [Fact]
    public void A_model_whose_hashing_does_not_pay_is_drawn_once_and_differs_in_that_answer_alone()
    {
        ScaleOptions options = Small with { Labels = 1500 };
        var stages = new List<string>();
        ScaleModel.Write(_files.Path("pays.eslide"), options);
        ScaleModel.Write(_files.Path("not.eslide"), options, path =>
        {
            Assert.Equal(Bytes("pays.eslide"), File.ReadAllBytes(path));
            Assert.False(File.Exists(_files.Path("not.eslide")));
            return false;
        }, stages.Add);
        Assert.Equal(stages.Distinct(), stages);
        using (EdgeSlideModel pays = EdgeSlideModel.Open(_files.Path("pays.eslide")), not = EdgeSlideModel.Open(_files.Path("not.eslide")))
            Assert.Equal((true, false), (pays.Layout.Output.Selector!.Pays, not.Layout.Output.Selector!.Pays));
        byte[] a = Bytes("pays.eslide"), b = Bytes("not.eslide");
        Assert.Equal(a.Length, b.Length);
        // The flag, the checksum of its section, and those of the section table and of the header.
        Assert.InRange(a.Zip(b).Count(pair => pair.First != pair.Second), 2, 1 + (3 * sizeof(uint)));
        Assert.Equal(["not.eslide", "pays.eslide"], Directory.GetFiles(_files.Folder).Select(Path.GetFileName).Order());
    }

    [Fact]
    public void A_model_that_is_interrupted_while_it_is_measured_leaves_no_file()
    {
        using var cancel = new CancellationTokenSource();
        foreach (bool pays in new[] { true, false })
        {
            Assert.Throws<OperationCanceledException>(() => ScaleModel.Write(_files.Path("none.eslide"), Small with { Labels = 50 }, _ =>
            {
                cancel.Cancel();
                return pays;
            }, cancel: cancel.Token));
            Assert.Empty(Directory.GetFiles(_files.Folder));
        }
    }

    [Theory]
    [InlineData(2000, 1000, 2, 500)]
    [InlineData(900, 1000, 2, 1)]
    public void The_break_even_is_where_the_output_layer_costs_what_hashing_adds(double lsh, double before, double neuron, int width) =>
        Assert.Equal(width, new BreakEven(lsh, 5000, before, neuron).Width);

    [Fact]
    public void A_query_keeps_its_share_of_the_label_and_has_every_feature_once()
    {
        ScaleOptions options = Small with { Keep = 0.5 };
        var prototypes = new Prototypes(options, new ZipfFeatures(options.Features, new(options.Seed)));
        var row = new int[options.RowFeatures];
        var own = new int[options.RowFeatures];
        int kept = 0;
        for (int query = 0; query < 500; query++)
        {
            prototypes.DrawQuery(query, row, out int label);
            prototypes.Draw(label, own);
            Assert.Equal(row.Length, row.Distinct().Count());
            kept += row.Intersect(own).Count();
        }
        // 20,000 draws: five standard deviations are 0.018.
        Assert.InRange(kept / (500.0 * row.Length), 0.48, 0.52);
    }

    [Fact]
    public void Frequencies_follow_the_law_that_the_weights_state()
    {
        var features = new ZipfFeatures(1000, new(5));
        var random = new Xoshiro256(6);
        var counts = new int[1000];
        const int Draws = 400_000;
        for (int i = 0; i < Draws; i++)
            counts[features.Draw(random)]++;
        // A weight is 1 + log2((rank + 10) / 10), a probability proportional to 1 / (rank + 10).
        double total = features.Weights.Sum(w => Math.Pow(2, 1 - w)), distance = 0;
        Assert.Equal(1.0, features.Shares.Sum(s => (double)s), 1e-5);
        for (int i = 0; i < counts.Length; i++)
        {
            Assert.Equal(Math.Pow(2, 1 - features.Weights[i]) / total, features.Shares[i], 1e-6);
            double expected = Draws * (double)features.Shares[i];
            distance += (counts[i] - expected) * (counts[i] - expected) / expected;
        }
        // Chi-squared with 999 degrees of freedom: mean 999, standard deviation 45.
        Assert.InRange(distance, 999 - 5 * 45, 999 + 5 * 45);
    }

    [Theory]
    [InlineData(670_091)]
    [InlineData(3_000_000)]
    public void The_tables_take_at_most_a_fifth_of_a_wide_model(int labels)
    {
        var options = new ScaleOptions { Labels = labels };
        long tables = ((long)labels * options.KeysPerLabel + options.Features + 1) * sizeof(uint);
        long rows = ((long)labels + options.Features) * ModelFormat.RowStride(options.Hidden) + labels * 8L + options.Features * 8L;
        Assert.InRange(tables, 1, (tables + rows) / 5);
    }

    [Fact]
    public void Impossible_shapes_are_refused_before_anything_is_written()
    {
        foreach (ScaleOptions options in new[]
        {
            Small with { Labels = 0 }, Small with { Labels = 16_777_216, Hidden = 256 }, Small with { RowFeatures = 1001 }, Small with { Keep = 0 },
            Small with { KeysPerLabel = 41 }, Small with { Budget = 0 }, Small with { Noise = double.NaN },
        })
        {
            Assert.Throws<ArgumentException>(() => ScaleModel.Write(_files.Path("none.eslide"), options));
            Assert.Empty(Directory.GetFiles(_files.Folder));
        }
    }

    private static unsafe ReadOnlySpan<uint> Bucket(BucketTable buckets, int key) =>
        new(buckets.Entries + buckets.Offsets[key], (int)(buckets.Offsets[key + 1] - buckets.Offsets[key]));

    private static (double Lsh, double Dense) Times(string path, Dataset queries)
    {
        using EdgeSlideModel model = EdgeSlideModel.Open(path);
        return PredictorEvaluator.MeasureTimes(model, queries);
    }

    private byte[] Bytes(string name) => File.ReadAllBytes(_files.Path(name));

    private static int[] Query(int query, out int label)
    {
        var row = new int[Small.RowFeatures];
        new Prototypes(Small, new ZipfFeatures(Small.Features, new(Small.Seed))).DrawQuery(query, row, out label);
        return row;
    }
}
