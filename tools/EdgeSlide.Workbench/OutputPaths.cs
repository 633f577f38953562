using EdgeSlide.IO;

namespace EdgeSlide.Workbench;

/// <summary>The check of all files that a command writes, before its work: none may replace what the command reads, or another one.</summary>
internal static class OutputPaths
{
    /// <param name="outputs">Where the command writes; null where it does not.</param>
    /// <param name="inputs">What it reads; null where it reads nothing.</param>
    /// <exception cref="CommandException">An output is an input, or given twice.</exception>
    /// <exception cref="IOException">An output cannot be written.</exception>
    public static void Require(IEnumerable<string?> outputs, params IEnumerable<string?> inputs)
    {
        var read = inputs.OfType<string>().Select(WholeFile.Target).ToHashSet();
        var written = new HashSet<string>();
        foreach (string output in outputs.OfType<string>())
        {
            string target = WholeFile.Target(output);
            if (read.Contains(target))
                throw new CommandException(ExitCodes.Usage, $"{output} would replace what this command reads");
            if (!written.Add(target))
                throw new CommandException(ExitCodes.Usage, $"{output} is named as the place of two outputs");
            WholeFile.Try(output);
        }
    }
}
