namespace EdgeSlide.Training.Export;

/// <summary>How a model is laid out in its file.</summary>
internal sealed record StorageOptions
{
    /// <summary>The most that the selection's tables may take of the file; 0 for no limit.</summary>
    public double TableShare { get; init; } = 0.2;

    public void Validate()
    {
        if (!(TableShare is >= 0 and < 1))
            throw new ArgumentException("the tables' share must be at least 0 and below 1");
    }
}
