using EdgeSlide.Training.Training;

namespace EdgeSlide.Training.Slide;

/// <summary>One thread's working memory for a network.</summary>
internal sealed unsafe class SlideState : IDisposable
{
    public SlideState(IReadOnlyList<SlideLayer> layers) => Layers = [.. layers.Select(layer => new LayerState(layer))];

    public LayerState[] Layers { get; }

    /// <summary>Multiply-adds of forward passes.</summary>
    public long Products { get; set; }

    /// <summary>Multiply-adds of gradients, and of passing errors on to the layer below.</summary>
    public long BackwardProducts { get; set; }

    public double Loss { get; set; }

    public long Active { get; set; }

    public void Dispose()
    {
        foreach (LayerState layer in Layers)
            layer.Dispose();
    }

    /// <summary>The active neurons of one layer for the current row, and buffers to find them.</summary>
    internal sealed class LayerState : IDisposable
    {
        private readonly NativeArray<float> _floats;
        private readonly NativeArray<int> _ints;

        public LayerState(SlideLayer layer)
        {
            int padded = VectorMath.Pad(layer.Outputs), query = layer.Inputs + 2, tables = layer.Tables?.Tables ?? layer.Votes?.Keys.Tables ?? 0;
            _floats = new NativeArray<float>((3L * padded) + query + (layer.Family?.ScratchLength ?? 0) + 16);
            _ints = new NativeArray<int>(padded + query + (layer.Family?.Codes ?? 0) + tables);
            Values = _floats.Items;
            Deltas = Values + padded;
            Keep = Deltas + padded;
            Query = Keep + padded;
            Scratch = Query + query + 8;
            Ids = _ints.Items;
            QueryIds = Ids + padded;
            Codes = QueryIds + query;
            Keys = Codes + (layer.Family?.Codes ?? 0);
            Sorted = layer.Mode is ActiveMode.WinnerTakeAll or ActiveMode.Lsh or ActiveMode.Votes ? new float[layer.Outputs] : [];
            InputSum = layer.Votes is null ? [] : new double[layer.Inputs];
            if (layer.Tables is not null)
                Sampler = new NeuronSampler(layer.Outputs, tables);
            if (layer.Votes is not null)
                Voter = new VoteSampler(layer.Outputs, layer.Votes.Slots);
        }

        public int* Ids { get; }

        public float* Values { get; }

        public float* Deltas { get; }

        /// <summary>The factor of each active neuron's activation (dropout at test time), else 1.</summary>
        public float* Keep { get; }

        public float* Query { get; }

        public int* QueryIds { get; }

        public float* Scratch { get; }

        public int* Codes { get; }

        public int* Keys { get; }

        public float[] Sorted { get; }

        public NeuronSampler? Sampler { get; }

        public VoteSampler? Voter { get; }

        /// <summary>Sum of the inputs of the last <see cref="InputRows"/> training rows.</summary>
        public double[] InputSum { get; }

        public long InputRows { get; set; }

        /// <summary>Active neurons of the row.</summary>
        public int Count { get; set; }

        /// <summary>Every neuron is active, in order: loops may run over whole vectors.</summary>
        public bool Whole { get; set; }

        /// <summary>Operations of hashing and of reading buckets.</summary>
        public long Hashing { get; set; }

        public void ForgetInputs()
        {
            Array.Clear(InputSum);
            InputRows = 0;
        }

        public void Dispose()
        {
            _floats.Dispose();
            _ints.Dispose();
        }
    }
}
