using EdgeSlide.Features;

namespace EdgeSlide;

/// <summary>
/// Collects queries and answers them together, each to the same bits as by itself, in less time: queries that evaluate every
/// neuron share the reading of the weights, and the memory accesses of queries that select neurons overlap. Belongs to the
/// predictor that made it and to its thread. After the first few batches no call allocates managed memory.
/// </summary>
public sealed class PredictionBatch : IDisposable
{
    /// <summary>The largest capacity.</summary>
    public const int MaxCapacity = 1024;

    /// <summary>In the counts: the query's values are too large for this model, as <see cref="InputException"/> says for a single one.</summary>
    public const int TooLarge = -1;

    private readonly Predictor _predictor;
    private readonly BatchState _state;
    private int _answered;
    private bool _disposed;

    internal PredictionBatch(Predictor predictor, int capacity)
    {
        _predictor = predictor;
        _state = predictor.Engine.CreateBatch(capacity);
    }

    /// <summary>The most queries at a time.</summary>
    public int Capacity => _state.Queries.Length;

    /// <summary>Queries that wait to be answered.</summary>
    public int Count { get; private set; }

    /// <summary>Where the next query's features go; <see cref="Take"/> then adds it.</summary>
    internal FeatureVector Next
    {
        get
        {
            ObjectDisposedException.ThrowIf(_disposed || _predictor.IsDisposed, this);
            return Count < Capacity
                ? _state.Queries[Count].Features
                : throw new InvalidOperationException($"the batch is full: it holds {Capacity} queries");
        }
    }

    /// <summary>Adds a text.</summary>
    /// <returns>The query's index.</returns>
    /// <exception cref="InputException">The model takes numbers, or the text is not valid; nothing was added.</exception>
    /// <exception cref="InvalidOperationException">The batch is full.</exception>
    public int AddText(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return AddText(_predictor.ToUtf8(text));
    }

    /// <summary>Adds a text given as UTF-8; see <see cref="AddText(string)"/>.</summary>
    public int AddText(ReadOnlySpan<byte> utf8)
    {
        _predictor.Model.Featurizer.FromText(utf8, Next);
        return Take();
    }

    /// <summary>Adds a sparse vector; see <see cref="Predictor.PredictSparse"/>.</summary>
    /// <returns>The query's index.</returns>
    /// <exception cref="InputException">The model takes text, or the vector is not valid; nothing was added.</exception>
    /// <exception cref="InvalidOperationException">The batch is full.</exception>
    public int AddSparse(ReadOnlySpan<int> ids, ReadOnlySpan<float> values)
    {
        _predictor.Model.Featurizer.FromSparse(ids, values, Next);
        return Take();
    }

    /// <summary>Adds a dense vector; see <see cref="Predictor.PredictDense"/>.</summary>
    /// <returns>The query's index.</returns>
    /// <exception cref="InputException">The model takes text, or the vector is not valid; nothing was added.</exception>
    /// <exception cref="InvalidOperationException">The batch is full.</exception>
    public int AddDense(ReadOnlySpan<float> values)
    {
        _predictor.Model.Featurizer.FromDense(values, Next);
        return Take();
    }

    /// <summary>
    /// Answers all queries by the predictor's <see cref="Predictor.Mode"/> and <see cref="Predictor.Probabilities"/>, and
    /// empties the batch.
    /// </summary>
    /// <param name="k">Answers per query at most.</param>
    /// <param name="answers">At least k for each query: query i's begin at answers[i * k], best first.</param>
    /// <param name="counts">Receives how many answers each query got: 0 if the model knows nothing of it, or <see cref="TooLarge"/>.</param>
    public void Predict(int k, Span<Prediction> answers, Span<int> counts)
    {
        ObjectDisposedException.ThrowIf(_disposed || _predictor.IsDisposed, this);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(k);
        ArgumentOutOfRangeException.ThrowIfLessThan(counts.Length, Count, nameof(counts));
        ArgumentOutOfRangeException.ThrowIfLessThan(answers.Length, (long)k * Count, nameof(answers));
        _predictor.Engine.RunBatch(_state, Count, _predictor.Mode, _predictor.Probabilities, k, answers, counts);
        for (int i = 0; i < Count; i++)
        {
            foreach (ref readonly Prediction answer in answers.Slice(i * k, counts[i]))
            {
                if (!float.IsFinite(answer.Score))
                {
                    counts[i] = TooLarge;
                    break;
                }
            }
        }
        _answered = Count;
        Count = 0;
    }

    /// <summary>What a query of the last answered batch cost, counted as if it had been asked by itself.</summary>
    public PredictionCost Cost(int query)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(query);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(query, _answered);
        return _state.Queries[query].Cost;
    }

    /// <summary>Forgets the queries that wait.</summary>
    public void Clear() => Count = 0;

    /// <summary>Frees the working memory.</summary>
    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        _state.Dispose();
    }

    internal int Take() => Count++;
}
