using System.Runtime.InteropServices;
using EdgeSlide.Kernels;

namespace EdgeSlide.Features;

/// <summary>
/// A sparse input vector under construction: feature ids with values. After <see cref="Canonicalize"/> ids ascend
/// strictly. Memory is native and kept between queries, so a warm vector allocates nothing.
/// </summary>
internal sealed unsafe class FeatureVector : IDisposable
{
    /// <summary>More features than this in one input are refused: they would overflow the INT32 accumulators' budget.</summary>
    public const int MaxCount = 1 << 16;

    /// <summary>Products and coefficients are read and written in whole vectors.</summary>
    private const int Slack = 8;

    private int _capacity;

    public FeatureVector(int capacity = 256) => Grow(capacity);

    ~FeatureVector() => Free();

    public int Count { get; private set; }

    public int* Ids { get; private set; }

    public float* Values { get; private set; }

    /// <summary>Room for the values times their rows' scales; the sparse input layer fills it.</summary>
    public float* Products { get; private set; }

    /// <summary>Room for the values as INT16 multiples of a common step; the sparse input layer fills it.</summary>
    public short* Coefficients { get; private set; }

    public ReadOnlySpan<int> IdSpan => new(Ids, Count);

    public ReadOnlySpan<float> ValueSpan => new(Values, Count);

    public void Clear() => Count = 0;

    public void Truncate(int count) => Count = count;

    public void Add(int id, float value)
    {
        if (Count == _capacity)
            Grow(_capacity * 2);
        Ids[Count] = id;
        Values[Count++] = value;
    }

    /// <summary>Sorts by id and adds up the values of equal ids.</summary>
    public void Canonicalize()
    {
        bool sorted = true;
        for (int i = 1; i < Count; i++)
            sorted &= Ids[i - 1] < Ids[i];
        if (sorted)
            return;
        PairSort.Ascending(Ids, Values, Count);
        int kept = 0;
        for (int i = 1; i < Count; i++)
        {
            if (Ids[i] == Ids[kept])
            {
                Values[kept] += Values[i];
            }
            else
            {
                Ids[++kept] = Ids[i];
                Values[kept] = Values[i];
            }
        }
        Count = kept + 1;
    }

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Grow(int capacity)
    {
        if (capacity > MaxCount)
            throw new InputException($"more than {MaxCount} features in one input");
        Ids = (int*)NativeMemory.Realloc(Ids, (nuint)capacity * sizeof(int));
        Values = (float*)NativeMemory.Realloc(Values, (nuint)capacity * sizeof(float));
        Products = (float*)NativeMemory.Realloc(Products, (nuint)(capacity + Slack) * sizeof(float));
        Coefficients = (short*)NativeMemory.Realloc(Coefficients, (nuint)(capacity + Slack) * sizeof(short));
        _capacity = capacity;
    }

    private void Free()
    {
        NativeMemory.Free(Ids);
        NativeMemory.Free(Values);
        NativeMemory.Free(Products);
        NativeMemory.Free(Coefficients);
        Ids = null;
        Values = null;
        Products = null;
        Coefficients = null;
        Count = _capacity = 0;
    }
}
