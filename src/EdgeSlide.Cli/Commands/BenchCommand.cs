using System.CommandLine;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text.Json;
using EdgeSlide.Cli.Input;
using EdgeSlide.Cli.Output;
using EdgeSlide.Features;

namespace EdgeSlide.Cli.Commands;

/// <summary>Measures speed, hashing and dense interleaved in one run.</summary>
internal static class BenchCommand
{
    private const int MaxTimes = 50_000_000;
    private const string Auto = "auto";

    public static Command Create()
    {
        Argument<string> model = CommonOptions.Model();
        Argument<string> data = CommonOptions.File(new Argument<string>("DATA") { Description = "Labelled examples as for eval; their labels are not used." });
        Option<int> queries = CommonOptions.Positive("--queries", "How many examples to take.", 2000, 1_000_000);
        Option<int> rounds = CommonOptions.Positive("--rounds", "How often each mode answers all of them.", 5, 10_000);
        Option<string> mode = Mode();
        var profile = new Option<bool>("--profile") { Description = "Also show where the time, the multiplications and the memory traffic go, stage by stage." };
        Option<int> batch = CommonOptions.Batch("Also measure throughput with batches of up to so many queries.", 1);
        Option<int> threads = CommonOptions.Threads();
        threads.Description = "Also measure throughput with up to so many threads; 0 for one per processor.";
        Option<bool> json = CommonOptions.Json();
        Option<bool> noVerify = CommonOptions.NoVerify();
        var command = new Command("bench", """
            Measure time per inference on one thread, hashing and dense in turns within one run.

            Every inference is timed by itself; turning text into features is left out of both modes and reported beside
            them. Multiplications include every operation spent on hashing and voting. The CRC covers all answers, so equal
            CRCs mean equal outputs. auto is the mode that a model's own record chooses; it should not lose to the better one.

            With --batch or --threads above 1 it also measures throughput: queries per second for 1, 2, 4, ... threads and
            batch sizes, all combinations in turns.
            """)
        {
            model, data, queries, rounds, mode, batch, threads, profile, json, noVerify,
        };
        command.SetAction(parsed => Run(parsed.GetValue(model)!, parsed.GetValue(data)!, parsed.GetValue(queries), parsed.GetValue(rounds),
            parsed.GetValue(mode)!, parsed.GetValue(batch), CommonOptions.ThreadCount(parsed.GetValue(threads)), parsed.GetValue(profile),
            parsed.GetValue(json), !parsed.GetValue(noVerify)));
        return command;
    }

    private static Option<string> Mode()
    {
        var option = new Option<string>("--mode")
        {
            Description = "Measure one mode alone, with the caches as it leaves them, instead of all in turns.",
            DefaultValueFactory = _ => "all",
        };
        option.AcceptOnlyFromAmong("all", "lsh", "dense", "auto");
        return option;
    }

    private static int Run(string modelPath, string dataPath, int queryCount, int rounds, string only, int batch, int threads, bool profile, bool json, bool verify)
    {
        using EdgeSlideModel model = EdgeSlideModel.Open(modelPath, verify);
        if (only is "lsh" or Auto)
            CommonOptions.RequireTables(model);
        using Predictor predictor = model.CreatePredictor();
        predictor.Probabilities = false;
        QuerySet queries = QuerySet.Read(model, predictor, dataPath, queryCount);
        if ((long)queries.Count * rounds > MaxTimes)
            throw new CommandException(ExitCodes.Usage, $"{queries.Count} queries x {rounds} rounds are more than {MaxTimes} times to remember");
        List<ModeResult> modes = Modes(model, only, queries.Count * rounds);
        var top = new Prediction[Math.Min(5, model.LabelCount)];
        // One untimed round warms caches and buffers; then the order alternates, so that neither mode always goes first.
        foreach (ModeResult mode in modes)
            mode.Measure(predictor, queries, top, record: false);
        for (int round = 0; round < rounds; round++)
        {
            for (int i = 0; i < modes.Count; i++)
                modes[(i + round) % modes.Count].Measure(predictor, queries, top, record: true);
        }

        // Rounds of their own: the clock's readings between stages would count in the times above.
        for (int round = 0; profile && round < rounds; round++)
        {
            foreach (ModeResult mode in modes)
            {
                // auto is one of the others.
                if (mode.Name != Auto || modes.Count == 1)
                    mode.MeasureStages(predictor, queries, top);
            }
        }

        // Before throughput, whose workers need memory of their own.
        long resident = Environment.WorkingSet;
        Throughput? throughput = null;
        if (batch > 1 || threads > 1)
        {
            throughput = new Throughput(model, queries, top.Length);
            List<ModeResult> measured = modes.FindAll(m => m.Name != Auto || modes.Count == 1);
            foreach (ModeResult mode in measured)
                mode.BatchCrc = throughput.Crc(mode.Mode, batch);
            throughput.Measure(measured.ConvertAll(m => m.Mode), threads, batch, rounds);
        }

        using var output = new OutputWriter();
        if (json)
            WriteJson(output, model, predictor, queries, rounds, modes, resident, throughput);
        else
            WriteText(output, model, predictor, queries, rounds, modes, resident, throughput);
        output.Flush();
        return ExitCodes.Ok;
    }

    /// <summary>The modes to measure. A model without a selector has only one.</summary>
    private static List<ModeResult> Modes(EdgeSlideModel model, string only, int capacity)
    {
        bool selects = model.Layout.Output.Selector is not null;
        var modes = new List<ModeResult>();
        foreach ((string name, PredictionMode mode) in new[] { ("lsh", PredictionMode.Lsh), ("dense", PredictionMode.Dense), (Auto, PredictionMode.Auto) })
        {
            if (only == "all" ? selects || mode == PredictionMode.Dense : only == name)
                modes.Add(new ModeResult(name, mode, capacity));
        }
        return modes;
    }

    /// <summary>
    /// How much longer the mode that auto chooses takes than the better one, as a share; null if not all were measured. Of the
    /// chosen mode's own median: auto's row stands behind dense in every round, with caches that dense has left.
    /// </summary>
    private static double? AutoLoss(EdgeSlideModel model, List<ModeResult> modes)
    {
        if (modes.Count < 3 || model.Layout.Output.Selector is not { } selector)
            return null;
        double lsh = modes[0].Percentile(0.5), dense = modes[1].Percentile(0.5);
        return (selector.Pays ? lsh : dense) / Math.Min(lsh, dense) - 1;
    }

    private static double Speedup(List<ModeResult> modes) => modes[1].Percentile(0.5) / modes[0].Percentile(0.5);

    private static void WriteText(OutputWriter output, EdgeSlideModel model, Predictor predictor, QuerySet queries, int rounds, List<ModeResult> modes, long resident, Throughput? throughput)
    {
        output.Write($"{queries.Count} queries x {rounds} rounds, {model.LabelCount} labels, {queries.FeatureMean:F1} features a query, kernel {predictor.Kernel}, {RuntimeInformation.ProcessArchitecture}, one thread\n\n");
        output.Write($"{"",-7}{"median us",11}{"p99 us",10}{"neurons",10}{"share",10}{"mult.",12}{"share",9}{"bytes",12}{"alloc.",8}  output CRC\n");
        double all = DenseMultiplications(modes);
        foreach (ModeResult mode in modes)
            output.Write($"{mode.Name,-7}{mode.Percentile(0.5) / 1000,11:F2}{mode.Percentile(0.99) / 1000,10:F2}{mode.ActiveMean,10:F1}{mode.ActiveMean / model.LabelCount,10:P3}{mode.MultiplicationMean,12:F0}{mode.MultiplicationMean / all,9:P2}{mode.BytesMean,12:F0}{mode.AllocatedPerInference,8:F0}  {mode.Crc:x8}\n");
        output.Write($"\nfeatures from input: median {queries.FeaturizeMedianNs / 1000:F2} us a query\n");
        output.Write($"resident memory {resident / 1e6:F1} MB\n");
        if (modes.Count > 1)
            output.Write($"hashing is {Speedup(modes):F1} times as fast as dense\n");
        if (AutoLoss(model, modes) is { } loss && model.Layout.Output.Selector is { } selector)
            output.Write($"auto uses {(selector.Pays ? "lsh" : "dense")}{(loss > 0.1 ? $", which on this machine takes {loss:P0} longer than {(selector.Pays ? "dense" : "lsh")}: set --mode" : "")}\n");
        if (throughput is not null)
            WriteThroughput(output, throughput, modes);
        foreach (ModeResult mode in modes)
        {
            if (mode.Stages is not { } stages)
                continue;
            output.Write($"\n{mode.Name,-15}{"median us",10}{"share",8}{"mult.",12}{"bytes",12}{"places",9}\n");
            double total = 0;
            foreach (Stage stage in Enum.GetValues<Stage>())
                total += stages.Nanoseconds(stage);
            foreach (Stage stage in Enum.GetValues<Stage>())
            {
                if (stages.Nanoseconds(stage) > 0)
                    output.Write($"{StageName(stage),-15}{stages.Nanoseconds(stage) / 1000,10:F3}{stages.Nanoseconds(stage) / total,8:P0}{stages.Multiplications(stage),12:F0}{stages.Bytes(stage),12:F0}{stages.Places(stage),9:F0}\n");
            }
        }
    }

    private static void WriteThroughput(OutputWriter output, Throughput throughput, List<ModeResult> modes)
    {
        foreach (ModeResult mode in modes)
        {
            if (mode.BatchCrc is null)
                continue;
            output.Write($"\n{mode.Name + " throughput",-18}{"threads",9}{"batch",7}{"queries/s",13}{"us/query",10}{"gain",8}\n");
            double first = 0;
            foreach (Throughput.Setting setting in throughput.Settings)
            {
                if (setting.Mode != mode.Mode)
                    continue;
                first = first == 0 ? setting.Rate : first;
                output.Write($"{"",-18}{setting.Threads,9}{setting.Batch,7}{setting.Rate,13:F0}{1e6 / setting.Rate,10:F2}{setting.Rate / first,8:F2}\n");
            }
            if (mode.BatchCrc != mode.Crc)
                output.Write($"answers in batches have the CRC {mode.BatchCrc:x8}, not {mode.Crc:x8}\n");
        }
    }

    /// <summary>What the shares are shares of; a mode measured alone is compared with itself.</summary>
    private static double DenseMultiplications(List<ModeResult> modes) => (modes.Count > 1 ? modes[1] : modes[0]).MultiplicationMean;

    private static string StageName(Stage stage) => JsonNamingPolicy.SnakeCaseLower.ConvertName(stage.ToString());

    private static void WriteJson(OutputWriter output, EdgeSlideModel model, Predictor predictor, QuerySet queries, int rounds, List<ModeResult> modes, long resident, Throughput? throughput)
    {
        Utf8JsonWriter json = output.Json;
        json.WriteStartObject();
        json.WriteNumber("queries", queries.Count);
        json.WriteNumber("rounds", rounds);
        json.WriteNumber("labels", model.LabelCount);
        json.WriteNumber("features_mean", queries.FeatureMean);
        json.WriteNumber("featurize_ns_median", queries.FeaturizeMedianNs);
        json.WriteNumber("featurize_allocated_bytes_median", queries.FeaturizeAllocatedMedian);
        json.WriteString("kernel", predictor.Kernel);
        json.WriteString("architecture", RuntimeInformation.ProcessArchitecture.ToString());
        foreach (ModeResult mode in modes)
        {
            json.WriteStartObject(mode.Name);
            json.WriteNumber("median_ns", mode.Percentile(0.5));
            json.WriteNumber("p99_ns", mode.Percentile(0.99));
            json.WriteNumber("active_neurons_mean", mode.ActiveMean);
            json.WriteNumber("active_fraction", mode.ActiveMean / model.LabelCount);
            json.WriteNumber("multiplications_mean", mode.MultiplicationMean);
            if (modes.Count > 1)
                json.WriteNumber("mult_fraction", mode.MultiplicationMean / DenseMultiplications(modes));
            json.WriteNumber("bytes_mean", mode.BytesMean);
            json.WriteNumber("allocated_bytes_per_inference", mode.AllocatedPerInference);
            json.WriteString("output_crc32c", $"{mode.Crc:x8}");
            if (mode.BatchCrc is { } batchCrc)
                json.WriteString("batch_output_crc32c", $"{batchCrc:x8}");
            if (mode.Stages is { } stages)
            {
                json.WriteStartObject("stages");
                foreach (Stage stage in Enum.GetValues<Stage>())
                {
                    json.WriteStartObject(StageName(stage));
                    json.WriteNumber("ns", stages.Nanoseconds(stage));
                    json.WriteNumber("multiplications", stages.Multiplications(stage));
                    json.WriteNumber("bytes", stages.Bytes(stage));
                    json.WriteNumber("places", stages.Places(stage));
                    json.WriteEndObject();
                }
                json.WriteEndObject();
            }
            json.WriteEndObject();
        }
        if (modes.Count > 1)
            json.WriteNumber("speedup", Speedup(modes));
        if (throughput is not null)
        {
            json.WriteStartArray("throughput");
            foreach (Throughput.Setting setting in throughput.Settings)
            {
                json.WriteStartObject();
                json.WriteString("mode", modes.Find(m => m.Mode == setting.Mode)!.Name);
                json.WriteNumber("threads", setting.Threads);
                json.WriteNumber("batch", setting.Batch);
                json.WriteNumber("queries_per_second", setting.Rate);
                json.WriteEndObject();
            }
            json.WriteEndArray();
        }
        if (AutoLoss(model, modes) is { } loss)
            json.WriteNumber("auto_loss", loss);
        json.WriteNumber("resident_bytes", resident);
        json.WriteEndObject();
        output.EndJsonLine();
    }

    /// <summary>One mode's times and counts.</summary>
    private sealed class ModeResult(string name, PredictionMode mode, int capacity)
    {
        private readonly long[] _ticks = new long[capacity];
        private int _count;
        private long _active;
        private long _multiplications;
        private long _bytes;
        private long _allocated;
        private uint _crc = ~0u;
        private bool _sorted;

        public string Name => name;

        public PredictionMode Mode => mode;

        /// <summary>As <see cref="Crc"/>, of answers in batches; null if there were none.</summary>
        public uint? BatchCrc { get; set; }

        /// <summary>Null until stages were measured.</summary>
        public StageProfile? Stages { get; private set; }

        public double ActiveMean => _active / (double)_count;

        public double MultiplicationMean => _multiplications / (double)_count;

        public double BytesMean => _bytes / (double)_count;

        public double AllocatedPerInference => _allocated / (double)_count;

        /// <summary>CRC-32C over labels and logit bits of every answer of one round.</summary>
        public uint Crc => ~_crc;

        public double Percentile(double fraction)
        {
            if (!_sorted)
                Array.Sort(_ticks, 0, _count);
            _sorted = true;
            return _ticks[(int)((_count - 1) * fraction)] * 1e9 / Stopwatch.Frequency;
        }

        public void MeasureStages(Predictor predictor, QuerySet queries, Prediction[] top)
        {
            predictor.Mode = mode;
            predictor.Engine.Profile = Stages ??= new StageProfile(capacity);
            try
            {
                for (int query = 0; query < queries.Count; query++)
                {
                    queries.Load(query, predictor.Engine.Features);
                    predictor.Run(top);
                }
            }
            finally
            {
                predictor.Engine.Profile = null;
            }
        }

        public void Measure(Predictor predictor, QuerySet queries, Prediction[] top, bool record)
        {
            predictor.Mode = mode;
            bool takeCrc = !record;
            for (int query = 0; query < queries.Count; query++)
            {
                queries.Load(query, predictor.Engine.Features);
                long before = GC.GetAllocatedBytesForCurrentThread();
                long start = Stopwatch.GetTimestamp();
                int found = predictor.Run(top);
                long ticks = Stopwatch.GetTimestamp() - start;
                long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
                if (takeCrc)
                {
                    _crc = AnswerCrc.Append(_crc, top.AsSpan(0, found));
                    continue;
                }
                _ticks[_count++] = ticks;
                _allocated += allocated;
                _active += predictor.Cost.ActiveNeurons;
                _multiplications += predictor.Cost.Multiplications;
                _bytes += predictor.Cost.BytesTouched;
            }
        }
    }
}
