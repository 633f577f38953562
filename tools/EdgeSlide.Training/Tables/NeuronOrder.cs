using EdgeSlide.Training.Export;

namespace EdgeSlide.Training.Tables;

/// <summary>
/// An order of the output neurons in which those stand close that the same buckets name: recursive bisection of the graph of
/// keys and neurons (Dhulipala et al., KDD 2016). Each half takes the neurons whose keys have most of their neurons there, by
/// swaps that lower the logarithms of the gaps between a key's neurons.
/// </summary>
internal sealed class NeuronOrder
{
    private const int Smallest = 8;
    private const int Rounds = 12;

    // Neuron n is named by keys[starts[n]] to keys[starts[n + 1]], numbered through all sources.
    private readonly long[] _starts;
    private readonly int[] _keys;
    private readonly float[] _keyWeights;
    private readonly int[] _left;
    private readonly int[] _right;
    private readonly float[] _toRight;
    private readonly float[] _toLeft;
    private readonly float[] _gains;
    private readonly CancellationToken _cancel;

    private NeuronOrder(ExportedSelector selector, int neurons, CancellationToken cancel)
    {
        _cancel = cancel;
        _starts = new long[neurons + 1];
        foreach (ExportedSource source in selector.Sources)
        {
            foreach (uint entry in source.Buckets.Entries)
                _starts[(entry >> Hashing.BucketTable.VoteBits) + 1]++;
        }
        for (int n = 0; n < neurons; n++)
            _starts[n + 1] += _starts[n];
        _keys = new int[_starts[neurons]];
        int keys = selector.Sources.Sum(s => s.Buckets.Offsets.Length - 1), first = 0;
        _keyWeights = new float[keys];
        long[] next = [.. _starts];
        foreach (ExportedSource source in selector.Sources)
        {
            FrozenBuckets buckets = source.Buckets;
            for (int key = 0; key < buckets.Offsets.Length - 1; key++)
            {
                _keyWeights[first + key] = buckets.KeyWeights is { } weights ? weights[key] : 1f;
                for (uint i = buckets.Offsets[key]; i < buckets.Offsets[key + 1]; i++)
                    _keys[next[buckets.Entries[i] >> Hashing.BucketTable.VoteBits]++] = first + key;
            }
            first += buckets.Offsets.Length - 1;
        }
        _left = new int[keys];
        _right = new int[keys];
        _toRight = new float[keys];
        _toLeft = new float[keys];
        _gains = new float[neurons];
    }

    /// <summary>[neurons] which label each place is for.</summary>
    public static int[] Of(ExportedSelector selector, int neurons, CancellationToken cancel = default)
    {
        var order = new NeuronOrder(selector, neurons, cancel);
        // Neurons that many queries want begin together, and those that none wants stay out of the way.
        double[] wanted = [.. Enumerable.Range(0, neurons).Select(order.Wanted)];
        int[] labels = [.. Enumerable.Range(0, neurons).OrderByDescending(n => wanted[n]).ThenBy(n => n)];
        order.Bisect(labels);
        return labels;
    }

    private double Wanted(int neuron)
    {
        double sum = 0;
        for (long i = _starts[neuron]; i < _starts[neuron + 1]; i++)
            sum += _keyWeights[_keys[i]];
        return sum;
    }

    private void Bisect(Span<int> neurons)
    {
        if (neurons.Length <= Smallest)
            return;
        _cancel.ThrowIfCancellationRequested();
        Span<int> left = neurons[..(neurons.Length / 2)], right = neurons[(neurons.Length / 2)..];
        for (int round = 0; round < Rounds && Swap(left, right); round++)
        {
            // Until nothing moves.
        }
        Bisect(left);
        Bisect(right);
    }

    /// <summary>Exchanges the neurons that gain most; false if none did.</summary>
    private bool Swap(Span<int> left, Span<int> right)
    {
        Count(left, _left, 1);
        Count(right, _right, 1);
        Price(left, left.Length, right.Length);
        Price(right, left.Length, right.Length);
        Gain(left, _toRight);
        Gain(right, _toLeft);
        left.Sort(Compare);
        right.Sort(Compare);
        Clear(left);
        Clear(right);
        int swapped = 0;
        for (; swapped < left.Length && _gains[left[swapped]] + _gains[right[swapped]] > 0f; swapped++)
            (left[swapped], right[swapped]) = (right[swapped], left[swapped]);
        return swapped > 0;
    }

    private int Compare(int a, int b)
    {
        int byGain = _gains[b].CompareTo(_gains[a]);
        return byGain != 0 ? byGain : a.CompareTo(b);
    }

    private void Count(ReadOnlySpan<int> neurons, int[] counts, int step)
    {
        foreach (int neuron in neurons)
        {
            for (long i = _starts[neuron]; i < _starts[neuron + 1]; i++)
                counts[_keys[i]] += step;
        }
    }

    private void Clear(ReadOnlySpan<int> neurons)
    {
        foreach (int neuron in neurons)
        {
            for (long i = _starts[neuron]; i < _starts[neuron + 1]; i++)
                (_left[_keys[i]], _right[_keys[i]], _toRight[_keys[i]], _toLeft[_keys[i]]) = (0, 0, 0f, 0f);
        }
    }

    /// <summary>What moving one of its neurons would save each key of these.</summary>
    private void Price(ReadOnlySpan<int> neurons, int leftLength, int rightLength)
    {
        foreach (int neuron in neurons)
        {
            for (long i = _starts[neuron]; i < _starts[neuron + 1]; i++)
            {
                int key = _keys[i], left = _left[key], right = _right[key];
                if (_toRight[key] != 0f || _toLeft[key] != 0f || left + right < 2)
                    continue;
                float now = Cost(left, leftLength) + Cost(right, rightLength);
                if (left > 0)
                    _toRight[key] = (now - Cost(left - 1, leftLength) - Cost(right + 1, rightLength)) * _keyWeights[key];
                if (right > 0)
                    _toLeft[key] = (now - Cost(left + 1, leftLength) - Cost(right - 1, rightLength)) * _keyWeights[key];
            }
        }
    }

    private static float Cost(int count, int length) => count * MathF.Log2(length / (count + 1f));

    private void Gain(ReadOnlySpan<int> neurons, float[] saved)
    {
        foreach (int neuron in neurons)
        {
            float gain = 0f;
            for (long i = _starts[neuron]; i < _starts[neuron + 1]; i++)
                gain += saved[_keys[i]];
            _gains[neuron] = gain;
        }
    }
}
