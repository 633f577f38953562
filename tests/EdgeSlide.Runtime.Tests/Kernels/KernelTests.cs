using EdgeSlide.Kernels;
using EdgeSlide.Layers;
using EdgeSlide.Runtime.Tests.Support;

namespace EdgeSlide.Runtime.Tests.Kernels;

/// <summary>Every kernel that runs here against the scalar reference, bit for bit.</summary>
public sealed unsafe class KernelTests
{
    private const int Longest = 1024;

    [Theory, ClassData(typeof(SupportedKernels))]
    public void Dot_is_exact_at_every_padded_length_and_from_unaligned_starts(string kernel)
    {
        var random = new Random(1);
        using var a = new NativeBuffer<sbyte>(Longest + 64);
        using var b = new NativeBuffer<sbyte>(Longest + 64);
        for (int length = 64; length <= Longest; length += 64)
        {
            foreach (int offset in new[] { 0, 1, 3, 16, 31, 63 })
            {
                Fill(a.Span, random);
                Fill(b.Span, random);
                int expected = NaiveDot(a.Span.Slice(offset, length), b.Span.Slice(63 - offset, length));
                Assert.Equal(expected, Run(kernel, new DotCall(a.Pointer + offset, b.Pointer + 63 - offset, length)));
            }
        }
    }

    [Theory, ClassData(typeof(SupportedKernels))]
    public void Dot_is_exact_at_the_extremes_where_narrow_sums_would_saturate(string kernel)
    {
        using var a = new NativeBuffer<sbyte>(Longest);
        using var b = new NativeBuffer<sbyte>(Longest);
        foreach ((sbyte x, sbyte y) in new (sbyte, sbyte)[] { (127, 127), (-127, 127), (127, -127), (-127, -127), (0, 127), (-127, 0), (1, -127) })
        {
            a.Span.Fill(x);
            b.Span.Fill(y);
            for (int length = 64; length <= Longest; length += 64)
                Assert.Equal(x * y * length, Run(kernel, new DotCall(a.Pointer, b.Pointer, length)));
        }
    }

    [Theory, ClassData(typeof(SupportedKernels))]
    public void Dot_does_not_overflow_at_the_widest_hidden_layer(string kernel)
    {
        const int Widest = 1 << 16;
        using var a = new NativeBuffer<sbyte>(Widest);
        using var b = new NativeBuffer<sbyte>(Widest);
        a.Span.Fill(-127);
        b.Span.Fill(127);
        Assert.Equal(-127 * 127 * Widest, Run(kernel, new DotCall(a.Pointer, b.Pointer, Widest)));
    }

    [Theory, ClassData(typeof(SupportedKernels))]
    public void Four_dots_at_once_equal_four_dots(string kernel)
    {
        var random = new Random(2);
        using var rows = new NativeBuffer<sbyte>(4 * (Longest + 64));
        using var vector = new NativeBuffer<sbyte>(Longest + 64);
        int* results = stackalloc int[5];
        for (int length = 64; length <= Longest; length += 64)
        {
            foreach ((bool negative, bool extreme) in new[] { (false, false), (true, false), (false, true), (true, true) })
            {
                int offset = random.Next(64);
                if (extreme)
                    FillExtremes(rows.Span, random);
                else
                    Fill(rows.Span, random);
                Fill(vector.Span, random);
                for (int i = 0; i < vector.Length && !negative; i++)
                    vector.Pointer[i] = extreme ? (sbyte)127 : Math.Abs(vector.Pointer[i]);
                sbyte* x = vector.Pointer + offset;
                // Rows in no order, one of them twice, each from a start of its own.
                sbyte*[] starts = [rows.Pointer + 2 * length + offset, rows.Pointer + 7, rows.Pointer + length, rows.Pointer + 7];
                results[4] = 12345;
                Run(kernel, new Dot4Call(starts, x, !negative, length, results));
                for (int r = 0; r < 4; r++)
                    Assert.Equal(NaiveDot(new ReadOnlySpan<sbyte>(starts[r], length), new ReadOnlySpan<sbyte>(x, length)), results[r]);
                Assert.Equal(12345, results[4]);
            }
        }
    }

    [Theory, ClassData(typeof(SupportedKernels))]
    public void Dots_of_consecutive_rows_equal_the_dots_one_by_one(string kernel)
    {
        const int MostRows = 11;
        var random = new Random(9);
        using var rows = new NativeBuffer<sbyte>(MostRows * Longest + 64);
        using var vector = new NativeBuffer<sbyte>(Longest + 64);
        int* results = stackalloc int[MostRows + 1];
        for (int length = 64; length <= Longest; length += 64)
        {
            for (int count = 0; count <= MostRows; count++)
            {
                foreach ((bool negative, bool extreme) in new[] { (false, false), (true, false), (false, true), (true, true) })
                {
                    if (extreme)
                    {
                        FillExtremes(rows.Span, random);
                        FillExtremes(vector.Span, random);
                        // All of one sign is where sums are largest: 16-bit ones must not overflow.
                        if (count % 2 == 1)
                            rows.Span.Fill((sbyte)(count % 4 == 1 ? 127 : -127));
                        if (count % 3 == 1)
                            vector.Span.Fill(-127);
                    }
                    else
                    {
                        Fill(rows.Span, random);
                        Fill(vector.Span, random);
                    }
                    for (int i = 0; i < vector.Length && !negative; i++)
                        vector.Pointer[i] = Math.Abs(vector.Pointer[i]);
                    sbyte* first = rows.Pointer + random.Next(64), x = vector.Pointer + random.Next(64);
                    results[count] = 12345;
                    Run(kernel, new DotRowsCall(first, count, x, !negative, length, results));
                    for (int r = 0; r < count; r++)
                        Assert.Equal(NaiveDot(new ReadOnlySpan<sbyte>(first + r * length, length), new ReadOnlySpan<sbyte>(x, length)), results[r]);
                    Assert.Equal(12345, results[count]);
                }
            }
        }
    }

    [Theory, ClassData(typeof(SupportedKernels))]
    public void Four_dots_for_each_lane_equal_the_dots_one_by_one(string kernel)
    {
        int lanes = Run(kernel, new LanesCall());
        if (lanes == 0)
            return;
        var random = new Random(7);
        using var rows = new NativeBuffer<sbyte>(4 * (Longest + 64));
        using var vectors = new NativeBuffer<float>(lanes * Longest);
        using var results = new NativeBuffer<int>(4 * lanes + 1);
        for (int length = 64; length <= Longest; length += 64)
        {
            foreach ((bool negative, bool extreme) in new[] { (false, false), (true, false), (false, true), (true, true) })
            {
                using var quantized = new QuantizedVectors(lanes, length, lanes);
                // One lane stays empty where there are several.
                for (int v = 0; v < Math.Max(1, lanes - 1); v++)
                {
                    float* x = vectors.Pointer + v * length;
                    for (int i = 0; i < length; i++)
                        x[i] = extreme ? (negative && random.Next(2) == 0 ? -127 : 127) : random.Next(negative ? -127 : 0, 128);
                    x[0] = 127;
                    quantized.Add(x);
                }
                quantized.Interleave();
                Assert.Equal(!negative, quantized.IsNonNegative(0));
                if (extreme)
                    FillExtremes(rows.Span, random);
                else
                    Fill(rows.Span, random);
                sbyte*[] starts = [rows.Pointer + 2 * length + 3, rows.Pointer + 7, rows.Pointer + length, rows.Pointer + 7];
                results.Pointer[4 * lanes] = 12345;
                Run(kernel, new Dot4LanesCall(starts, quantized.Interleaved(0), !negative, length, results.Pointer));
                for (int v = 0; v < lanes; v++)
                {
                    for (int r = 0; r < 4; r++)
                    {
                        int expected = v >= quantized.Count ? 0 : NaiveDot(new ReadOnlySpan<sbyte>(starts[r], length), new ReadOnlySpan<sbyte>(quantized.Plain(v), length));
                        Assert.Equal(expected, results.Pointer[4 * v + r]);
                    }
                }
                Assert.Equal(12345, results.Pointer[4 * lanes]);
            }
        }
    }

    [Theory, ClassData(typeof(SupportedKernels))]
    public void Weighted_sums_are_exact_for_odd_and_even_counts_at_every_padded_length(string kernel)
    {
        var random = new Random(3);
        const int Rows = 40;
        using var rows = new NativeBuffer<sbyte>(Rows * Longest + 64);
        using var ids = new NativeBuffer<int>(64);
        using var coefficients = new NativeBuffer<short>(64);
        using var results = new NativeBuffer<int>(Longest + 16);
        for (int length = 64; length <= Longest; length += 64)
        {
            foreach (int count in new[] { 0, 1, 2, 3, 16, 17, 33 })
            {
                int offset = random.Next(64);
                Fill(rows.Span, random);
                for (int i = 0; i < count; i++)
                {
                    ids.Pointer[i] = random.Next(Rows);
                    coefficients.Pointer[i] = (short)random.Next(-short.MaxValue, short.MaxValue + 1);
                }
                results.Span.Fill(int.MinValue);
                Run(kernel, new WeightedSumCall(rows.Pointer + offset, length, ids.Pointer, coefficients.Pointer, count, results.Pointer, length));
                for (int j = 0; j < length; j++)
                {
                    int expected = 0;
                    for (int i = 0; i < count; i++)
                        expected += coefficients.Pointer[i] * rows.Pointer[offset + ids.Pointer[i] * length + j];
                    Assert.Equal(expected, results.Pointer[j]);
                }
                Assert.All(results.Span[length..].ToArray(), beyond => Assert.Equal(int.MinValue, beyond));
            }
        }
    }

    [Theory, ClassData(typeof(SupportedKernels))]
    public void Weighted_sums_reach_the_limit_of_their_accumulators(string kernel)
    {
        const int Length = 64, Count = 515; // 515 * 32767 * 127 is just below 2^31.
        using var rows = new NativeBuffer<sbyte>(Length);
        using var ids = new NativeBuffer<int>(Count);
        using var coefficients = new NativeBuffer<short>(Count);
        using var results = new NativeBuffer<int>(Length);
        for (int i = 0; i < Length; i++)
            rows.Pointer[i] = (sbyte)(i % 2 == 0 ? 127 : -127);
        coefficients.Span.Fill(short.MaxValue);
        Run(kernel, new WeightedSumCall(rows.Pointer, Length, ids.Pointer, coefficients.Pointer, Count, results.Pointer, Length));
        for (int j = 0; j < Length; j++)
            Assert.Equal((j % 2 == 0 ? 1 : -1) * Count * short.MaxValue * 127, results.Pointer[j]);
        coefficients.Span.Fill(-short.MaxValue);
        Run(kernel, new WeightedSumCall(rows.Pointer, Length, ids.Pointer, coefficients.Pointer, Count, results.Pointer, Length));
        Assert.Equal(-Count * short.MaxValue * 127, results.Pointer[0]);
    }

    [Theory, ClassData(typeof(SupportedKernels))]
    public void Int4_dots_are_exact_at_every_padded_length_one_by_one_and_four_at_once(string kernel)
    {
        var random = new Random(4);
        using var rows = new NativeBuffer<byte>(2 * Longest + 64);
        using var vector = new NativeBuffer<sbyte>(Longest + 64);
        int* results = stackalloc int[5];
        for (int length = 64; length <= Longest; length += 64)
        {
            for (int kind = 0; kind < 3; kind++)
            {
                int offset = random.Next(64);
                foreach (ref byte pair in rows.Span)
                    pair = (byte)(kind == 0 ? random.Next(256) : random.Next(2) * 255);
                if (kind == 1)
                    FillExtremes(vector.Span, random);
                else if (kind == 2)
                    vector.Span.Fill(127);
                else
                    Fill(vector.Span, random);
                sbyte* x = vector.Pointer + offset;
                byte*[] starts = [rows.Pointer + length + offset, rows.Pointer + 7, rows.Pointer + length / 2, rows.Pointer + 7];
                results[4] = 12345;
                Run(kernel, new Int4Call(starts, x, length, results));
                for (int r = 0; r < 4; r++)
                {
                    int expected = 0;
                    for (int i = 0; i < length; i++)
                        expected += (Int4Weight(starts[r], i) + 8) * x[i];
                    Assert.Equal(expected, results[r]);
                    Assert.Equal(expected, Run(kernel, new Int4Call([starts[r]], x, length, null)));
                }
                Assert.Equal(12345, results[4]);
                int sum = 0;
                for (int i = 0; i < length; i++)
                    sum += x[i];
                Assert.Equal(sum, Int4.Sum(x, length));
            }
        }
    }

    [Theory, ClassData(typeof(SupportedKernels))]
    public void Int4_weighted_sums_are_exact_for_odd_and_even_counts_at_every_padded_length(string kernel)
    {
        var random = new Random(5);
        const int Rows = 40;
        using var rows = new NativeBuffer<byte>(Rows * Longest / 2 + 64);
        using var ids = new NativeBuffer<int>(64);
        using var coefficients = new NativeBuffer<short>(64);
        using var results = new NativeBuffer<int>(Longest + 16);
        random.NextBytes(rows.Span);
        for (int length = 64; length <= Longest; length += 64)
        {
            foreach (int count in new[] { 0, 1, 2, 3, 16, 17, 33 })
            {
                byte* start = rows.Pointer + random.Next(64);
                for (int i = 0; i < count; i++)
                {
                    ids.Pointer[i] = random.Next(Rows);
                    coefficients.Pointer[i] = (short)random.Next(-short.MaxValue, short.MaxValue + 1);
                }
                results.Span.Fill(int.MinValue);
                Run(kernel, new WeightedSumInt4Call(start, length / 2, ids.Pointer, coefficients.Pointer, count, results.Pointer, length));
                for (int j = 0; j < length; j++)
                {
                    int expected = 0;
                    for (int i = 0; i < count; i++)
                        expected += coefficients.Pointer[i] * Int4Weight(start + ids.Pointer[i] * (length / 2), j);
                    Assert.Equal(expected, results.Pointer[j]);
                }
                Assert.All(results.Span[length..].ToArray(), beyond => Assert.Equal(int.MinValue, beyond));
            }
        }
    }

    [Fact]
    public void Every_fp16_number_is_widened_exactly()
    {
        for (int bits = 0; bits <= ushort.MaxValue; bits++)
        {
            float value = HalfRows.Widen((ushort)bits);
            int exponent = bits >> 10 & 31;
            if (exponent < 31)
                Assert.Equal(BitConverter.SingleToInt32Bits((float)BitConverter.UInt16BitsToHalf((ushort)bits)), BitConverter.SingleToInt32Bits(value));
            else
                Assert.Equal((bits >> 15 == 0 ? 1 : -1) * 65536f * (1 + (bits & 1023) / 1024f), value);
        }
    }

    [Fact]
    public void Fp16_dots_add_up_in_eight_lanes_one_by_one_and_four_at_once()
    {
        var random = new Random(6);
        using var rows = new NativeBuffer<ushort>(4 * Longest);
        using var x = new NativeBuffer<float>(Longest);
        using var y = new NativeBuffer<float>(Longest);
        float* results = stackalloc float[4];
        for (int length = 64; length <= Longest; length += 64)
        {
            random.NextBytes(System.Runtime.InteropServices.MemoryMarshal.AsBytes(rows.Span));
            foreach (ref float value in x.Span)
                value = random.NextSingle() * 4 - 2;
            HalfRows.Dot4(rows.Pointer, rows.Pointer + length, rows.Pointer + 2 * length, rows.Pointer + 3 * length, x.Pointer, length, results);
            for (int r = 0; r < 4; r++)
            {
                ushort* row = rows.Pointer + r * length;
                var lanes = new float[8];
                for (int i = 0; i < length; i++)
                    lanes[i % 8] += HalfRows.Widen(row[i]) * x.Pointer[i];
                float expected = ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
                Assert.Equal(expected, results[r]);
                Assert.Equal(expected, HalfRows.Dot(row, x.Pointer, length));
                x.Span.CopyTo(y.Span);
                HalfRows.AddRow(row, 0.3f, y.Pointer, length);
                for (int i = 0; i < length; i++)
                    Assert.Equal(x.Pointer[i] + HalfRows.Widen(row[i]) * 0.3f, y.Pointer[i]);
            }
        }
    }

    /// <summary>Weight i of an INT4 row, from the specification.</summary>
    private static int Int4Weight(byte* row, int i)
    {
        byte pair = row[i / 64 * 32 + i % 32];
        return (i % 64 < 32 ? pair & 15 : pair >> 4) - 8;
    }

    private static int NaiveDot(ReadOnlySpan<sbyte> a, ReadOnlySpan<sbyte> b)
    {
        int sum = 0;
        for (int i = 0; i < a.Length; i++)
            sum += a[i] * b[i];
        return sum;
    }

    private static void Fill(Span<sbyte> values, Random random)
    {
        foreach (ref sbyte value in values)
            value = (sbyte)random.Next(-127, 128);
    }

    private static void FillExtremes(Span<sbyte> values, Random random)
    {
        foreach (ref sbyte value in values)
            value = (sbyte)(random.Next(2) == 0 ? -127 : 127);
    }

    private static int Run(string kernel, IKernelVisitor<int> call) => KernelSelector.Dispatch(kernel, call);

    private sealed class DotCall(sbyte* a, sbyte* b, int length) : IKernelVisitor<int>
    {
        public int Visit<TKernel>() where TKernel : struct, IKernel => TKernel.Dot(a, b, length);
    }

    private sealed class Dot4Call(sbyte*[] rows, sbyte* vector, bool nonNegative, int length, int* results) : IKernelVisitor<int>
    {
        public int Visit<TKernel>() where TKernel : struct, IKernel
        {
            TKernel.Dot4(rows[0], rows[1], rows[2], rows[3], vector, nonNegative, length, results);
            return 0;
        }
    }

    private sealed class DotRowsCall(sbyte* rows, int count, sbyte* vector, bool nonNegative, int length, int* results) : IKernelVisitor<int>
    {
        public int Visit<TKernel>() where TKernel : struct, IKernel
        {
            TKernel.DotRows(rows, count, vector, nonNegative, length, results);
            return 0;
        }
    }

    private sealed class Int4Call(byte*[] rows, sbyte* vector, int length, int* results) : IKernelVisitor<int>
    {
        public int Visit<TKernel>() where TKernel : struct, IKernel
        {
            if (rows.Length == 1)
                return TKernel.DotInt4(rows[0], vector, length);
            TKernel.Dot4Int4(rows[0], rows[1], rows[2], rows[3], vector, length, results);
            return 0;
        }
    }

    private sealed class WeightedSumInt4Call(byte* rows, nint stride, int* ids, short* coefficients, int count, int* results, int length) : IKernelVisitor<int>
    {
        public int Visit<TKernel>() where TKernel : struct, IKernel
        {
            TKernel.WeightedSumInt4(rows, stride, ids, coefficients, count, results, length);
            return 0;
        }
    }

    private sealed class LanesCall : IKernelVisitor<int>
    {
        public int Visit<TKernel>() where TKernel : struct, IKernel => TKernel.Lanes;
    }

    private sealed class Dot4LanesCall(sbyte*[] rows, sbyte* vectors, bool nonNegative, int length, int* results) : IKernelVisitor<int>
    {
        public int Visit<TKernel>() where TKernel : struct, IKernel
        {
            TKernel.Dot4Lanes(rows[0], rows[1], rows[2], rows[3], vectors, nonNegative, length, results);
            return 0;
        }
    }

    private sealed class WeightedSumCall(sbyte* rows, nint stride, int* ids, short* coefficients, int count, int* results, int length) : IKernelVisitor<int>
    {
        public int Visit<TKernel>() where TKernel : struct, IKernel
        {
            TKernel.WeightedSum(rows, stride, ids, coefficients, count, results, length);
            return 0;
        }
    }
}
