using EdgeSlide.Runtime.Tests.Support;
using EdgeSlide.Features;
using EdgeSlide.Model;

namespace EdgeSlide.Runtime.Tests;

public sealed class StageProfileTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(PredictionMode.Lsh)]
    [InlineData(PredictionMode.Dense)]
    public void The_stages_add_up_to_the_whole_query_and_change_no_answer(PredictionMode mode)
    {
        var random = new TestRandom(5);
        TestNetwork network = TestNetwork.OfNumbers(FeaturizerKind.Sparse, 60).WithLayers(random, [32, 16], 600)
            .WithSelector(random, 20, true, true, blend: 0.5f).WithCalibration(random);
        using EdgeSlideModel model = network.Open(_folder);
        using Predictor predictor = model.CreatePredictor();
        predictor.Mode = mode;
        var plain = new Prediction[5];
        var profiled = new Prediction[5];
        var profile = new StageProfile(20);
        double multiplications = 0, bytes = 0;
        for (int query = 0; query < 20; query++)
        {
            int[] ids = [query, query + 20, query + 40];
            predictor.Engine.Profile = null;
            int count = predictor.PredictSparse(ids, [1f, 0.5f, 2f], plain);
            predictor.Engine.Profile = profile;
            Assert.Equal(count, predictor.PredictSparse(ids, [1f, 0.5f, 2f], profiled));
            Assert.Equal(plain, profiled);
            multiplications += predictor.Cost.Multiplications;
            bytes += predictor.Cost.BytesTouched;
        }
        Stage[] stages = Enum.GetValues<Stage>();
        Assert.Equal(multiplications / 20, stages.Sum(profile.Multiplications), 1e-6);
        Assert.Equal(bytes / 20, stages.Sum(profile.Bytes), 1e-6);
        Assert.True(profile.Nanoseconds(Stage.DotProducts) > 0);
        Assert.Equal(mode == PredictionMode.Lsh, profile.Places(Stage.Hashing) > 0);
        Assert.Equal(3, profile.Places(Stage.InputLayer), 1e-9);
    }
}
