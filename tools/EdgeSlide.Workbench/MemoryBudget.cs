using System.Globalization;

namespace EdgeSlide.Workbench;

/// <summary>How much memory a job may take, and the refusal of one that would take more.</summary>
internal static class MemoryBudget
{
    private const string CgroupLimit = "/sys/fs/cgroup/memory.max", CgroupUse = "/sys/fs/cgroup/memory.current";

    /// <summary>Parses 800M, 4G or a number of bytes.</summary>
    public static long Parse(string text)
    {
        int shift = text.Length == 0 ? 0 : char.ToUpperInvariant(text[^1]) switch { 'K' => 10, 'M' => 20, 'G' => 30, _ => 0 };
        if (!long.TryParse(shift == 0 ? text : text[..^1], NumberStyles.None, CultureInfo.InvariantCulture, out long count) || count <= 0 || count > long.MaxValue >> shift)
            throw new CommandException(ExitCodes.Usage, $"--memory-limit {text}: not a size such as 800M or 4G");
        return count << shift;
    }

    /// <summary>Refuses a job that needs more than is free, or than the limit on the whole process leaves.</summary>
    /// <param name="job">What needs it, for the message.</param>
    /// <param name="needed">Bytes beyond what the process holds already.</param>
    /// <param name="limit">The user's limit on the process, or null.</param>
    /// <param name="advice">What would need less; null if nothing does.</param>
    public static void Require(string job, long needed, long? limit = null, string? advice = null)
    {
        if (limit is { } most && needed + Environment.WorkingSet > most)
            throw Refusal(job, needed, Math.Max(0, most - Environment.WorkingSet), "left of --memory-limit", advice);
        long free = Free();
        if (needed > free)
            throw Refusal(job, needed, free, "available", advice);
    }

    private static CommandException Refusal(string job, long needed, long free, string what, string? advice) => new(ExitCodes.Failure,
        $"{job} needs about {needed >> 20:N0} MiB, but only {free >> 20:N0} MiB are {what}{(advice is null ? "" : $": {advice}")}");

    /// <summary>What the machine, the container and the runtime's own limit have left.</summary>
    private static long Free()
    {
        long free = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        if (File.Exists("/proc/meminfo"))
        {
            string? line = File.ReadLines("/proc/meminfo").FirstOrDefault(l => l.StartsWith("MemAvailable:", StringComparison.Ordinal));
            if (line?.Split(' ', StringSplitOptions.RemoveEmptyEntries) is [_, string kilobytes, ..] && long.TryParse(kilobytes, out long available))
                free = Math.Min(free, available << 10);
        }
        if (File.Exists(CgroupLimit) && File.Exists(CgroupUse) && long.TryParse(File.ReadAllText(CgroupLimit), out long most) && long.TryParse(File.ReadAllText(CgroupUse), out long used))
            free = Math.Min(free, Math.Max(0, most - used));
        return free;
    }
}
