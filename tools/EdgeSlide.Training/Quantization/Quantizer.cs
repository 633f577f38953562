using System.Runtime.InteropServices;
using EdgeSlide.Kernels;
using EdgeSlide.Model;

namespace EdgeSlide.Training.Quantization;

/// <summary>What quantization did to one layer, for the report.</summary>
/// <param name="FloatBytes">Weights as FP32.</param>
/// <param name="QuantizedBytes">Rows as stored, padding and scales included.</param>
/// <param name="MaxError">Largest |w - stored * scale|.</param>
/// <param name="MeanError">Mean |w - stored * scale|.</param>
/// <param name="MeanMagnitude">Mean |w|, to set the errors against.</param>
internal sealed record QuantizationError(long FloatBytes, long QuantizedBytes, double MaxError, double MeanError, double MeanMagnitude);

/// <summary>Rows as a model file stores them: one scale per row, padded to a multiple of 64 weights.</summary>
internal sealed class QuantizedRows
{
    public required WeightFormat Format { get; init; }

    public required byte[] Rows { get; init; }

    public required float[] Scales { get; init; }

    /// <summary>Bytes per row.</summary>
    public required int Stride { get; init; }

    public required QuantizationError Error { get; init; }
}

internal static class Quantizer
{
    /// <summary>A row's INT4 scale is the best of these shares of the one that reaches its largest weight: clipping a few saves the many.</summary>
    private static readonly float[] Clips = [1f, 0.93f, 0.86f, 0.8f, 0.74f, 0.68f, 0.62f, 0.56f, 0.5f];

    /// <summary>
    /// Stores [rows x width] weights. INT8: q = round(w * 127 / max|row|), scale = max|row| / 127. INT4: q from -8 to 7, with the
    /// scale of least squared error. FP16: w / scale, rounded to binary16, with the power of two that is nearest below max|row|
    /// as the scale, so that no weight is too large or too small for the format.
    /// </summary>
    public static QuantizedRows Quantize(float[] weights, int rows, int width, WeightFormat format = WeightFormat.Int8)
    {
        int stride = ModelFormat.RowBytes(width, format);
        var stored = new byte[checked(rows * stride)];
        var scales = new float[rows];
        var sync = new Lock();
        double maxError = 0, sumError = 0, sumMagnitude = 0;
        Parallel.For(0, (rows + 1023) / 1024, chunk =>
        {
            double chunkMax = 0, chunkSum = 0, chunkMagnitude = 0;
            var restored = new float[width];
            var scratch = new sbyte[width];
            for (int r = chunk * 1024; r < Math.Min(rows, (chunk + 1) * 1024); r++)
            {
                ReadOnlySpan<float> row = weights.AsSpan(r * width, width);
                Span<byte> target = stored.AsSpan(r * stride, stride);
                float max = 0f;
                foreach (float w in row)
                {
                    if (!float.IsFinite(w))
                        throw new InvalidDataException($"weight row {r} holds a value that is not finite");
                    max = MathF.Max(max, MathF.Abs(w));
                }
                if (!(max > 1e-30f))
                    max = 0f;
                scales[r] = format switch
                {
                    WeightFormat.Int4 => StoreInt4(row, max, target, scratch, restored),
                    WeightFormat.Fp16 => StoreFp16(row, max, target, restored),
                    _ => StoreInt8(row, max, target, restored),
                };
                for (int j = 0; j < width; j++)
                {
                    double error = Math.Abs(row[j] - restored[j] * scales[r]);
                    chunkMax = Math.Max(chunkMax, error);
                    chunkSum += error;
                    chunkMagnitude += Math.Abs(row[j]);
                }
            }
            lock (sync)
            {
                maxError = Math.Max(maxError, chunkMax);
                sumError += chunkSum;
                sumMagnitude += chunkMagnitude;
            }
        });
        double count = Math.Max(1.0, (double)rows * width);
        return new QuantizedRows
        {
            Format = format,
            Rows = stored,
            Scales = scales,
            Stride = stride,
            Error = new QuantizationError((long)rows * width * sizeof(float), stored.Length + (long)rows * sizeof(float), maxError, sumError / count, sumMagnitude / count),
        };
    }

    private static float StoreInt8(ReadOnlySpan<float> row, float max, Span<byte> target, float[] restored)
    {
        float inverse = max > 0f ? 127f / max : 0f;
        for (int j = 0; j < row.Length; j++)
        {
            restored[j] = Math.Clamp(MathF.Round(row[j] * inverse), -127f, 127f);
            target[j] = (byte)(sbyte)restored[j];
        }
        return max > 0f ? max / 127f : 0f;
    }

    private static float StoreInt4(ReadOnlySpan<float> row, float max, Span<byte> target, sbyte[] scratch, float[] restored)
    {
        float scale = 0f;
        double least = double.PositiveInfinity;
        foreach (float clip in max > 0f ? Clips : [])
        {
            float candidate = max * clip / 7f, inverse = 1f / candidate;
            double error = 0, product = 0, squares = 0;
            for (int j = 0; j < row.Length; j++)
            {
                float q = Math.Clamp(MathF.Round(row[j] * inverse), -8f, 7f);
                scratch[j] = (sbyte)q;
                product += row[j] * q;
                squares += q * q;
            }
            // The scale that suits these integers best; rounding with it again would gain little.
            if (squares > 0 && product > 0)
                candidate = (float)(product / squares);
            for (int j = 0; j < row.Length; j++)
                error += (row[j] - scratch[j] * candidate) * (double)(row[j] - scratch[j] * candidate);
            if (error >= least)
                continue;
            (least, scale) = (error, candidate);
            for (int j = 0; j < row.Length; j++)
                restored[j] = scratch[j];
        }
        if (max == 0f)
            Array.Clear(restored);
        target.Fill(Int4.Zero << 4 | Int4.Zero);
        for (int j = 0; j < row.Length; j++)
        {
            ref byte pair = ref target[j / 64 * 32 + j % 32];
            int stored = (int)restored[j] + Int4.Zero;
            pair = (byte)(j % 64 < 32 ? pair & 0xF0 | stored : pair & 0x0F | stored << 4);
        }
        return scale;
    }

    private static float StoreFp16(ReadOnlySpan<float> row, float max, Span<byte> target, float[] restored)
    {
        float scale = max > 0f ? MathF.ScaleB(1f, MathF.ILogB(max)) : 0f;
        Span<ushort> halves = MemoryMarshal.Cast<byte, ushort>(target);
        for (int j = 0; j < row.Length; j++)
        {
            halves[j] = max > 0f ? BitConverter.HalfToUInt16Bits((Half)(row[j] / scale)) : (ushort)0;
            restored[j] = HalfRows.Widen(halves[j]);
        }
        return scale;
    }
}
