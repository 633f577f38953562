using System.CommandLine;
using EdgeSlide.Model;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Training;
using EdgeSlide.Workbench;
using EdgeSlide.Workbench.Commands;
using EdgeSlide.Workbench.Console;

// Before anything is said.
System.Console.SetError(new StreamWriter(new ForgivingStream(System.Console.OpenStandardError())) { AutoFlush = true });

var root = new RootCommand("""
    The workstation side of EdgeSlide: train a network, quantize it into an .eslide model, measure it.

    Examples:
      edgeslide-workbench demo
      edgeslide-workbench train train.tsv.gz --validation valid.tsv.gz --out tags.esnet
      edgeslide-workbench quantize tags.esnet --data train.tsv.gz --validation valid.tsv.gz --out tags.eslide
      edgeslide-workbench tune tags.eslide valid.tsv.gz --max-loss 0.2
      edgeslide-workbench eval tags.esnet test.tsv.gz --model tags.eslide

    Exit codes: 0 done, 1 failure, 2 wrong usage, 3 unusable model or network file, 4 bad input, 6 training diverged,
    130 interrupted (a checkpoint is saved if one was asked for).
    """)
{
    TrainCommand.Create(),
    QuantizeCommand.Create(),
    TuneCommand.Create(),
    EvalCommand.Create(),
    ReportCommand.Create(),
    CompareCommand.Create(),
    NegativesCommand.Create(),
    ExportCommand.Create(),
    DataCommand.Create(),
    SlideCommand.Create(),
    ImportCommand.Create(),
    GenerateCommand.Create(),
    LimitsCommand.Create(),
    DemoCommand.Create(),
};

ParseResult parsed = root.Parse(args);
if (parsed.Errors.Count > 0)
{
    string problem = parsed.UnmatchedTokens is [string unknown, ..] ? $"unknown command or argument '{unknown}'" : parsed.Errors[0].Message;
    System.Console.Error.WriteLine($"edgeslide-workbench: {problem.ReplaceLineEndings(" ")} (see --help)");
    return ExitCodes.Usage;
}
try
{
    // After Ctrl-C or SIGTERM a checkpoint of gigabytes is still to be written.
    return await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = TimeSpan.FromMinutes(10) });
}
catch (Exception e)
{
    Exception cause = e is AggregateException aggregate ? aggregate.Flatten().InnerExceptions[0] : e;
    (int code, string message) = cause switch
    {
        CommandException command => (command.ExitCode, command.Message),
        ModelFormatException => (ExitCodes.BadModel, cause.Message),
        DataFormatException or InvalidDataException => (ExitCodes.BadInput, cause.Message),
        TrainingDivergedException => (ExitCodes.Diverged, cause.Message),
        OperationCanceledException => (ExitCodes.Interrupted, "interrupted"),
        ArgumentException argument => (ExitCodes.Usage, WithoutParameter(argument)),
        IOException or UnauthorizedAccessException => (ExitCodes.Failure, cause.Message),
        OutOfMemoryException => (ExitCodes.Failure, "not enough memory; --spill FOLDER keeps rows in files"),
        _ => (ExitCodes.Failure, $"internal error: {cause.GetType().Name} {cause.Message}"),
    };
    System.Console.Error.WriteLine($"edgeslide-workbench: {message.ReplaceLineEndings(" ")}");
    return code;
}

// .NET adds the name of a method's parameter, which is nobody's option.
static string WithoutParameter(ArgumentException e) => e.ParamName is null ? e.Message : e.Message.Replace($" (Parameter '{e.ParamName}')", "", StringComparison.Ordinal);
