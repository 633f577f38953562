using EdgeSlide.Training.Data;

namespace EdgeSlide.Training.Tests.Data;

public sealed class FastTextFormatTests : IDisposable
{
    private readonly TemporaryFiles _files = new();

    public void Dispose() => _files.Dispose();

    [Fact]
    public void Whole_values_repeat_a_word_and_others_leave_it_once()
    {
        string source = _files.Write("rows.txt", "4 5 3\n2,0 1:2 4:0.5\n 3:1\n1 0:-3\n1\n");
        FastTextFormat.Write(_files.Path("out.txt"), XcFormat.Read(source).ToDataset());
        Assert.Equal("__label__2 __label__0 f1 f1 f4\nf3\n__label__1 f0\n__label__1\n", File.ReadAllText(_files.Path("out.txt")));
    }

    [Fact]
    public void A_huge_count_does_not_make_a_huge_line()
    {
        string source = _files.Write("rows.txt", "1 1 1\n0 0:1e9\n");
        FastTextFormat.Write(_files.Path("out.txt"), XcFormat.Read(source).ToDataset());
        Assert.Equal(FastTextFormat.MaxRepeats, File.ReadAllText(_files.Path("out.txt")).Split("f0").Length - 1);
    }
}
