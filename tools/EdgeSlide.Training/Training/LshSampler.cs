using EdgeSlide.Training.Slide;

namespace EdgeSlide.Training.Training;

/// <summary>
/// Draws labels that are likely to be active now: hash tables over the output neurons' weights, probed with the batch's
/// hidden vectors (Spring and Shrivastava 2017, "A New Unbiased and Efficient Class of LSH-Based Samplers and Estimators for
/// Partition Function Computation in Log-Linear Models"). There a vector's find in L tables of K bits is weighted by its
/// probability over random tables, 1 - (1 - c^K)^L. Here a draw opens the bucket of one random pair of a row and a table and
/// names one random member, so that its distribution q given the tables is known exactly, without angles, and holds for a
/// whole batch:
/// q(i) = mean over all pairs whose bucket is not empty of [i is in the bucket] / size of the bucket.
/// Weights by q are unbiased for any tables, stale ones too, and whatever the law of the hash. Labels in no opened bucket have q = 0; they need
/// <see cref="NegativeSampler"/>'s draws beside these.
/// </summary>
internal sealed unsafe class LshSampler : IDisposable
{
    internal const int MaxBits = 16;
    /// <summary>So many that the members of all tables together have numbers of 31 bits up to 33 million labels.</summary>
    internal const int MaxTables = 64;

    private const int VectorTile = 32;

    private readonly WorkerTeam _team;
    private readonly HashFamily _family;
    private readonly BucketKeys _bucketKeys;
    private readonly int _labels;
    private readonly int _width;
    private readonly int _bits;
    private readonly int _tables;
    private readonly NativeArray<ushort> _codes; // [labels x tables]
    private readonly NativeArray<int> _starts; // [tables x 2^K + 1]
    private readonly NativeArray<int> _members; // [tables x labels], by bucket
    private readonly NativeArray<float> _mass; // [tables x 2^K] sum over the probes of a bucket of 1 / its size
    private readonly NativeArray<int> _probes; // [rows x tables]
    private readonly NativeArray<float> _centre; // [2 x width + 3], see Centre
    private readonly Scratch[] _scratch;
    private readonly Action<int, int> _labelTile;
    private readonly Action<int, int> _tableTile;
    private readonly Action<int, int> _rowTile;
    private int _probeCount;

    // State of the work in flight.
    private float* _weights;
    private float* _bias;
    private float* _vectors;
    private int _stride;
    private int _rows;
    private float _longest;

    internal LshSampler(TrainerOptions options, int labels, WorkerTeam team)
    {
        _team = team;
        _labels = labels;
        _width = options.HiddenSizes[^1];
        (_bits, _tables) = (options.LshBits, options.LshTables);
        _family = HashFamily.Create(HashFamilyKind.Hadamard, _width + 2, _bits * _tables, Noise.Seed((ulong)options.Seed, 5, 0));
        _bucketKeys = new BucketKeys(_bits, _tables, _bits, _family.CodeBits);
        _codes = new NativeArray<ushort>((long)labels * _tables);
        _starts = new NativeArray<int>(((long)_tables << _bits) + 1);
        _members = new NativeArray<int>((long)labels * _tables);
        _mass = new NativeArray<float>((long)_tables << _bits);
        _probes = new NativeArray<int>((long)options.BatchSize * _tables);
        _centre = new NativeArray<float>((2L * _width) + 3);
        _scratch = [.. Enumerable.Range(0, team.Size).Select(_ => new Scratch(_width + 2, _family, _tables))];
        _labelTile = LabelTile;
        _tableTile = TableTile;
        _rowTile = RowTile;
    }

    internal static long Bytes(TrainerOptions options, long labels) => options.LshNegatives == 0 ? 0
        : options.LshTables * ((labels * (sizeof(ushort) + sizeof(int))) + ((1L << options.LshBits) * 2 * sizeof(int)) + (options.BatchSize * sizeof(int)));

    /// <summary>Hashes all output neurons anew.</summary>
    /// <param name="weights">[labels x stride]</param>
    /// <param name="vectors">[rows x stride] hidden vectors such as will probe; only their first moments matter.</param>
    internal void Rebuild(float* weights, float* bias, int stride, float* vectors, int rows)
    {
        _weights = weights;
        _bias = bias;
        _stride = stride;
        Centre(vectors, rows);
        _team.Run((_labels + VectorTile - 1) / VectorTile, _labelTile);
        _team.Run(_tables, _tableTile);
    }

    /// <summary>From now on labels are drawn for these hidden vectors, at most as many as a batch has rows.</summary>
    internal void Probe(float* vectors, int stride, int rows)
    {
        _vectors = vectors;
        _stride = stride;
        _rows = rows;
        for (int i = 0; i < _probeCount; i++)
            _mass[_probes[i]] = 0;
        _team.Run((rows + VectorTile - 1) / VectorTile, _rowTile);
        _probeCount = 0;
        for (int i = 0; i < rows * _tables; i++)
        {
            int bucket = _probes[i];
            int size = _starts[bucket + 1] - _starts[bucket];
            if (size == 0)
                continue;
            _probes[_probeCount++] = bucket;
            _mass[bucket] += 1f / size;
        }
    }

    /// <summary>A label, or -1 if all opened buckets are empty.</summary>
    internal int Draw(ulong random)
    {
        if (_probeCount == 0)
            return -1;
        int bucket = _probes[Noise.Below(random, _probeCount)];
        int start = _starts[bucket];
        return _members[start + Noise.Below(Noise.Mix(random), _starts[bucket + 1] - start)];
    }

    /// <summary>With which probability one <see cref="Draw"/> names the label.</summary>
    internal double Probability(int label)
    {
        if (_probeCount == 0)
            return 0;
        ushort* codes = _codes.Items + ((nint)label * _tables);
        double sum = 0;
        for (int table = 0; table < _tables; table++)
            sum += _mass[(table << _bits) | codes[table]];
        return Math.Min(1, sum / _probeCount);
    }

    internal void Save(CheckpointWriter writer)
    {
        writer.Write(_codes);
        writer.Write(_centre);
    }

    internal void Load(CheckpointReader reader)
    {
        reader.Read(_codes);
        reader.Read(_centre);
        if (_codes.Length > 0 && _bits < MaxBits && _codes.Span(0, (int)_codes.Length).ContainsAnyExceptInRange((ushort)0, (ushort)((1 << _bits) - 1)))
            throw new InvalidDataException("damaged checkpoint: a neuron in no bucket");
        _team.Run(_tables, _tableTile);
    }

    public void Dispose()
    {
        _codes.Dispose();
        _starts.Dispose();
        _members.Dispose();
        _mass.Dispose();
        _probes.Dispose();
        _centre.Dispose();
        foreach (Scratch scratch in _scratch)
            scratch.Dispose();
    }

    // What both sides of a logit become before they are hashed. With means w' of weights and h' of hidden vectors,
    //   w h + b = (w - w')(h - h') + (b + (w - w') h') + what all labels of a row share,
    // so a label becomes x = (w - w', s (b + (w - w') h'), e) and a row (h - h', 1 / s, 0): their inner product ranks labels as
    // the logits do, but vectors no longer point all one way. The last element gives all labels the norm of the longest, so
    // that angles to a row rank labels as inner products do (Neyshabur and Srebro 2015, "On Symmetric and Asymmetric LSHs for
    // Inner Product Search").
    // Memory: w', h', the mean of the second term, s, 1 / s.
    private float* MeanWeights => _centre.Items;

    private float* MeanHidden => _centre.Items + _width;

    private ref float MeanBias => ref _centre[2 * _width];

    private ref float BiasScale => ref _centre[(2 * _width) + 1];

    private ref float RowScale => ref _centre[(2 * _width) + 2];

    private void Centre(float* vectors, int rows)
    {
        double weightVariance = Mean(_weights, _labels, MeanWeights), hiddenVariance = Mean(vectors, rows, MeanHidden);
        double sum = 0, squares = 0;
        MeanBias = 0;
        for (int label = 0; label < _labels; label++)
        {
            double bias = Bias(label);
            sum += bias;
            squares += bias * bias;
        }
        MeanBias = (float)(sum / _labels);
        double biasVariance = (squares / _labels) - ((double)MeanBias * MeanBias);
        // The scale with the smallest product of typical norms: then angles tell most.
        double scale = Math.Pow(weightVariance / (biasVariance * hiddenVariance), 0.25);
        bool usable = double.IsFinite(scale) && scale > 0;
        BiasScale = usable ? (float)scale : 0;
        RowScale = usable ? (float)(1 / scale) : 0;
        _longest = 0;
        for (int label = 0; label < _labels; label++)
            _longest = Math.Max(_longest, SquaredNorm(label, BiasScale * Bias(label)));
    }

    private float SquaredNorm(int label, float bias)
    {
        float* weights = _weights + ((nint)label * _stride);
        float sum = bias * bias;
        for (int j = 0; j < _width; j++)
            sum += (weights[j] - MeanWeights[j]) * (weights[j] - MeanWeights[j]);
        return sum;
    }

    /// <summary>The mean of some vectors; returns their mean squared distance from it.</summary>
    private double Mean(float* vectors, int count, float* mean)
    {
        double total = 0;
        Span<double> sums = new double[_width];
        for (int i = 0; i < count; i++)
        {
            float* vector = vectors + ((nint)i * _stride);
            total += VectorMath.SumOfSquares(vector, _stride);
            for (int j = 0; j < _width; j++)
                sums[j] += vector[j];
        }
        for (int j = 0; j < _width; j++)
        {
            mean[j] = (float)(sums[j] / count);
            total -= count * ((double)mean[j] * mean[j]);
        }
        return total / count;
    }

    private float Bias(int label)
    {
        float* weights = _weights + ((nint)label * _stride);
        float bias = _bias[label] - MeanBias;
        for (int j = 0; j < _width; j++)
            bias += (weights[j] - MeanWeights[j]) * MeanHidden[j];
        return bias;
    }

    private void LabelTile(int tile, int worker)
    {
        Scratch scratch = _scratch[worker];
        int end = Math.Min((tile + 1) * VectorTile, _labels);
        for (int label = tile * VectorTile; label < end; label++)
        {
            float bias = BiasScale * Bias(label), missing = MathF.Sqrt(Math.Max(0, _longest - SquaredNorm(label, bias)));
            int* keys = Hash(_weights + ((nint)label * _stride), MeanWeights, bias, missing, scratch);
            for (int table = 0; table < _tables; table++)
                _codes[((long)label * _tables) + table] = (ushort)(keys[table] & ((1 << _bits) - 1));
        }
    }

    private void RowTile(int tile, int worker)
    {
        Scratch scratch = _scratch[worker];
        int end = Math.Min((tile + 1) * VectorTile, _rows);
        for (int row = tile * VectorTile; row < end; row++)
        {
            int* keys = Hash(_vectors + ((nint)row * _stride), MeanHidden, RowScale, 0, scratch);
            new ReadOnlySpan<int>(keys, _tables).CopyTo(_probes.Span((long)row * _tables, _tables));
        }
    }

    private int* Hash(float* vector, float* mean, float bias, float missing, Scratch scratch)
    {
        float* x = scratch.Vector.Items;
        for (int j = 0; j < _width; j++)
            x[j] = vector[j] - mean[j];
        x[_width] = bias;
        x[_width + 1] = missing;
        _family.Hash(null, x, _width + 2, scratch.Projections.Items, scratch.Codes.Items);
        _bucketKeys.Make(scratch.Codes.Items, scratch.Keys.Items);
        return scratch.Keys.Items;
    }

    /// <summary>Sorts a table's labels by bucket; filling from the end leaves every start at its place.</summary>
    private void TableTile(int table, int worker)
    {
        int first = table << _bits, end = (table + 1) << _bits;
        int* starts = _starts.Items;
        // The entry behind the last bucket is the next table's first start, which that table writes itself.
        new Span<int>(starts + first, end - first).Clear();
        for (long label = 0; label < _labels; label++)
            starts[first | _codes[(label * _tables) + table]]++;
        int sum = table * _labels;
        for (int bucket = first; bucket < end; bucket++)
            starts[bucket] = sum += starts[bucket];
        if (table == _tables - 1)
            starts[end] = sum;
        for (long label = _labels - 1; label >= 0; label--)
            _members[--starts[first | _codes[(label * _tables) + table]]] = (int)label;
    }

    private sealed class Scratch(int dimensions, HashFamily family, int tables) : IDisposable
    {
        internal NativeArray<float> Vector { get; } = new(dimensions);

        internal NativeArray<float> Projections { get; } = new(family.ScratchLength);

        internal NativeArray<int> Codes { get; } = new(family.Codes);

        internal NativeArray<int> Keys { get; } = new(tables);

        public void Dispose()
        {
            Vector.Dispose();
            Projections.Dispose();
            Codes.Dispose();
            Keys.Dispose();
        }
    }
}
