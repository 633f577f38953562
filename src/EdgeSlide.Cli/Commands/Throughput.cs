using System.Diagnostics;
using System.Runtime.InteropServices;
using EdgeSlide.Cli.Input;
using EdgeSlide.Model;

namespace EdgeSlide.Cli.Commands;

/// <summary>
/// Queries per second for growing batches and numbers of threads. In a round every thread answers for a fixed time, going
/// round all queries; copying a query's features into the batch counts, making them of text does not.
/// </summary>
internal sealed class Throughput
{
    private static readonly TimeSpan RoundTime = TimeSpan.FromMilliseconds(100);

    private readonly EdgeSlideModel _model;
    private readonly QuerySet _queries;
    private readonly int _k;

    public Throughput(EdgeSlideModel model, QuerySet queries, int k)
    {
        _model = model;
        _queries = queries;
        _k = k;
    }

    public List<Setting> Settings { get; } = [];

    /// <summary>Measures every combination, in turns, so that what else the machine does falls on all of them.</summary>
    public void Measure(List<PredictionMode> modes, int threads, int batch, int rounds)
    {
        foreach (PredictionMode mode in modes)
        {
            foreach (int t in Doubling(threads))
            {
                foreach (int b in Doubling(batch))
                    Settings.Add(new Setting(mode, t, b));
            }
        }
        var workers = new Worker[threads];
        for (int i = 0; i < threads; i++)
            workers[i] = new Worker(_model, _queries, _k, batch);
        foreach (Setting setting in Settings)
            Round(workers, setting, TimeSpan.Zero);
        for (int round = 0; round < rounds; round++)
        {
            for (int i = 0; i < Settings.Count; i++)
            {
                Setting setting = Settings[(i + round) % Settings.Count];
                setting.Rates.Add(Round(workers, setting, RoundTime));
            }
        }
        foreach (Worker worker in workers)
            worker.Dispose();
    }

    /// <summary>CRC-32C over labels and logit bits of every answer, answered in batches.</summary>
    public uint Crc(PredictionMode mode, int batch)
    {
        using var worker = new Worker(_model, _queries, _k, batch);
        return worker.Crc(mode);
    }

    private static double Round(Worker[] workers, Setting setting, TimeSpan time)
    {
        var rates = new double[setting.Threads];
        var others = new Thread[setting.Threads - 1];
        int ready = 0;
        for (int i = 0; i < others.Length; i++)
        {
            int worker = i + 1;
            others[i] = new Thread(() => Answer(worker));
            others[i].Start();
        }
        Answer(0);
        double sum = rates[0];
        for (int i = 0; i < others.Length; i++)
        {
            others[i].Join();
            sum += rates[i + 1];
        }
        return sum;

        void Answer(int i)
        {
            Interlocked.Increment(ref ready);
            while (Volatile.Read(ref ready) < setting.Threads)
                Thread.Yield();
            rates[i] = workers[i].Answer(setting, i * workers[i].QueryCount / setting.Threads, time);
        }
    }

    /// <summary>1, 2, 4, ... and the last.</summary>
    private static int[] Doubling(int last)
    {
        var values = new int[System.Numerics.BitOperations.Log2((uint)last) + (int.IsPow2(last) ? 1 : 2)];
        for (int i = 0; i < values.Length; i++)
            values[i] = Math.Min(1 << i, last);
        return values;
    }

    /// <summary>One combination and its rates, a round each.</summary>
    internal sealed class Setting(PredictionMode mode, int threads, int batch)
    {
        public PredictionMode Mode => mode;

        public int Threads => threads;

        public int Batch => batch;

        public List<double> Rates { get; } = [];

        /// <summary>Queries per second, the median of the rounds.</summary>
        public double Rate
        {
            get
            {
                double[] sorted = [.. Rates];
                Array.Sort(sorted);
                return sorted[sorted.Length / 2];
            }
        }
    }

    private sealed class Worker : IDisposable
    {
        private readonly QuerySet _queries;
        private readonly Predictor _predictor;
        private readonly PredictionBatch[] _batches;
        private readonly Prediction[] _answers;
        private readonly int[] _counts;
        private readonly int _k;

        public Worker(EdgeSlideModel model, QuerySet queries, int k, int batch)
        {
            _queries = queries;
            _k = k;
            _predictor = model.CreatePredictor();
            _predictor.Probabilities = false;
            int[] sizes = Doubling(batch);
            _batches = new PredictionBatch[sizes.Length];
            for (int i = 0; i < sizes.Length; i++)
                _batches[i] = _predictor.CreateBatch(sizes[i]);
            _answers = new Prediction[batch * k];
            _counts = new int[batch];
        }

        public int QueryCount => _queries.Count;

        /// <summary>Answers for some time, a batch at least; returns queries per second.</summary>
        public double Answer(Setting setting, int first, TimeSpan time)
        {
            _predictor.Mode = setting.Mode;
            PredictionBatch batch = Array.Find(_batches, b => b.Capacity == setting.Batch)!;
            long start = Stopwatch.GetTimestamp(), end = start + (long)(time.TotalSeconds * Stopwatch.Frequency), now;
            long answered = 0;
            int query = first;
            do
            {
                // Time is read once in some batches: reading it costs as much as a query's stage.
                for (int i = 0; i < Math.Max(1, 16 / setting.Batch); i++)
                {
                    for (int slot = 0; slot < setting.Batch; slot++)
                    {
                        Load(batch, query);
                        query = query + 1 == QueryCount ? 0 : query + 1;
                    }
                    batch.Predict(_k, _answers, _counts);
                    answered += setting.Batch;
                }
                now = Stopwatch.GetTimestamp();
            }
            while (now < end);
            return answered * (double)Stopwatch.Frequency / (now - start);
        }

        public uint Crc(PredictionMode mode)
        {
            _predictor.Mode = mode;
            PredictionBatch batch = _batches[^1];
            uint crc = ~0u;
            for (int query = 0; query < QueryCount;)
            {
                int count = 0;
                for (; count < batch.Capacity && query < QueryCount; count++)
                    Load(batch, query++);
                batch.Predict(_k, _answers, _counts);
                for (int i = 0; i < count; i++)
                    crc = AnswerCrc.Append(crc, _answers.AsSpan(i * _k, Math.Max(0, _counts[i])));
            }
            return ~crc;
        }

        public void Dispose()
        {
            foreach (PredictionBatch batch in _batches)
                batch.Dispose();
            _predictor.Dispose();
        }

        private void Load(PredictionBatch batch, int query)
        {
            _queries.Load(query, batch.Next);
            batch.Take();
        }
    }
}

/// <summary>A checksum by which answers are compared.</summary>
internal static class AnswerCrc
{
    public static uint Append(uint crc, ReadOnlySpan<Prediction> answers)
    {
        foreach (ref readonly Prediction answer in answers)
        {
            ulong bits = (ulong)(uint)answer.Label << 32 | BitConverter.SingleToUInt32Bits(answer.Logit);
            crc = Crc32C.Append(crc, MemoryMarshal.AsBytes(new ReadOnlySpan<ulong>(in bits)));
        }
        return crc;
    }
}
