using EdgeSlide.Model;

namespace EdgeSlide.Training.Quantization;

/// <summary>What quantization did to one layer, for the report.</summary>
/// <param name="FloatBytes">Weights as FP32.</param>
/// <param name="QuantizedBytes">Rows as stored, padding and scales included.</param>
/// <param name="MaxError">Largest |w - q * scale|.</param>
/// <param name="MeanError">Mean |w - q * scale|.</param>
/// <param name="MeanMagnitude">Mean |w|, to set the errors against.</param>
public sealed record QuantizationError(long FloatBytes, long QuantizedBytes, double MaxError, double MeanError, double MeanMagnitude);

/// <summary>INT8 rows: symmetric, one scale per row, padded with zeros to whole cache lines.</summary>
internal sealed class QuantizedRows
{
    public required sbyte[] Rows { get; init; }

    public required float[] Scales { get; init; }

    public required int Stride { get; init; }

    public required QuantizationError Error { get; init; }
}

internal static class Quantizer
{
    /// <summary>Quantizes [rows x width] weights: q = round(w * 127 / max|row|), scale = max|row| / 127.</summary>
    public static QuantizedRows Quantize(float[] weights, int rows, int width)
    {
        int stride = ModelFormat.RowStride(width);
        var quantized = new sbyte[checked(rows * stride)];
        var scales = new float[rows];
        var sync = new Lock();
        double maxError = 0, sumError = 0, sumMagnitude = 0;
        Parallel.For(0, (rows + 1023) / 1024, chunk =>
        {
            double chunkMax = 0, chunkSum = 0, chunkMagnitude = 0;
            for (int r = chunk * 1024; r < Math.Min(rows, (chunk + 1) * 1024); r++)
            {
                ReadOnlySpan<float> row = weights.AsSpan(r * width, width);
                Span<sbyte> target = quantized.AsSpan(r * stride, width);
                float max = 0f;
                foreach (float w in row)
                {
                    if (!float.IsFinite(w))
                        throw new InvalidDataException($"weight row {r} holds a value that is not finite");
                    max = MathF.Max(max, MathF.Abs(w));
                }
                float inverse = max > 1e-30f ? 127f / max : 0f;
                float scale = max > 1e-30f ? max / 127f : 0f;
                scales[r] = scale;
                for (int j = 0; j < width; j++)
                {
                    target[j] = (sbyte)Math.Clamp(MathF.Round(row[j] * inverse), -127f, 127f);
                    double error = Math.Abs(row[j] - target[j] * scale);
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
            Rows = quantized,
            Scales = scales,
            Stride = stride,
            Error = new QuantizationError((long)rows * width * sizeof(float), quantized.Length + (long)rows * sizeof(float), maxError, sumError / count, sumMagnitude / count),
        };
    }
}
