using EdgeSlide.Kernels;
using EdgeSlide.Runtime.Tests.Support;

namespace EdgeSlide.Runtime.Tests.Kernels;

public sealed unsafe class SmallSortTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(100)]
    [InlineData(3000)]
    [InlineData(65536)]
    public void Keys_end_in_order_and_keep_their_values(int count)
    {
        var random = new TestRandom((ulong)count);
        using var keys = new NativeBuffer<int>(count);
        using var values = new NativeBuffer<float>(count);
        using var ids = new NativeBuffer<uint>(count);
        for (int i = 0; i < count; i++)
        {
            // Distinct keys in disorder, so that a value tells its key.
            keys.Pointer[i] = (i * 40503 & 0xFFFF) - 100;
            values.Pointer[i] = keys.Pointer[i] * 0.5f;
            ids.Pointer[i] = (uint)random.Below(1 + count / 2) << 8;
        }
        int[] expected = [.. keys.Span.ToArray().Order()];
        uint[] expectedIds = [.. ids.Span.ToArray().Order()];
        SmallSort.Sort(keys.Pointer, values.Pointer, count);
        SmallSort.Sort(ids.Pointer, count);
        Assert.Equal(expected, keys.Span.ToArray());
        Assert.Equal(expected.Select(k => k * 0.5f), values.Span.ToArray());
        Assert.Equal(expectedIds, ids.Span.ToArray());
    }
}
