using EdgeSlide.Training.Training;
using FsCheck;
using FsCheck.Fluent;

namespace EdgeSlide.Training.Tests.Training;

public sealed unsafe class GemmTests
{
    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(7, 31, 3)]
    [InlineData(8, 32, 256)]
    [InlineData(9, 33, 257)]
    [InlineData(65, 97, 513)]
    public void Multiplies_like_a_scalar_loop(int rows, int columns, int depth) => Check(rows, columns, depth, 1);

    [Fact]
    public void Multiplies_like_a_scalar_loop_for_every_small_shape()
    {
        for (int rows = 1; rows <= 17; rows++)
        {
            for (int columns = 1; columns <= 66; columns += 5)
                Check(rows, columns, 1 + ((rows * columns) % 19), rows);
        }
    }

    [Fact]
    public void Multiplies_like_a_scalar_loop_for_random_shapes() =>
        Prop.ForAll(
            Gen.Choose(1, 80).Three().ToArbitrary(), shape => Check(shape.Item1, shape.Item2, shape.Item3, 7)).QuickCheckThrowOnFailure();

    [Fact]
    public void The_256_bit_tile_agrees_with_the_product()
    {
        const int Depth = 37;
        float[] a = Random(4 * Depth, 1), b = Random(Depth * 32, 2);
        float* c = stackalloc float[4 * 16];
        fixed (float* pa = a, pb = b)
            Gemm.Tile256(Depth, pa, Depth, 1, 4, pb + 16, c, 16, accumulate: false);
        for (int i = 0; i < 4; i++)
        {
            for (int j = 0; j < 16; j++)
                Assert.Equal(Enumerable.Range(0, Depth).Sum(k => a[(i * Depth) + k] * b[(k * 32) + 16 + j]), c[(i * 16) + j], 1e-4);
        }
    }

    private static void Check(int rows, int columns, int depth, int seed)
    {
        float[] a = Random(rows * depth, seed), b = Random(columns * depth, seed + 1), expected = Random(rows * columns, seed + 2);
        float[] c = [.. expected], transposed = new float[b.Length];
        float[] packed = new float[Gemm.PackedLength(depth, columns)], packedToo = new float[packed.Length];
        for (int k = 0; k < depth; k++)
        {
            for (int j = 0; j < columns; j++)
                transposed[(k * columns) + j] = b[(j * depth) + k];
        }
        fixed (float* pa = a, pb = b, pt = transposed, pp = packed, pq = packedToo, pc = c)
        {
            Gemm.PackTransposed(pb, depth, null, columns, depth, pp);
            Gemm.Pack(pt, columns, null, 0, depth, depth, columns, pq);
            Gemm.Multiply(rows, depth, columns, pa, depth, 1, pp, pc, columns, accumulate: true);
        }
        Assert.Equal(packed, packedToo);
        for (int i = 0; i < rows; i++)
        {
            for (int j = 0; j < columns; j++)
            {
                double sum = expected[(i * columns) + j];
                for (int k = 0; k < depth; k++)
                    sum += (double)a[(i * depth) + k] * b[(j * depth) + k];
                Assert.Equal(sum, c[(i * columns) + j], 1e-4 * (1 + Math.Sqrt(depth)));
            }
        }
    }

    private static float[] Random(int length, int seed)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, length).Select(_ => (random.NextSingle() * 2) - 1)];
    }
}
