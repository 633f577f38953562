using System.Globalization;
using EdgeSlide.Training.Data;

namespace EdgeSlide.Training.Training;

/// <summary>Reads what <see cref="TrainingLog"/> writes.</summary>
internal static class TrainingLogReader
{
    private const string Seconds = "_seconds";

    private static readonly string[] Figures = ["epoch", "step", "rows", "seconds", "loss", "lr", "active_fraction", "p1", "p5"];

    /// <summary>The names of the phases, then the lines; a last line that a crash cut short is left out.</summary>
    /// <exception cref="DataFormatException">The file is not a training log.</exception>
    public static (IReadOnlyList<string> Phases, IReadOnlyList<TrainingLogLine> Lines) Read(string path)
    {
        var text = new List<string>();
        using (var reader = new StreamReader(InputFile.OpenRaw(path)))
        {
            while (reader.ReadLine() is { } line)
                text.Add(line);
        }
        string[] header = text.Count == 0 ? [] : text[0].Split(',');
        if (header.Length <= Figures.Length || !header.AsSpan(0, Figures.Length).SequenceEqual(Figures) || !header.Skip(Figures.Length).All(h => h.EndsWith(Seconds, StringComparison.Ordinal)))
            throw new DataFormatException(path, text.Count == 0 ? 0 : 1, "is not a log from train --log");
        var lines = new List<TrainingLogLine>();
        for (int i = 1; i < text.Count; i++)
        {
            string[] cells = text[i].Split(',');
            if (cells.Length < header.Length && i == text.Count - 1)
                break;
            var values = new double[header.Length];
            for (int c = 0; c < values.Length; c++)
            {
                if (c < cells.Length && cells[c].Length == 0)
                    values[c] = double.NaN;
                else if (c >= cells.Length || cells.Length > header.Length || !double.TryParse(cells[c], NumberStyles.Float, CultureInfo.InvariantCulture, out values[c]))
                    throw new DataFormatException(path, i + 1, $"{header.Length} numbers belong on a line of this log");
            }
            lines.Add(new TrainingLogLine(values[0], (long)values[1], (long)values[2], values[3], values[4], values[5], values[6], values[7], values[8], values[Figures.Length..]));
        }
        if (lines.Count == 0)
            throw new DataFormatException(path, 0, "the log has no line yet");
        return ([.. header.Skip(Figures.Length).Select(h => h[..^Seconds.Length])], lines);
    }
}
