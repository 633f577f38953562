using EdgeSlide.Training.Slide;
using FsCheck;
using FsCheck.Fluent;

namespace EdgeSlide.Training.Tests.Slide;

public sealed class LargestTests
{
    [Fact]
    public void The_cut_and_its_ties_keep_just_as_many_values_as_wanted() => Prop.ForAll<sbyte[], byte>((numbers, keep) =>
    {
        float[] values = [.. numbers.Select(n => n / 4)]; // coarse, so that many are equal
        (float cut, int ties) = Largest.Of((float[])values.Clone(), keep);
        float[] kept = [.. values.Where(v => v > cut), .. values.Where(v => v == cut).Take(ties)];
        return kept.OrderDescending().SequenceEqual(values.OrderDescending().Take(keep));
    }).QuickCheckThrowOnFailure();
}
