using EdgeSlide.Kernels;
using EdgeSlide.Layers;

namespace EdgeSlide;

/// <summary>The working memory of queries that are answered together.</summary>
internal sealed class BatchState : IDisposable
{
    /// <summary>Queries whose logits are held at a time: with a block of rows they fill half of a small second-level cache.</summary>
    public const int Tile = 32;

    /// <param name="layout">The network.</param>
    /// <param name="capacity">The most queries.</param>
    /// <param name="lanes">The kernel's.</param>
    /// <param name="block">Neurons that are evaluated at a time.</param>
    public BatchState(NetworkLayout layout, int capacity, int lanes, int block)
    {
        Queries = new QueryState[capacity];
        for (int i = 0; i < capacity; i++)
            Queries[i] = new QueryState(layout);
        Pending = new int[capacity];
        Sums = new RunningSum[capacity];
        Inputs = new QuantizedVectors(capacity, layout.Output.Stride, lanes, layout.Output.Format);
        Logits = new NativeBuffer<float>(Math.Min(capacity, Tile) * block);
    }

    public QueryState[] Queries { get; }

    /// <summary>Indices of the queries that are still to be answered, in ascending order.</summary>
    public int[] Pending { get; }

    public RunningSum[] Sums { get; }

    /// <summary>The output layer's inputs.</summary>
    public QuantizedVectors Inputs { get; }

    /// <summary>[Tile x block]</summary>
    public NativeBuffer<float> Logits { get; }

    public void Dispose()
    {
        foreach (QueryState query in Queries)
            query.Dispose();
        Inputs.Dispose();
        Logits.Dispose();
    }
}
