using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using EdgeSlide.Hashing;
using EdgeSlide.Model;
using EdgeSlide.Training.Training;

namespace EdgeSlide.Training.Slide;

/// <summary>
/// Signed random projection on independent normal directions: two vectors at angle t agree in a bit with probability
/// 1 - t / pi (Charikar 2002, "Similarity Estimation Techniques from Rounding Algorithms").
/// </summary>
internal sealed unsafe class SimHashFamily : HashFamily
{
    private readonly float[] _directions; // [dimensions][codes padded], pinned
    private readonly float[] _start; // [codes padded] the projections of the mean, negative
    private readonly int _stride;

    public SimHashFamily(int dimensions, int codes, ulong seed) : base(dimensions, codes)
    {
        _stride = VectorMath.Pad(codes);
        _start = new float[_stride];
        _directions = GC.AllocateArray<float>(checked(dimensions * _stride), pinned: true);
        for (int i = 0; i < dimensions; i++)
        {
            for (int j = 0; j < codes; j++)
                _directions[(i * _stride) + j] = Normal(Noise.Seed(seed, 1, ((ulong)i << 24) + (ulong)j));
        }
    }

    public override int CodeBits => 1;

    public override int ScratchLength => _stride;

    public override long Operations(int count) => (long)count * Codes;

    public override void Hash(int* ids, float* values, int count, float* scratch, int* codes)
    {
        _start.CopyTo(new Span<float>(scratch, _stride));
        float* directions = (float*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(_directions));
        for (int i = 0; i < count; i++)
            VectorMath.AddScaled(scratch, directions + ((nint)(ids == null ? i : ids[i]) * _stride), values[i], _stride);
        for (int j = 0; j < Codes; j++)
            codes[j] = scratch[j] > 0 ? 1 : 0;
    }

    public override void Centre(ReadOnlySpan<float> mean)
    {
        Array.Clear(_start);
        for (int i = 0; i < Dimensions; i++)
        {
            for (int j = 0; j < Codes; j++)
                _start[j] -= mean[i] * _directions[(i * _stride) + j];
        }
    }

    /// <summary>Box and Muller: exactly normal, because the collision law holds for rotation-invariant directions only.</summary>
    private static float Normal(ulong random)
    {
        double u = ((Noise.Mix(random) >> 11) + 1) * (1.0 / (1L << 53)), v = (Noise.Mix(random ^ 0x5851F42D4C957F2D) >> 11) * (1.0 / (1L << 53));
        return (float)(Math.Sqrt(-2 * Math.Log(u)) * Math.Cos(2 * Math.PI * v));
    }
}

/// <summary>
/// SimHash whose directions are random sign flips and Hadamard transforms, so that d bits cost about 2 d log2 d
/// additions (Ailon and Chazelle 2006; Andoni et al. 2015). The device's own implementation.
/// </summary>
internal sealed unsafe class HadamardFamily : HashFamily
{
    private readonly float[] _planes; // begins with the mean
    private readonly SimHash _hash;

    public HadamardFamily(int dimensions, int codes, ulong seed) : base(dimensions, codes)
    {
        int rounds = SimHash.RoundsFor(dimensions, codes, 1);
        float[] planes = SimHash.CreatePlanes(new float[dimensions], rounds, seed);
        _planes = GC.AllocateUninitializedArray<float>(planes.Length, pinned: true);
        planes.CopyTo(_planes, 0);
        _hash = new SimHash(dimensions, codes, 1, rounds,
            new View<float>((float*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(_planes)), _planes.Length));
    }

    public override int CodeBits => 1;

    public override int ScratchLength => 2 * _hash.Dimensions;

    public override long Operations(int count) => _hash.Operations;

    public override void Centre(ReadOnlySpan<float> mean) => mean[..Dimensions].CopyTo(_planes);

    public override void Hash(int* ids, float* values, int count, float* scratch, int* codes)
    {
        Scatter(ids, values, count, scratch, _hash.Dimensions);
        _hash.Keys(scratch, scratch + _hash.Dimensions, codes);
        for (int j = 0; j < Codes; j++)
            codes[j] &= 1;
    }
}

/// <summary>
/// Signed projection on directions of which a third of the elements are +1 or -1 and the rest 0 (Achlioptas 2003; Li,
/// Hastie and Church 2006, "Very Sparse Random Projections"): SimHash's law asymptotically, for a third of the additions.
/// </summary>
internal sealed unsafe class SparseProjectionFamily : HashFamily
{
    private const int Ratio = 3;

    private readonly int[] _offsets; // [dimensions + 1]: the directions that an element is part of
    private readonly int[] _targets; // direction << 1 | sign
    private readonly float[] _start; // the projections of the mean, negative

    public SparseProjectionFamily(int dimensions, int codes, ulong seed) : base(dimensions, codes)
    {
        _offsets = new int[dimensions + 1];
        var targets = new List<int>();
        for (int i = 0; i < dimensions; i++)
        {
            for (int j = 0; j < codes; j++)
            {
                ulong random = Noise.Seed(seed, 2, ((ulong)i << 24) + (ulong)j);
                if (Noise.Below(random, Ratio) == 0)
                    targets.Add((j << 1) | (int)(random & 1));
            }
            _offsets[i + 1] = targets.Count;
        }
        _targets = [.. targets];
        _start = new float[codes];
    }

    public override int CodeBits => 1;

    public override int ScratchLength => Codes;

    public override long Operations(int count) => (long)count * _targets.Length / Dimensions;

    public override void Centre(ReadOnlySpan<float> mean)
    {
        Array.Clear(_start);
        for (int i = 0; i < Dimensions; i++)
        {
            foreach (int target in Targets(i))
                _start[target >> 1] -= (target & 1) == 0 ? mean[i] : -mean[i];
        }
    }

    public override void Hash(int* ids, float* values, int count, float* scratch, int* codes)
    {
        float* signed = stackalloc float[2];
        _start.CopyTo(new Span<float>(scratch, Codes));
        for (int i = 0; i < count; i++)
        {
            int id = ids == null ? i : ids[i];
            signed[0] = values[i];
            signed[1] = -values[i];
            foreach (int target in Targets(id))
                scratch[target >> 1] += signed[target & 1];
        }
        for (int j = 0; j < Codes; j++)
            codes[j] = scratch[j] > 0 ? 1 : 0;
    }

    private ReadOnlySpan<int> Targets(int element) => _targets.AsSpan(_offsets[element], _offsets[element + 1] - _offsets[element]);
}
