using System.Runtime.Intrinsics;

namespace EdgeSlide.Hashing;

/// <summary>
/// The fast Walsh-Hadamard transform: d log2 d additions and no multiplication. With random sign flips before it, it
/// projects on d nearly independent random directions at once (Ailon and Chazelle 2006; Andoni et al. 2015).
/// </summary>
internal static unsafe class Hadamard
{
    /// <summary>In place, unnormalized; <paramref name="length"/> is a power of two of at least 8.</summary>
    public static void Transform(float* x, int length)
    {
        for (int i = 0; i < length; i += 4)
        {
            float a = x[i] + x[i + 1], b = x[i] - x[i + 1], c = x[i + 2] + x[i + 3], d = x[i + 2] - x[i + 3];
            x[i] = a + c;
            x[i + 1] = b + d;
            x[i + 2] = a - c;
            x[i + 3] = b - d;
        }
        for (int half = 4; half < length; half *= 2)
        {
            for (int block = 0; block < length; block += 2 * half)
            {
                for (int i = block; i < block + half; i += 4)
                {
                    Vector128<float> a = Vector128.Load(x + i), b = Vector128.Load(x + i + half);
                    (a + b).Store(x + i);
                    (a - b).Store(x + i + half);
                }
            }
        }
    }
}
