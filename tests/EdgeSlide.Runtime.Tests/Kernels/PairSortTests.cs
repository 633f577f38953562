using EdgeSlide.Kernels;

namespace EdgeSlide.Runtime.Tests.Kernels;

public sealed unsafe class PairSortTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(32)]
    [InlineData(33)]
    [InlineData(100)]
    [InlineData(3000)]
    [InlineData(65536)]
    public void Keys_end_in_order_and_keep_their_values(int count)
    {
        using var keys = new NativeBuffer<int>(count);
        using var values = new NativeBuffer<float>(count);
        for (int i = 0; i < count; i++)
        {
            // Distinct keys in disorder, so that a value tells its key.
            keys.Pointer[i] = (i * 40503 & 0xFFFF) - 100;
            values.Pointer[i] = keys.Pointer[i] * 0.5f;
        }
        int[] expected = [.. keys.Span.ToArray().Order()];
        PairSort.Ascending(keys.Pointer, values.Pointer, count);
        Assert.Equal(expected, keys.Span.ToArray());
        Assert.Equal(expected.Select(k => k * 0.5f), values.Span.ToArray());
    }
}
