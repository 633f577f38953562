using EdgeSlide.Training.Evaluation;

namespace EdgeSlide.Training.Tests.Evaluation;

public sealed class MachineLimitsTests
{
    [Fact]
    public void Every_limit_is_a_positive_number_for_sets_of_any_size()
    {
        foreach (long bytes in new[] { 64L << 10, (1L << 20) + 64 })
        {
            MemoryLimit limit = MachineLimits.Memory(bytes);
            Assert.Equal(bytes, limit.Bytes);
            Assert.All([limit.SequentialGigabytes, limit.PrefetchedNanoseconds, limit.DependentNanoseconds], value => Assert.True(value > 0 && double.IsFinite(value), $"{limit}"));
        }
        Assert.True(MachineLimits.Multiplications("scalar") > 0);
    }
}
