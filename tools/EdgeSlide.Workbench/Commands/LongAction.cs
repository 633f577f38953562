using System.CommandLine;
using System.CommandLine.Parsing;

namespace EdgeSlide.Workbench.Commands;

internal static class LongAction
{
    /// <summary>
    /// Runs the command on a thread of its own. The parser ends the process on Ctrl-C at once while an action has not returned
    /// its task; this way it waits until the command has seen the cancellation and has left no half-written file behind.
    /// </summary>
    public static void SetLongAction(this Command command, Func<ParseResult, CancellationToken, int> run)
    {
        foreach (Option option in command.Options)
            option.Validators.Add(RequireValue);
        command.SetAction((parsed, cancel) => Task.Run(() => run(parsed, cancel), CancellationToken.None));
    }

    /// <summary>Says what a value must be before the parser does, which names .NET's types.</summary>
    private static void RequireValue(OptionResult result)
    {
        Type type = Nullable.GetUnderlyingType(result.Option.ValueType) ?? result.Option.ValueType;
        foreach (Token token in result.Tokens)
        {
            string? expected = type == typeof(int) && !int.TryParse(token.Value, out _) ? "a whole number"
                : type == typeof(ulong) && !ulong.TryParse(token.Value, out _) ? "a whole number from 0"
                : type == typeof(float) && !float.TryParse(token.Value, out _) ? "a number"
                : type == typeof(double) && !double.TryParse(token.Value, out _) ? "a number"
                : null;
            if (expected is not null)
                result.AddError($"{result.Option.Name} {token.Value}: not {expected}");
        }
    }
}
