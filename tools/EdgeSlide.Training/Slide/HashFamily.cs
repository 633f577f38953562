namespace EdgeSlide.Training.Slide;

/// <summary>The hash families that a layer can choose its neurons by.</summary>
internal enum HashFamilyKind
{
    SimHash,
    Hadamard,
    SparseProjection,
    Wta,
    DensifiedWta,
    MinHash,
}

/// <summary>
/// A fixed number of hash functions over vectors of a fixed dimension. Immutable after construction, so threads share
/// it; each brings its own scratch memory.
/// </summary>
internal abstract unsafe class HashFamily(int dimensions, int codes)
{
    public int Dimensions { get; } = dimensions;

    /// <summary>Number of hash functions: K x L.</summary>
    public int Codes { get; } = codes;

    /// <summary>Bits of one code.</summary>
    public abstract int CodeBits { get; }

    /// <summary>Floats of scratch memory that <see cref="Hash"/> needs.</summary>
    public abstract int ScratchLength { get; }

    /// <summary>
    /// Hashes the vector with these non-zero elements; <paramref name="ids"/> ascend, or are null for all
    /// <see cref="Dimensions"/> values in order.
    /// </summary>
    public abstract void Hash(int* ids, float* values, int count, float* scratch, int* codes);

    /// <summary>
    /// From now on hashes differences from <paramref name="mean"/>, so that inputs without negative elements do not all
    /// look alike. Families that compare ranks do not need it and ignore it. Not while other threads hash.
    /// </summary>
    public virtual void Centre(ReadOnlySpan<float> mean)
    {
    }

    /// <summary>Arithmetic of one hashing of a vector with <paramref name="count"/> non-zeros: additions, multiplications and comparisons each count 1.</summary>
    public abstract long Operations(int count);

    public static HashFamily Create(HashFamilyKind kind, int dimensions, int codes, ulong seed) => kind switch
    {
        HashFamilyKind.SimHash => new SimHashFamily(dimensions, codes, seed),
        HashFamilyKind.Hadamard => new HadamardFamily(dimensions, codes, seed),
        HashFamilyKind.SparseProjection => new SparseProjectionFamily(dimensions, codes, seed),
        HashFamilyKind.Wta => new WtaFamily(dimensions, codes, seed),
        HashFamilyKind.DensifiedWta => new DensifiedWtaFamily(dimensions, codes, seed),
        HashFamilyKind.MinHash => new MinHashFamily(dimensions, codes, seed),
        _ => throw new ArgumentOutOfRangeException(nameof(kind)),
    };

    protected static void Scatter(int* ids, float* values, int count, float* dense, int length)
    {
        new Span<float>(dense, length).Clear();
        for (int i = 0; i < count; i++)
            dense[ids == null ? i : ids[i]] = values[i];
    }
}
