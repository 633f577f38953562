using System.Globalization;
using System.Text;
using EdgeSlide.Energy.Protocol;

namespace EdgeSlide.Energy.Traces;

/// <summary>
/// What a run did and when, as CSV: one line per phase, seconds since the start of the run, event numbers of the trigger.
/// </summary>
internal static class MarksFile
{
    private const string Magic = "# edgeslide marks 1, started ";
    private const string Header = "phase,variant,number,start_s,end_s,inferences,start_event,end_event";

    public static string Format(RunRecord run)
    {
        var text = new StringBuilder();
        text.Append(Magic).Append(run.Started.UtcDateTime.ToString("O", CultureInfo.InvariantCulture)).Append('\n').Append(Header).Append('\n');
        foreach (Phase p in run.Phases)
        {
            string variant = p.Variant < 0 ? "" : run.Variants[p.Variant];
            text.Append(CultureInfo.InvariantCulture, $"{Name(p.Kind)},{variant},{p.Number},{run.SecondsAt(p.From):F9},{run.SecondsAt(p.To):F9},{p.Inferences},{p.StartEvent},{p.EndEvent}\n");
        }
        return text.ToString();
    }

    public static RunRecord Read(string path)
    {
        try
        {
            return Parse(File.ReadAllLines(path), path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new EnergyException($"{path}: the marks file cannot be read ({EnergyException.ReasonOf(e)})", e);
        }
    }

    public static RunRecord Parse(string[] lines, string path)
    {
        if (lines.Length < 2 || !lines[0].StartsWith(Magic, StringComparison.Ordinal) || lines[1] != Header
            || !DateTimeOffset.TryParse(lines[0].AsSpan(Magic.Length), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out DateTimeOffset started))
        {
            throw new EnergyException($"{path}: not a marks file; `edgeslide energy --marks FILE` writes one while the external meter records");
        }
        var variants = new List<string>();
        var phases = new List<Phase>();
        for (int i = 2; i < lines.Length; i++)
        {
            if (lines[i].Length == 0)
                continue;
            string[] cells = lines[i].Split(',');
            if (cells.Length != 8 || Kind(cells[0]) is not PhaseKind kind || !int.TryParse(cells[2], NumberStyles.None, CultureInfo.InvariantCulture, out int number)
                || !Seconds(cells[3], out long from) || !Seconds(cells[4], out long to) || to <= from && kind != PhaseKind.WarmUp
                || !long.TryParse(cells[5], NumberStyles.None, CultureInfo.InvariantCulture, out long inferences) || (kind == PhaseKind.Window && inferences < 1)
                || !int.TryParse(cells[6], NumberStyles.None, CultureInfo.InvariantCulture, out int startEvent))
            {
                throw new EnergyException($"{path}:{i + 1}: malformed line");
            }
            int variant = -1;
            if (cells[1].Length > 0)
            {
                variant = variants.IndexOf(cells[1]);
                if (variant < 0)
                {
                    variant = variants.Count;
                    variants.Add(cells[1]);
                }
            }
            else if (kind != PhaseKind.Idle)
            {
                throw new EnergyException($"{path}:{i + 1}: a window without a variant");
            }
            phases.Add(new Phase(kind, variant, number, from, to, inferences, startEvent, null, 0));
        }
        var run = new RunRecord(variants, started, 0);
        run.Phases.AddRange(phases);
        if (run.Windows.Count == 0)
            throw new EnergyException($"{path}: no window in it; the run was cut short");
        RequirePairs(run, path);
        return run;
    }

    /// <summary>The ratio of two variants pairs their windows.</summary>
    private static void RequirePairs(RunRecord run, string path)
    {
        int Count(int variant) => run.Windows.FindAll(w => w.Variant == variant).Count;
        for (int v = 1; v < run.Variants.Count; v++)
        {
            if (Count(v) != Count(0))
                throw new EnergyException($"{path}: it needs as many windows of each mode, but has {Count(0)} of {run.Variants[0]} and {Count(v)} of {run.Variants[v]}");
        }
    }

    private static string Name(PhaseKind kind) => kind switch
    {
        PhaseKind.Idle => "idle",
        PhaseKind.WarmUp => "warm-up",
        _ => "window",
    };

    private static PhaseKind? Kind(string name) => name switch
    {
        "idle" => PhaseKind.Idle,
        "warm-up" => PhaseKind.WarmUp,
        "window" => PhaseKind.Window,
        _ => null,
    };

    private static bool Seconds(string cell, out long nanoseconds)
    {
        bool ok = double.TryParse(cell, NumberStyles.Float, CultureInfo.InvariantCulture, out double seconds) && seconds is >= 0 and < 1e8;
        nanoseconds = ok ? (long)Math.Round(seconds * 1e9) : 0;
        return ok;
    }
}
