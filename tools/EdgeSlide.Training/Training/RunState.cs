namespace EdgeSlide.Training.Training;

/// <summary>How far a run has come: what a checkpoint holds beside weights and moments.</summary>
internal sealed class RunState
{
    /// <summary>Epochs done.</summary>
    internal int Epoch { get; set; }

    /// <summary>Batches done in the running epoch.</summary>
    internal int Batch { get; set; }

    /// <summary>Batches done in all.</summary>
    internal long Steps { get; private set; }

    /// <summary>Rows seen in all.</summary>
    internal long Rows { get; private set; }

    /// <summary>Sum over all batches of the share of output neurons that they evaluated.</summary>
    internal double ActiveSum { get; private set; }

    /// <summary>Mean loss of a row, smoothed over recent batches.</summary>
    internal double Loss { get; set; }

    internal double HighestEarlyLoss { get; set; }

    /// <summary>From 1; 0 before the first epoch has ended.</summary>
    internal int BestEpoch { get; set; }

    internal double BestMetric { get; set; } = double.NegativeInfinity;

    /// <summary>Validation figures at the ends of epochs.</summary>
    internal List<ValidationResult> History { get; } = [];

    internal void Count(int rows, double activeFraction)
    {
        Batch++;
        Steps++;
        Rows += rows;
        ActiveSum += activeFraction;
    }

    internal void Save(CheckpointWriter writer)
    {
        writer.Write(Epoch);
        writer.Write(Batch);
        writer.Write(Steps);
        writer.Write(Rows);
        writer.Write(ActiveSum);
        writer.Write(Loss);
        writer.Write(HighestEarlyLoss);
        writer.Write(BestEpoch);
        writer.Write(BestMetric);
        writer.Write(History.Count);
        foreach (ValidationResult r in History)
        {
            writer.Write(r.Epoch);
            writer.Write<double>([r.Seconds, r.Loss, r.P1, r.P3, r.P5, r.Ndcg5]);
        }
    }

    internal void Load(CheckpointReader reader)
    {
        Epoch = reader.Read<int>();
        Batch = reader.Read<int>();
        Steps = reader.Read<long>();
        Rows = reader.Read<long>();
        ActiveSum = reader.Read<double>();
        Loss = reader.Read<double>();
        HighestEarlyLoss = reader.Read<double>();
        BestEpoch = reader.Read<int>();
        BestMetric = reader.Read<double>();
        int epochs = reader.Read<int>();
        Span<double> r = stackalloc double[6];
        for (int i = 0; i < epochs; i++)
        {
            int epoch = reader.Read<int>();
            reader.Read(r);
            History.Add(new ValidationResult(epoch, r[0], r[1], r[2], r[3], r[4], r[5]));
        }
    }
}
