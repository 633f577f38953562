using System.Diagnostics;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Networks;
using EdgeSlide.Training.Training;

namespace EdgeSlide.Training.Slide;

/// <summary>One trained network of the sweep. Products and hashing are per row.</summary>
/// <param name="Fraction">Share of the dense network's multiply-adds for an answer, hashing counted, all inputs multiplied in the dense one.</param>
/// <param name="FractionOfSparseInput">The same against a dense network that skips inputs that are 0.</param>
/// <param name="TrainingFraction">Share of the dense network's multiply-adds for training, hashing and building tables counted.</param>
/// <param name="TrainingFractionOfSparseInput">The same against a dense network that skips inputs that are 0.</param>
/// <param name="AnswerMicroseconds">Time a test row, all threads answering.</param>
internal sealed record SweepRow(
    string Method, double Active, double P1, double Products, double Hashing, double Fraction, double FractionOfSparseInput,
    double TrainingProducts, double TrainingHashing, double TrainingFraction, double TrainingFractionOfSparseInput,
    double Seconds, double AnswerMicroseconds, double LearningRate);

/// <summary>
/// The experiment of "Scalable and Sustainable Deep Learning via Randomized Hashing" (Spring and Shrivastava, KDD 2017,
/// 1602.08194): accuracy and arithmetic by share of active neurons in every hidden layer, against the dense network.
/// </summary>
internal static class KddSweep
{
    /// <summary>
    /// The rate that held-out rows of mnist-10k favour. A weight between sparse layers is touched once in hundreds of rows,
    /// and then wants a longer step.
    /// </summary>
    public static float DefaultRate(ActiveMode mode, double active) =>
        mode is ActiveMode.Dense or ActiveMode.Dropout || active > 0.3 ? 3e-4f : 1e-3f;

    /// <param name="mode">The method.</param>
    /// <param name="active">Share of active neurons in every hidden layer.</param>
    /// <param name="options">All the rest; its rate counts if <paramref name="ownRate"/>.</param>
    /// <param name="ownRate">Use the options' rate, not the method's default.</param>
    /// <param name="train">Rows to learn.</param>
    /// <param name="test">Rows to answer.</param>
    /// <param name="progress">Told now and then.</param>
    /// <param name="cancel">Stops after the current rows.</param>
    public static SweepRow Run(
        ActiveMode mode, double active, SlideOptions options, bool ownRate, Dataset train, Dataset test, IProgress<SlideProgress>? progress, CancellationToken cancel)
    {
        bool dense = mode == ActiveMode.Dense;
        options = options with
        {
            Mode = mode,
            // An output layer of ten labels has nothing to choose from.
            Active = dense ? [1.0] : [.. options.Hidden.Select(_ => active), 1.0],
            LearningRate = ownRate ? options.LearningRate : DefaultRate(mode, active),
        };
        using var trainer = new SlideTrainer(options, train);
        SlideResult result = trainer.Run(progress, cancel);
        cancel.ThrowIfCancellationRequested();
        SlideScore score = trainer.Evaluate(test);
        SlideNetwork network = trainer.Network;
        double inputs = test.FeatureIds.Length / (double)test.RowCount, trainInputs = train.FeatureIds.Length / (double)train.RowCount;
        double work = score.Products + score.Hashing, training = result.TrainingProducts + result.TrainingHashing;
        return new SweepRow(mode.ToString(), dense ? 1 : active, score.P1, score.Products, score.Hashing,
            work / network.DenseProducts(train.FeatureCount), work / network.DenseProducts(inputs),
            result.TrainingProducts, result.TrainingHashing,
            training / network.DenseTrainingProducts(train.FeatureCount), training / network.DenseTrainingProducts(trainInputs),
            result.Seconds, score.Microseconds, options.LearningRate);
    }

    /// <summary>The same shape by the batched trainer, all matrix products dense: what a good dense trainer costs.</summary>
    public static SweepRow Batched(SlideOptions options, Dataset train, Dataset test, CancellationToken cancel)
    {
        const float Rate = 1e-3f;
        var trainer = new Trainer(new TrainerOptions
        {
            HiddenSizes = [.. options.Hidden],
            Mode = OutputMode.Full,
            Epochs = options.Epochs,
            BatchSize = 64,
            LearningRate = Rate,
            RowSecondMoments = false,
            FeatureDropout = 0,
            Seed = (int)options.Seed,
            Threads = options.Threads,
        }, train, null);
        TrainingResult result = trainer.Run(null, cancel);
        cancel.ThrowIfCancellationRequested();
        var metrics = new Evaluation.RankingMetrics([1]);
        using var scorer = new Evaluation.DenseScorer(result.Network);
        long clock = Stopwatch.GetTimestamp();
        metrics.Add(scorer.Score(test, 1), test);
        double microseconds = Stopwatch.GetElapsedTime(clock).TotalMicroseconds / Math.Max(1, test.RowCount);
        int[] widths = [.. options.Hidden, train.LabelCount];
        double products = test.FeatureIds.Length / (double)test.RowCount * widths[0], all = (double)train.FeatureCount * widths[0];
        for (int i = 1; i < widths.Length; i++)
            (products, all) = (products + ((double)widths[i - 1] * widths[i]), all + ((double)widths[i - 1] * widths[i]));
        return new SweepRow("Gemm", 1, metrics.Precision(1), products, 0, products / all, 1, double.NaN, 0, double.NaN, double.NaN,
            result.Elapsed.TotalSeconds, microseconds, Rate);
    }
}
