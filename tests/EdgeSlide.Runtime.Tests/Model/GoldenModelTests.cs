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

    internal static byte[] Bytes => Resource("golden.eslide");

    internal static byte[] OtherFormatsBytes => Resource("golden3.eslide");

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

    /// <summary>The same with INT4 and FP16 rows, a calibration and a label map: a file of version 3.</summary>
    private static TestNetwork OtherFormats() => Network().WithFormats(new TestRandom(8), WeightFormat.Int4, WeightFormat.Fp16)
        .WithCalibration(new TestRandom(7)).WithLabelMap(new TestRandom(9));

    private static byte[] Resource(string name)
    {
        using Stream stream = typeof(GoldenModelTests).Assembly.GetManifestResourceStream(name)!;
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }

    [Theory]
    [InlineData("golden.eslide")]
    [InlineData("golden3.eslide")]
    public void The_writer_reproduces_the_file_byte_for_byte(string name)
    {
        byte[] written = (name == "golden.eslide" ? Network() : OtherFormats()).ToBytes();
        if (Environment.GetEnvironmentVariable("EDGESLIDE_TEST_GOLDEN") is { Length: > 0 } folder)
            File.WriteAllBytes(Path.Combine(folder, name), written);
        byte[] golden = Resource(name);
        Assert.InRange(golden.Length, 1, 20_000);
        Assert.Equal(golden, written);
    }

    [Theory]
    [InlineData("w1 w2 w3", PredictionMode.Lsh, "label 21 -0.09133246 -0.036212523 0.17832875 | label 31 0.39293963 -0.045181394 0.17673649 | label 11 0.232737 -0.08931482 0.16910613")]
    [InlineData("w1 w2 w3", PredictionMode.Dense, "label 52 2.7865677 2.7865677 0.20175008 | label 3 1.2819382 1.2819382 0.044808608 | label 35 1.1970633 1.1970633 0.041162405")]
    [InlineData("W39, w0! unknown w17 w17", PredictionMode.Lsh, "label 47 2.9018397 1.8427119 0.6933288 | label 55 0.9792432 -0.2361458 0.08671671 | label 35 0.9608319 -0.26403308 0.084331825")]
    [InlineData("W39, w0! unknown w17 w17", PredictionMode.Dense, "label 37 3.7172787 3.7172787 0.26051298 | label 52 3.2422795 3.2422795 0.16200925 | label 47 2.9018397 2.9018397 0.11526268")]
    [InlineData("unknown", PredictionMode.Lsh, "")]
    public void Its_answers_are_the_same_bits_everywhere(string text, PredictionMode mode, string answers) => AssertAnswers(Bytes, text, mode, answers);

    [Theory]
    [InlineData("w1 w2 w3", PredictionMode.Lsh, "label 50 0.44618678 0.1960108 0.00080546783 | label 8 -0.116361044 -0.059274863 0.00057303905 | label 28 0.5751848 -0.21904582 0.00046324098")]
    [InlineData("w1 w2 w3", PredictionMode.Dense, "label 32 1.4754484 1.4754484 0.07668265 | label 48 1.0173991 1.0173991 0.05132447 | étiquette 29 0.9108379 0.9108379 0.0467438")]
    [InlineData("W39, w0! unknown w17 w17", PredictionMode.Lsh, "label 22 0.4696861 0.15421861 0.0008740149 | label 35 -0.16670397 -0.15988843 0.00057481526 | label 23 -0.35541967 -0.3826132 0.00042734598")]
    [InlineData("W39, w0! unknown w17 w17", PredictionMode.Dense, "label 5 2.4426303 2.4426303 0.14425778 | label 40 1.3000357 1.3000357 0.052986007 | label 27 1.1984919 1.1984919 0.04847053")]
    public void Answers_from_other_weight_formats_are_the_same_bits_everywhere(string text, PredictionMode mode, string answers) => AssertAnswers(OtherFormatsBytes, text, mode, answers);

    private void AssertAnswers(byte[] file, string text, PredictionMode mode, string answers)
    {
        using EdgeSlideModel model = EdgeSlideModel.Open(_folder.Write("golden.eslide", file));
        foreach (string kernel in SupportedKernels.All)
        {
            using Predictor predictor = model.CreatePredictor(kernel);
            predictor.Mode = mode;
            var top = new Prediction[3];
            int count = predictor.PredictText(text, top);
            string actual = string.Join(" | ", top.Take(count).Select(p => string.Create(CultureInfo.InvariantCulture, $"{model.LabelName(p.Label)} {p.Logit:R} {p.Score:R} {p.Probability:R}")));
            Assert.True(answers == actual, $"{kernel} answers {actual}");
        }
    }
}
