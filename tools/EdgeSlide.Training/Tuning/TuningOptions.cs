namespace EdgeSlide.Training.Tuning;

/// <summary>What the cheapest setting has least of.</summary>
internal enum TuningObjective
{
    /// <summary>Bytes of the model that a query reads.</summary>
    Bytes,

    /// <summary>Multiplications and operations of hashing and voting of a query.</summary>
    Multiplications,

    /// <summary>Bytes of tables in the file.</summary>
    Size,

    /// <summary>Median time of a query on this machine.</summary>
    Time,
}

/// <summary>How a search is run.</summary>
internal sealed record TuningOptions
{
    /// <summary>Points of P@1 and of P@5 (1 is one right answer in a hundred) that may be lost.</summary>
    public double MaxLoss { get; init; } = 0.2;

    /// <summary>Points of PSP@1 that may be lost, where the labels' frequencies are known.</summary>
    public double MaxTailLoss { get; init; } = 0.5;

    /// <summary>The most that tables may take of the model file; null for a fifth, or what they take now if that is more.</summary>
    public double? MaxTableShare { get; init; }

    public TuningObjective Objective { get; init; } = TuningObjective.Bytes;

    /// <summary>The most settings that are tried.</summary>
    public int Trials { get; init; } = 1500;

    /// <summary>The most validation rows that are used.</summary>
    public int Rows { get; init; } = 50_000;

    public ulong Seed { get; init; } = 1;

    /// <summary>0 for all cores; changes nothing but the time.</summary>
    public int Threads { get; init; }

    public void Validate()
    {
        Require(MaxLoss is >= 0 and <= 100, "the loss must be 0 to 100 points");
        Require(MaxTailLoss is >= 0 and <= 100, "the loss of the tail must be 0 to 100 points");
        Require(MaxTableShare is null or (> 0 and <= 1), "the share of the tables must be above 0 and at most 1");
        Require(Trials is >= 1 and <= 1_000_000, "the number of trials must be 1 to 1000000");
        Require(Rows >= 1, "the number of rows must be positive");
    }

    private static void Require(bool condition, string message)
    {
        if (!condition)
            throw new ArgumentException(message);
    }
}

/// <summary>Where a search stands.</summary>
/// <param name="Done">Settings tried.</param>
/// <param name="Most">The most that will be.</param>
/// <param name="Best">The best setting so far, for people.</param>
internal sealed record TuningProgress(string Stage, int Done, int Most, string Best);
