namespace EdgeSlide.EndToEnd.Tests.Support;

/// <summary>Made-up rows to train on.</summary>
internal static class Colours
{
    /// <summary>Rows of two words that belong to one of so many colours, and one word that belongs to none.</summary>
    public static string Rows(int rows, int seed, int colours = 20)
    {
        var random = new Random(seed);
        return string.Concat(Enumerable.Range(0, rows).Select(_ =>
        {
            int colour = random.Next(colours);
            return $"colour {colour}\ttone{colour} tone{colour}{(char)('a' + random.Next(3))} word{random.Next(50)}\n";
        }));
    }
}
