using EdgeSlide.Training.Data;
using EdgeSlide.Training.Slide;

namespace EdgeSlide.Training.Tests.Slide;

public sealed class ShapeTaskTests
{
    [Fact]
    public void Rectangles_are_outlines_and_their_label_says_whether_they_are_taller()
    {
        Dataset data = ShapeTasks.Rectangles(500, 3);
        int taller = 0;
        for (int row = 0; row < data.RowCount; row++)
        {
            int[] xs = [.. data.RowFeatures(row).ToArray().Select(i => i % ShapeTasks.Side)], ys = [.. data.RowFeatures(row).ToArray().Select(i => i / ShapeTasks.Side)];
            int width = xs.Max() - xs.Min() + 1, height = ys.Max() - ys.Min() + 1;
            Assert.Equal(2 * (width + height) - 4, xs.Length);
            Assert.Equal(height > width ? 1 : 0, data.RowLabels(row)[0]);
            taller += data.RowLabels(row)[0];
        }
        Assert.InRange(taller, 180, 320);
    }

    /// <summary>Independent of the generator: every pixel on the straight line between two white pixels' centres is white.</summary>
    [Fact]
    public void Regions_labelled_convex_hold_every_point_between_two_of_theirs_and_others_do_not()
    {
        Dataset data = ShapeTasks.Convex(200, 4);
        int convex = 0, brokenOthers = 0, others = 0;
        for (int row = 0; row < data.RowCount; row++)
        {
            var white = new HashSet<int>(data.RowFeatures(row).ToArray());
            bool holds = Holds(white);
            if (data.RowLabels(row)[0] == 1)
            {
                convex++;
                Assert.True(holds, $"row {row}");
            }
            else
            {
                others++;
                brokenOthers += holds ? 0 : 1;
            }
        }
        Assert.InRange(convex, 70, 130);
        // Lattice points on segments see most dents; shallow ones lie between the lattice points.
        Assert.InRange(brokenOthers, others * 8 / 10, others);
    }

    [Fact]
    public void The_same_seed_gives_the_same_images_and_another_seed_others()
    {
        Assert.Equal(ShapeTasks.Convex(20, 1).FeatureIds, ShapeTasks.Convex(20, 1).FeatureIds);
        Assert.NotEqual(ShapeTasks.Convex(20, 1).FeatureIds, ShapeTasks.Convex(20, 2).FeatureIds);
    }

    private static bool Holds(HashSet<int> white)
    {
        int[] points = [.. white];
        foreach (int a in points)
        {
            foreach (int b in points)
            {
                (int dx, int dy) = ((b % ShapeTasks.Side) - (a % ShapeTasks.Side), (b / ShapeTasks.Side) - (a / ShapeTasks.Side));
                int steps = Gcd(Math.Abs(dx), Math.Abs(dy));
                for (int s = 1; s < steps; s++)
                {
                    if (!white.Contains(a + (dx / steps * s) + (dy / steps * s * ShapeTasks.Side)))
                        return false;
                }
            }
        }
        return true;
    }

    private static int Gcd(int a, int b) => b == 0 ? a : Gcd(b, a % b);
}
