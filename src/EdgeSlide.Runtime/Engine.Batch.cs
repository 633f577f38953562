using EdgeSlide.Hashing;
using EdgeSlide.Kernels;
using EdgeSlide.Layers;
using EdgeSlide.Model;

namespace EdgeSlide;

/// <summary>
/// Several queries at a time. Queries that select neurons pass through a pipeline of stages, each of which asks for the memory
/// that the next one reads, so that the cache misses of neighbouring queries overlap. The others read each block of the output
/// layer's rows once for all of them.
/// </summary>
internal sealed unsafe partial class Engine<TKernel>
{
    public override BatchState CreateBatch(int capacity) => new(_layout, capacity, TKernel.Lanes, Block);

    public override void RunBatch(BatchState batch, int count, PredictionMode mode, bool probabilities, int k, Span<Prediction> answers, Span<int> counts)
    {
        int pending = 0;
        for (int i = 0; i < count; i++)
        {
            counts[i] = 0;
            batch.Queries[i].Begin();
            batch.Queries[i].Cost = default;
            if (batch.Queries[i].Features.Count > 0)
                batch.Pending[pending++] = i;
        }
        pending = Pipeline(batch, pending, mode, probabilities, k, answers, counts);
        if (pending > 0)
            DenseTogether(batch, pending, probabilities, k, answers, counts);
        for (int i = 0; i < count && _layout.LabelMap is { } map; i++)
            map.Translate(answers.Slice(i * k, counts[i]));
    }

    /// <summary>Brings the pending queries to the output layer and answers those that elect neurons; returns how many are left.</summary>
    private int Pipeline(BatchState batch, int pending, PredictionMode mode, bool probabilities, int k, Span<Prediction> answers, Span<int> counts)
    {
        const int Stages = 5;
        bool select = Selects(_layout.Output, mode);
        Ballot? ballot = select ? _ballots[^1] : null;
        int left = 0;
        for (int step = 0; step < pending + Stages - 1; step++)
        {
            if (At(step, out QueryState query, out _))
                ballot?.PrefetchOffsets(query.Features);
            if (At(step - 1, out query, out _))
                ballot?.PrefetchBuckets(query.Features);
            if (At(step - 2, out query, out _))
            {
                _layout.SparseInput?.PrefetchRows(query.Features);
                if (select && _electsEarly)
                    VoteByFeatures(query);
            }
            if (At(step - 3, out query, out _))
            {
                // A vote that waits for the hidden vector is held in one piece: there is one ballot.
                if (select && !_electsEarly)
                    VoteByFeatures(query);
                Forward(query, mode);
                if (select && query.Elected < 0)
                    ElectByHidden(query);
            }
            if (At(step - 4, out query, out int i))
            {
                if (query.Elected > 0)
                {
                    counts[i] = Selected(query, probabilities, answers.Slice(i * k, k));
                    Count(query);
                }
                else
                {
                    // Never ahead of what is still to be read.
                    batch.Pending[left++] = i;
                }
            }
        }
        return left;

        bool At(int place, out QueryState query, out int index)
        {
            bool any = (uint)place < (uint)pending;
            index = any ? batch.Pending[place] : 0;
            query = batch.Queries[index];
            return any;
        }
    }

    /// <summary>Evaluates the output layer for the pending queries, block by block.</summary>
    private void DenseTogether(BatchState batch, int pending, bool probabilities, int k, Span<Prediction> answers, Span<int> counts)
    {
        NeuronLayer output = _layout.Output;
        ReadOnlySpan<int> queries = batch.Pending.AsSpan(0, pending);
        QuantizedVectors inputs = batch.Inputs;
        inputs.Clear();
        foreach (int i in queries)
            inputs.Add(batch.Queries[i].Vector.Pointer);
        inputs.Interleave();
        batch.Sums.AsSpan(0, pending).Fill(new RunningSum());
        bool needSum = probabilities && output.Activation == LayerActivation.Softmax;
        for (int first = 0; first < output.Outputs; first += Block)
        {
            int neurons = Math.Min(Block, output.Outputs - first);
            for (int tile = 0; tile < pending; tile += BatchState.Tile)
            {
                int vectors = Math.Min(BatchState.Tile, pending - tile);
                output.Logits<TKernel>(inputs, tile, vectors, first, neurons, batch.Logits.Pointer, Block);
                for (int v = 0; v < vectors; v++)
                {
                    int i = queries[tile + v];
                    float* logits = batch.Logits.Pointer + v * Block;
                    var best = new TopK(answers.Slice(i * k, k), counts[i]);
                    best.OfferAll(first, logits, neurons);
                    counts[i] = best.Count;
                    if (needSum)
                        batch.Sums[tile + v].Add(logits, neurons, best.Max);
                }
            }
        }
        for (int v = 0; v < pending; v++)
        {
            int i = queries[v];
            QueryState query = batch.Queries[i];
            query.Multiplications += (long)output.Outputs * output.Inputs;
            query.Bytes += output.Outputs * output.BytesPerNeuron;
            Count(query);
            if (!probabilities || counts[i] == 0)
                continue;
            var best = new TopK(answers.Slice(i * k, k), counts[i]);
            best.SetProbabilities(output.Activation, 1f, best.Max, 1f / batch.Sums[v].Value, _layout.Calibration?.Dense);
        }
    }
}
