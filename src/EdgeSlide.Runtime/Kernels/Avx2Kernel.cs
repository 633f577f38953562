using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace EdgeSlide.Kernels;

/// <summary>
/// AVX2. Dot products use the unsigned-by-signed byte multiply (vpmaddubsw) on |x| and w * sign(x): with both within
/// 127 the sum of two products never saturates INT16. Where no x is below zero, as after a rectifier, both are as they are.
/// </summary>
internal readonly unsafe struct Avx2Kernel : IKernel
{
    /// <summary>The usual length of rows.</summary>
    private const int Usual = 128;

    public static string Name => "avx2";

    public static bool IsSupported => Avx2.IsSupported;

    public static int Dot(sbyte* a, sbyte* b, int length)
    {
        Vector256<short> ones = Vector256.Create((short)1);
        Vector256<int> sum = Vector256<int>.Zero;
        for (int i = 0; i < length; i += 32)
        {
            Vector256<sbyte> x = Vector256.Load(a + i);
            sum += Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(Avx2.Abs(x), Avx2.Sign(Vector256.Load(b + i), x)), ones);
        }
        return Vector256.Sum(sum);
    }

    public static void Dot4(sbyte* row0, sbyte* row1, sbyte* row2, sbyte* row3, sbyte* vector, bool nonNegative, int length, int* results)
    {
        Vector256<short> ones = Vector256.Create((short)1);
        Vector256<int> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
        if (nonNegative)
        {
            for (int i = 0; i < length; i += 32)
            {
                Vector256<byte> x = Vector256.Load((byte*)vector + i);
                sum0 += Products(x, row0 + i);
                sum1 += Products(x, row1 + i);
                sum2 += Products(x, row2 + i);
                sum3 += Products(x, row3 + i);
            }
            StoreSums(sum0, sum1, sum2, sum3, results);
            return;
        }
        for (int i = 0; i < length; i += 32)
        {
            Vector256<sbyte> x = Vector256.Load(vector + i);
            Vector256<byte> magnitude = Avx2.Abs(x);
            sum0 += Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(magnitude, Avx2.Sign(Vector256.Load(row0 + i), x)), ones);
            sum1 += Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(magnitude, Avx2.Sign(Vector256.Load(row1 + i), x)), ones);
            sum2 += Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(magnitude, Avx2.Sign(Vector256.Load(row2 + i), x)), ones);
            sum3 += Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(magnitude, Avx2.Sign(Vector256.Load(row3 + i), x)), ones);
        }
        StoreSums(sum0, sum1, sum2, sum3, results);
    }

    public static void DotRows(sbyte* rows, int count, sbyte* vector, bool nonNegative, int length, int* results)
    {
        int done = 0;
        // The usual width with the vector in registers from the first row to the last.
        if (length == Usual)
            done = nonNegative ? UsualRows(rows, count, (byte*)vector, results) : UsualRows(rows, count, vector, results);
        Kernel.DotRows<Avx2Kernel>(rows + (long)done * length, count - done, vector, nonNegative, length, results + done);
    }

    /// <summary>Rows of the usual length and a vector without an element below zero; returns how many rows fill fours.</summary>
    private static int UsualRows(sbyte* rows, int count, byte* vector, int* results)
    {
        Vector256<byte> x0 = Vector256.Load(vector), x1 = Vector256.Load(vector + 32), x2 = Vector256.Load(vector + 64), x3 = Vector256.Load(vector + 96);
        int i = 0;
        for (; i + 4 <= count; i += 4, rows += 4 * Usual)
        {
            AskAhead(rows);
            // One statement a product: of one large expression the compiler keeps all products, in memory.
            Vector256<int> sum0 = Products(x0, rows), sum1 = Products(x0, rows + Usual), sum2 = Products(x0, rows + 2 * Usual), sum3 = Products(x0, rows + 3 * Usual);
            sum0 += Products(x1, rows + 32);
            sum1 += Products(x1, rows + Usual + 32);
            sum2 += Products(x1, rows + 2 * Usual + 32);
            sum3 += Products(x1, rows + 3 * Usual + 32);
            sum0 += Products(x2, rows + 64);
            sum1 += Products(x2, rows + Usual + 64);
            sum2 += Products(x2, rows + 2 * Usual + 64);
            sum3 += Products(x2, rows + 3 * Usual + 64);
            sum0 += Products(x3, rows + 96);
            sum1 += Products(x3, rows + Usual + 96);
            sum2 += Products(x3, rows + 2 * Usual + 96);
            sum3 += Products(x3, rows + 3 * Usual + 96);
            StoreSums(sum0, sum1, sum2, sum3, results + i);
        }
        return i;
    }

    /// <summary>
    /// The same for any vector. As -w is the complement of w plus 1, |x| meets the complement where x is below zero, and the
    /// sum of those |x| is the same for all rows. Complements are cheaper than signs, and 127 * 128 * 2 still fits in INT16.
    /// </summary>
    private static int UsualRows(sbyte* rows, int count, sbyte* vector, int* results)
    {
        Vector256<sbyte> s0 = Vector256.Load(vector), s1 = Vector256.Load(vector + 32), s2 = Vector256.Load(vector + 64), s3 = Vector256.Load(vector + 96);
        Vector256<byte> x0 = Avx2.Abs(s0), x1 = Avx2.Abs(s1), x2 = Avx2.Abs(s2), x3 = Avx2.Abs(s3);
        (s0, s1, s2, s3) = (Vector256.LessThan(s0, default), Vector256.LessThan(s1, default), Vector256.LessThan(s2, default), Vector256.LessThan(s3, default));
        Vector256<long> below = (Sum(x0 & s0.AsByte()) + Sum(x1 & s1.AsByte())) + (Sum(x2 & s2.AsByte()) + Sum(x3 & s3.AsByte()));
        Vector128<int> rest = Vector128.Create((int)Vector256.Sum(below));
        int i = 0;
        for (; i + 4 <= count; i += 4, rows += 4 * Usual)
        {
            AskAhead(rows);
            Vector256<int> sum0 = Products(x0, s0, rows), sum1 = Products(x0, s0, rows + Usual), sum2 = Products(x0, s0, rows + 2 * Usual), sum3 = Products(x0, s0, rows + 3 * Usual);
            sum0 += Products(x1, s1, rows + 32);
            sum1 += Products(x1, s1, rows + Usual + 32);
            sum2 += Products(x1, s1, rows + 2 * Usual + 32);
            sum3 += Products(x1, s1, rows + 3 * Usual + 32);
            sum0 += Products(x2, s2, rows + 64);
            sum1 += Products(x2, s2, rows + Usual + 64);
            sum2 += Products(x2, s2, rows + 2 * Usual + 64);
            sum3 += Products(x2, s2, rows + 3 * Usual + 64);
            sum0 += Products(x3, s3, rows + 96);
            sum1 += Products(x3, s3, rows + Usual + 96);
            sum2 += Products(x3, s3, rows + 2 * Usual + 96);
            sum3 += Products(x3, s3, rows + 3 * Usual + 96);
            (Sums(sum0, sum1, sum2, sum3) + rest).Store(results + i);
        }
        return i;

        static Vector256<long> Sum(Vector256<byte> bytes) => Avx2.SumAbsoluteDifferences(bytes, default).AsInt64();
    }

    /// <summary>Asks for the four rows that come after the next four: 4 to 5% of a dense query whose rows are in the last cache.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AskAhead(sbyte* rows)
    {
        Prefetch.Row((byte*)rows + 8 * Usual, 2 * Usual);
        Prefetch.Row((byte*)rows + 10 * Usual, 2 * Usual);
    }

    /// <summary>Sums of four products each, of inputs that are not below zero with a row's weights.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Products(Vector256<byte> x, sbyte* row) =>
        Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(x, Vector256.Load(row)), Vector256.Create((short)1));

    /// <summary>The same of magnitudes with weights of which those are complemented that <paramref name="flips"/> marks.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Products(Vector256<byte> magnitude, Vector256<sbyte> flips, sbyte* row) =>
        Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(magnitude, Vector256.Load(row) ^ flips), Vector256.Create((short)1));

    public static int Lanes => 8;

    public static void Dot4Lanes(sbyte* row0, sbyte* row1, sbyte* row2, sbyte* row3, sbyte* vectors, bool nonNegative, int length, int* results)
    {
        Vector256<short> ones = Vector256.Create((short)1);
        Vector256<int> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
        if (nonNegative)
        {
            for (int i = 0; i < length; i += 4)
            {
                Vector256<byte> x = Vector256.Load((byte*)vectors + 8 * i);
                sum0 += Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(x, Broadcast(row0 + i)), ones);
                sum1 += Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(x, Broadcast(row1 + i)), ones);
                sum2 += Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(x, Broadcast(row2 + i)), ones);
                sum3 += Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(x, Broadcast(row3 + i)), ones);
            }
        }
        else
        {
            for (int i = 0; i < length; i += 4)
            {
                Vector256<sbyte> x = Vector256.Load(vectors + 8 * i);
                Vector256<byte> magnitude = Avx2.Abs(x);
                sum0 += Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(magnitude, Avx2.Sign(Broadcast(row0 + i), x)), ones);
                sum1 += Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(magnitude, Avx2.Sign(Broadcast(row1 + i), x)), ones);
                sum2 += Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(magnitude, Avx2.Sign(Broadcast(row2 + i), x)), ones);
                sum3 += Avx2.MultiplyAddAdjacent(Avx2.MultiplyAddAdjacent(magnitude, Avx2.Sign(Broadcast(row3 + i), x)), ones);
            }
        }
        StoreLanes(sum0, sum1, sum2, sum3, results);
    }

    public static void WeightedSum(sbyte* rows, nint stride, int* ids, short* coefficients, int count, int* results, int length)
    {
        // A cache line of outputs stays in eight registers while all rows go by, two rows per multiply (vpmaddwd).
        for (int j = 0; j < length; j += 64)
        {
            Vector256<int> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
            Vector256<int> sum4 = default, sum5 = default, sum6 = default, sum7 = default;
            for (int i = 0; i < count; i += 2)
            {
                sbyte* first = rows + ids[i] * stride + j;
                bool paired = i + 1 < count;
                sbyte* second = paired ? rows + ids[i + 1] * stride + j : first;
                if (j == 0)
                    AskAhead((byte*)rows, stride, ids, i, count);
                Vector256<short> pair = Vector256.Create((ushort)coefficients[i] | (paired ? coefficients[i + 1] : 0) << 16).AsInt16();
                sum0 += Interleaved(first, second, pair, out Vector256<int> next);
                sum1 += next;
                sum2 += Interleaved(first + 16, second + 16, pair, out next);
                sum3 += next;
                sum4 += Interleaved(first + 32, second + 32, pair, out next);
                sum5 += next;
                sum6 += Interleaved(first + 48, second + 48, pair, out next);
                sum7 += next;
            }
            sum0.Store(results + j);
            sum1.Store(results + j + 8);
            sum2.Store(results + j + 16);
            sum3.Store(results + j + 24);
            sum4.Store(results + j + 32);
            sum5.Store(results + j + 40);
            sum6.Store(results + j + 48);
            sum7.Store(results + j + 56);
        }
    }

    public static int DotInt4(byte* row, sbyte* vector, int length)
    {
        Vector256<short> ones = Vector256.Create((short)1);
        Vector256<int> sum = Vector256<int>.Zero;
        for (int i = 0; i < length; i += 64)
            sum += Avx2.MultiplyAddAdjacent(ProductsInt4(row + i / 2, Vector256.Load(vector + i), Vector256.Load(vector + i + 32)), ones);
        return Vector256.Sum(sum);
    }

    public static void Dot4Int4(byte* row0, byte* row1, byte* row2, byte* row3, sbyte* vector, int length, int* results)
    {
        Vector256<short> ones = Vector256.Create((short)1);
        Vector256<int> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
        for (int i = 0; i < length; i += 64)
        {
            Vector256<sbyte> lower = Vector256.Load(vector + i), upper = Vector256.Load(vector + i + 32);
            sum0 += Avx2.MultiplyAddAdjacent(ProductsInt4(row0 + i / 2, lower, upper), ones);
            sum1 += Avx2.MultiplyAddAdjacent(ProductsInt4(row1 + i / 2, lower, upper), ones);
            sum2 += Avx2.MultiplyAddAdjacent(ProductsInt4(row2 + i / 2, lower, upper), ones);
            sum3 += Avx2.MultiplyAddAdjacent(ProductsInt4(row3 + i / 2, lower, upper), ones);
        }
        StoreSums(sum0, sum1, sum2, sum3, results);
    }

    public static void WeightedSumInt4(byte* rows, nint stride, int* ids, short* coefficients, int count, int* results, int length)
    {
        Vector256<sbyte> zero = Vector256.Create((sbyte)Int4.Zero);
        for (int j = 0; j < length; j += 64)
        {
            Vector256<int> sum0 = default, sum1 = default, sum2 = default, sum3 = default;
            Vector256<int> sum4 = default, sum5 = default, sum6 = default, sum7 = default;
            for (int i = 0; i < count; i += 2)
            {
                byte* first = rows + ids[i] * stride + j / 2;
                bool paired = i + 1 < count;
                byte* second = paired ? rows + ids[i + 1] * stride + j / 2 : first;
                if (j == 0)
                    AskAhead(rows, stride, ids, i, count);
                Vector256<short> pair = Vector256.Create((ushort)coefficients[i] | (paired ? coefficients[i + 1] : 0) << 16).AsInt16();
                (Vector256<byte> a, Vector256<byte> b) = Int4.Load256(first);
                (Vector256<byte> c, Vector256<byte> d) = Int4.Load256(second);
                Vector256<sbyte> lower1 = a.AsSByte() - zero, upper1 = b.AsSByte() - zero, lower2 = c.AsSByte() - zero, upper2 = d.AsSByte() - zero;
                sum0 += Interleaved(lower1.GetLower(), lower2.GetLower(), pair, out Vector256<int> next);
                sum1 += next;
                sum2 += Interleaved(lower1.GetUpper(), lower2.GetUpper(), pair, out next);
                sum3 += next;
                sum4 += Interleaved(upper1.GetLower(), upper2.GetLower(), pair, out next);
                sum5 += next;
                sum6 += Interleaved(upper1.GetUpper(), upper2.GetUpper(), pair, out next);
                sum7 += next;
            }
            sum0.Store(results + j);
            sum1.Store(results + j + 8);
            sum2.Store(results + j + 16);
            sum3.Store(results + j + 24);
            sum4.Store(results + j + 32);
            sum5.Store(results + j + 40);
            sum6.Store(results + j + 48);
            sum7.Store(results + j + 56);
        }
    }

    /// <summary>
    /// Asks again for two rows that come soon: a processor that was asked for more lines than it can wait for forgets the rest.
    /// </summary>
    private static void AskAhead(byte* rows, nint stride, int* ids, int at, int count)
    {
        const int Ahead = 12;
        if (at + Ahead + 1 >= count)
            return;
        Prefetch.Row(rows + ids[at + Ahead] * stride, (int)stride);
        Prefetch.Row(rows + ids[at + Ahead + 1] * stride, (int)stride);
    }

    /// <summary>Four vectors of eight lanes to their four sums.</summary>
    internal static void StoreSums(Vector256<int> sum0, Vector256<int> sum1, Vector256<int> sum2, Vector256<int> sum3, int* results) =>
        Sums(sum0, sum1, sum2, sum3).Store(results);

    private static Vector128<int> Sums(Vector256<int> sum0, Vector256<int> sum1, Vector256<int> sum2, Vector256<int> sum3)
    {
        // Halves of pairs side by side and added up, twice: fewer instructions inside than horizontal additions have.
        Vector256<long> pair01 = (Avx2.UnpackLow(sum0, sum1) + Avx2.UnpackHigh(sum0, sum1)).AsInt64();
        Vector256<long> pair23 = (Avx2.UnpackLow(sum2, sum3) + Avx2.UnpackHigh(sum2, sum3)).AsInt64();
        Vector256<int> folded = Avx2.UnpackLow(pair01, pair23).AsInt32() + Avx2.UnpackHigh(pair01, pair23).AsInt32();
        return folded.GetLower() + folded.GetUpper();
    }

    /// <summary>Four weights of a row, in every lane.</summary>
    internal static Vector256<sbyte> Broadcast(sbyte* weights) => Avx2.BroadcastScalarToVector256((int*)weights).AsSByte();

    /// <summary>Four rows of eight lanes, transposed.</summary>
    internal static void StoreLanes(Vector256<int> sum0, Vector256<int> sum1, Vector256<int> sum2, Vector256<int> sum3, int* results)
    {
        // Within each half: lanes 0, 1 of rows 0, 1 and of rows 2, 3, then the pairs side by side.
        Vector256<long> rows01 = Avx2.UnpackLow(sum0, sum1).AsInt64(), rows23 = Avx2.UnpackLow(sum2, sum3).AsInt64();
        Store(Avx2.UnpackLow(rows01, rows23), results);
        Store(Avx2.UnpackHigh(rows01, rows23), results + 4);
        rows01 = Avx2.UnpackHigh(sum0, sum1).AsInt64();
        rows23 = Avx2.UnpackHigh(sum2, sum3).AsInt64();
        Store(Avx2.UnpackLow(rows01, rows23), results + 8);
        Store(Avx2.UnpackHigh(rows01, rows23), results + 12);

        static void Store(Vector256<long> lanes, int* results)
        {
            lanes.GetLower().AsInt32().Store(results);
            lanes.GetUpper().AsInt32().Store(results + 16);
        }
    }

    /// <summary>Outputs 0-7 (returned) and 8-15 of two rows times their two coefficients.</summary>
    private static Vector256<int> Interleaved(sbyte* first, sbyte* second, Vector256<short> pair, out Vector256<int> upper) =>
        Interleaved(Vector128.Load(first), Vector128.Load(second), pair, out upper);

    private static Vector256<int> Interleaved(Vector128<sbyte> a, Vector128<sbyte> b, Vector256<short> pair, out Vector256<int> upper)
    {
        upper = Avx2.MultiplyAddAdjacent(Avx2.ConvertToVector256Int16(Sse2.UnpackHigh(a, b)), pair);
        return Avx2.MultiplyAddAdjacent(Avx2.ConvertToVector256Int16(Sse2.UnpackLow(a, b)), pair);
    }

    /// <summary>The sums of four products each: at most 4 * 15 * 127, which fits INT16.</summary>
    private static Vector256<short> ProductsInt4(byte* row, Vector256<sbyte> lower, Vector256<sbyte> upper)
    {
        (Vector256<byte> a, Vector256<byte> b) = Int4.Load256(row);
        return Avx2.MultiplyAddAdjacent(a, lower) + Avx2.MultiplyAddAdjacent(b, upper);
    }
}
