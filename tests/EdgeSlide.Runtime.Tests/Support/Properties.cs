using FsCheck;
using FsCheck.Fluent;

namespace EdgeSlide.Runtime.Tests.Support;

internal static class Properties
{
    /// <summary>Checks a property on the same random inputs in every run, so that a failure can be seen again.</summary>
    public static void Check(this Property property) =>
        FsCheck.Check.One(Config.QuickThrowOnFailure.WithMaxTest(Effort.Times(200)).WithReplay(2026, 1125), property);
}
