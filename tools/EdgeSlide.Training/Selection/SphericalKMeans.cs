using System.Runtime.Intrinsics;
using EdgeSlide.Training.Data;

namespace EdgeSlide.Training.Selection;

/// <summary>K-means by direction: rows belong to the centres with the largest cosine.</summary>
internal static class SphericalKMeans
{
    /// <summary>Unit centres, and for each row its <paramref name="copies"/> nearest, nearest first.</summary>
    public static (float[] Centres, int[][] Nearest) Run(float[] rows, int width, int count, int copies, int rounds, ulong seed, CancellationToken cancel)
    {
        int total = rows.Length / width;
        var random = new Xoshiro256(seed);
        var centres = new float[count * width];
        for (int c = 0; c < count; c++)
            Unit(rows, random.Below(total), c);
        var nearest = new int[total][];
        for (int round = 0; round <= rounds; round++)
        {
            int kept = round == rounds ? Math.Min(copies, count) : 1;
            Parallel.For(0, (total + 255) / 256, new ParallelOptions { CancellationToken = cancel }, block =>
            {
                var best = new float[kept];
                for (int n = block * 256; n < Math.Min(total, (block + 1) * 256); n++)
                {
                    int[] own = nearest[n] is { } old && old.Length == kept ? old : nearest[n] = new int[kept];
                    Array.Fill(best, float.NegativeInfinity);
                    for (int c = 0; c < count; c++)
                    {
                        float score = Dot(rows.AsSpan(n * width, width), centres.AsSpan(c * width, width));
                        if (!(score > best[^1]))
                            continue;
                        int at = kept - 1;
                        for (; at > 0 && score > best[at - 1]; at--)
                            (best[at], own[at]) = (best[at - 1], own[at - 1]);
                        (best[at], own[at]) = (score, c);
                    }
                }
            });
            if (round == rounds)
                break;
            Array.Clear(centres);
            var counts = new int[count];
            for (int n = 0; n < total; n++)
            {
                int c = nearest[n][0];
                counts[c]++;
                float inverse = 1f / MathF.Max(1e-12f, MathF.Sqrt(Dot(rows.AsSpan(n * width, width), rows.AsSpan(n * width, width))));
                for (int j = 0; j < width; j++)
                    centres[c * width + j] += rows[n * width + j] * inverse;
            }
            for (int c = 0; c < count; c++)
            {
                if (counts[c] == 0)
                    Unit(rows, random.Below(total), c);
                else
                    Unit(centres, c, c);
            }
        }
        return (centres, nearest);

        void Unit(float[] from, int row, int centre)
        {
            ReadOnlySpan<float> x = from.AsSpan(row * width, width);
            float inverse = 1f / MathF.Max(1e-12f, MathF.Sqrt(Dot(x, x)));
            for (int j = 0; j < width; j++)
                centres[centre * width + j] = x[j] * inverse;
        }
    }

    public static float Dot(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        // Eight lanes whatever the machine, so that the same rows give the same clusters everywhere.
        var sum = Vector256<float>.Zero;
        int i = 0;
        for (; i + 8 <= a.Length; i += 8)
            sum += Vector256.Create(a[i..]) * Vector256.Create(b[i..]);
        float total = Vector256.Sum(sum);
        for (; i < a.Length; i++)
            total += a[i] * b[i];
        return total;
    }
}
