using EdgeSlide.Training.Slide;

namespace EdgeSlide.Training.Selection;

/// <summary>
/// SLIDE's tables: neurons are filed under the hash of their own weights, a query opens the buckets of its hidden vector, and
/// a neuron's votes are its collisions (Chen, Medini, Farwell, Gobriel, Tai and Shrivastava 2020, "SLIDE").
/// </summary>
internal sealed unsafe class NeuronTables : ICandidateSource, IDisposable
{
    private readonly HashFamily _family;
    private readonly LshTables _keys;
    private readonly int[] _offsets;
    private readonly int[] _neurons;
    private readonly long _familyBytes;

    /// <param name="evidence">Whose output layer.</param>
    /// <param name="family">K x L codes of queries.</param>
    /// <param name="codesPerTable">K.</param>
    /// <param name="tables">L.</param>
    /// <param name="familyBytes">What the family's parameters would take in a model.</param>
    /// <param name="neuronFamily">The same functions where neurons are centred otherwise than queries; null if not.</param>
    /// <param name="include">Which neurons are filed; null for all.</param>
    public NeuronTables(TrainingEvidence evidence, HashFamily family, int codesPerTable, int tables, long familyBytes, HashFamily? neuronFamily = null, Func<int, bool>? include = null)
    {
        const int MaxRangePow = 12;
        _family = family;
        _familyBytes = familyBytes;
        int rangePow = Math.Min(MaxRangePow, codesPerTable * family.CodeBits);
        _keys = new LshTables(codesPerTable, tables, rangePow, bucketSize: 1, family.CodeBits, BucketPolicy.Fifo, seed: 1);
        var keys = new int[evidence.Neurons * (long)tables];
        Parallel.For(0, (evidence.Neurons + 255) / 256, block =>
        {
            var row = new float[evidence.Width];
            for (int n = block * 256; n < Math.Min(evidence.Neurons, (block + 1) * 256); n++)
            {
                evidence.Row(n).CopyTo(row);
                fixed (float* values = row)
                {
                    fixed (int* own = &keys[n * (long)tables])
                        Hash(neuronFamily ?? family, values, row.Length, own);
                }
            }
        });
        _offsets = new int[(tables << rangePow) + 1];
        for (int n = 0; n < evidence.Neurons; n++)
        {
            for (int t = 0; t < tables && include?.Invoke(n) != false; t++)
                _offsets[keys[n * (long)tables + t] + 1]++;
        }
        for (int key = 0; key + 1 < _offsets.Length; key++)
            _offsets[key + 1] += _offsets[key];
        int[] next = _offsets[..^1];
        _neurons = new int[_offsets[^1]];
        for (int n = 0; n < evidence.Neurons; n++)
        {
            for (int t = 0; t < tables && include?.Invoke(n) != false; t++)
                _neurons[next[keys[n * (long)tables + t]]++] = n;
        }
    }

    public long Bytes => _familyBytes + sizeof(int) * ((long)_offsets.Length + _neurons.Length);

    public void Vote(QueryVector query, VoteTally tally, float weight)
    {
        int* keys = stackalloc int[_keys.Tables];
        Hash(_family, query.Hidden, query.Width, keys);
        long operations = _family.Operations(query.Width);
        for (int t = 0; t < _keys.Tables; t++)
        {
            ReadOnlySpan<int> bucket = _neurons.AsSpan(_offsets[keys[t]], _offsets[keys[t] + 1] - _offsets[keys[t]]);
            operations += bucket.Length;
            foreach (int neuron in bucket)
                tally.Add(neuron, weight);
        }
        tally.Operations += operations;
    }

    public void Dispose() => _keys.Dispose();

    private void Hash(HashFamily family, float* values, int count, int* keys)
    {
        float* scratch = stackalloc float[family.ScratchLength];
        int* codes = stackalloc int[family.Codes];
        family.Hash(null, values, count, scratch, codes);
        _keys.Keys(codes, keys);
    }
}
