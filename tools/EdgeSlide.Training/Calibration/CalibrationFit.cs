using System.Runtime.InteropServices;
using EdgeSlide.Calibration;
using EdgeSlide.Kernels;
using EdgeSlide.Layers;
using EdgeSlide.Model;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;

namespace EdgeSlide.Training.Calibration;

/// <summary>What goes into the CALI section.</summary>
internal record StoredCalibration(CalibrationHeader Header, int[] Neurons, float[] LogWeights);

/// <summary>A calibration, and how good it was on the rows it was fitted to.</summary>
/// <param name="LogPartitionError">Mean |ln of the estimated softmax sum - ln of the full one|, of the network's own logits.</param>
/// <param name="LogPartitionErrorWithout">The same if the sum over the candidates alone is taken for the whole.</param>
internal sealed record FittedCalibration(CalibrationHeader Header, int[] Neurons, float[] LogWeights,
    double LogPartitionError, double LogPartitionErrorWithout, double EceDense, double EceLsh) : StoredCalibration(Header, Neurons, LogWeights);

/// <summary>
/// Fits the calibration of an output layer on held-out rows. The sample of neurons is drawn by systematic Poisson sampling:
/// inclusion chances proportional to the root mean square of a neuron's share of the softmax when it is no candidate (which
/// minimizes the variance of the Horvitz-Thompson sum), and never below a share that keeps every weight bounded.
/// </summary>
internal static class CalibrationFit
{
    private const int ProfileRows = 2000;
    private const int FitRows = 20_000;

    // Sums over rows are made of so many parts, whatever the number of threads, so that the same rows draw the same sample.
    private const int Stripes = 8;

    // Part of the inclusion chances that is the same for all neurons: what the profile did not see may still come.
    private const double Uniform = 0.1;

    /// <param name="model">An opened model whose output is a softmax with a selector.</param>
    /// <param name="held">Featurized rows with true labels that neither the network nor the tables have seen.</param>
    /// <param name="samples">Neurons to sample.</param>
    /// <returns>Null if no held-out row has both features and labels.</returns>
    public static FittedCalibration? Fit(EdgeSlideModel model, Dataset held, int samples, int seed, CancellationToken cancel)
    {
        NeuronLayer output = model.Layout.Output;
        List<Row> rows = Collect(model, held, cancel);
        if (rows.Count == 0)
            return null;

        int profiled = Math.Min(ProfileRows, rows.Count);
        // Profile on every n-th row, so that the rows stand for all.
        int step = rows.Count / profiled;
        var options = new ParallelOptions { CancellationToken = cancel };
        double[] errorWithout = new double[profiled], error = new double[profiled];
        double[][] powers = new double[Math.Min(Stripes, profiled)][];
        Parallel.For(0, powers.Length, options, stripe =>
        {
            double[] own = powers[stripe] = new double[output.Outputs];
            float[] logits = new float[output.Outputs];
            for (int i = stripe; i < profiled; i += powers.Length)
            {
                cancel.ThrowIfCancellationRequested();
                Row row = rows[i * step];
                AllLogits(output, row.Hidden, logits);
                double logZ = LogSum(logits);
                foreach (int candidate in row.Candidates)
                    logits[candidate] = float.NegativeInfinity;
                for (int n = 0; n < logits.Length; n++)
                {
                    double share = Math.Exp(logits[n] - logZ);
                    own[n] += share * share;
                }
                errorWithout[i] = logZ - LogSum(row.Logits);
            }
        });
        double[] power = powers[0];
        foreach (double[] other in powers.AsSpan(1))
        {
            for (int n = 0; n < power.Length; n++)
                power[n] += other[n];
        }
        (int[] neurons, float[] logWeights) = Draw(power, samples, seed);

        Parallel.For(0, profiled, options, () => new float[output.Outputs], (i, _, all) =>
        {
            // Measured on other rows than those that chose the sample where there are any.
            Row row = rows[Math.Min(rows.Count - 1, (i * step) + (step / 2))];
            AllLogits(output, row.Hidden, all);
            double rest = LogSum(Sampled(output, row, neurons), logWeights, 1);
            error[i] = Math.Abs(LogAdd(LogSum(row.Logits), rest) - LogSum(all));
            return all;
        }, _ => { });

        Parallel.ForEach(rows, options, row => row.Sampled = Sampled(output, row, neurons));
        (double restFactor, double inverseTemperature, PlattFit lsh) = FitLsh(rows, logWeights);
        PlattFit dense = PlattFit.Of(rows.ConvertAll(r => (r.DenseShare, r.DenseCorrect)));
        for (int i = 0; i < logWeights.Length; i++)
            logWeights[i] = Math.Clamp((float)(logWeights[i] + restFactor), -100f, 100f);
        return new FittedCalibration(new CalibrationHeader
        {
            SampleCount = (uint)neurons.Length,
            LshSlope = (float)lsh.Slope,
            LshOffset = (float)lsh.Offset,
            InverseTemperature = (float)inverseTemperature,
            DenseSlope = (float)dense.Slope,
            DenseOffset = (float)dense.Offset,
        }, neurons, logWeights, error.Average(), errorWithout.Average(), dense.Ece, lsh.Ece);
    }

    /// <summary>Neurons to sample by default: one in a hundred, as many as the estimate may cost.</summary>
    public static int DefaultSamples(int outputs) => Math.Clamp(outputs / 100, Math.Min(32, outputs), 1024);

    /// <summary>One held-out row: what each way to answer found and whether its first answer is right.</summary>
    private sealed class Row
    {
        public required float[] Hidden { get; init; }
        public required int[] Candidates { get; init; }
        /// <summary>[candidates] logits, and what they are ranked by.</summary>
        public required float[] Logits { get; init; }
        public required float[] Scores { get; init; }
        public required bool LshCorrect { get; init; }
        public required double DenseShare { get; init; }
        public required bool DenseCorrect { get; init; }
        /// <summary>[samples] logits; minus infinity where the neuron is a candidate.</summary>
        public float[] Sampled { get; set; } = [];
    }

    private static List<Row> Collect(EdgeSlideModel model, Dataset held, CancellationToken cancel)
    {
        int limit = Math.Min(FitRows, held.RowCount);
        var found = new Row?[limit];
        int budget = model.Layout.Output.Selector!.Budget;
        int[]? neurons = model.Layout.LabelMap?.Neurons();
        Parallel.For(0, limit, new ParallelOptions { CancellationToken = cancel }, () => (Predictor: model.CreatePredictor(), Top: new Prediction[budget]), (i, _, local) =>
        {
            ReadOnlySpan<int> labels = held.RowLabels(i);
            PredictorEvaluator.Load(held, i, local.Predictor.Engine.Features);
            if (labels.IsEmpty || local.Predictor.Engine.Features.Count == 0)
                return local;
            local.Predictor.Mode = PredictionMode.Dense;
            local.Predictor.Probabilities = true;
            local.Predictor.Run(local.Top.AsSpan(0, 1));
            Prediction dense = local.Top[0];
            local.Predictor.Mode = PredictionMode.Lsh;
            local.Predictor.Probabilities = false;
            int count = local.Predictor.Run(local.Top);
            if (local.Predictor.Cost.ActiveNeurons == model.LabelCount)
                return local;
            found[i] = new Row
            {
                Hidden = local.Predictor.Engine.OutputLayerInput.ToArray(),
                Candidates = [.. local.Top.Take(count).Select(p => neurons?[p.Label] ?? p.Label)],
                Logits = [.. local.Top.Take(count).Select(p => p.Logit)],
                Scores = [.. local.Top.Take(count).Select(p => p.Score)],
                LshCorrect = labels.Contains(local.Top[0].Label),
                DenseShare = dense.Probability,
                DenseCorrect = labels.Contains(dense.Label),
            };
            return local;
        }, local => local.Predictor.Dispose());
        return [.. found.OfType<Row>()];
    }

    private static (int[] Neurons, float[] LogWeights) Draw(double[] power, int samples, int seed)
    {
        int n = power.Length;
        samples = Math.Min(samples, n);
        double[] chance = new double[n];
        double sum = 0;
        for (int i = 0; i < n; i++)
            sum += chance[i] = Math.Sqrt(power[i]);
        for (int i = 0; i < n; i++)
            chance[i] = (sum > 0 ? (1 - Uniform) * chance[i] / sum : 0) + ((sum > 0 ? Uniform : 1) / n);
        // The factor that makes the chances, none above 1, add up to the number of samples.
        double low = 0, high = n / Uniform;
        for (int i = 0; i < 100; i++)
        {
            double middle = (low + high) / 2, expected = 0;
            foreach (double c in chance)
                expected += Math.Min(1, middle * c);
            if (expected < samples)
                low = middle;
            else
                high = middle;
        }
        var neurons = new List<int>(samples);
        var logWeights = new List<float>(samples);
        double threshold = (new Xoshiro256((ulong)seed).Next() >> 11) * (1.0 / (1L << 53)), cumulative = 0;
        for (int i = 0; i < n && neurons.Count < OutputCalibration.MaxSamples; i++)
        {
            double c = Math.Min(1, high * chance[i]);
            cumulative += c;
            if (cumulative > threshold)
            {
                neurons.Add(i);
                logWeights.Add((float)-Math.Log(c));
                threshold += 1;
            }
        }
        return ([.. neurons], [.. logWeights]);
    }

    private static float[] Sampled(NeuronLayer output, Row row, int[] neurons)
    {
        float[] logits = new float[neurons.Length];
        Logits(output, row.Hidden, neurons, logits);
        for (int i = 0; i < neurons.Length; i++)
        {
            if (Array.IndexOf(row.Candidates, neurons[i]) >= 0)
                logits[i] = float.NegativeInfinity;
        }
        return logits;
    }

    /// <summary>
    /// Scores of candidates hold votes, logits of the rest do not, and votes make scores steeper than logits. The factor between
    /// the two sums and the temperature with which the first answers' shares tell right from wrong best.
    /// </summary>
    private static (double LogFactor, double InverseTemperature, PlattFit Curve) FitLsh(List<Row> rows, float[] logWeights)
    {
        (double Factor, double Temperature) best = (0, 1);
        PlattFit? fit = null;
        foreach (double inverse in new[] { 1, 0.7, 0.5, 0.35, 0.25, 0.18, 0.125, 0.09, 0.0625 })
        {
            double[] first = new double[rows.Count], rest = new double[rows.Count];
            Parallel.For(0, rows.Count, i =>
            {
                first[i] = LogSum(rows[i].Scores, null, inverse);
                rest[i] = LogSum(rows[i].Sampled, logWeights, inverse);
            });
            for (double factor = -12; factor <= 4; factor += 1)
            {
                var shares = new List<(double, bool)>(rows.Count);
                for (int i = 0; i < first.Length; i++)
                    shares.Add((Math.Exp((rows[i].Scores[0] * inverse) - LogAdd(first[i], rest[i] + factor)), rows[i].LshCorrect));
                PlattFit curve = PlattFit.Of(shares);
                if (fit is null || curve.LogLoss < fit.LogLoss - 1e-9)
                    (best, fit) = ((factor, inverse), curve);
            }
        }
        return (best.Factor, best.Temperature, fit!);
    }

    private static unsafe void AllLogits(NeuronLayer output, float[] hidden, float[] logits)
    {
        fixed (sbyte* x = Prepared(output, hidden, out float scale))
        fixed (float* y = logits)
            output.Logits<Vector256Kernel>(x, scale, 0, output.Outputs, y);
    }

    private static unsafe void Logits(NeuronLayer output, float[] hidden, int[] neurons, float[] logits)
    {
        fixed (sbyte* x = Prepared(output, hidden, out float scale))
        fixed (float* y = logits)
        fixed (int* ids = neurons)
            output.Logits<Vector256Kernel>(x, scale, ids, neurons.Length, y);
    }

    private static unsafe sbyte[] Prepared(NeuronLayer output, float[] hidden, out float scale)
    {
        // Kernels load whole registers from aligned or unaligned memory alike; the stride is a multiple of them.
        float[] padded = new float[output.Stride];
        hidden.CopyTo(padded, 0);
        sbyte[] prepared = new sbyte[sizeof(float) * output.Stride];
        fixed (float* x = padded)
        fixed (sbyte* p = prepared)
            scale = output.Prepare(x, p);
        return prepared;
    }

    private static double LogSum(float[] x) => LogSum(x, null, 1);

    /// <summary>ln of the sum of e^(x * inverse temperature + weight).</summary>
    private static double LogSum(float[] x, float[]? logWeights, double inverseTemperature)
    {
        double max = double.NegativeInfinity, sum = 0;
        for (int i = 0; i < x.Length; i++)
            max = Math.Max(max, (x[i] * inverseTemperature) + (logWeights?[i] ?? 0));
        if (double.IsNegativeInfinity(max))
            return max;
        for (int i = 0; i < x.Length; i++)
            sum += Math.Exp((x[i] * inverseTemperature) + (logWeights?[i] ?? 0) - max);
        return max + Math.Log(sum);
    }

    private static double LogAdd(double a, double b)
    {
        double max = Math.Max(a, b);
        return double.IsNegativeInfinity(max) ? max : max + Math.Log(Math.Exp(a - max) + Math.Exp(b - max));
    }
}
