namespace EdgeSlide.Kernels;

/// <summary>
/// The integer inner loops of inference. Every implementation gives bit-identical results: they differ only in the
/// instructions they use. Lengths are multiples of 64 and rows are padded with zeros, so no loop has a tail.
/// Weights lie within -127..127 and activations within -127..127.
/// </summary>
internal unsafe interface IKernel
{
    static abstract string Name { get; }

    static abstract bool IsSupported { get; }

    /// <summary>Sum of a[i] * b[i], exact in INT32 for lengths up to 2^17.</summary>
    static abstract int Dot(sbyte* a, sbyte* b, int length);

    /// <summary>Dot products of one vector with four rows: the vector is loaded once and the four sums are folded together.</summary>
    /// <param name="row0">The first of four rows.</param>
    /// <param name="row1">The second.</param>
    /// <param name="row2">The third.</param>
    /// <param name="row3">The fourth.</param>
    /// <param name="vector">What they meet.</param>
    /// <param name="nonNegative">True if no element of the vector is below zero, as after a rectifier: that saves instructions of some kernels.</param>
    /// <param name="length">Of a row.</param>
    /// <param name="results">[4].</param>
    static abstract void Dot4(sbyte* row0, sbyte* row1, sbyte* row2, sbyte* row3, sbyte* vector, bool nonNegative, int length, int* results);

    /// <summary>Dot products of one vector with rows that follow each other.</summary>
    /// <param name="rows">The first of them.</param>
    /// <param name="count">How many.</param>
    /// <param name="vector">What they meet.</param>
    /// <param name="nonNegative">As in <see cref="Dot4"/>.</param>
    /// <param name="length">Of a row.</param>
    /// <param name="results">[count].</param>
    static abstract void DotRows(sbyte* rows, int count, sbyte* vector, bool nonNegative, int length, int* results);

    /// <summary>
    /// results[j] = sum over i of coefficients[i] * rows[ids[i]][j] for j &lt; length: the sparse input layer.
    /// The caller keeps the sum of |coefficients| * 127 within INT32.
    /// </summary>
    static abstract void WeightedSum(sbyte* rows, nint stride, int* ids, short* coefficients, int count, int* results, int length);

    /// <summary>
    /// Sum of u[i] * vector[i] with the row's INT4 weights as they are stored: u = weight + 8, from 0 to 15. In every 32 bytes
    /// the lower halves are 32 weights and the upper halves the next 32 (docs/model-format.md, section 4.1).
    /// </summary>
    static abstract int DotInt4(byte* row, sbyte* vector, int length);

    /// <summary>Four of <see cref="DotInt4"/> at once.</summary>
    static abstract void Dot4Int4(byte* row0, byte* row1, byte* row2, byte* row3, sbyte* vector, int length, int* results);

    /// <summary>As <see cref="WeightedSum"/>, with INT4 weights, here -8 to 7. The stride is in bytes.</summary>
    static abstract void WeightedSumInt4(byte* rows, nint stride, int* ids, short* coefficients, int count, int* results, int length);

    /// <summary>How many vectors <see cref="Dot4Lanes"/> takes; 0 for a kernel without it, where vectors go one by one.</summary>
    static virtual int Lanes => 0;

    /// <summary>
    /// Dot products of four rows with <see cref="Lanes"/> vectors at once, one vector per lane of the accumulators, so that no
    /// sum is folded across lanes: results[4 * lane + row].
    /// </summary>
    /// <param name="row0">The first of four rows.</param>
    /// <param name="row1">The second.</param>
    /// <param name="row2">The third.</param>
    /// <param name="row3">The fourth.</param>
    /// <param name="vectors">Interleaved by fours: element i of a lane's vector at (i / 4 * Lanes + lane) * 4 + i % 4.</param>
    /// <param name="nonNegative">True if no element of a vector is below zero, as after a rectifier: that saves instructions.</param>
    /// <param name="length">Of a row.</param>
    /// <param name="results">[Lanes x 4].</param>
    static virtual void Dot4Lanes(sbyte* row0, sbyte* row1, sbyte* row2, sbyte* row3, sbyte* vectors, bool nonNegative, int length, int* results) =>
        throw new NotSupportedException();
}

internal static unsafe class Kernel
{
    /// <summary><see cref="IKernel.DotRows"/> by fours.</summary>
    public static void DotRows<TKernel>(sbyte* rows, int count, sbyte* vector, bool nonNegative, int length, int* results) where TKernel : struct, IKernel
    {
        int i = 0;
        for (; i + 4 <= count; i += 4, rows += 4L * length)
            TKernel.Dot4(rows, rows + length, rows + 2L * length, rows + 3L * length, vector, nonNegative, length, results + i);
        for (; i < count; i++, rows += length)
            results[i] = TKernel.Dot(vector, rows, length);
    }
}
