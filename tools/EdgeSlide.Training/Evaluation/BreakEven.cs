using System.Diagnostics;
using EdgeSlide.Kernels;
using EdgeSlide.Layers;
using EdgeSlide.Training.Data;

namespace EdgeSlide.Training.Evaluation;

/// <summary>What a query costs with hashing and densely on this machine, and where the two would meet.</summary>
/// <param name="LshNanoseconds">Median with hashing.</param>
/// <param name="DenseNanoseconds">Median densely.</param>
/// <param name="FixedNanoseconds">Of the dense median, what the layers before the output take.</param>
/// <param name="NeuronNanoseconds">One output neuron, its row in a near cache, as in a layer at the break-even.</param>
internal sealed record BreakEven(double LshNanoseconds, double DenseNanoseconds, double FixedNanoseconds, double NeuronNanoseconds)
{
    /// <summary>As many as a median needs.</summary>
    public const int Queries = 400;

    private const int Slice = 1024;
    private const int SliceRounds = 200;

    public bool HashingPays => LshNanoseconds < DenseNanoseconds;

    /// <summary>With this many output neurons the dense network would take as long as hashing does with these tables.</summary>
    public int Width => (int)Math.Clamp((LshNanoseconds - FixedNanoseconds) / Math.Max(NeuronNanoseconds, 1e-3), 1, int.MaxValue);

    /// <param name="model">The model.</param>
    /// <param name="data">Queries.</param>
    /// <param name="denseQueries">At most so many of them are answered densely, which takes milliseconds where the layer is very wide.</param>
    public static BreakEven Measure(EdgeSlideModel model, Dataset data, int denseQueries = Queries)
    {
        (double lsh, double dense) = PredictorEvaluator.MeasureTimes(model, data, Queries, denseQueries: denseQueries);
        using Predictor predictor = model.CreatePredictor();
        predictor.Probabilities = false;
        predictor.Mode = PredictionMode.Dense;
        var top = new Prediction[Math.Min(5, model.LabelCount)];
        int rows = Math.Min(Math.Min(denseQueries, 100), data.RowCount);
        var profile = new StageProfile(rows);
        for (int row = 0; row < rows; row++)
        {
            PredictorEvaluator.Load(data, row, predictor.Engine.Features);
            predictor.Engine.Profile = profile;
            predictor.Run(top);
            predictor.Engine.Profile = null;
        }
        double before = profile.Nanoseconds(Stage.InputLayer) + profile.Nanoseconds(Stage.Hidden);
        double neuron = KernelSelector.Dispatch(predictor.Kernel, new SliceTimer(model.Layout.Output, predictor.Engine.OutputLayerInput.ToArray()));
        return new BreakEven(lsh, dense, before, neuron);
    }

    /// <summary>Times the first neurons again and again, so that they stay in the cache as a narrow layer does.</summary>
    private sealed unsafe class SliceTimer(NeuronLayer layer, float[] input) : IKernelVisitor<double>
    {
        public double Visit<TKernel>() where TKernel : struct, IKernel
        {
            int count = Math.Min(Slice, layer.Outputs);
            using var x = new NativeBuffer<float>(layer.Stride);
            using var prepared = new NativeBuffer<sbyte>(sizeof(float) * layer.Stride);
            using var logits = new NativeBuffer<float>(count);
            input.CopyTo(x.Span);
            float scale = layer.Prepare(x.Pointer, prepared.Pointer);
            var top = new Prediction[Math.Min(5, count)];
            var ticks = new long[SliceRounds];
            for (int round = -10; round < SliceRounds; round++)
            {
                long start = Stopwatch.GetTimestamp();
                var best = new TopK(top);
                layer.Logits<TKernel>(prepared.Pointer, scale, 0, count, logits.Pointer);
                best.OfferAll(0, logits.Pointer, count);
                if (round >= 0)
                    ticks[round] = Stopwatch.GetTimestamp() - start;
            }
            Array.Sort(ticks);
            return ticks[SliceRounds / 2] * 1e9 / Stopwatch.Frequency / count;
        }
    }
}
