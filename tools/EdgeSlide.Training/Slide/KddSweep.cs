using EdgeSlide.Training.Data;
using EdgeSlide.Training.Networks;
using EdgeSlide.Training.Training;

namespace EdgeSlide.Training.Slide;

/// <summary>One trained network of the sweep. Products and hashing are per row.</summary>
/// <param name="Fraction">Share of the dense network's multiply-adds for an answer, hashing counted, all inputs multiplied in the dense one.</param>
/// <param name="FractionOfSparseInput">The same against a dense network that skips inputs that are 0.</param>
internal sealed record SweepRow(
    string Method, double Active, double P1, double Products, double Hashing, double Fraction, double FractionOfSparseInput,
    double TrainingProducts, double TrainingHashing, double TrainingFraction, double Seconds);

/// <summary>
/// The experiment of "Scalable and Sustainable Deep Learning via Randomized Hashing" (Spring and Shrivastava, KDD 2017,
/// 1602.08194): accuracy and arithmetic by share of active neurons in every hidden layer, against the dense network.
/// </summary>
internal static class KddSweep
{
    public static SweepRow Run(ActiveMode mode, double active, SlideOptions options, Dataset train, Dataset test, IProgress<SlideProgress>? progress, CancellationToken cancel)
    {
        bool dense = mode == ActiveMode.Dense;
        options = options with
        {
            Mode = mode,
            // An output layer of ten labels has nothing to choose from.
            Active = dense ? [1.0] : [.. options.Hidden.Select(_ => active), 1.0],
        };
        using var trainer = new SlideTrainer(options, train);
        SlideResult result = trainer.Run(progress, cancel);
        cancel.ThrowIfCancellationRequested();
        SlideScore score = trainer.Evaluate(test);
        double full = trainer.Network.DenseProducts(train.FeatureCount), sparse = trainer.Network.DenseProducts(test.FeatureIds.Length / (double)test.RowCount);
        double work = score.Products + score.Hashing;
        return new SweepRow(mode.ToString(), dense ? 1 : active, score.P1, score.Products, score.Hashing, work / full, work / sparse,
            result.TrainingProducts, result.TrainingHashing, (result.TrainingProducts + result.TrainingHashing) / (3 * full), result.Seconds);
    }

    /// <summary>The same shape by the batched trainer, all matrix products dense: what a good dense trainer costs.</summary>
    public static (double P1, double Seconds) Batched(SlideOptions options, Dataset train, Dataset test, CancellationToken cancel)
    {
        var trainer = new Trainer(new TrainerOptions
        {
            HiddenSizes = [.. options.Hidden],
            Mode = OutputMode.Full,
            Epochs = options.Epochs,
            BatchSize = 64,
            LearningRate = 1e-3f,
            RowSecondMoments = false,
            FeatureDropout = 0,
            Seed = (int)options.Seed,
            Threads = options.Threads,
        }, train, null);
        TrainingResult result = trainer.Run(null, cancel);
        cancel.ThrowIfCancellationRequested();
        var metrics = new Evaluation.RankingMetrics([1]);
        using var scorer = new Evaluation.DenseScorer(result.Network);
        metrics.Add(scorer.Score(test, 1), test);
        return (metrics.Precision(1), result.Elapsed.TotalSeconds);
    }
}
