using EdgeSlide.Kernels;
using EdgeSlide.Model;

namespace EdgeSlide.Calibration;

/// <summary>
/// Turns scores into probabilities of being right (docs/model-format.md, section 8.3). After selection the softmax's sum lacks
/// the neurons that were not evaluated; a fixed sample of them, drawn with more chance the more they add to the sum and weighed
/// by the inverse of that chance, stands for the rest: the estimate of the partition function from LSH samples (1703.05160),
/// with the drawing done when the model was built. A logistic curve fitted on held-out rows (Platt 1999) then maps shares to
/// probabilities. Immutable.
/// </summary>
internal sealed class OutputCalibration
{
    public const int MaxSamples = 4096;

    // A share this close to 0 or 1 says no more than this.
    private const float Margin = 1e-6f;
    private const float LargestParameter = 100f;

    private OutputCalibration(LogisticCurve lsh, LogisticCurve dense, float inverseTemperature, int[] neurons, float[] logWeights)
    {
        Lsh = lsh;
        Dense = dense;
        InverseTemperature = inverseTemperature;
        Neurons = neurons;
        LogWeights = logWeights;
    }

    /// <summary>For answers after selection.</summary>
    public LogisticCurve Lsh { get; }

    /// <summary>For answers from all neurons.</summary>
    public LogisticCurve Dense { get; }

    /// <summary>After selection, scores and sampled logits are multiplied by this first.</summary>
    public float InverseTemperature { get; }

    /// <summary>[samples] ascending; pinned, so that kernels can take its address.</summary>
    public int[] Neurons { get; }

    /// <summary>[samples] added to a sampled neuron's logit, after the temperature.</summary>
    public float[] LogWeights { get; }

    public static unsafe OutputCalibration Load(ModelFile file, int layer, int outputs)
    {
        CalibrationHeader header = file.GetRecord<CalibrationHeader>(SectionKind.Calibration, layer, out ReadOnlySpan<byte> rest);
        if (header.SampleCount > MaxSamples || header.SampleCount > (uint)outputs || header.Reserved1 != 0 || header.Reserved2 != 0)
            throw file.Error(ModelError.BadCalibration, $"a calibration by {header.SampleCount} of {outputs} neurons is impossible");
        int count = (int)header.SampleCount;
        if (rest.Length != count * (sizeof(uint) + sizeof(float)))
            throw file.Error(ModelError.WrongSectionSize, $"section CALI[{layer}] has the wrong size");
        LogisticCurve lsh = new(header.LshSlope, header.LshOffset), dense = new(header.DenseSlope, header.DenseOffset);
        if (!lsh.IsUsable || !dense.IsUsable || !(header.InverseTemperature > 0f && header.InverseTemperature <= LargestParameter))
            throw file.Error(ModelError.BadNumber, "the calibration's curves are not usable");
        int[] neurons = GC.AllocateArray<int>(count, pinned: true);
        float[] logWeights = GC.AllocateArray<float>(count, pinned: true);
        System.Runtime.InteropServices.MemoryMarshal.Cast<byte, int>(rest[..(count * sizeof(uint))]).CopyTo(neurons);
        System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(rest[(count * sizeof(uint))..]).CopyTo(logWeights);
        for (int i = 0; i < count; i++)
        {
            if ((uint)neurons[i] >= (uint)outputs || (i > 0 && neurons[i] <= neurons[i - 1]))
                throw file.Error(ModelError.BadCalibration, $"sampled neuron {i} is impossible");
            if (!(MathF.Abs(logWeights[i]) <= LargestParameter))
                throw file.Error(ModelError.BadNumber, $"the weight of sampled neuron {i} is not a usable number");
        }
        return new OutputCalibration(lsh, dense, header.InverseTemperature, neurons, logWeights);
    }

    /// <summary>p = 1 / (1 + e^-(Slope z + Offset)) with z = ln(share / (1 - share)).</summary>
    internal readonly record struct LogisticCurve(float Slope, float Offset)
    {
        // Written so that NaN fails too. A curve that falls would turn the order of the answers round.
        public bool IsUsable => Slope is > 0f and <= LargestParameter && MathF.Abs(Offset) <= LargestParameter;

        public float Apply(float share)
        {
            share = MathF.Min(MathF.Max(share, Margin), 1f - Margin);
            float z = StableMath.Log2(share / (1f - share)) * 0.69314718f;
            return 1f / (1f + StableMath.Exp(-(Slope * z + Offset)));
        }
    }
}
