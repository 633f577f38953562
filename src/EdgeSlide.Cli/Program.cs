using System.CommandLine;
using EdgeSlide.Cli;
using EdgeSlide.Cli.Commands;
using EdgeSlide.Energy;
using EdgeSlide.Features;
using EdgeSlide.Model;

var root = new RootCommand("""
    EdgeSlide answers questions with very many possible answers from a quantized model, offline.

    Examples:
      echo "steam engines of the 19th century" | edgeslide predict model.eslide --top 3
      edgeslide eval model.eslide test.tsv.gz
      edgeslide bench model.eslide test.tsv.gz --json
      edgeslide info model.eslide
      edgeslide sensors
      edgeslide energy model.eslide test.tsv.gz --plot power.html

    Exit codes: 0 done, 1 failure, 2 wrong usage, 3 unusable model, 4 bad input, 5 hardware not available,
    130 interrupted, 141 output closed by its reader.
    """)
{
    PredictCommand.Create(),
    EvalCommand.Create(),
    BenchCommand.Create(),
    InfoCommand.Create(),
    SensorsCommand.Create(),
    EnergyCommand.Create(),
};

StandardStreams.FindClosed();
ParseResult parsed = root.Parse(args);
if (parsed.Errors.Count > 0)
{
    string problem = parsed.UnmatchedTokens is [string unknown, ..] ? $"unknown command or argument '{unknown}'" : parsed.Errors[0].Message;
    StandardStreams.Report($"{problem} (see --help)");
    return ExitCodes.Usage;
}
try
{
    return parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
}
catch (Exception e)
{
    (int code, string message) = e switch
    {
        CommandException command => (command.ExitCode, command.Message),
        ModelFormatException => (ExitCodes.BadModel, e.Message),
        InputException => (ExitCodes.BadInput, e.Message),
        EnergyException => (ExitCodes.Unavailable, e.Message),
        NotSupportedException => (ExitCodes.Usage, e.Message),
        IOException or UnauthorizedAccessException => (ExitCodes.Failure, e.Message),
        OutOfMemoryException => (ExitCodes.Failure, "not enough memory"),
        _ => (ExitCodes.Failure, $"internal error: {e.GetType().Name} {e.Message}"),
    };
    if (message.Length > 0)
        StandardStreams.Report(message);
    return code;
}
