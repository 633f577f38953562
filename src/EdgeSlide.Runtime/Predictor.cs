using System.Text;
using EdgeSlide.Features;

namespace EdgeSlide;

/// <summary>
/// Answers queries on one thread; not thread-safe. After the first few queries no call allocates managed memory.
/// </summary>
public sealed class Predictor : IDisposable
{
    private readonly EdgeSlideModel _model;
    private readonly Engine _engine;
    private byte[] _utf8 = new byte[1024];
    private bool _disposed;

    internal Predictor(EdgeSlideModel model, Engine engine)
    {
        _model = model;
        _engine = engine;
    }

    /// <summary>The model that this predictor answers from.</summary>
    public EdgeSlideModel Model => _model;

    /// <summary>How the output layer is evaluated from the next query on.</summary>
    public PredictionMode Mode { get; set; } = PredictionMode.Auto;

    /// <summary>False saves the softmax and, in a calibrated model after hashing, the neurons sampled for it; <see cref="Prediction.Probability"/> is then NaN.</summary>
    public bool Probabilities { get; set; } = true;

    /// <summary>What the last query cost.</summary>
    public PredictionCost Cost => _engine.Cost;

    /// <summary>The instruction set in use, for example "avx2" or "sdot".</summary>
    public string Kernel => _engine.KernelName;

    internal Engine Engine => _engine;

    internal bool IsDisposed => _disposed;

    /// <summary>Working memory for queries that are answered together.</summary>
    /// <param name="capacity">The most queries at a time, 1 to <see cref="PredictionBatch.MaxCapacity"/>. 8 to 32 bring most of the gain.</param>
    public PredictionBatch CreateBatch(int capacity)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(capacity);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(capacity, PredictionBatch.MaxCapacity);
        return new PredictionBatch(this, capacity);
    }

    /// <summary>Answers a text.</summary>
    /// <param name="text">Any text; words that the model does not know are ignored.</param>
    /// <param name="top">Receives the best answers, best first.</param>
    /// <returns>How many answers were written: 0 if the text has no word that the model knows.</returns>
    /// <exception cref="InputException">The model takes numbers, or the text is not valid.</exception>
    public int PredictText(string text, Span<Prediction> top)
    {
        ArgumentNullException.ThrowIfNull(text);
        return PredictText(ToUtf8(text), top);
    }

    /// <summary>Answers a text given as UTF-8; see <see cref="PredictText(string, Span{Prediction})"/>.</summary>
    public int PredictText(ReadOnlySpan<byte> utf8, Span<Prediction> top)
    {
        Require(top);
        _model.Featurizer.FromText(utf8, _engine.Features);
        return Run(top);
    }

    /// <summary>Answers a sparse vector.</summary>
    /// <param name="ids">Feature ids, each below <see cref="EdgeSlideModel.FeatureCount"/> and at most once.</param>
    /// <param name="values">A finite value for each id.</param>
    /// <param name="top">Receives the best answers, best first.</param>
    /// <returns>How many answers were written: 0 if no value differs from zero.</returns>
    /// <exception cref="InputException">The model takes text, or the vector is not valid.</exception>
    public int PredictSparse(ReadOnlySpan<int> ids, ReadOnlySpan<float> values, Span<Prediction> top)
    {
        Require(top);
        _model.Featurizer.FromSparse(ids, values, _engine.Features);
        return Run(top);
    }

    /// <summary>Answers a dense vector.</summary>
    /// <param name="values">[<see cref="EdgeSlideModel.FeatureCount"/>] finite values.</param>
    /// <param name="top">Receives the best answers, best first; must not be empty.</param>
    /// <returns>How many answers were written: 0 if no value differs from zero.</returns>
    /// <exception cref="InputException">The model takes text, or the vector is not valid.</exception>
    public int PredictDense(ReadOnlySpan<float> values, Span<Prediction> top)
    {
        Require(top);
        _model.Featurizer.FromDense(values, _engine.Features);
        return Run(top);
    }

    /// <summary>Frees the working memory.</summary>
    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        _engine.Dispose();
        _model.Release();
    }

    /// <summary>The text as UTF-8, valid until the next call.</summary>
    internal ReadOnlySpan<byte> ToUtf8(string text)
    {
        int needed = Encoding.UTF8.GetMaxByteCount(text.Length);
        if (_utf8.Length < needed)
            _utf8 = new byte[Math.Max(needed, 2 * _utf8.Length)];
        return _utf8.AsSpan(0, Encoding.UTF8.GetBytes(text, _utf8));
    }

    /// <summary>Answers whatever is in the engine's feature vector.</summary>
    internal int Run(Span<Prediction> top)
    {
        if (_engine.Features.Count == 0)
        {
            _engine.Cost = default;
            return 0;
        }
        int count = _engine.Run(Mode, Probabilities, top);
        for (int i = 0; i < count; i++)
        {
            if (!float.IsFinite(top[i].Score))
                throw new InputException(InputException.TooLarge);
        }
        return count;
    }

    private void Require(Span<Prediction> top)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        ArgumentOutOfRangeException.ThrowIfZero(top.Length, nameof(top));
    }
}
