using System.CommandLine;
using EdgeSlide.Training.Data;

namespace EdgeSlide.Workbench.Commands;

/// <summary>Makes a next-word data set from a folder of books.</summary>
internal static class ProseCommand
{
    private static readonly string[] Parts = ["train", "valid", "test"];

    public static Command Create()
    {
        var folder = new Argument<string>("FOLDER") { Description = "Text files (*.txt, *.txt.gz), one work each." };
        var target = new Argument<string>("OUTDIR") { Description = "Receives train.txt.gz, valid.txt.gz and test.txt.gz." };
        var split = new Option<string?>("--split") { Description = "Lines file<TAB>train|valid|test; without it, a hash of its name puts a file into train (90%), valid or test." };
        var command = new Command("prose", """
            Turn prose into running text for next-word prediction (train --format tokens): lower-case words, a sentence a line.

            Whole files go to training, validation or test, so that no work gives itself away.

              edgeslide-workbench data prose books/text words --split books/split.tsv
              edgeslide-workbench train words/train.txt.gz --format tokens --min-count 5 --validation words/valid.txt.gz
            """)
        {
            folder, target, split,
        };
        command.SetLongAction((parsed, cancel) => Run(parsed.GetValue(folder)!, parsed.GetValue(target)!, parsed.GetValue(split), cancel));
        return command;
    }

    private static int Run(string folder, string target, string? splitFile, CancellationToken cancel)
    {
        if (!Directory.Exists(folder))
            throw new DataFormatException(folder, 0, "no such folder");
        if (FullPath(folder) == FullPath(target))
            throw new CommandException(ExitCodes.Usage, "FOLDER and OUTDIR are the same folder: what is written would be taken for books");
        Dictionary<string, string>? split = splitFile is null ? null : ProseFormat.ReadSplit(splitFile);
        string[] files = [.. Directory.EnumerateFiles(folder).Where(f => f.EndsWith(".txt", StringComparison.Ordinal) || f.EndsWith(".txt.gz", StringComparison.Ordinal)).Order(StringComparer.Ordinal)];
        ILookup<string, string> byPart = files.ToLookup(file => PartOf(file, split));
        if (files.Length == 0)
            throw new DataFormatException(folder, 0, "no *.txt or *.txt.gz");
        // Not removed: without a book of its own, the part may be anything that the user keeps there.
        if (Parts.Where(part => !byPart.Contains(part)).Select(part => PathOf(target, part)).FirstOrDefault(File.Exists) is { } old)
            throw new CommandException(ExitCodes.Usage, $"{old}: is there already, and no file of {folder} belongs to that part; remove it, or give another OUTDIR");
        Directory.CreateDirectory(target);
        using var outputs = new OutputFiles(cancel);
        var written = new List<string>();
        foreach (string part in Parts.Where(byPart.Contains))
        {
            string path = PathOf(target, part);
            long words = 0;
            outputs.Write(path, output =>
            {
                foreach (string file in byPart[part])
                    words += ProseFormat.Convert(file, output, cancel);
            });
            written.Add($"wrote {path}: {byPart[part].Count()} files, {words:N0} words");
        }
        outputs.Commit();
        written.ForEach(Console.Screen.Say);
        return ExitCodes.Ok;
    }

    private static string PathOf(string target, string part) => Path.Combine(target, $"{part}.txt.gz");

    private static string FullPath(string folder)
    {
        var info = new DirectoryInfo(Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder)));
        return (info.Exists ? info.ResolveLinkTarget(returnFinalTarget: true) : null)?.FullName ?? info.FullName;
    }

    private static string PartOf(string file, Dictionary<string, string>? split)
    {
        string name = Path.GetFileName(file);
        if (split is null)
        {
            return StableHash.ToFraction(StableHash.Compute(System.Text.Encoding.UTF8.GetBytes(name))) switch { < 0.9 => "train", < 0.95 => "valid", _ => "test" };
        }
        string plain = name.EndsWith(".gz", StringComparison.Ordinal) ? name[..^3] : name;
        return split.GetValueOrDefault(name) ?? split.GetValueOrDefault(plain) ?? throw new DataFormatException(file, 0, "is not in the --split file");
    }
}
