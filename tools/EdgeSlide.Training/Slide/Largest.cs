namespace EdgeSlide.Training.Slide;

/// <summary>Where the largest values of a set begin, by selection rather than sorting (Hoare 1961).</summary>
internal static class Largest
{
    /// <summary>
    /// The smallest of the <paramref name="keep"/> largest values, and how many of those are equal to it. Reorders
    /// <paramref name="values"/>. Everything belongs to them if there are no more values than that.
    /// </summary>
    public static (float Cut, int Ties) Of(Span<float> values, int keep)
    {
        if (keep >= values.Length)
            return (float.NegativeInfinity, 0);
        if (keep <= 0)
            return (float.PositiveInfinity, 0);
        int low = 0, high = values.Length - 1, target = keep - 1;
        while (low < high)
        {
            float pivot = Median(values[low], values[(low + high) >>> 1], values[high]);
            int i = low, j = high;
            while (i <= j)
            {
                while (values[i] > pivot)
                    i++;
                while (values[j] < pivot)
                    j--;
                if (i <= j)
                {
                    (values[i], values[j]) = (values[j], values[i]);
                    i++;
                    j--;
                }
            }
            if (target <= j)
                high = j;
            else if (target >= i)
                low = i;
            else
                break;
        }
        float cut = values[target];
        int ties = 0;
        for (int i = 0; i < keep; i++)
            ties += values[i] == cut ? 1 : 0;
        return (cut, ties);
    }

    private static float Median(float a, float b, float c) => Math.Max(Math.Min(a, b), Math.Min(Math.Max(a, b), c));
}
