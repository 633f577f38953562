using EdgeSlide.Training.Networks;
using EdgeSlide.Training.Training;

namespace EdgeSlide.Training.Slide;

/// <summary>
/// A fully connected network in which every layer may choose its active neurons for each row: forward and backward
/// passes touch active inputs x active neurons only. Threads update shared weights without locks (Hogwild, Recht et al.
/// 2011): with few active neurons two rows rarely meet in one weight.
/// </summary>
internal sealed unsafe class SlideNetwork : IDisposable
{
    private readonly SlideLayer[] _layers;

    public SlideNetwork(int inputs, int outputs, double activeInputs, SlideOptions options)
    {
        options.Validate();
        int[] widths = [inputs, .. options.Hidden, outputs];
        _layers = new SlideLayer[widths.Length - 1];
        for (int i = 0; i < _layers.Length; i++)
        {
            _layers[i] = new SlideLayer(widths[i], widths[i + 1], i, i == _layers.Length - 1, options);
            _layers[i].Randomize(i == 0 ? activeInputs : _layers[i - 1].Budget, Noise.Seed(options.Seed, 13, (ulong)i));
        }
    }

    /// <summary>About what a network takes with its moments: three numbers a weight.</summary>
    public static long Bytes(int inputs, int outputs, SlideOptions options)
    {
        long[] widths = [inputs, .. options.Hidden, outputs];
        long weights = 0;
        for (int i = 1; i < widths.Length; i++)
            weights += widths[i - 1] * widths[i];
        return 3 * sizeof(float) * weights;
    }

    public IReadOnlyList<SlideLayer> Layers => _layers;

    public SlideState CreateState() => new(_layers);

    /// <summary>
    /// Fills the tables of weights anew; with <paramref name="centre"/> also moves the middle that inputs are hashed
    /// around. Returns the arithmetic done.
    /// </summary>
    public long Rebuild(WorkerTeam team, SlideState[] states, bool centre = false)
    {
        long operations = 0;
        for (int i = 0; i < _layers.Length; i++)
            operations += _layers[i].Rebuild(team, states, i) + (centre ? _layers[i].Centre(states, i) : 0);
        return operations;
    }

    /// <summary>
    /// Evaluates the active neurons for a row. In training, labels are forced into the output's active set and dropout
    /// is random; otherwise dropout scales. Softmax is left to the caller: values of the last layer are logits.
    /// </summary>
    public void Forward(SlideState state, int* ids, float* values, int count, ReadOnlySpan<int> labels, bool training, ulong noise)
    {
        for (int l = 0; l < _layers.Length; l++)
        {
            SlideState.LayerState to = state.Layers[l];
            Evaluate(_layers[l], to, ids, values, count, labels, training, Noise.Seed(noise, 14, (ulong)l), state);
            state.Active += to.Count;
            ids = to.Whole ? null : to.Ids;
            values = to.Values;
            count = to.Count;
        }
    }

    private static void Evaluate(SlideLayer layer, SlideState.LayerState to, int* ids, float* values, int count, ReadOnlySpan<int> labels, bool training, ulong noise, SlideState state)
    {
        bool hashed = layer.Family is not null, all = !hashed && (layer.Mode != ActiveMode.Dropout || !training);
        int n;
        if (all)
        {
            n = layer.Outputs;
            for (int i = 0; i < n; i++)
                to.Ids[i] = i;
        }
        else if (hashed)
        {
            n = layer.Select(to, ids, values, count, labels, training, noise);
        }
        else
        {
            n = 0;
            for (int i = 0; i < layer.Outputs; i++)
            {
                if ((Noise.Mix(noise + (ulong)i) >> 11) * (1.0 / (1L << 53)) < layer.Fraction)
                    to.Ids[n++] = i;
            }
        }
        state.Products += (long)n * count;
        for (int i = 0; i < n; i++)
        {
            to.Values[i] = SparseKernels.Dot(layer.Row(to.Ids[i]), ids, values, count) + layer.Bias(to.Ids[i]);
            to.Keep[i] = 1;
        }
        to.Whole = layer.Mode == ActiveMode.Dense;
        if (!layer.IsOutput)
        {
            Keep(layer, to, n, training, noise);
            return;
        }
        to.Count = n;
    }

    /// <summary>ReLU, and dropping neurons: those at 0 neither feed the next layer nor get a gradient.</summary>
    private static void Keep(SlideLayer layer, SlideState.LayerState to, int n, bool training, ulong noise)
    {
        if (to.Whole)
        {
            for (int i = 0; i < n; i++)
                to.Values[i] = Math.Max(0, to.Values[i]);
            to.Count = n;
            return;
        }
        float cut = float.NegativeInfinity;
        int ties = 0, kept = 0, drawn = 0;
        if (layer.Mode == ActiveMode.WinnerTakeAll || layer.Family is not null)
        {
            new ReadOnlySpan<float>(to.Values, n).CopyTo(to.Sorted);
            (cut, ties) = Largest.Of(to.Sorted.AsSpan(0, n), layer.Budget);
        }
        for (int i = 0; i < n; i++)
        {
            float value = to.Values[i], keep = 1;
            if (layer.Mode == ActiveMode.AdaptiveDropout)
            {
                keep = 1 / (1 + MathF.Exp(-(value + layer.KeepBias)));
                if (training)
                {
                    bool stays = (Noise.Mix(noise + (ulong)i) >> 40) * (1f / (1 << 24)) < keep;
                    if (!stays)
                        continue;
                    drawn++;
                    keep = 1;
                }
            }
            else if (layer.Mode == ActiveMode.Dropout && !training)
            {
                keep = (float)layer.Fraction;
            }
            if (value <= 0 || value < cut || (value == cut && ties-- <= 0))
                continue;
            (to.Ids[kept], to.Values[kept], to.Keep[kept]) = (to.Ids[i], value * keep, keep);
            kept++;
        }
        if (layer.Mode == ActiveMode.AdaptiveDropout && training)
            layer.KeepBias += 0.02f * (float)(layer.Fraction - (drawn / (double)n));
        to.Count = kept;
    }

    /// <summary>Turns logits into the gradient of the softmax loss over the active neurons; returns the loss.</summary>
    public static double Softmax(SlideState.LayerState output, ReadOnlySpan<int> labels)
    {
        float most = float.NegativeInfinity;
        for (int i = 0; i < output.Count; i++)
            most = Math.Max(most, output.Values[i]);
        double sum = 0;
        for (int i = 0; i < output.Count; i++)
            sum += output.Deltas[i] = MathF.Exp(output.Values[i] - most);
        double loss = 0;
        float share = 1f / Math.Max(1, labels.Length);
        for (int i = 0; i < output.Count; i++)
        {
            output.Deltas[i] = (float)(output.Deltas[i] / sum);
            if (labels.Contains(output.Ids[i]))
            {
                loss -= share * (output.Values[i] - most - Math.Log(sum));
                output.Deltas[i] -= share;
            }
        }
        return loss;
    }

    /// <summary>Forward, backward and update for one row; returns its loss, or NaN and leaves the weights alone.</summary>
    public double Train(SlideState state, int* ids, float* values, int count, ReadOnlySpan<int> labels, in SlideStep step, ulong noise)
    {
        Forward(state, ids, values, count, labels, training: true, noise);
        double loss = Softmax(state.Layers[^1], labels);
        if (!double.IsFinite(loss))
            return double.NaN;
        for (int l = _layers.Length - 1; l >= 0; l--)
        {
            SlideLayer layer = _layers[l];
            SlideState.LayerState from = state.Layers[l];
            SlideState.LayerState? below = l == 0 ? null : state.Layers[l - 1];
            int* inIds = below is null ? ids : below.Whole ? null : below.Ids;
            float* inValues = below is null ? values : below.Values;
            int inCount = below is null ? count : below.Count;
            layer.Learn(from, inIds, inValues, inCount, Noise.Seed(noise, 17, (ulong)l));
            if (below is not null)
                new Span<float>(below.Deltas, VectorMath.Pad(inCount)).Clear();
            for (int i = 0; i < from.Count; i++)
            {
                // A ReLU at 0 passes nothing on; in sparse layers such neurons were dropped already.
                if (!layer.IsOutput && from.Values[i] <= 0)
                    continue;
                float delta = from.Deltas[i] * from.Keep[i];
                if (delta == 0)
                    continue;
                int neuron = from.Ids[i];
                state.BackwardProducts += below is null ? inCount : 2L * inCount;
                if (below is not null)
                    SparseKernels.Backward(layer.Row(neuron), inIds, inCount, delta, below.Deltas);
                SparseKernels.Update(layer.Row(neuron), layer.First(neuron), layer.Second(neuron), inIds, inValues, inCount, delta, step);
                if (step.Adam)
                    SparseKernels.Adam(ref layer.Bias(neuron), ref layer.BiasFirst(neuron), ref layer.BiasSecond(neuron), delta, step);
                else
                    layer.Bias(neuron) -= step.Rate * delta;
            }
        }
        return loss;
    }

    public Network ToNetwork()
    {
        var layers = new NetworkLayer[_layers.Length];
        for (int i = 0; i < layers.Length; i++)
        {
            layers[i] = new NetworkLayer(_layers[i].Inputs, _layers[i].Outputs, i == layers.Length - 1 ? Activation.Softmax : Activation.Relu);
            _layers[i].CopyTo(layers[i], i == 0);
        }
        return new Network(layers);
    }

    public void CopyFrom(Network network)
    {
        for (int i = 0; i < _layers.Length; i++)
            _layers[i].CopyFrom(network.Layers[i], i == 0);
    }

    /// <summary>Multiply-adds of a forward pass that evaluates everything.</summary>
    public long DenseProducts(double activeInputs)
    {
        double sum = activeInputs * _layers[0].Outputs;
        for (int i = 1; i < _layers.Length; i++)
            sum += (double)_layers[i].Inputs * _layers[i].Outputs;
        return (long)sum;
    }

    /// <summary>Multiply-adds of training on a row if everything is evaluated: the first layer passes no errors on.</summary>
    public long DenseTrainingProducts(double activeInputs) => (3 * DenseProducts(activeInputs)) - (long)(activeInputs * _layers[0].Outputs);

    public void Dispose()
    {
        foreach (SlideLayer layer in _layers)
            layer.Dispose();
    }
}
