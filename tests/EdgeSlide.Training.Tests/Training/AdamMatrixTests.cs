using EdgeSlide.Training.Training;

namespace EdgeSlide.Training.Tests.Training;

public sealed unsafe class AdamMatrixTests
{
    private const int Columns = 16;

    private readonly Powers _powers1 = new(0.9f), _powers2 = new(0.999f);

    /// <summary>A row of shared time that is left alone ends where a row that gets gradients of 0 meanwhile ends.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_row_that_was_left_alone_catches_up(bool secondPerRow)
    {
        using AdamMatrix lazy = new(1, Columns, momentum: true, secondPerRow, RowTime.Shared);
        using AdamMatrix eager = new(1, Columns, momentum: true, secondPerRow, RowTime.Shared);
        using NativeArray<float> gradient = new(Columns), zero = new(Columns);
        Random random = new(1);
        for (int number = 1; number <= 400; number++)
        {
            bool touched = number % 7 == 1;
            for (int i = 0; i < Columns; i++)
                gradient[i] = random.NextSingle() - 0.3f;
            if (touched)
                lazy.Update(0, gradient.Items, Step(number));
            eager.Update(0, touched ? gradient.Items : zero.Items, Step(number));
        }
        lazy.Update(0, zero.Items, Step(401));
        eager.Update(0, zero.Items, Step(401));
        for (int i = 0; i < Columns; i++)
            Assert.Equal(eager.Weights[i], lazy.Weights[i], 0.05f * MathF.Abs(eager.Weights[i]));
    }

    [Fact]
    public void A_row_of_its_own_time_does_not_age()
    {
        using AdamMatrix matrix = new(2, Columns, momentum: true, secondPerRow: true, RowTime.Own);
        using NativeArray<float> gradient = new(Columns);
        for (int i = 0; i < Columns; i++)
            gradient[i] = i - 5;
        matrix.Update(0, gradient.Items, Step(1));
        matrix.Update(0, gradient.Items, Step(2));
        matrix.Update(1, gradient.Items, Step(1));
        matrix.Update(1, gradient.Items, Step(900));
        Assert.Equal(new ReadOnlySpan<float>(matrix.Row(0), Columns), new ReadOnlySpan<float>(matrix.Row(1), Columns));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Without_a_first_moment_a_step_is_the_gradient_over_the_root_of_its_mean_square(bool secondPerRow)
    {
        using AdamMatrix matrix = new(1, Columns, momentum: false, secondPerRow, RowTime.Own);
        using NativeArray<float> gradient = new(Columns);
        Random random = new(3);
        double[] expected = new double[Columns], squares = new double[Columns];
        for (int number = 1; number <= 50; number++)
        {
            for (int i = 0; i < Columns; i++)
                gradient[i] = random.NextSingle() - 0.4f;
            double mean = 0;
            for (int i = 0; i < Columns; i++)
                mean += (double)gradient[i] * gradient[i] / Columns;
            for (int i = 0; i < Columns; i++)
            {
                squares[i] = (0.999 * squares[i]) + (0.001 * (secondPerRow ? mean : (double)gradient[i] * gradient[i]));
                expected[i] -= 0.01 * gradient[i] / (Math.Sqrt(squares[i] / (1 - Math.Pow(0.999, number))) + 1e-8);
            }
            matrix.Update(0, gradient.Items, Step(number));
        }
        for (int i = 0; i < Columns; i++)
            Assert.Equal(expected[i], matrix.Weights[i], 1e-4);
    }

    /// <summary>More than one piece of memory is given back, and rows shorter than their stride.</summary>
    [Fact]
    public void Weights_that_move_out_are_those_that_were_there()
    {
        const int Rows = 300_001, Width = 17;
        using AdamMatrix matrix = new(Rows, Width, momentum: false, secondPerRow: true, RowTime.Own);
        matrix.Randomize(1, 5);
        var copied = new float[Rows * Width];
        var moved = new float[Rows * Width];
        matrix.CopyTo(copied);
        // Memory that was given back too early would read as 0; a few of so many are 0 by chance.
        Assert.InRange(copied.Count(w => w == 0f), 0, copied.Length / 1000);
        matrix.MoveTo(moved);
        Assert.True(copied.AsSpan().SequenceEqual(moved));
    }

    private AdamStep Step(int number) => new(0.01f, 0.9f, 0.999f, 1e-8f, 0, number, _powers1, _powers2);
}
