using System.Globalization;
using System.Text;

namespace EdgeSlide.Training.Data;

/// <summary>
/// A real, wide task that any Debian, Ubuntu or Raspberry Pi OS machine has on its disk: from the description of a
/// package, tell which packages it depends on. It is made of the index that <c>apt-get update</c> leaves behind; what is
/// installed (/var/lib/dpkg/status) would be a few hundred rows and is not used.
/// </summary>
/// <remarks>
/// Rows are packages with a description and at least one label; of a name that several indices list, the first in the
/// order of file names counts. Labels are the names in Depends that occur in at least <see cref="MinimumLabelRows"/> rows.
/// The set a row falls into is decided by a hash of the name of its source package: packages built from one source
/// (libfoo1, libfoo-dev, foo-doc) have nearly the same description, and a random split would let the test set peek.
/// Different sources can still have equal descriptions ("transitional package").
/// </remarks>
internal static class DebianCorpus
{
    public const string DefaultListsDirectory = "/var/lib/apt/lists";

    public const int MinimumLabelRows = 2;

    private const int MinimumRows = 5_000;
    private const double TestFraction = 0.10, ValidationFraction = 0.05;
    private const ulong SplitSeed = 1;

    /// <summary>Builds the corpus from apt's lists, or returns null and says in <paramref name="reason"/> why it cannot.</summary>
    /// <param name="reason">Also set on success, when files had to be left out: worth showing. Empty otherwise.</param>
    /// <param name="longDescriptions">Use the long descriptions too, where the machine has them (in Translation-en files as a rule).</param>
    public static Corpus? TryLoad(out string reason, string listsDirectory = DefaultListsDirectory, bool longDescriptions = true, int minimumRows = MinimumRows, CancellationToken cancel = default)
    {
        reason = "";
        string[] files = Directory.Exists(listsDirectory) ? Directory.GetFiles(listsDirectory) : [];
        Array.Sort(files, StringComparer.Ordinal);
        string[] indices = [.. files.Where(file => IsIndex(file, "_Packages"))];
        string[] unread = [.. files.Where(file => file.Contains("_Packages.", StringComparison.Ordinal) && !IsIndex(file, "_Packages"))];
        if (unread.Length > 0) reason = $"{unread.Length} package lists are neither plain nor gzip nor LZ4 and were left out, {Path.GetFileName(unread[0])} first";
        if (indices.Length == 0)
        {
            if (unread.Length == 0) reason = $"no package lists in {listsDirectory} (apt-get update puts them there)";
            return null;
        }

        try
        {
            List<DebianPackage> packages = ReadPackages(indices, cancel);
            string[] translations = longDescriptions ? [.. files.Where(file => IsIndex(file, "_Translation-en"))] : [];
            if (translations.Length > 0) packages = AddLongDescriptions(packages, translations, cancel);
            packages.RemoveAll(package => package.Description.Length == 0);
            Corpus corpus = Build(packages, $"{indices.Length} lists in {listsDirectory}", translations.Length > 0 ? "long" : "short");
            int rows = corpus.Train.RowCount + corpus.Validation.RowCount + corpus.Test.RowCount;
            if (rows >= minimumRows) return corpus;
            reason = $"the package lists in {listsDirectory} have only {rows} usable rows, {minimumRows} are needed";
            return null;
        }
        catch (DataFormatException e)
        {
            reason = e.Message;
            return null;
        }
    }

    private static bool IsIndex(string file, string kind) =>
        file.EndsWith(kind, StringComparison.Ordinal) || file.EndsWith(kind + ".gz", StringComparison.Ordinal) || file.EndsWith(kind + ".lz4", StringComparison.Ordinal);

    private static List<DebianPackage> ReadPackages(string[] indices, CancellationToken cancel)
    {
        var packages = new List<DebianPackage>();
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (string index in indices)
        {
            // A list may be empty (a suite without updates). A bad stanza from a foreign repository must not end the demo.
            if (new FileInfo(index).Length == 0) continue;
            foreach (DebianPackage package in DebianIndex.Read(index, new SkippedRows(), cancel))
            {
                if (package.Depends.Count > 0 && names.Add(package.Name)) packages.Add(package);
            }
        }
        return packages;
    }

    private static List<DebianPackage> AddLongDescriptions(List<DebianPackage> packages, string[] translations, CancellationToken cancel)
    {
        var byMd5 = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (string file in translations)
        {
            if (new FileInfo(file).Length == 0) continue;
            foreach (DebianPackage entry in DebianIndex.Read(file, new SkippedRows(), cancel))
            {
                if (entry.DescriptionMd5.Length > 0) byMd5.TryAdd(entry.DescriptionMd5, entry.Description);
            }
        }
        return [.. packages.Select(package => byMd5.TryGetValue(package.DescriptionMd5, out string? text) && text.Length > 0
            ? package with { Description = text }
            : package)];
    }

    private static Corpus Build(List<DebianPackage> packages, string origin, string kind)
    {
        var counts = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (string name in packages.SelectMany(package => package.Depends)) counts[name] = counts.GetValueOrDefault(name) + 1;
        LabelVocabulary labels = LabelVocabulary.FromNames(
            counts.Where(count => count.Value >= MinimumLabelRows).Select(count => count.Key).Order(StringComparer.Ordinal));

        TextRows train = new(labels), validation = new(labels), test = new(labels);
        var ids = new List<int>();
        foreach (DebianPackage package in packages)
        {
            ids.Clear();
            foreach (string name in package.Depends)
            {
                if (labels.TryGetId(Encoding.UTF8.GetBytes(name), out int id)) ids.Add(id);
            }
            if (ids.Count == 0) continue;
            double place = StableHash.ToFraction(StableHash.Compute(Encoding.UTF8.GetBytes(package.Source), SplitSeed));
            TextRows target = place < TestFraction ? test : place < TestFraction + ValidationFraction ? validation : train;
            target.Add(package.Description, ids.ToArray());
        }

        TextDataset trainSet = train.ToDataset(), validationSet = validation.ToDataset(), testSet = test.ToDataset();
        string description = string.Create(CultureInfo.InvariantCulture,
            $"Debian package index ({origin}): {trainSet.RowCount + validationSet.RowCount + testSet.RowCount:N0} {kind} descriptions, {labels.Count:N0} dependencies as labels, divided by source package");
        return new Corpus(description, trainSet, validationSet, testSet);
    }
}
