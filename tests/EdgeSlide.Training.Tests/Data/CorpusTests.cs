using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;
using EdgeSlide.Training.Data;
using Xunit.Abstractions;

namespace EdgeSlide.Training.Tests.Data;

public sealed class CorpusTests(ITestOutputHelper output) : IDisposable
{
    private const string Index = """
        Package: foo
        Source: foo-src (1.2-3)
        Version: 1:2.3
        Depends: libc6 (>= 2.34), python3:any | python3-minimal (<< 4) ,
          bar, default-mta | mail-transport-agent, libc6 (<< 3) [amd64]
        Pre-Depends: dpkg
        Tag: role::program, uitoolkit::qt,
         use::editing
        Description: short words
         Long  text that
         is folded.
         .
         Second paragraph.
        Description-md5: 0123

        Package: bar
        Description: no dependencies


        package: baz
        Depends: libc6
        Description: only the short one
        Description-md5: 4567
        """;

    private readonly TemporaryFiles _files = new();

    public void Dispose() => _files.Dispose();

    [Fact]
    public void An_index_reads_stanza_by_stanza()
    {
        DebianPackage[] packages = [.. DebianIndex.Read(_files.Write("a_Packages", Index))];
        Assert.Equal(["foo", "bar", "baz"], packages.Select(p => p.Name));
        Assert.Equal(["foo-src", "bar", "baz"], packages.Select(p => p.Source));
        Assert.Equal(["libc6", "python3", "python3-minimal", "bar", "default-mta", "mail-transport-agent"], packages[0].Depends);
        Assert.Equal("short words. Long text that is folded. Second paragraph.", packages[0].Description);
        Assert.Equal(["0123", "", "4567"], packages.Select(p => p.DescriptionMd5));
        Assert.Empty(packages[1].Depends);
    }

    [Theory]
    [InlineData(" stray\nPackage: a\n", "1: continuation line without a field")]
    [InlineData("Package: a\nnonsense\n", "2: 'nonsense' is not a field")]
    [InlineData("Package: a\n\nVersion: 1\nDescription: x\n", "3: stanza has no Package and no Description-md5")]
    [InlineData("Package: a\nPackage: b\n", "2: field 'Package' occurs twice")]
    [InlineData("", "file is empty")]
    public void Index_damage_gives_one_line(string text, string problem)
    {
        string path = _files.Write("a", text);
        string expected = path + (char.IsAsciiDigit(problem[0]) ? ":" : ": ") + problem;
        Assert.Equal(expected, Assert.Throws<DataFormatException>(() => DebianIndex.Read(path).Count()).Message);
    }

    [Fact]
    public void Bad_stanzas_are_left_out_on_request()
    {
        var skipped = new SkippedRows();
        byte[] bytes = [.. "Package: a\nDescription: "u8, 0xE9, .. "\nDepends: x\n\nPackage: b\n"u8];
        Assert.Equal(["b"], DebianIndex.Read(_files.Write("a", bytes), skipped).Select(p => p.Name));
        Assert.Equal(1, skipped.Count);
    }

    [Fact]
    public void A_corpus_joins_indices_and_translations_and_keeps_sources_together()
    {
        var main = new StringBuilder();
        for (int i = 0; i < 900; i++)
            main.Append($"Package: p{i}\nSource: s{i / 3}\nDepends: libc6, common{i % 5}, once{i}\nDescription: number {i}\nDescription-md5: m{i}\n\n");
        _files.Write("host_dists_a_Packages.gz", TemporaryFiles.Gzip(Encoding.UTF8.GetBytes(main.ToString())));
        _files.Write("host_dists_b_Packages", "Package: p0\nDepends: libc6\nDescription: later index\n\nPackage: q\nDepends: rare\nDescription: nothing left\n");
        _files.Write("host_dists_c_Packages", "");
        _files.Write("host_dists_a_i18n_Translation-en", "Package: p1\nDescription-md5: m1\nDescription-en: number 1\n all about it\n");
        _files.Write("host_dists_d_Packages.xz", "whatever");

        Corpus corpus = DebianCorpus.TryLoad(out string reason, _files.Folder, minimumRows: 10)!;
        Assert.Equal("1 package lists are neither plain nor gzip nor LZ4 and were left out, host_dists_d_Packages.xz first", reason);
        Assert.Equal(["common0", "common1", "common2", "common3", "common4", "libc6"], corpus.Labels.Names);
        TextDataset[] sets = [corpus.Train, corpus.Validation, corpus.Test];
        Assert.Equal(900, sets.Sum(set => set.RowCount));
        Assert.All(sets, set => Assert.NotEqual(0, set.RowCount));
        int[][] sources = [.. sets.Select(set => Texts(set).Select(text => int.Parse(text.Split(' ', '.')[1]) / 3).Distinct().ToArray())];
        Assert.Equal(300, sources.Sum(s => s.Length)); // No source in two sets.
        Assert.Contains("number 1. all about it", sets.SelectMany(Texts));
        Assert.Contains("number 0", sets.SelectMany(Texts));
        Assert.DoesNotContain("number 1. all about it", new[] { DebianCorpus.TryLoad(out _, _files.Folder, longDescriptions: false, minimumRows: 10)!.Train }.SelectMany(Texts));
    }

    [Fact]
    public void Without_usable_lists_there_is_a_reason_and_no_corpus()
    {
        Assert.Null(DebianCorpus.TryLoad(out string reason, _files.Folder));
        Assert.Equal($"no package lists in {_files.Folder} (apt-get update puts them there)", reason);
        Assert.Null(DebianCorpus.TryLoad(out _, "/nowhere"));
        _files.Write("x_Packages", Index);
        Assert.Null(DebianCorpus.TryLoad(out reason, _files.Folder));
        Assert.Equal($"the package lists in {_files.Folder} have only 2 usable rows, 5000 are needed", reason);
        string damaged = _files.Write("x_Packages.gz", TemporaryFiles.Gzip(Encoding.UTF8.GetBytes(Index))[..^9]);
        Assert.Null(DebianCorpus.TryLoad(out reason, _files.Folder));
        Assert.Equal($"{damaged}: gzip data is cut short or followed by other bytes", reason);
    }

    [PackageListsFact]
    [Trait("Category", "Data")]
    public void This_machines_package_index_makes_a_wide_task()
    {
        var watch = Stopwatch.StartNew();
        Corpus? corpus = DebianCorpus.TryLoad(out string reason);
        Assert.True(corpus is not null, reason);
        output.WriteLine($"{corpus.Description}; train {corpus.Train.RowCount}, validation {corpus.Validation.RowCount}, test {corpus.Test.RowCount}; {watch.ElapsedMilliseconds} ms");
        Assert.InRange(corpus.Train.RowCount, 5 * corpus.Test.RowCount, 12 * corpus.Test.RowCount);
        Assert.True(corpus.Labels.Count > 1_000);
        Assert.Contains("libc6", corpus.Labels.Names);
    }

    [Fact]
    public void The_generated_corpus_is_the_same_everywhere()
    {
        var watch = Stopwatch.StartNew();
        Corpus corpus = SyntheticCorpus.Generate();
        output.WriteLine($"{corpus.Description}; {watch.ElapsedMilliseconds} ms; {Texts(corpus.Train).First()} -> {corpus.Labels.Names[corpus.Train.RowLabels(0)[0]]}");
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (TextDataset set in new[] { corpus.Train, corpus.Validation, corpus.Test })
        {
            string path = _files.Path("set");
            TextFormat.Write(path, set);
            hash.AppendData(File.ReadAllBytes(path));
        }
        Assert.Equal("5ea9db85b482a59baa97067fcb491e83e35cefdbc0d14031be6a31310945a90b", Convert.ToHexStringLower(hash.GetHashAndReset()));
        Assert.Equal((51_000, 3_000, 6_000, 12_000), (corpus.Train.RowCount, corpus.Validation.RowCount, corpus.Test.RowCount, corpus.Labels.Count));
    }

    [Fact]
    public void The_generated_corpus_has_a_zipf_tail_and_a_known_solution()
    {
        Corpus corpus = SyntheticCorpus.Generate(new SyntheticCorpusOptions(), out double oracle);
        Assert.InRange(oracle, 0.95, 0.999);
        int[] counts = corpus.Train.CountLabels();
        Array.Sort(counts, (x, y) => y.CompareTo(x));
        Assert.InRange(Slope(counts.Take(1_000)), -1.1, -0.9);
        Assert.True(counts.Count(n => n > 0) > 9_000);

        static double Slope(IEnumerable<int> byRank)
        {
            (double X, double Y)[] points = [.. byRank.Select((count, rank) => (Math.Log(rank + 1), Math.Log(count)))];
            double meanX = points.Average(p => p.X), meanY = points.Average(p => p.Y);
            return points.Sum(p => (p.X - meanX) * (p.Y - meanY)) / points.Sum(p => (p.X - meanX) * (p.X - meanX));
        }
    }

    [Fact]
    public void Generated_words_are_readable_and_labels_show_their_keywords()
    {
        Corpus corpus = SyntheticCorpus.Generate(new SyntheticCorpusOptions { Rows = 400, Labels = 50, Topics = 3, Seed = 9 });
        Assert.All(corpus.Labels.Names, name => Assert.Matches("^([bdfgklmnprstvz][aeiou]){3}(-([bdfgklmnprstvz][aeiou]){3}){2}$", name));
        int shown = Enumerable.Range(0, corpus.Train.RowCount).Count(row =>
            corpus.Labels.Names[corpus.Train.RowLabels(row)[0]].Split('-')[1..].All(Texts(corpus.Train).ElementAt(row).Contains));
        Assert.InRange(shown, 0.8 * corpus.Train.RowCount, corpus.Train.RowCount);
        Assert.NotEqual(Texts(corpus.Train), Texts(SyntheticCorpus.Generate(new SyntheticCorpusOptions { Rows = 400, Labels = 50, Topics = 3, Seed = 10 }).Train));
    }

    // First outputs of the published generator from the state that SplitMix64(0) gives.
    [Fact]
    public void Random_numbers_are_those_of_xoshiro256()
    {
        var random = new Xoshiro256(0);
        Assert.Equal(0x99EC5F36CB75F2B4UL, random.Next());
        Assert.Equal(0xBF6E1F784956452AUL, random.Next());
    }

    private static IEnumerable<string> Texts(TextDataset set) => Enumerable.Range(0, set.RowCount).Select(row => Encoding.UTF8.GetString(set.RowText(row)));
}
