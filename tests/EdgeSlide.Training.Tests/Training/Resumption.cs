using EdgeSlide.Training.Data;
using EdgeSlide.Training.Networks;
using EdgeSlide.Training.Training;

namespace EdgeSlide.Training.Tests.Training;

/// <summary>What every option of a run must keep.</summary>
internal static class Resumption
{
    /// <summary>A run that is cancelled at once and goes on from its checkpoint ends with the weights of an undisturbed one.</summary>
    internal static void AssertBitForBit(TrainerOptions options, Dataset data)
    {
        string checkpoint = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        TrainerOptions resuming = options with { CheckpointPath = checkpoint, Resume = true };
        try
        {
            Network whole = new Trainer(options, data).Run().Network;
            using CancellationTokenSource source = new();
            Assert.True(new Trainer(resuming, data).Run(new CancelAtOnce(source), source.Token).Cancelled);
            TrainingResult rest = new Trainer(resuming, data).Run();
            Assert.False(rest.Cancelled);
            Assert.Equal(whole.Layers[1].Weights, rest.Network.Layers[1].Weights);
        }
        finally
        {
            File.Delete(checkpoint);
        }
    }

    private sealed class CancelAtOnce(CancellationTokenSource source) : IProgress<TrainingProgress>
    {
        public void Report(TrainingProgress value) => source.Cancel();
    }
}
