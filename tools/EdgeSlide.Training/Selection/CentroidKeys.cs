using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using EdgeSlide.Hashing;
using EdgeSlide.Kernels;
using EdgeSlide.Model;
using EdgeSlide.Training.Tables;

namespace EdgeSlide.Training.Selection;

/// <summary>The nodes that a query passes in a tree of cluster centres: the device's own tree.</summary>
internal sealed unsafe class CentroidKeys : IKeyMaker
{
    private readonly byte[] _section;
    private readonly CentroidTree _tree;
    private readonly CentroidTree _path;

    /// <param name="section">The tree.</param>
    /// <param name="record">How a query follows it.</param>
    /// <param name="width">Width of the vectors.</param>
    /// <param name="filed">Nodes of a level that a training row is filed under; where it is one, with the weight 1.</param>
    public CentroidKeys(byte[] section, SourceRecord record, int width, int filed = 1)
    {
        _section = GC.AllocateUninitializedArray<byte>(section.Length, pinned: true);
        section.CopyTo(_section, 0);
        var view = new View<byte>((byte*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(_section)), _section.Length);
        _tree = new CentroidTree(view, in record, width);
        _path = new CentroidTree(view, record with { Rounds = (uint)filed }, width);
        KeyCount = (int)record.KeyCount;
    }

    public int KeyCount { get; }

    public int MaxKeys => CentroidTree.MaxLevels * CentroidTree.MaxBeam;

    public long Bytes => _section.Length;

    public int Keys(QueryVector query, bool training, Span<int> keys, Span<float> weights, out long operations)
    {
        CentroidTree tree = training ? _path : _tree;
        operations = tree.Operations;
        fixed (int* key = keys)
        {
            fixed (float* weight = weights)
            {
                int count = tree.Keys<Vector128Kernel>(query.Quantized, query.Scale, key, weight);
                if (training && _path.Beam == 1)
                    weights[..count].Fill(1f);
                return count;
            }
        }
    }
}
