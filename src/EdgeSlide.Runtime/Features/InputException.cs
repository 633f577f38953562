namespace EdgeSlide.Features;

/// <summary>An input that the model cannot take. The message is one line and says what is wrong.</summary>
public sealed class InputException : Exception
{
    /// <summary>Creates the error.</summary>
    public InputException(string message) : base(message)
    {
    }
}
