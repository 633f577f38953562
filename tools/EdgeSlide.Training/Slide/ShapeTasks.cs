using EdgeSlide.Training.Data;

namespace EdgeSlide.Training.Slide;

/// <summary>
/// The synthetic tasks Rectangles and Convex on 28 x 28 binary images (Larochelle, Erhan, Courville, Bergstra and Bengio
/// 2007), written from their definitions: is the outlined rectangle taller than wide; is the white region convex.
/// </summary>
internal static class ShapeTasks
{
    public const int Side = 28, Pixels = Side * Side;

    private const int LeastArea = 40, LeastDifference = 3;

    /// <summary>Outlines with different sides, placed anywhere; label 1 is taller than wide.</summary>
    public static Dataset Rectangles(int rows, ulong seed) => Make(rows, seed, (random, image) =>
    {
        int width, height;
        do
        {
            width = 3 + random.Below(Side - 2);
            height = 3 + random.Below(Side - 2);
        }
        while (Math.Abs(width - height) < LeastDifference);
        int left = random.Below(Side - width + 1), top = random.Below(Side - height + 1);
        for (int y = 0; y < height; y++)
        {
            for (int x = 0; x < width; x++)
                image[((top + y) * Side) + left + x] = x == 0 || y == 0 || x == width - 1 || y == height - 1;
        }
        return height > width ? 1 : 0;
    });

    /// <summary>
    /// White regions; label 1 is convex: an intersection of half planes. Label 0 is a union of two such regions that is
    /// not convex, by <see cref="IsConvex"/>.
    /// </summary>
    public static Dataset Convex(int rows, ulong seed) => Make(rows, seed, (random, image) =>
    {
        bool convex = random.Below(2) == 1;
        Span<bool> second = stackalloc bool[Pixels];
        while (true)
        {
            HalfPlanes(random, image);
            if (!convex)
            {
                HalfPlanes(random, second);
                for (int i = 0; i < Pixels; i++)
                    image[i] |= second[i];
            }
            if (image.Count(true) is >= LeastArea and <= Pixels - LeastArea && IsConvex(image) == convex)
                return convex ? 1 : 0;
        }
    });

    /// <summary>
    /// Whether every pixel whose centre lies in the convex hull of the white pixels' centres is white: convexity as far
    /// as a raster can show it.
    /// </summary>
    public static bool IsConvex(ReadOnlySpan<bool> image)
    {
        Span<int> hull = stackalloc int[2 * Pixels];
        int count = Hull(image, hull);
        for (int y = 0; y < Side; y++)
        {
            for (int x = 0; x < Side; x++)
            {
                if (!image[(y * Side) + x] && Inside(hull[..count], x, y))
                    return false;
            }
        }
        return true;
    }

    private static void HalfPlanes(Xoshiro256 random, Span<bool> image)
    {
        image.Fill(true);
        int cuts = 3 + random.Below(4);
        for (int cut = 0; cut < cuts; cut++)
        {
            // A direction, and a line at some distance from the middle, so that regions are neither full nor empty.
            double angle = Fraction(random) * 2 * Math.PI, distance = 2 + (Fraction(random) * 10);
            double a = Math.Cos(angle), b = Math.Sin(angle);
            double middleX = 9 + (Fraction(random) * 9), middleY = 9 + (Fraction(random) * 9);
            for (int i = 0; i < Pixels; i++)
                image[i] &= (a * ((i % Side) - middleX)) + (b * ((i / Side) - middleY)) <= distance;
        }
    }

    private static double Fraction(Xoshiro256 random) => (random.Next() >> 11) * (1.0 / (1L << 53));

    /// <summary>Andrew's monotone chain over the white pixels, strictly convex, counter-clockwise.</summary>
    private static int Hull(ReadOnlySpan<bool> image, Span<int> hull)
    {
        int count = 0;
        for (int pass = 0; pass < 2; pass++)
        {
            int floor = count;
            for (int step = 0; step < Pixels; step++)
            {
                int at = pass == 0 ? step : Pixels - 1 - step;
                int point = ((at % Side) * Side) + (at / Side); // by x, then y
                if (!image[point])
                    continue;
                while (count - floor >= 2 && Cross(hull[count - 2], hull[count - 1], point % Side, point / Side) <= 0)
                    count--;
                hull[count++] = point;
            }
            if (count - floor > 0)
                count--; // the other chain begins with it
        }
        return count;
    }

    private static int Cross(int from, int to, int x, int y) =>
        (((to % Side) - (from % Side)) * (y - (from / Side))) - (((to / Side) - (from / Side)) * (x - (from % Side)));

    private static bool Inside(ReadOnlySpan<int> hull, int x, int y)
    {
        if (hull.Length < 3)
            return false;
        for (int i = 0; i < hull.Length; i++)
        {
            if (Cross(hull[i], hull[(i + 1) % hull.Length], x, y) < 0)
                return false;
        }
        return true;
    }

    private delegate int Draw(Xoshiro256 random, Span<bool> image);

    private static Dataset Make(int rows, ulong seed, Draw draw)
    {
        var random = new Xoshiro256(seed);
        var ids = new List<int>();
        var offsets = new long[rows + 1];
        var labels = new int[rows];
        Span<bool> image = stackalloc bool[Pixels];
        for (int row = 0; row < rows; row++)
        {
            image.Clear();
            labels[row] = draw(random, image);
            for (int i = 0; i < Pixels; i++)
            {
                if (image[i])
                    ids.Add(i);
            }
            offsets[row + 1] = ids.Count;
        }
        var values = new float[ids.Count];
        Array.Fill(values, 1f);
        return new Dataset
        {
            FeatureCount = Pixels,
            LabelCount = 2,
            FeatureOffsets = offsets,
            FeatureIds = [.. ids],
            FeatureValues = values,
            LabelOffsets = [.. Enumerable.Range(0, rows + 1).Select(i => (long)i)],
            LabelIds = labels,
        };
    }
}
