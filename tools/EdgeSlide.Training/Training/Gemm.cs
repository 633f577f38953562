using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace EdgeSlide.Training.Training;

/// <summary>
/// FP32 matrix product C = A B or C += A B by register tiles of 8 x 32, after Goto and van de Geijn, "Anatomy of
/// High-Performance Matrix Multiplication" (2008). B is packed into panels of 32 columns ([panel][depth][32], zero-padded
/// to whole panels); A is read in place by strides, or packed into panels of 8 rows ([depth][8]) where reading it in place
/// would touch one page per element.
/// Every element of C is summed in the order of depth, whatever the split of rows and columns over threads.
/// </summary>
internal static unsafe class Gemm
{
    internal const int TileRows = 8;
    internal const int TileColumns = 32;

    /// <summary>Depth of one pass: a panel of B (32 KB) stays in the first-level cache while rows of A stream by.</summary>
    private const int DepthBlock = 256;

    internal static long PackedLength(long depth, long columns) =>
        (columns + TileColumns - 1) / TileColumns * TileColumns * depth;

    /// <summary>
    /// Packs B(k, j) = source row of j, element k. Row j of the source starts at ids[j] * stride, or j * stride if
    /// <paramref name="ids"/> is null.
    /// </summary>
    internal static void PackTransposed(float* source, nint stride, int* ids, int columns, int depth, float* packed)
    {
        for (int first = 0; first < columns; first += TileColumns)
        {
            int count = Math.Min(TileColumns, columns - first);
            for (int j = 0; j < TileColumns; j++)
            {
                float* to = packed + j;
                if (j >= count)
                {
                    for (int k = 0; k < depth; k++)
                        to[k * TileColumns] = 0;
                    continue;
                }
                float* from = source + (ids == null ? first + j : ids[first + j]) * stride;
                int q = 0;
                for (; q + 4 <= depth; q += 4)
                {
                    float x0 = from[q], x1 = from[q + 1], x2 = from[q + 2], x3 = from[q + 3];
                    float* t = to + (q * TileColumns);
                    t[0] = x0;
                    t[TileColumns] = x1;
                    t[2 * TileColumns] = x2;
                    t[3 * TileColumns] = x3;
                }
                for (; q < depth; q++)
                    to[q * TileColumns] = from[q];
            }
            packed += (nint)depth * TileColumns;
        }
    }

    /// <summary>
    /// Packs rows [first, first + count) of B(k, j) = source row of k, element j, into a packed matrix of
    /// <paramref name="depth"/> rows in all. Row k of the source starts at ids[k] * stride, or k * stride if
    /// <paramref name="ids"/> is null.
    /// </summary>
    internal static void Pack(float* source, nint stride, int* ids, int first, int count, int depth, int columns, float* packed)
    {
        for (int k = first; k < first + count; k++)
        {
            float* from = source + (ids == null ? k : ids[k]) * stride;
            float* to = packed + ((nint)k * TileColumns);
            int j = 0;
            for (; j + TileColumns <= columns; j += TileColumns)
            {
                Vector512.Store(Vector512.Load(from + j), to);
                Vector512.Store(Vector512.Load(from + j + 16), to + 16);
                to += (nint)depth * TileColumns;
            }
            if (j < columns)
            {
                for (int t = 0; t < TileColumns; t++)
                    to[t] = j + t < columns ? from[j + t] : 0;
            }
        }
    }

    /// <summary>
    /// C[rows x columns] = A B, or += with <paramref name="accumulate"/>. A(i, k) = a[i * aRow + k * aDepth]; C is
    /// row-major with <paramref name="cRow"/> elements a row; B is packed with panels of the same depth.
    /// </summary>
    internal static void Multiply(
        int rows, int depth, int columns, float* a, nint aRow, nint aDepth, float* packedB, float* c, nint cRow, bool accumulate)
    {
        float* edge = stackalloc float[TileRows * TileColumns];
        for (int k = 0; k < depth || (k == 0 && !accumulate); k += DepthBlock)
        {
            int kc = Math.Min(DepthBlock, depth - k);
            bool add = accumulate || k > 0;
            for (int j = 0; j < columns; j += TileColumns)
            {
                float* panel = packedB + (((nint)j / TileColumns * depth) + k) * TileColumns;
                int width = Math.Min(TileColumns, columns - j);
                for (int i = 0; i < rows; i += TileRows)
                {
                    int height = Math.Min(TileRows, rows - i);
                    float* tileA = a + (i * aRow) + (k * aDepth);
                    float* tileC = c + (i * cRow) + j;
                    if (height == TileRows && width == TileColumns)
                    {
                        Tile(kc, tileA, aRow, aDepth, TileRows, panel, tileC, cRow, add);
                        continue;
                    }
                    Tile(kc, tileA, aRow, aDepth, height, panel, edge, TileColumns, accumulate: false);
                    for (int y = 0; y < height; y++)
                    {
                        for (int x = 0; x < width; x++)
                        {
                            float value = edge[(y * TileColumns) + x];
                            tileC[(y * cRow) + x] = add ? tileC[(y * cRow) + x] + value : value;
                        }
                    }
                }
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Tile(
        int depth, float* a, nint aRow, nint aDepth, int height, float* panel, float* c, nint cRow, bool accumulate)
    {
        if (Vector512.IsHardwareAccelerated)
        {
            Tile512(depth, a, aRow, aDepth, height, panel, c, cRow, accumulate);
            return;
        }
        // 16 registers of 256 bits hold a quarter of the tile at a time.
        for (int i = 0; i < TileRows; i += 4)
        {
            for (int j = 0; j < TileColumns; j += 16)
            {
                Tile256(
                    depth, a + (Math.Min(i, height - 1) * aRow), aRow, aDepth, Math.Max(1, height - i), panel + j,
                    c + (i * cRow) + j, cRow, accumulate);
            }
        }
    }

    private static void Tile512(
        int depth, float* a, nint aRow, nint aDepth, int height, float* panel, float* c, nint cRow, bool accumulate)
    {
        // Rows beyond the edge repeat the last one: computed, never stored.
        int last = height - 1;
        float* a0 = a;
        float* a1 = a + (Math.Min(1, last) * aRow);
        float* a2 = a + (Math.Min(2, last) * aRow);
        float* a3 = a + (Math.Min(3, last) * aRow);
        float* a4 = a + (Math.Min(4, last) * aRow);
        float* a5 = a + (Math.Min(5, last) * aRow);
        float* a6 = a + (Math.Min(6, last) * aRow);
        float* a7 = a + (Math.Min(7, last) * aRow);
        Vector512<float> l0 = default, l1 = default, l2 = default, l3 = default;
        Vector512<float> l4 = default, l5 = default, l6 = default, l7 = default;
        Vector512<float> r0 = default, r1 = default, r2 = default, r3 = default;
        Vector512<float> r4 = default, r5 = default, r6 = default, r7 = default;
        float* end = panel + ((nint)depth * TileColumns);
        nint k = 0;
        for (; panel < end; panel += TileColumns)
        {
            Vector512<float> left = Vector512.Load(panel);
            Vector512<float> right = Vector512.Load(panel + 16);
            Vector512<float> x = Vector512.Create(a0[k]);
            l0 = Vector512.FusedMultiplyAdd(x, left, l0);
            r0 = Vector512.FusedMultiplyAdd(x, right, r0);
            x = Vector512.Create(a1[k]);
            l1 = Vector512.FusedMultiplyAdd(x, left, l1);
            r1 = Vector512.FusedMultiplyAdd(x, right, r1);
            x = Vector512.Create(a2[k]);
            l2 = Vector512.FusedMultiplyAdd(x, left, l2);
            r2 = Vector512.FusedMultiplyAdd(x, right, r2);
            x = Vector512.Create(a3[k]);
            l3 = Vector512.FusedMultiplyAdd(x, left, l3);
            r3 = Vector512.FusedMultiplyAdd(x, right, r3);
            x = Vector512.Create(a4[k]);
            l4 = Vector512.FusedMultiplyAdd(x, left, l4);
            r4 = Vector512.FusedMultiplyAdd(x, right, r4);
            x = Vector512.Create(a5[k]);
            l5 = Vector512.FusedMultiplyAdd(x, left, l5);
            r5 = Vector512.FusedMultiplyAdd(x, right, r5);
            x = Vector512.Create(a6[k]);
            l6 = Vector512.FusedMultiplyAdd(x, left, l6);
            r6 = Vector512.FusedMultiplyAdd(x, right, r6);
            x = Vector512.Create(a7[k]);
            l7 = Vector512.FusedMultiplyAdd(x, left, l7);
            r7 = Vector512.FusedMultiplyAdd(x, right, r7);
            k += aDepth;
        }
        Put(c, l0, r0, accumulate);
        Put(c + cRow, l1, r1, accumulate);
        Put(c + (2 * cRow), l2, r2, accumulate);
        Put(c + (3 * cRow), l3, r3, accumulate);
        Put(c + (4 * cRow), l4, r4, accumulate);
        Put(c + (5 * cRow), l5, r5, accumulate);
        Put(c + (6 * cRow), l6, r6, accumulate);
        Put(c + (7 * cRow), l7, r7, accumulate);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put(float* c, Vector512<float> left, Vector512<float> right, bool accumulate)
    {
        if (accumulate)
        {
            left += Vector512.Load(c);
            right += Vector512.Load(c + 16);
        }
        Vector512.Store(left, c);
        Vector512.Store(right, c + 16);
    }

    /// <summary>Rows 0-3 and columns 0-15 of a tile; <paramref name="panel"/> and <paramref name="c"/> are already moved.</summary>
    internal static void Tile256(
        int depth, float* a, nint aRow, nint aDepth, int height, float* panel, float* c, nint cRow, bool accumulate)
    {
        int last = height - 1;
        float* a1 = a + (Math.Min(1, last) * aRow);
        float* a2 = a + (Math.Min(2, last) * aRow);
        float* a3 = a + (Math.Min(3, last) * aRow);
        Vector256<float> l0 = default, l1 = default, l2 = default, l3 = default;
        Vector256<float> r0 = default, r1 = default, r2 = default, r3 = default;
        nint k = 0;
        for (int step = 0; step < depth; step++, panel += TileColumns, k += aDepth)
        {
            Vector256<float> left = Vector256.Load(panel);
            Vector256<float> right = Vector256.Load(panel + 8);
            Vector256<float> x = Vector256.Create(a[k]);
            l0 = Vector256.FusedMultiplyAdd(x, left, l0);
            r0 = Vector256.FusedMultiplyAdd(x, right, r0);
            x = Vector256.Create(a1[k]);
            l1 = Vector256.FusedMultiplyAdd(x, left, l1);
            r1 = Vector256.FusedMultiplyAdd(x, right, r1);
            x = Vector256.Create(a2[k]);
            l2 = Vector256.FusedMultiplyAdd(x, left, l2);
            r2 = Vector256.FusedMultiplyAdd(x, right, r2);
            x = Vector256.Create(a3[k]);
            l3 = Vector256.FusedMultiplyAdd(x, left, l3);
            r3 = Vector256.FusedMultiplyAdd(x, right, r3);
        }
        Put(c, l0, r0, accumulate);
        Put(c + cRow, l1, r1, accumulate);
        Put(c + (2 * cRow), l2, r2, accumulate);
        Put(c + (3 * cRow), l3, r3, accumulate);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put(float* c, Vector256<float> left, Vector256<float> right, bool accumulate)
    {
        if (accumulate)
        {
            left += Vector256.Load(c);
            right += Vector256.Load(c + 8);
        }
        Vector256.Store(left, c);
        Vector256.Store(right, c + 8);
    }
}
