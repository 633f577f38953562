using System.Text;
using EdgeSlide.Training.Data;
using FsCheck;
using FsCheck.Fluent;

namespace EdgeSlide.Training.Tests.Data;

public sealed class FormatTests : IDisposable
{
    private readonly TemporaryFiles _files = new();

    public void Dispose() => _files.Dispose();

    /// <summary>Bad rows here and there, over several blocks of the reader, against counting line by line.</summary>
    [Theory]
    [InlineData(1, 0)]
    [InlineData(2, 1)]
    [InlineData(3, 60)]
    [InlineData(4, 128)]
    [InlineData(5, 250)]
    public void Rows_know_their_lines(int seed, int share)
    {
        var random = new Random(seed);
        var text = new StringBuilder("a,b\tsome text\n");
        List<long> lines = [1];
        for (int line = 2; line < 3000; line++)
        {
            bool bad = random.Next(256) < share;
            text.Append(bad ? "no tab" : $"a\t{new string('x', random.Next(1, 20))}").Append('\n');
            if (!bad)
                lines.Add(line);
        }
        TextDataset rows = TextFormat.Read(_files.Write("rows.tsv", text.ToString()), skipped: new SkippedRows());
        Assert.Equal(lines, Enumerable.Range(0, rows.RowCount).Select(rows.Origin!.Line));
        int[] some = [.. Enumerable.Range(0, rows.RowCount).Where(_ => random.Next(2) == 0).OrderBy(_ => random.Next())];
        Assert.Equal(some.Select(row => lines[row]), Enumerable.Range(0, some.Length).Select(rows.Select(some).Origin!.Line));
    }

    [Fact]
    public void Xc_rows_read_as_written()
    {
        SparseDataset data = XcFormat.Read(_files.Write("a", "3 10 5\n0,4 1:1 3:0.5\n 9:2e-1 2:3\n2\n"));
        Assert.Equal((3, 10, 5), (data.RowCount, data.FeatureCount, data.Labels.Count));
        Assert.Equal([0, 4], data.RowLabels(0).ToArray());
        Assert.Equal([1, 3], data.RowFeatures(0).ToArray());
        Assert.Equal([1f, 0.5f], data.RowValues(0).ToArray());
        Assert.Equal([], data.RowLabels(1).ToArray());
        Assert.Equal([2, 9], data.RowFeatures(1).ToArray());
        Assert.Equal([3f, 0.2f], data.RowValues(1).ToArray());
        Assert.Equal([2], data.RowLabels(2).ToArray());
        Assert.Equal([], data.RowFeatures(2).ToArray());
        Assert.Equal("4", data.Labels.Names[4]);
    }

    [Theory]
    [InlineData("2 10 5\r\n1 1:1\r\n \r\n")]
    [InlineData("\uFEFF2 10 5 \n1  1:1 \n 1:1")]
    public void Xc_files_from_other_systems_read_too(string text) => Assert.Equal(2, XcFormat.Read(_files.Write("a", text)).RowCount);

    [Theory]
    [InlineData("", "file is empty")]
    [InlineData("\uFEFF", "1: header must be 'rows features labels', found ''")]
    [InlineData("1 2\n0 0:1\n", "1: header must be 'rows features labels', found '1 2'")]
    [InlineData("0 0:1\n", "1: header must be 'rows features labels', found '0 0:1'")]
    [InlineData("1 0 5\n0\n", "1: header must be 'rows features labels', found '1 0 5'")]
    [InlineData("0 10 5\n", "no rows")]
    [InlineData("2 10 5\n1 1:1\n", "header says 2 rows, file has 1")]
    [InlineData("1 10 5\n1 1:1\n1 1:1\n", "header says 1 rows, file has 2")]
    [InlineData("2 10 5\n1 1:1\n\n", "3: empty line")]
    [InlineData("1 10 5\nx 1:1\n", "2: label 'x' is not a number")]
    [InlineData("1 10 5\n-1 1:1\n", "2: label '-1' is not a number")]
    [InlineData("1 10 5\n99999999999 1:1\n", "2: label '99999999999' is not a number")]
    [InlineData("1 10 5\n5 1:1\n", "2: label 5 is out of range, the header says 5 labels")]
    [InlineData("1 10 5\n1,2,1 1:1\n", "2: label 1 occurs twice")]
    [InlineData("1 10 5\n1, 1:1\n", "2: label list ends with a comma")]
    [InlineData("1 10 5\n1,,2 1:1\n", "2: label '' is not a number")]
    [InlineData("1 10 5\n1:1 2:1\n", "2: label '1:1' is not a number")]
    [InlineData("1 10 5\n1 1\n", "2: '1' is not feature:value")]
    [InlineData("1 10 5\n1 a:1\n", "2: feature 'a' is not a number")]
    [InlineData("1 10 5\n1 10:1\n", "2: feature 10 is out of range, the header says 10 features")]
    [InlineData("1 10 5\n1 3:1 3:2\n", "2: feature 3 occurs twice")]
    [InlineData("1 10 5\n1 3:1 2:1 3:2\n", "2: feature 3 occurs twice")]
    [InlineData("1 10 5\n1 3:\n", "2: value '' of feature 3 is not a number")]
    [InlineData("1 10 5\n1 3:1,5\n", "2: value '1,5' of feature 3 is not a number")]
    [InlineData("1 10 5\n1 3:NaN\n", "2: value 'NaN' of feature 3 is not finite")]
    [InlineData("1 10 5\n1 3:-Infinity\n", "2: value '-Infinity' of feature 3 is not finite")]
    [InlineData("1 10 5\n1 3:1e39\n", "2: value '1e39' of feature 3 is not finite")]
    public void Xc_damage_gives_one_line(string text, string problem) => AssertProblem(problem, text, path => XcFormat.Read(path));

    [Fact]
    public void Xc_files_that_disagree_with_their_set_are_refused()
    {
        const string text = "1 10 5\n1 1:1\n";
        AssertProblem("1: header says 10 features, expected 11", text, path => XcFormat.Read(path, featureCount: 11));
        AssertProblem("1: header says 5 labels, expected 4", text, path => XcFormat.Read(path, LabelVocabulary.Numbered(4)));
    }

    [Fact]
    public void Bad_rows_are_left_out_and_counted_on_request()
    {
        string path = _files.Write("a", "5 10 5\n1 1:1\n1 3:1 1:nan\n\n9 1:1\n0,2 7:1 4:2\n");
        var skipped = new SkippedRows();
        SparseDataset data = XcFormat.Read(path, skipped: skipped);
        Assert.Equal(2, data.RowCount);
        Assert.Equal([4, 7], data.RowFeatures(1).ToArray());
        Assert.Equal([0, 2], data.RowLabels(1).ToArray());
        Assert.Equal(3, skipped.Count);
        Assert.Equal($"{path}:3: value 'nan' of feature 1 is not finite", skipped.First!.Message);

        AssertProblem("no rows", "1 10 5\n\n", p => XcFormat.Read(p, skipped: new SkippedRows()));
        AssertProblem("header says 2 rows, file has 1", "2 10 5\n\n", p => XcFormat.Read(p, skipped: new SkippedRows()));
    }

    [Fact]
    public void The_first_bad_row_in_the_order_of_the_file_is_reported()
    {
        var text = new StringBuilder("600000 10 5\n");
        for (int i = 0; i < 600_000; i++) text.Append(i is 450_000 or 450_001 or 599_999 ? "0 5\n" : "0 5:1 6:1\n"); // several blocks
        AssertProblem("450002: '5' is not feature:value", text.ToString(), path => XcFormat.Read(path));
        var skipped = new SkippedRows();
        Assert.Equal(599_997, XcFormat.Read(_files.Path("input"), skipped: skipped).RowCount);
        Assert.Equal((3L, 450_002L), (skipped.Count, skipped.First!.Line));
    }

    [Fact]
    public void A_row_longer_than_a_block_is_one_row()
    {
        var row = new StringBuilder("1");
        for (int i = 0; i < 400_000; i++) row.Append(' ').Append(i).Append(":0.25");
        SparseDataset data = XcFormat.Read(_files.Write("a", $"3 400000 2\n0 1:1\n{row}\n0 2:1\n"));
        Assert.Equal([1, 400_000, 1], Enumerable.Range(0, 3).Select(i => data.RowFeatures(i).Length));
    }

    [Fact]
    public void Xc_round_trips_bit_by_bit() => Prop.ForAll<int, (int Label, int Feature, float Value)[][]>((seed, rows) =>
    {
        if (rows.Length == 0) return true;
        Dataset written = ToDataset(rows);
        string path = _files.Path((seed & 1) == 0 ? "x.txt" : "x.txt.gz");
        XcFormat.Write(path, written);
        Dataset read = XcFormat.Read(path).ToDataset();
        return written.FeatureCount == read.FeatureCount && written.LabelCount == read.LabelCount
            && written.FeatureOffsets.SequenceEqual(read.FeatureOffsets) && written.FeatureIds.SequenceEqual(read.FeatureIds)
            && written.FeatureValues.Select(BitConverter.SingleToInt32Bits).SequenceEqual(read.FeatureValues.Select(BitConverter.SingleToInt32Bits))
            && written.LabelOffsets.SequenceEqual(read.LabelOffsets) && written.LabelIds.SequenceEqual(read.LabelIds);
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void Text_rows_with_names_make_a_sorted_vocabulary()
    {
        TextDataset data = TextFormat.Read(_files.Write("a", "beta,10\tone\ttext\n9,alpha\tzwei Wörter\n\tno label\n"));
        Assert.Equal(["9", "10", "alpha", "beta"], data.Labels.Names);
        Assert.Equal([3, 1], data.RowLabels(0).ToArray());
        Assert.Equal([0, 2], data.RowLabels(1).ToArray());
        Assert.Equal([], data.RowLabels(2).ToArray());
        Assert.Equal("one\ttext"u8, data.RowText(0));
        Assert.Equal("zwei Wörter"u8, data.RowText(1));
        Assert.Equal([1, 1, 1, 1], data.CountLabels());
    }

    [Fact]
    public void Text_rows_with_numbers_use_the_label_file()
    {
        LabelVocabulary labels = LabelVocabulary.Read(_files.Write("l", "1\tp5\tpopular culture\tmore\n0\tp3\tlight reading\tlight reading\n"));
        Assert.Equal(["light reading", "popular culture"], labels.Names);
        TextDataset data = TextFormat.Read(_files.Write("a", "1\ttext\n"), labels);
        Assert.Equal([1], data.RowLabels(0).ToArray());
        AssertProblem("1: label '2' is not one of the 2 known labels", "2\ttext\n", path => TextFormat.Read(path, labels));

        TextDataset dropped = TextFormat.Read(_files.Write("a", "2,0\ttext\n7\ttext\n"), labels, dropUnknownLabels: true);
        Assert.Equal((2, 2L, 1L), (dropped.RowCount, dropped.UnknownLabelCount, dropped.LabelIds.Length));
    }

    [Fact]
    public void Files_of_one_set_share_a_vocabulary()
    {
        IReadOnlyList<TextDataset> sets = TextFormat.Read([_files.Write("a", "b,c\tone\n"), _files.Write("b", "a\ttwo\nc\tthree\n")]);
        Assert.Equal(["a", "b", "c"], sets[1].Labels.Names);
        Assert.Equal([1, 2], sets[0].RowLabels(0).ToArray());
        Assert.Equal((1, 2), (sets[0].RowCount, sets[1].RowCount));
        Assert.Equal([2], sets[1].RowLabels(1).ToArray());
        Assert.Equal("three"u8, sets[1].RowText(1));
    }

    [Theory]
    [InlineData("", "file is empty")]
    [InlineData("a\tx\n\n", "2: empty line")]
    [InlineData("a text\n", "1: no tab between labels and text")]
    [InlineData("a\t\n", "1: no text after the labels")]
    [InlineData("a\t \t \n", "1: no text after the labels")]
    [InlineData("a,\tx\n", "1: label list ends with a comma")]
    [InlineData("a,,b\tx\n", "1: empty label in the label list")]
    [InlineData("ok\tx\nä,b,ä\tx\n", "2: label 'ä' occurs twice")]
    [InlineData("ok\tx\nb,a\u001b\tx\n", "2: label 'a?' contains a control character")]
    [InlineData("a\u0085b\tx\n", "1: label 'a?b' contains a control character")]
    public void Text_damage_gives_one_line(string text, string problem) => AssertProblem(problem, text, path => TextFormat.Read(path));

    [Fact]
    public void Text_that_is_not_utf8_gives_one_line_and_the_right_one()
    {
        byte[] bytes = [.. "a\tgood\nb\tbad "u8, 0xE9, .. " latin\nc\tgood\n"u8];
        string path = _files.Write("a", bytes);
        Assert.Equal($"{path}:2: not valid UTF-8", Assert.Throws<DataFormatException>(() => TextFormat.Read(path)).Message);
        var skipped = new SkippedRows();
        TextDataset data = TextFormat.Read(path, skipped: skipped);
        Assert.Equal(["a", "c"], data.Labels.Names); // The bad row's label leaves no trace.
        Assert.Equal(1, skipped.Count);
    }

    [Fact]
    public void A_skipped_row_adds_no_label()
    {
        var skipped = new SkippedRows();
        TextDataset data = TextFormat.Read(_files.Write("a", "a\tx\nnew,,b\tx\nc\tx\n"), skipped: skipped);
        Assert.Equal(["a", "c"], data.Labels.Names);
    }

    [Fact]
    public void A_truncated_gzip_file_gives_one_line()
    {
        byte[] gzip = TemporaryFiles.Gzip(Encoding.UTF8.GetBytes(string.Concat(Enumerable.Range(0, 1000).Select(i => $"l{i}\ttext {i * 31}\n"))));
        string path = _files.Write("a.txt", gzip[..^20]);
        foreach (SkippedRows? skipped in new[] { null, new SkippedRows() })
        {
            var e = Assert.Throws<DataFormatException>(() => TextFormat.Read(path, skipped: skipped));
            Assert.Equal($"{path}: gzip data is cut short or followed by other bytes", e.Message);
        }
        AssertProblem("file is empty", TemporaryFiles.Gzip([]), p => TextFormat.Read(p));
    }

    [Fact]
    public void Text_round_trips() => Prop.ForAll<(int[] Labels, NonEmptyString Text)[]>(rows =>
    {
        string[] texts = [.. rows.Select(row => Clean(row.Text.Get))];
        if (texts.Length == 0) return true;
        string[] lines = [.. rows.Select((row, i) => $"{string.Join(',', row.Labels.Select(l => $"l{l}").Distinct())}\t{texts[i]}")];
        TextDataset first = TextFormat.Read(_files.Write("t", string.Join('\n', lines)));
        TextFormat.Write(_files.Path("t.gz"), first);
        TextDataset second = TextFormat.Read(_files.Path("t.gz"));
        return first.Labels.Names.SequenceEqual(second.Labels.Names) && first.LabelOffsets.SequenceEqual(second.LabelOffsets)
            && first.LabelIds.SequenceEqual(second.LabelIds) && Enumerable.Range(0, rows.Length).All(i => second.RowText(i).SequenceEqual(Encoding.UTF8.GetBytes(texts[i])));

        static string Clean(string text) => "x" + Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text)).Replace('\n', ' ').Replace('\r', ' ');
    }).QuickCheckThrowOnFailure();

    [Theory]
    [InlineData("a\tx\n\ty\n", "1: label id 'a' is not a number")]
    [InlineData("0\tx\n0\ty\n", "2: label id 0 occurs twice")]
    [InlineData("0\tx\n2\ty\n", "label ids must be 0 to 1, 1 is missing")]
    [InlineData("0\tx\n1\t\n", "2: label has no name")]
    [InlineData("0\tx\n1\n", "2: 1 columns, the name is expected in column 2")]
    [InlineData("x\n\n", "2: label has no name")]
    [InlineData("a\n1\tb\n", "2: a tab, but the first line has no id")]
    [InlineData("0\ta\n1\tb\u007f\n", "2: label 'b?' contains a control character")]
    [InlineData("a\nb\u0001\n", "2: label 'b?' contains a control character")]
    [InlineData("", "file is empty")]
    public void Label_file_damage_gives_one_line(string text, string problem) => AssertProblem(problem, text, path => LabelVocabulary.Read(path));

    [Fact]
    public void Label_files_round_trip_and_take_plain_names()
    {
        LabelVocabulary labels = LabelVocabulary.Read(_files.Write("l", "first name\nsecond\nfirst name\n"));
        Assert.Equal(["first name", "second", "first name"], labels.Names);
        Assert.Equal("2", labels.Key(2));
        labels.Write(_files.Path("l.gz"));
        Assert.Equal(labels.Names, LabelVocabulary.Read(_files.Path("l.gz")).Names);
    }

    [Fact]
    public void Equal_names_are_refused_where_no_id_tells_them_apart()
    {
        AssertProblem("3: label 'x' is in line 1, too; equal names need ids (id<TAB>name)", "x\ny\nx\n", path => LabelVocabulary.Read(path, distinct: true));
        Assert.Equal(["x", "y", "x"], LabelVocabulary.Read(_files.Write("l", "0\tx\n1\ty\n2\tx\n"), distinct: true).Names);
    }

    [Fact]
    public void A_name_that_labels_of_a_network_share_matters_only_to_rows_that_use_it()
    {
        LabelVocabulary labels = LabelVocabulary.OfNetwork(["x", "y", "x", "z"]);
        Assert.Equal([3, 1], TextFormat.Read(_files.Write("a", "z,y\ttext\n"), labels).RowLabels(0).ToArray());
        Assert.Equal([2], XcFormat.Read(_files.Write("b", "1 1 4\n2 0:1\n"), labels).RowLabels(0).ToArray());
        AssertProblem("2: label 'x' is the name of several labels; number them, and give --labels FILE as for train", "y\ttext\nx\ttext\n", path => TextFormat.Read(path, labels));
        AssertProblem("1: label '2' is not one of the 4 known labels; if rows number their labels, give --labels FILE as for train", "2\ttext\n", path => TextFormat.Read(path, labels));
        AssertProblem("1: label 'w' is not one of the 4 known labels", "w\ttext\n", path => TextFormat.Read(path, labels));
        Assert.Equal([1], TextFormat.Read(_files.Write("c", "1\ttext\n"), LabelVocabulary.OfNetwork(["0", "1"])).RowLabels(0).ToArray());
    }

    [Fact]
    public void Tokens_read_with_line_ends_as_words()
    {
        TokenVocabulary vocabulary = TokenFormat.ReadVocabulary(_files.Write("v", "<eos>\na\nb\n<unk>\n"));
        TokenStream stream = TokenFormat.Read(_files.Write("a", " a  b\tc\n \n\nb"), vocabulary);
        Assert.Equal([1, 2, 3, 0, 0, 0, 2, 0], stream.Ids);
        Assert.Equal(1, stream.UnknownCount);
        Assert.Equal("b", vocabulary.ToLabels().Names[2]);

        TokenFormat.Write(_files.Path("out"), stream);
        Assert.Equal("a b <unk>\n\n\nb\n", File.ReadAllText(_files.Path("out")));
        Assert.Equal(4, TokenFormat.ReadVocabulary(_files.Write("v2.gz", TemporaryFiles.Gzip([.. vocabulary.ToLabels().Names.SelectMany(word => Encoding.UTF8.GetBytes(word + "\n"))]))).Count);
    }

    [Fact]
    public void A_vocabulary_is_built_by_frequency()
    {
        string path = _files.Write("a", "c b c\na c b\nd\n");
        Assert.Equal(["<eos>", "<unk>", "c", "b"], Words(TokenFormat.BuildVocabulary(path, minimumCount: 2)));
        Assert.Equal(["<eos>", "<unk>", "c", "b", "a", "d"], Words(TokenFormat.BuildVocabulary(path)));
        Assert.Equal(["<eos>", "<unk>", "a"], Words(TokenFormat.BuildVocabulary(_files.Write("c", "a b\u0001 b\u0001\n"))));

        static IEnumerable<string> Words(TokenVocabulary vocabulary) => Enumerable.Range(0, vocabulary.Count).Select(vocabulary.Words.Text);
    }

    [Theory]
    [InlineData("<eos>\na\na\n", "3: word 'a' occurs twice")]
    [InlineData("<eos>\n\n", "2: empty line")]
    [InlineData("<eos>\na\u0001\n", "2: word 'a?' contains a control character")]
    [InlineData("<eos>\na b\n", "2: word 'a b' contains white space")]
    [InlineData("a\n", "vocabulary has no <eos>")]
    public void Vocabulary_damage_gives_one_line(string text, string problem) => AssertProblem(problem, text, path => TokenFormat.ReadVocabulary(path));

    [Fact]
    public void Words_outside_a_closed_vocabulary_are_an_error()
    {
        TokenVocabulary vocabulary = TokenFormat.ReadVocabulary(_files.Write("v", "<eos>\na\n"));
        AssertProblem("2: word 'b' is not in the vocabulary, which has no <unk>", "a\na b\n", path => TokenFormat.Read(path, vocabulary));
        var skipped = new SkippedRows();
        Assert.Equal([1, 0, 1, 0], TokenFormat.Read(_files.Write("a", "a\na b\na\n"), vocabulary, skipped).Ids);
    }

    [Fact]
    public void A_stream_is_split_at_the_end_of_a_line()
    {
        TokenVocabulary vocabulary = TokenFormat.ReadVocabulary(_files.Write("v", "<eos>\na\n"));
        TokenStream stream = TokenFormat.Read(_files.Write("a", "a a\na\na a a a\na\n"), vocabulary);
        (TokenStream train, TokenStream validation) = stream.Split(0.3);
        Assert.Equal([1, 1, 0, 1, 0], train.Ids);
        Assert.Equal(stream.Ids, train.Ids.Concat(validation.Ids));
    }

    [Fact]
    public void Dense_rows_read_as_written_and_become_sparse()
    {
        DenseDataset data = DenseFormat.Read(_files.Write("a", "7,0,1.5,-2\n3,4,0,0\n"));
        Assert.Equal(["3", "7"], data.Labels.Names);
        Assert.Equal((2, 3), (data.RowCount, data.ValueCount));
        Assert.Equal([0, 1.5f, -2], data.RowValues(0).ToArray());
        Assert.Equal([1], data.RowLabels(0).ToArray());
        SparseDataset sparse = data.ToSparse();
        Assert.Equal([1, 2], sparse.RowFeatures(0).ToArray());
        Assert.Equal([4f], sparse.RowValues(1).ToArray());

        DenseFormat.Write(_files.Path("out"), data);
        Assert.Equal("7,0,1.5,-2\n3,4,0,0\n", File.ReadAllText(_files.Path("out")));
    }

    [Theory]
    [InlineData("", "file is empty")]
    [InlineData("7\n", "1: a row must be label,value,value,..., found '7'")]
    [InlineData("7,1,2\n\n", "2: empty line")]
    [InlineData("7,1,2\n7,1\n", "2: 1 values, expected 2")]
    [InlineData("7,1,2\n7,1,2,3\n", "2: 3 values, expected 2")]
    [InlineData("label,x,y\n7,1,2\n", "1: value 1, 'x', is not a number")]
    [InlineData("7,1,\n", "1: value 2, '', is not a number")]
    [InlineData("7,1,NaN\n", "1: value 2, 'NaN', is not finite")]
    [InlineData(",1,2\n", "1: no label")]
    public void Dense_damage_gives_one_line(string text, string problem) => AssertProblem(problem, text, path => DenseFormat.Read(path));

    [Fact]
    public void Dense_files_of_another_width_are_refused() =>
        AssertProblem("1: 2 values, expected 3", "7,1,2\n", path => DenseFormat.Read(path, valueCount: 3));

    [Theory]
    [InlineData("2 3 4 \r\n", RowFormat.Xc)]
    [InlineData("1 2 3\ttext\n", RowFormat.Text)]
    [InlineData("a,b\ttext\n", RowFormat.Text)]
    [InlineData("cat,1,-2.5e3\n", RowFormat.Dense)]
    internal void The_first_line_tells_the_format(string text, RowFormat expected) => Assert.Equal(expected, RowFormats.Detect(_files.Write("a", text)));

    [Fact]
    public void A_first_line_of_no_format_is_refused() => AssertProblem(
        "1: neither 'rows features labels' (XC), nor 'label,label<TAB>text', nor 'label,value,value,...': 'just words'", "just words\n", path => RowFormats.Detect(path));

    [Fact]
    public void Files_of_a_set_are_read_alike_whatever_the_format()
    {
        Assert.All(
            new[] { ("2 5 3\n0 1:1\n2 4:1\n", "1 5 3\n1 1:1\n"), ("a\tx\nb\ty\n", "b,c\tz\n"), ("1,0,0\n2,1,1\n", "3,5,5\n") },
            texts =>
            {
                IReadOnlyList<RawDataset> sets = RowFormats.Read([_files.Write("train", texts.Item1), _files.Write("test", texts.Item2)]);
                Assert.Equal((2, 1), (sets[0].RowCount, sets[1].RowCount));
                Assert.Same(sets[0].Labels, sets[1].Labels);
                Assert.Equal(3, sets[0].Labels.Count);
            });
        string first = _files.Write("first", "1 5 3\n0 1:1\n");
        AssertProblem("1: header says 6 features, expected 5", "1 6 3\n0 1:1\n", path => RowFormats.Read([first, path]));
    }

    [Fact]
    public void Messages_quote_shortly_and_on_one_line()
    {
        AssertProblem($"2: label 'a?{new string('b', 38)}...' is not a number", $"1 1 1\na\u0007{new string('b', 9000)}\n", path => XcFormat.Read(path));
    }

    [Fact]
    public void A_split_depends_on_the_rows_alone()
    {
        TextDataset data = TextFormat.Read(_files.Write("a", string.Concat(Enumerable.Range(0, 4000).Select(i => $"l{i % 7}\ttext {i / 2}\n"))));
        (TextDataset train, TextDataset validation) = data.Split(0.1, seed: 5);
        Assert.Equal(4000, train.RowCount + validation.RowCount);
        Assert.InRange(validation.RowCount, 330, 470);
        Assert.Empty(Texts(train).Intersect(Texts(validation))); // Equal texts stay together.
        TextDataset reversed = data.Select([.. Enumerable.Range(0, 4000).Reverse()]);
        Assert.Equal(Texts(validation).Order(), Texts(reversed.Split(0.1, seed: 5).Validation).Order());
        Assert.NotEqual(Texts(validation), Texts(data.Split(0.1, seed: 6).Validation));
        // The hash decides every split ever made: its values must never change.
        Assert.Equal(0xAA7CECF1C1751581UL, StableHash.Compute("text 0"u8, 5));

        static IEnumerable<string> Texts(TextDataset set) => Enumerable.Range(0, set.RowCount).Select(row => Encoding.UTF8.GetString(set.RowText(row)));
    }

    [Fact]
    public void Sparse_and_dense_rows_split_likewise()
    {
        DenseDataset dense = DenseFormat.Read(_files.Write("a", string.Concat(Enumerable.Range(0, 1000).Select(i => $"{i % 3},{i},{i % 10},0\n"))));
        SparseDataset sparse = dense.ToSparse();
        (DenseDataset denseTrain, DenseDataset denseHeld) = dense.Split(0.2, 1);
        (SparseDataset sparseTrain, SparseDataset sparseHeld) = sparse.Split(0.2, 1);
        Assert.Equal((1000, 1000), (denseTrain.RowCount + denseHeld.RowCount, sparseTrain.RowCount + sparseHeld.RowCount));
        Assert.InRange(denseHeld.RowCount, 150, 250);
        Assert.InRange(sparseHeld.RowCount, 150, 250);
        int first = (int)denseHeld.RowValues(0)[0];
        Assert.Equal([first, first % 10, 0], denseHeld.RowValues(0).ToArray());
        Assert.Equal(first % 3, denseHeld.RowLabels(0)[0]);
        Assert.Equal(sparseHeld.RowFeatures(0).Length, sparseHeld.RowValues(0).Length);
    }

    [Fact]
    public void A_failed_write_leaves_the_old_file_and_nothing_else()
    {
        string path = _files.Write("out.gz", "old");
        Assert.Throws<IOException>(() => OutputFile.Write(path, output =>
        {
            output.Append("half of it"u8);
            throw new IOException("No space left on device");
        }));
        Assert.Equal("old", File.ReadAllText(path));
        Assert.Single(Directory.GetFiles(_files.Folder));
    }

    [Fact]
    public void Labels_that_would_not_read_back_are_not_written()
    {
        var data = new TextDataset { Labels = LabelVocabulary.FromNames(["a,b"]), LabelOffsets = [0, 1], LabelIds = [0], TextOffsets = [0, 1], Text = [(byte)'x'] };
        string path = _files.Path("out");
        Assert.Equal(
            $"{path}: label 'a,b' cannot be written: it is empty or has a comma, a tab or a line end",
            Assert.Throws<DataFormatException>(() => TextFormat.Write(path, data)).Message);
        Assert.Empty(Directory.GetFiles(_files.Folder));
    }

    private void AssertProblem(string problem, string text, Action<string> read) => AssertProblem(problem, Encoding.UTF8.GetBytes(text), read);

    private void AssertProblem(string problem, byte[] bytes, Action<string> read)
    {
        string path = _files.Write("input", bytes);
        string separator = char.IsAsciiDigit(problem[0]) ? ":" : ": ";
        Assert.Equal(path + separator + problem, Assert.Throws<DataFormatException>(() => read(path)).Message);
    }

    private static Dataset ToDataset((int Label, int Feature, float Value)[][] rows)
    {
        var labels = rows.Select(row => row.Select(x => Math.Abs(x.Label % 50)).Distinct().ToArray()).ToArray();
        var features = rows.Select(row => row.Select(x => (Id: Math.Abs(x.Feature % 90), Value: float.IsFinite(x.Value) ? x.Value : 1f)).DistinctBy(x => x.Id).OrderBy(x => x.Id).ToArray()).ToArray();
        return new Dataset
        {
            FeatureCount = 90,
            LabelCount = 50,
            LabelOffsets = Offsets(labels.Select(row => row.Length)),
            LabelIds = [.. labels.SelectMany(row => row)],
            FeatureOffsets = Offsets(features.Select(row => row.Length)),
            FeatureIds = [.. features.SelectMany(row => row.Select(x => x.Id))],
            FeatureValues = [.. features.SelectMany(row => row.Select(x => x.Value))],
        };

        static long[] Offsets(IEnumerable<int> lengths)
        {
            var offsets = new List<long> { 0 };
            foreach (int length in lengths) offsets.Add(offsets[^1] + length);
            return [.. offsets];
        }
    }
}
