using System.Globalization;

namespace EdgeSlide.Runtime.Tests.Support;

/// <summary>
/// How often repeated tests repeat. EDGESLIDE_TEST_EFFORT (1 by default) multiplies the counts: 0.05 on an emulated
/// processor, 10 for a thorough run.
/// </summary>
internal static class Effort
{
    private static readonly double Factor = double.Parse(
        Environment.GetEnvironmentVariable("EDGESLIDE_TEST_EFFORT") is { Length: > 0 } text ? text : "1", CultureInfo.InvariantCulture);

    public static int Times(int count) => Math.Max(3, (int)(count * Factor));
}
