using System.Globalization;
using EdgeSlide.Model;
using EdgeSlide.Runtime.Tests.Support;

namespace EdgeSlide.Runtime.Tests.Model;

/// <summary>
/// A model file under version control. If one of these tests fails, files in the field no longer mean what they meant:
/// raise the format version instead of changing the literals.
/// </summary>
public sealed class GoldenModelTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    internal static byte[] Bytes
    {
        get
        {
            using Stream stream = typeof(GoldenModelTests).Assembly.GetManifestResourceStream("golden.eslide")!;
            var bytes = new byte[stream.Length];
            stream.ReadExactly(bytes);
            return bytes;
        }
    }

    /// <summary>Every kind of section but nothing more: text, vocabulary, weights of features, both sources, names.</summary>
    internal static TestNetwork Network()
    {
        var random = new TestRandom(2026);
        TestNetwork network = TestNetwork.OfText(40, hashed: false)
            .WithLayers(random, [24], 60)
            .WithSelector(random, 12, features: true, simHash: true, blend: 0.5f, perBucket: 6)
            .WithLabels();
        network.FeatureWeights = [.. Enumerable.Range(0, 40).Select(_ => random.Float(0.5f, 2f))];
        return network;
    }

    /// <summary>The same with a calibration: a file of version 2.</summary>
    internal static byte[] CalibratedBytes => Network().WithCalibration(new TestRandom(7)).ToBytes();

    [Fact]
    public void The_writer_reproduces_the_file_byte_for_byte()
    {
        byte[] written = Network().ToBytes();
        if (Environment.GetEnvironmentVariable("EDGESLIDE_TEST_GOLDEN") is { Length: > 0 } path)
            File.WriteAllBytes(path, written);
        Assert.InRange(Bytes.Length, 1, 20_000);
        Assert.Equal(Bytes, written);
    }

    [Theory]
    [InlineData("w1 w2 w3", PredictionMode.Lsh, "label 21 -0.09133246 -0.036212523 0.17832875 | label 31 0.39293963 -0.045181394 0.17673649 | label 11 0.232737 -0.08931482 0.16910613")]
    [InlineData("w1 w2 w3", PredictionMode.Dense, "label 52 2.7865677 2.7865677 0.20175008 | label 3 1.2819382 1.2819382 0.044808608 | label 35 1.1970633 1.1970633 0.041162405")]
    [InlineData("W39, w0! unknown w17 w17", PredictionMode.Lsh, "label 47 2.9018397 1.8427119 0.6933288 | label 55 0.9792432 -0.2361458 0.08671671 | label 35 0.9608319 -0.26403308 0.084331825")]
    [InlineData("W39, w0! unknown w17 w17", PredictionMode.Dense, "label 37 3.7172787 3.7172787 0.26051298 | label 52 3.2422795 3.2422795 0.16200925 | label 47 2.9018397 2.9018397 0.11526268")]
    [InlineData("unknown", PredictionMode.Lsh, "")]
    public void Its_answers_are_the_same_bits_everywhere(string text, PredictionMode mode, string answers)
    {
        using EdgeSlideModel model = EdgeSlideModel.Open(_folder.Write("golden.eslide", Bytes));
        foreach (string kernel in SupportedKernels.All)
        {
            using Predictor predictor = model.CreatePredictor(kernel);
            predictor.Mode = mode;
            var top = new Prediction[3];
            int count = predictor.PredictText(text, top);
            string actual = string.Join(" | ", top.Take(count).Select(p => string.Create(CultureInfo.InvariantCulture, $"{model.LabelName(p.Label)} {p.Logit:R} {p.Score:R} {p.Probability:R}")));
            Assert.Equal(answers, actual);
        }
    }
}
