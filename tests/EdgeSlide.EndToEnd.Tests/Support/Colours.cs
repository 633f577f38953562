namespace EdgeSlide.EndToEnd.Tests.Support;

/// <summary>Made-up rows to train on.</summary>
internal static class Colours
{
    /// <summary>Rows of two words that belong to one of so many colours, and one word that belongs to none.</summary>
    /// <param name="wrong">The share of rows whose words are those of any colour.</param>
    public static string Rows(int rows, int seed, int colours = 20, double wrong = 0)
    {
        var random = new Random(seed);
        return string.Concat(Enumerable.Range(0, rows).Select(_ =>
        {
            int colour = random.Next(colours), shown = wrong > 0 && random.NextDouble() < wrong ? random.Next(colours) : colour;
            return $"colour {colour}\ttone{shown} tone{shown}{(char)('a' + random.Next(3))} word{random.Next(50)}\n";
        }));
    }
}
