using System.CommandLine;
using System.Globalization;
using System.Text;
using EdgeSlide.Cli.Input;
using EdgeSlide.Cli.Output;
using EdgeSlide.Energy;
using EdgeSlide.IO;

namespace EdgeSlide.Cli.Commands;

/// <summary>Measures energy per inference.</summary>
internal static class EnergyCommand
{
    private const string External = "external", TracePrefix = "csv:";

    public static Command Create()
    {
        Options options = new();
        var command = new Command("energy", """
            Measure energy per inference, hashing against dense in interleaved windows.

            The default is MLPerf Tiny's protocol: 5 windows of at least 10 s on different queries, gross energy first. One
            inference is features in, answer out. docs/energy.md says what the figure means.

            Sensors: an identifier from `edgeslide sensors`; `external` to run the windows for a meter beside the board and
            write --marks; `csv:FILE` to combine that meter's recording with those marks.
            """);
        options.AddTo(command);
        command.SetAction(parsed => Run(new Settings(options, parsed)));
        return command;
    }

    private static int Run(Settings s)
    {
        if (s.Recording is not null)
            return Replay(s, s.Recording);
        if (s.Model is null || s.Input is null)
            throw new CommandException(ExitCodes.Usage, "give a model and a file of queries (only --sensor csv:FILE works without)");
        if (s.Sensor == External && s.Marks is null)
            throw new CommandException(ExitCodes.Usage, "--sensor external needs --marks FILE to write the windows' times to");
        using EdgeSlideModel model = EdgeSlideModel.Open(s.Model, s.Verify);
        using Predictor predictor = model.CreatePredictor();
        var workload = new InferenceWorkload(model, predictor, QuerySet.Read(model, predictor, s.Input, s.Queries), s.Mode, s.Plan.Windows);
        if (s.Estimate)
            return Estimate(s, workload);

        TryFiles(s.Samples, s.Plot, s.Sensor == External ? s.Marks : null);
        using GpioTrigger? trigger = s.OpenTrigger();
        var measurement = new EnergyMeasurement(s.Plan, s.Root)
        {
            Trigger = trigger,
            Progress = StandardStreams.Report,
        };
        if (s.Sensor == External)
        {
            WriteFile(s.Marks!, measurement.RunForExternalMeter(workload));
            StandardStreams.Report($"stop the recording, export it as CSV and run: edgeslide energy --sensor csv:RECORDING --marks {s.Marks}");
            return ExitCodes.Ok;
        }

        using ISensor sensor = s.OpenSensor();
        using var output = new OutputWriter();
        if (s.Period is TimeSpan period)
        {
            DutyCycleReport duty = measurement.RunDutyCycle(sensor, workload, 0, period, TimeSpan.FromSeconds(Math.Max(s.Plan.Windows * s.Plan.WindowLength.TotalSeconds, period.TotalSeconds)));
            Print(output, s.Json ? duty.ToJson(s.Battery) + "\n" : duty.ToText(s.Battery));
            return ExitCodes.Ok;
        }
        EnergyReport report = measurement.Run(sensor, workload);
        report.Notes =
        [
            new("model", Path.GetFileName(s.Model)),
            new("queries", string.Create(CultureInfo.InvariantCulture, $"{workload.Queries} from {Path.GetFileName(s.Input)}, {workload.FeatureMean:F1} features each")),
            new("kernel", predictor.Kernel),
            new("version", typeof(EnergyCommand).Assembly.GetName().Version?.ToString(3) ?? "unknown"),
        ];
        Finish(s, output, report);
        return ExitCodes.Ok;
    }

    private static int Replay(Settings s, string recording)
    {
        if (s.Marks is null)
            throw new CommandException(ExitCodes.Usage, "a recording needs --marks FILE, written by `edgeslide energy --sensor external` while the meter recorded");
        TryFiles(s.Samples, s.Plot);
        using var output = new OutputWriter();
        try
        {
            Finish(s, output, EnergyMeasurement.Replay(recording, s.Marks, s.Trace));
        }
        catch (EnergyException e)
        {
            throw new CommandException(ExitCodes.BadInput, e.Message);
        }
        return ExitCodes.Ok;
    }

    private static int Estimate(Settings s, InferenceWorkload workload)
    {
        using var output = new OutputWriter();
        for (int variant = 0; variant < workload.Variants.Count; variant++)
        {
            (double multiplications, double bytes) = workload.MeanCost(variant);
            // Bytes are charged to DRAM: tables and weights of a wide model do not fit a small processor's caches.
            var estimate = new EnergyEstimate(new OperationCounts(multiplications, 0, 0, bytes));
            if (s.Json)
            {
                output.Json.WriteStartObject();
                output.Json.WriteString("mode", workload.Variants[variant]);
                estimate.Write(output.Json);
                output.Json.WriteEndObject();
                output.EndJsonLine();
            }
            else
            {
                output.Write($"{workload.Variants[variant]}: {estimate.ToText()}");
            }
        }
        output.Flush();
        return ExitCodes.Ok;
    }

    private static void Finish(Settings s, OutputWriter output, EnergyReport report)
    {
        // A long run made them: neither a full disk nor a reader that went away may cost more than its own part.
        try
        {
            Print(output, s.Json ? report.ToJson(indented: false) + "\n" : report.ToText());
        }
        finally
        {
            try
            {
                if (s.Samples is not null)
                    WriteFile(s.Samples, report.ToSamplesCsv());
            }
            finally
            {
                if (s.Plot is not null)
                    WriteFile(s.Plot, s.Plot.EndsWith(".html", StringComparison.OrdinalIgnoreCase) ? report.ToHtml() : report.ToSvg());
            }
        }
    }

    private static void Print(OutputWriter output, string text)
    {
        output.Write(text);
        output.Flush();
    }

    private static void WriteFile(string path, string text) => OrRefuse(path, () => WholeFile.Write(path, stream => stream.Write(Encoding.UTF8.GetBytes(text))));

    /// <summary>Refuses files that cannot be written before a run of minutes does.</summary>
    private static void TryFiles(params ReadOnlySpan<string?> paths)
    {
        foreach (string? path in paths)
        {
            if (path is not null)
                OrRefuse(path, () => WholeFile.Try(path));
        }
    }

    private static void OrRefuse(string path, Action write)
    {
        try
        {
            write();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException(ExitCodes.Failure, $"{path}: cannot be written ({(Directory.Exists(path) ? "is a directory" : EnergyException.ReasonOf(e))})");
        }
    }

    /// <summary>The command's options; one place for names and descriptions.</summary>
    private sealed class Options
    {
        public readonly Argument<string?> Model = CommonOptions.File(new Argument<string?>("MODEL") { Description = "An .eslide model file.", Arity = ArgumentArity.ZeroOrOne });
        public readonly Argument<string?> Input = CommonOptions.File(new Argument<string?>("INPUT") { Description = "Labelled examples as for eval; their labels are not used.", Arity = ArgumentArity.ZeroOrOne });
        public readonly Option<string?> Sensor = new("--sensor") { Description = "Sensor identifier or rail, external, or csv:FILE; without it the best sensor found." };
        public readonly Option<string?> Marks = CommonOptions.File("--marks", "Times of the windows: written with --sensor external, read with --sensor csv:FILE.");
        public readonly Option<int> Windows = CommonOptions.Positive("--windows", "Windows per mode.", 5, 1000);
        public readonly Option<double> Seconds = new("--seconds") { Description = "Least length of a window in seconds.", DefaultValueFactory = _ => 10 };
        public readonly Option<double> WarmUp = new("--warm-up") { Description = "Unmeasured seconds of each mode before the windows.", DefaultValueFactory = _ => 2 };
        public readonly Option<double> Idle = new("--idle") { Description = "Seconds of idle baseline before and after.", DefaultValueFactory = _ => 5 };
        public readonly Option<double> Rate = new("--rate") { Description = "Readings per second.", DefaultValueFactory = _ => 100 };
        public readonly Option<string> Mode = new("--mode") { Description = "both compares hashing with dense; lsh or dense measures one.", DefaultValueFactory = _ => "both" };
        public readonly Option<int> Queries = CommonOptions.Positive("--queries", "How many examples to take from INPUT.", 2000, 1_000_000);
        public readonly Option<string?> Trigger = new("--trigger") { Description = "GPIO line that marks windows for an external meter, CHIP:LINE, for example gpiochip0:17." };
        public readonly Option<string> Polarity = new("--polarity") { Description = "The edge that marks, falling or rising.", DefaultValueFactory = _ => "falling" };
        public readonly Option<double> Pulse = new("--pulse") { Description = "Length of the trigger's pulse in microseconds.", DefaultValueFactory = _ => 100 };
        public readonly Option<string?> Period = new("--period") { Description = "Duty cycle: one answer per period, for example 1s or 250ms, asleep in between. Measures one mode, with --mode both the first." };
        public readonly Option<double?> Capacity = new("--capacity") { Description = "With --period: capacity of the battery in mAh, to predict its life." };
        public readonly Option<double> BatteryVoltage = new("--battery-voltage") { Description = "Nominal voltage of the battery.", DefaultValueFactory = _ => 3.7 };
        public readonly Option<double> Efficiency = new("--efficiency") { Description = "Share of the battery's energy that reaches the measured rail.", DefaultValueFactory = _ => 0.85 };
        public readonly Option<double?> Supply = new("--supply-voltage") { Description = "With csv:FILE: supply voltage where the meter recorded current only." };
        public readonly Option<string?> MarkColumn = new("--mark-column") { Description = "With csv:FILE: header of the digital column that saw the trigger." };
        public readonly Option<string?> Samples = CommonOptions.File("--samples", "Write every raw sample to this CSV file.");
        public readonly Option<string?> Plot = CommonOptions.File("--plot", "Draw power over time with the windows marked, to a .svg or .html file.");
        public readonly Option<bool> Estimate = new("--estimate") { Description = "No measurement: a model from operation counts, labelled as such." };
        public readonly Option<bool> Json = CommonOptions.Json();
        public readonly Option<bool> NoVerify = CommonOptions.NoVerify();
        public readonly Option<string> Root = CommonOptions.SysfsRoot();

        public void AddTo(Command command)
        {
            Mode.AcceptOnlyFromAmong("both", "lsh", "dense");
            Polarity.AcceptOnlyFromAmong("falling", "rising");
            command.Arguments.Add(Model);
            command.Arguments.Add(Input);
            foreach (Option option in (Option[])[Sensor, Marks, Windows, Seconds, WarmUp, Idle, Rate, Mode, Queries, Trigger, Polarity, Pulse, Period, Capacity, BatteryVoltage,
                Efficiency, Supply, MarkColumn, Samples, Plot, Estimate, Json, NoVerify, Root])
            {
                command.Options.Add(option);
            }
        }
    }

    /// <summary>The options' values, checked.</summary>
    private sealed class Settings
    {
        private readonly Options _options;
        private readonly ParseResult _parsed;

        public Settings(Options options, ParseResult parsed)
        {
            _options = options;
            _parsed = parsed;
            try
            {
                Plan = new MeasurementPlan
                {
                    Windows = parsed.GetValue(options.Windows),
                    WindowLength = Seconds(options.Seconds),
                    WarmUp = Seconds(options.WarmUp),
                    Idle = Seconds(options.Idle),
                    SampleRateHz = parsed.GetValue(options.Rate),
                };
                Plan.Validate();
                Period = ParsePeriod(parsed.GetValue(options.Period));
                if (parsed.GetValue(options.Capacity) is double capacity)
                {
                    Battery = new Battery(capacity, parsed.GetValue(options.BatteryVoltage), parsed.GetValue(options.Efficiency));
                    Battery.HoursAt(1);
                }
                double pulse = parsed.GetValue(options.Pulse);
                if (pulse is not (>= 1 and <= 1e6))
                    throw new EnergyException(string.Create(CultureInfo.InvariantCulture, $"a trigger pulse of {pulse} us is out of range: give 1 us to 1 s"));
                RefuseUnused();
            }
            catch (EnergyException e)
            {
                throw new CommandException(ExitCodes.Usage, e.Message);
            }
        }

        public MeasurementPlan Plan { get; }

        public TimeSpan? Period { get; }

        public Battery? Battery { get; }

        public string? Model => _parsed.GetValue(_options.Model);

        public string? Input => _parsed.GetValue(_options.Input);

        public string? Sensor => _parsed.GetValue(_options.Sensor);

        /// <summary>The file of --sensor csv:FILE.</summary>
        public string? Recording => Sensor?.StartsWith(TracePrefix, StringComparison.Ordinal) == true ? Sensor[TracePrefix.Length..] : null;

        public string? Marks => _parsed.GetValue(_options.Marks);

        public string? Samples => _parsed.GetValue(_options.Samples);

        public string? Plot => _parsed.GetValue(_options.Plot);

        public string Mode => _parsed.GetValue(_options.Mode)!;

        public string Root => _parsed.GetValue(_options.Root)!;

        public int Queries => _parsed.GetValue(_options.Queries);

        public bool Estimate => _parsed.GetValue(_options.Estimate);

        public bool Json => _parsed.GetValue(_options.Json);

        public bool Verify => !_parsed.GetValue(_options.NoVerify);

        public TraceOptions Trace => new() { SupplyVolts = _parsed.GetValue(_options.Supply), MarkColumn = _parsed.GetValue(_options.MarkColumn), Polarity = Polarity };

        private TriggerPolarity Polarity => _parsed.GetValue(_options.Polarity) == "rising" ? TriggerPolarity.Rising : TriggerPolarity.Falling;

        public GpioTrigger? OpenTrigger()
        {
            if (_parsed.GetValue(_options.Trigger) is not string line)
                return null;
            ITriggerLine output = Devices.OpenLine(line, initiallyHigh: Polarity == TriggerPolarity.Falling);
            return new GpioTrigger(output, Polarity, TimeSpan.FromMicroseconds(_parsed.GetValue(_options.Pulse)));
        }

        public ISensor OpenSensor() => Devices.TryOpenSensor(Sensor) ?? SensorDiscovery.Select(SensorDiscovery.Discover(Root), Sensor).Open();

        /// <summary>What a run would not look at is refused: its user waits minutes for a file or a figure that never comes.</summary>
        private void RefuseUnused()
        {
            bool replay = Recording is not null, external = Sensor == External, period = Period is not null;
            if (replay && Recording!.Length == 0)
                throw new EnergyException($"--sensor {TracePrefix}FILE: {CommonOptions.NoName}");
            string? way = replay ? "--sensor csv:FILE" : Estimate ? "--estimate" : external ? "--sensor external" : period ? "--period" : null;
            void Refuse(bool unused, string what)
            {
                if (unused)
                    throw new EnergyException($"{what} cannot be combined with {way}");
            }
            Refuse(replay && Model is not null, "MODEL");
            Refuse(replay && Estimate, "--estimate");
            Refuse(Estimate && Sensor is not null, "--sensor");
            Refuse(_parsed.GetValue(_options.Trigger) is not null && way is not null && !external, "--trigger");
            Refuse(period && way != "--period", "--period");
            Refuse(Samples is not null && way is not null && !replay, "--samples");
            Refuse(Plot is not null && way is not null && !replay, "--plot");
            void Require(bool given, Option option, string needed)
            {
                if (!given && _parsed.GetResult(option) is { Implicit: false })
                    throw new EnergyException($"{option.Name} needs {needed}");
            }
            Require(period, _options.Capacity, "--period");
            Require(Battery is not null, _options.BatteryVoltage, "--capacity");
            Require(Battery is not null, _options.Efficiency, "--capacity");
            Require(replay, _options.Supply, "--sensor csv:FILE");
            Require(replay, _options.MarkColumn, "--sensor csv:FILE");
            if (Marks is not null && (Estimate || !(replay || external)))
                throw new EnergyException("--marks needs --sensor external or csv:FILE");
        }

        private TimeSpan Seconds(Option<double> option)
        {
            double value = _parsed.GetValue(option);
            return value is >= 0 and <= 1e6 ? TimeSpan.FromSeconds(value) : throw new EnergyException($"{option.Name} {value} is out of range");
        }

        private static TimeSpan? ParsePeriod(string? text)
        {
            if (text is null)
                return null;
            (string number, double scale) = text.EndsWith("ms", StringComparison.Ordinal) ? (text[..^2], 1e-3)
                : text.EndsWith("min", StringComparison.Ordinal) ? (text[..^3], 60)
                : text.EndsWith('s') ? (text[..^1], 1) : (text, 1);
            if (double.TryParse(number, NumberStyles.Float, CultureInfo.InvariantCulture, out double value) && value * scale is >= 1e-3 and <= 1e5)
                return TimeSpan.FromSeconds(value * scale);
            throw new EnergyException($"'{text}' is no period: write for example 1s, 250ms or 5min");
        }
    }

    /// <summary>
    /// Inferences over the queries of a file. Each window takes another share of them, and goes through its share in turn:
    /// one query again and again would keep its weights in the cache and flatter the dense mode.
    /// </summary>
    private sealed class InferenceWorkload : IWorkload
    {
        private readonly Predictor _predictor;
        private readonly QuerySet _queries;
        private readonly PredictionMode[] _modes;
        private readonly Prediction[] _top;
        private readonly int _shares;
        private readonly int[] _next;

        public InferenceWorkload(EdgeSlideModel model, Predictor predictor, QuerySet queries, string mode, int windows)
        {
            bool hasTables = model.Layout.Output.Selector is not null;
            if (mode == "lsh")
                CommonOptions.RequireTables(model);
            string[] names = mode == "both" ? hasTables ? ["lsh", "dense"] : ["dense"] : [mode];
            Variants = names;
            _modes = Array.ConvertAll(names, CommonOptions.ParseMode);
            _predictor = predictor;
            _predictor.Probabilities = false;
            _queries = queries;
            _shares = Math.Min(windows, queries.Count);
            _next = new int[_shares];
            _top = new Prediction[Math.Min(5, model.LabelCount)];
        }

        public IReadOnlyList<string> Variants { get; }

        public int Queries => _queries.Count;

        public double FeatureMean => _queries.FeatureMean;

        public long Run(int variant, int input, Deadline deadline)
        {
            _predictor.Mode = _modes[variant];
            int share = input % _shares;
            long count = 0;
            while (true)
            {
                Answer(Next(share));
                count++;
                // Looking at the clock costs as much as part of an inference, so only now and then.
                if ((count == 1 || (count & 7) == 0) && deadline.Passed)
                    return count;
            }
        }

        /// <summary>Mean multiplications and bytes touched over all queries.</summary>
        public (double Multiplications, double Bytes) MeanCost(int variant)
        {
            _predictor.Mode = _modes[variant];
            double multiplications = 0, bytes = 0;
            for (int query = 0; query < _queries.Count; query++)
            {
                Answer(query);
                multiplications += _predictor.Cost.Multiplications;
                bytes += _predictor.Cost.BytesTouched;
            }
            return (multiplications / _queries.Count, bytes / _queries.Count);
        }

        private int Next(int share)
        {
            int query = share + (_next[share]++ * _shares);
            if (query < _queries.Count)
                return query;
            _next[share] = 1;
            return share;
        }

        private void Answer(int query)
        {
            _queries.Load(query, _predictor.Engine.Features);
            _predictor.Run(_top);
        }
    }
}
