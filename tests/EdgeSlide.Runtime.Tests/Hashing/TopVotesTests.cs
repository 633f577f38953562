using EdgeSlide.Hashing;
using EdgeSlide.Kernels;
using EdgeSlide.Runtime.Tests.Support;

namespace EdgeSlide.Runtime.Tests.Hashing;

/// <summary>The threshold separates the wanted items from the rest, whatever their number and however many are equal.</summary>
public sealed unsafe class TopVotesTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(40)]
    [InlineData(1_000_000)]
    [InlineData(int.MaxValue - 1)]
    public void At_most_as_many_as_are_wanted_lie_above_and_no_lower_threshold_would_do(int largest)
    {
        var random = new TestRandom(21);
        using var items = new NativeBuffer<int>(4096 + TopVotes.Slack);
        using var scratch = new NativeBuffer<int>(4096 + TopVotes.Slack);
        for (int round = 0; round < Effort.Times(1500); round++)
        {
            int count = 2 + random.Below(round % 20 == 0 ? 4000 : round % 2 == 0 ? 20 : 300);
            int wanted = round % 3 == 0 ? Math.Min(32, count - 1) : 1 + random.Below(count - 1);
            for (int i = 0; i < count; i++)
                items.Pointer[i] = 1 + random.Below(largest);
            int[] sorted = [.. items.Span[..count].ToArray().OrderDescending()];
            int threshold = TopVotes.Threshold(items.Pointer, count, wanted, scratch.Pointer);
            int above = sorted.Count(i => i > threshold);
            // Either exactly the wanted ones are above, or the threshold is an item that ties decide about.
            if (above != wanted)
            {
                Assert.InRange(above, 0, wanted - 1);
                Assert.Equal(sorted[wanted], threshold);
            }
        }
    }
}
