using EdgeSlide.Training.Networks;

namespace EdgeSlide.Training.Training;

/// <summary>Validation figures after an epoch.</summary>
public sealed record ValidationResult(int Epoch, double Seconds, double Loss, double P1, double P3, double P5, double Ndcg5);

/// <summary>Where a run stands. Reported a few times a second, and after each epoch with validation figures.</summary>
/// <param name="Epoch">Running epoch, from 1.</param>
/// <param name="Batch">Batches done in it.</param>
/// <param name="Loss">Mean loss of a row, smoothed over recent batches; in sampled mode an estimate of the full loss.</param>
/// <param name="ActiveFraction">Mean share of output neurons that a batch evaluated.</param>
/// <param name="Validation">Set on the last report of an epoch, if there are validation rows.</param>
public sealed record TrainingProgress(
    int Epoch, int Epochs, int Batch, int Batches, double Loss, double RowsPerSecond, TimeSpan Elapsed, TimeSpan Remaining,
    double ActiveFraction, ValidationResult? Validation)
{
    /// <summary>The first report of a run that continues a checkpoint: where it goes on.</summary>
    public bool Resumed { get; init; }
}

/// <summary>What a run ended with.</summary>
/// <param name="Network">The network of the best epoch by validation, or the last one without validation rows.</param>
/// <param name="BestEpoch">Its epoch; 0 if cancelled before the first epoch ended.</param>
/// <param name="Cancelled">The run was cancelled; its checkpoint, if any, continues it.</param>
public sealed record TrainingResult(
    Network Network, int BestEpoch, IReadOnlyList<ValidationResult> History, TimeSpan Elapsed, double ActiveFraction, bool Cancelled);

/// <summary>The loss is no longer a number, or has grown far beyond where it began.</summary>
public sealed class TrainingDivergedException : Exception
{
    public TrainingDivergedException()
    {
    }

    public TrainingDivergedException(string message)
        : base(message)
    {
    }

    public TrainingDivergedException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
