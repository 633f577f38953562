using EdgeSlide.Training.Data;

namespace EdgeSlide.Training.Tests.Data;

public sealed class ProseFormatTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("edgeslide").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("It was late. Nobody\r\ncame!", "it was late\nnobody came\n", 5)]
    [InlineData("Mr. Brown met J. Smith.  \u2018Good\u2019 he said; \"don\u2019t!\" (No. 7)", "mr brown met j smith\ngood he said don't\nno\n", 10)]
    [InlineData("CHAPTER ONE\n\nthe end of 1912, etc. and so on", "chapter one\nthe end of etc and so on\n", 9)]
    [InlineData("Élan vital. Œuvre", "élan vital\nœuvre\n", 3)]
    public void Sentences_become_lines_of_words(string prose, string expected, long words)
    {
        string path = Path.Combine(_folder, "book.txt");
        File.WriteAllText(path, prose);
        string target = Path.Combine(_folder, "out.txt");
        long counted = 0;
        OutputFile.Write(target, output => counted = ProseFormat.Convert(path, output));
        Assert.Equal(expected, File.ReadAllText(target));
        Assert.Equal(words, counted);
    }

    [Fact]
    public void A_book_that_is_not_utf8_is_refused_with_its_line()
    {
        string path = Path.Combine(_folder, "book.txt");
        File.WriteAllBytes(path, [.. "the first line\nthe caf"u8, 0xe9, .. " was na"u8, 0xef, .. "ve\n"u8]);
        DataFormatException failure = Assert.Throws<DataFormatException>(() => OutputFile.Write(Path.Combine(_folder, "out.txt"), output => ProseFormat.Convert(path, output)));
        Assert.Equal($"{path}:2: not valid UTF-8", failure.Message);
        Assert.Equal(path, Assert.Single(Directory.GetFiles(_folder)));
    }

    [Fact]
    public void A_split_file_with_an_unknown_part_is_refused_with_its_line()
    {
        string path = Path.Combine(_folder, "split.tsv");
        File.WriteAllText(path, "a.txt\ttrain\nb.txt\tdev\n");
        DataFormatException failure = Assert.Throws<DataFormatException>(() => ProseFormat.ReadSplit(path));
        Assert.Equal(2, failure.Line);
    }
}
