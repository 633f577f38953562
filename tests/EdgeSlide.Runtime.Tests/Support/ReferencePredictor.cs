using System.Numerics;
using EdgeSlide.Kernels;
using EdgeSlide.Model;

namespace EdgeSlide.Runtime.Tests.Support;

/// <summary>One answer of the reference; the probability is computed in double precision.</summary>
internal readonly record struct ReferenceAnswer(int Label, float Logit, float Score, double Probability);

/// <summary>
/// The forward pass written plainly from the arrays, one neuron and one number at a time: no kernels, no padding, no
/// ballot, no model file. Only the elementary functions are shared with the runtime; they have tests of their own.
/// </summary>
internal static class ReferencePredictor
{
    /// <summary>All evaluated neurons, best first.</summary>
    public static List<ReferenceAnswer> Predict(TestNetwork network, IReadOnlyList<(int Id, float Value)> features, PredictionMode mode)
    {
        float[] x = new float[(int)network.Featurizer.FeatureCount];
        foreach ((int id, float value) in features)
            x[id] = value;
        for (int i = 0; i < network.Layers.Count - 1; i++)
        {
            TestLayer layer = network.Layers[i];
            float[] y = new float[layer.Outputs];
            if (layer.Order == RowOrder.FeatureMajor)
            {
                AddRows(layer, features, y);
            }
            else
            {
                (int[] neurons, _) = Evaluated(layer, features, x, mode);
                foreach ((int neuron, float logit) in neurons.Zip(Logits(layer, x, neurons)))
                    y[neuron] = logit;
            }
            x = [.. y.Select(v => layer.Activation switch
            {
                LayerActivation.Relu => v > 0f ? v : 0f,
                LayerActivation.Sigmoid => 1f / (1f + StableMath.Exp(-v)),
                _ => v,
            })];
        }

        TestLayer output = network.Output;
        (int[] candidates, float[]? votes) = Evaluated(output, features, x, mode);
        float[] logits = Logits(output, x, candidates);
        float blend = votes is null ? 0f : output.Selector!.Blend;
        float[] scores = [.. logits.Select((l, i) => blend > 0f ? l + blend * StableMath.Log2(votes![i]) : l)];
        double temperature = 1, rest = 0, max = scores.Max();
        Func<double, double> curve = share => share;
        if (network.Calibration is { } calibration)
        {
            CalibrationHeader c = calibration.Header;
            (double slope, double offset) = votes is null ? (c.DenseSlope, c.DenseOffset) : (c.LshSlope, c.LshOffset);
            curve = share => 1 / (1 + Math.Exp(-(slope * Math.Log(Math.Clamp(share, 1e-6, 1 - 1e-6) / (1 - Math.Clamp(share, 1e-6, 1 - 1e-6))) + offset)));
            if (votes is not null)
            {
                temperature = c.InverseTemperature;
                (int Neuron, float LogWeight)[] others = [.. calibration.Samples.Where(s => !candidates.Contains(s.Neuron))];
                float[] sampled = Logits(output, x, [.. others.Select(o => o.Neuron)]);
                rest = others.Zip(sampled, (o, logit) => Math.Exp((logit * temperature) + o.LogWeight - (max * temperature))).Sum();
            }
        }
        double sum = rest + scores.Sum(s => Math.Exp((s - max) * temperature));
        return [.. Enumerable.Range(0, candidates.Length)
            .Select(i => new ReferenceAnswer(candidates[i], logits[i], scores[i], output.Activation switch
            {
                LayerActivation.Softmax => curve(Math.Exp((scores[i] - max) * temperature) / sum),
                LayerActivation.Sigmoid => 1 / (1 + Math.Exp(-(double)logits[i])),
                _ => double.NaN,
            }))
            .OrderByDescending(a => a.Score).ThenBy(a => a.Label)
            .Select(a => a with { Label = network.LabelMap?[a.Label] ?? a.Label })];
    }

    /// <summary>Which neurons a layer evaluates, in ascending order, and their votes; null votes where it evaluates all.</summary>
    private static (int[] Neurons, float[]? Votes) Evaluated(TestLayer layer, IReadOnlyList<(int Id, float Value)> features, float[] x, PredictionMode mode)
    {
        bool select = layer.Selector is { } s && (mode == PredictionMode.Lsh || (mode == PredictionMode.Auto && s.Pays));
        var votes = new SortedDictionary<int, float>();
        if (select)
        {
            // In the runtime's order: all feature sources, then all SimHash sources; floats add up in that order.
            foreach (TestSource source in layer.Selector!.Sources.Where(s => s.Record.Kind == SourceKind.Features))
            {
                foreach ((int id, float value) in features.OrderBy(f => f.Id))
                    Vote(source, id, MathF.Abs(value));
            }
            foreach (TestSource source in layer.Selector.Sources.Where(s => s.Record.Kind == SourceKind.SimHash))
            {
                foreach (int key in Keys(source, layer.Inputs, x))
                    Vote(source, key, 1f);
            }
        }
        if (votes.Count == 0)
            return ([.. Enumerable.Range(0, layer.Outputs)], null);
        KeyValuePair<int, float>[] elected = [.. votes.OrderByDescending(v => v.Value).ThenBy(v => v.Key).Take(layer.Selector!.Budget).OrderBy(v => v.Key)];
        return ([.. elected.Select(e => e.Key)], [.. elected.Select(e => e.Value)]);

        void Vote(TestSource source, int key, float weight)
        {
            foreach ((int id, byte stored) in source.Buckets[key])
            {
                float vote = weight * (source.Record.VoteScale * source.Record.Weight * (stored * stored / 65025f));
                if (vote > 0f)
                    votes[id] = votes.GetValueOrDefault(id) + vote;
            }
        }
    }

    /// <summary>The SimHash keys of a vector, by naive Walsh-Hadamard matrices in double precision.</summary>
    public static int[] Keys(TestSource source, int inputs, float[] x)
    {
        int tables = (int)source.Record.Tables, bits = (int)source.Record.Bits;
        int d = Math.Max(64, (int)BitOperations.RoundUpToPowerOf2((uint)inputs));
        var signs = new List<bool>();
        for (int round = 0; round < (int)source.Record.Rounds; round++)
        {
            var v = new double[d];
            for (int i = 0; i < d; i++)
                v[i] = ((i < inputs ? x[i] : 0f) - source.Planes![i]) * source.Planes[d + 2 * round * d + i];
            v = NaiveHadamard(v);
            for (int i = 0; i < d; i++)
                v[i] *= source.Planes![d + (2 * round + 1) * d + i];
            signs.AddRange(NaiveHadamard(v).Select(p => p > 0));
        }
        return [.. Enumerable.Range(0, tables).Select(t => t << bits | signs.Skip(t * bits).Take(bits).Aggregate(0, (code, bit) => code << 1 | (bit ? 1 : 0)))];
    }

    public static double[] NaiveHadamard(double[] x)
    {
        var y = new double[x.Length];
        for (int i = 0; i < y.Length; i++)
        {
            for (int j = 0; j < x.Length; j++)
                y[i] += (BitOperations.PopCount((uint)(i & j)) & 1) == 0 ? x[j] : -x[j];
        }
        return y;
    }

    private static float[] Logits(TestLayer layer, float[] x, int[] neurons)
    {
        float max = x.Max(MathF.Abs);
        int[] q = [.. x.Select(v => max > 1e-30f ? (int)MathF.Round(v * (127f / max), MidpointRounding.ToEven) : 0)];
        float step = max > 1e-30f ? max / 127f : 0f;
        return [.. neurons.Select(n =>
        {
            if (layer.Format == WeightFormat.Fp16)
                return DotInLanes([.. Enumerable.Range(0, layer.Stride).Select(i => i < x.Length ? x[i] * Half(layer, n, i) : 0f)]) * layer.Scales[n] + layer.Bias[n];
            int dot = 0;
            for (int i = 0; i < layer.Inputs; i++)
                dot += q[i] * layer.Rows[n * layer.Stride + i];
            return dot * (layer.Scales[n] * step) + layer.Bias[n];
        })];
    }

    private static float Half(TestLayer layer, int row, int i) => (float)BitConverter.Int16BitsToHalf(layer.Rows[row * layer.Stride + i]);

    /// <summary>Element 8 i + l of the products goes to lane l.</summary>
    private static float DotInLanes(float[] products)
    {
        var lanes = new float[8];
        for (int i = 0; i < products.Length; i++)
            lanes[i % 8] += products[i];
        return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
    }

    private static void AddRows(TestLayer layer, IReadOnlyList<(int Id, float Value)> features, float[] y)
    {
        if (layer.Format == WeightFormat.Fp16)
        {
            for (int j = 0; j < layer.Outputs; j++)
            {
                foreach ((int id, float value) in features)
                    y[j] += Half(layer, id, j) * (value * layer.Scales[id]);
                y[j] += layer.Bias[j];
            }
            return;
        }
        float max = features.Max(f => MathF.Abs(f.Value * layer.Scales[f.Id]));
        if (!(max > 1e-30f))
        {
            layer.Bias.CopyTo(y, 0);
            return;
        }
        int limit = Math.Min(32767, int.MaxValue / 127 / features.Count);
        for (int j = 0; j < layer.Outputs; j++)
        {
            long sum = 0;
            foreach ((int id, float value) in features)
                sum += (long)MathF.Round(value * layer.Scales[id] * (limit / max), MidpointRounding.ToEven) * layer.Rows[id * layer.Stride + j];
            y[j] = sum * (max / limit) + layer.Bias[j];
        }
    }
}
