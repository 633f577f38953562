using EdgeSlide.Model;

namespace EdgeSlide.Training.Export;

/// <summary>How a model is laid out in its file.</summary>
internal sealed record StorageOptions
{
    /// <summary>The most that the selection's tables may take of the file; 0 for no limit.</summary>
    public double TableShare { get; init; } = 0.2;

    /// <summary>How the output layer's weights are stored.</summary>
    public WeightFormat Rows { get; init; } = WeightFormat.Int8;

    /// <summary>How the weights of a first layer with sparse input are stored. Layers between are INT8.</summary>
    public WeightFormat InputRows { get; init; } = WeightFormat.Int8;

    /// <summary>Measures what the model would be with the other weight formats.</summary>
    public bool CompareRows { get; init; }

    /// <summary>Makes neurons of the output layer neighbours in memory that queries want together.</summary>
    public bool Reorder { get; init; }

    public void Validate()
    {
        if (!(TableShare is >= 0 and < 1))
            throw new ArgumentException("the tables' share must be at least 0 and below 1");
    }
}
