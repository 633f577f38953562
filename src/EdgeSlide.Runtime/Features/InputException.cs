namespace EdgeSlide.Features;

/// <summary>An input that the model cannot take. The message is one line and says what is wrong.</summary>
public sealed class InputException : Exception
{
    /// <summary>What is wrong with a query whose scores are not finite.</summary>
    internal const string TooLarge = "the input's values are too large for this model";

    /// <summary>Creates the error.</summary>
    public InputException(string message) : base(message)
    {
    }
}
