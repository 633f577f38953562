using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using EdgeSlide.Calibration;
using EdgeSlide.Model;

namespace EdgeSlide.Kernels;

/// <summary>
/// Keeps the k best answers in the caller's memory, best first; equal scores rank by id. Insertion into a sorted list: k is
/// small and almost every offer fails its first comparison.
/// </summary>
internal ref struct TopK(Span<Prediction> results)
{
    private const int MaxPasses = 8;
    private const int MaxScanned = 64;

    private readonly Span<Prediction> _results = results;
    private float _threshold = float.NegativeInfinity;

    /// <summary>Goes on with a list that already holds some answers.</summary>
    public TopK(Span<Prediction> results, int count) : this(results)
    {
        Count = count;
        if (count == results.Length && count > 0)
            _threshold = results[count - 1].Score;
    }

    public int Count { get; private set; }

    /// <summary>The best score so far.</summary>
    public readonly float Max => Count > 0 ? _results[0].Score : float.NegativeInfinity;

    public void Offer(int label, float logit, float score)
    {
        if (Count < _results.Length || score > _threshold || (score == _threshold && label < _results[Count - 1].Label))
            Insert(label, logit, score);
    }

    /// <summary>
    /// Offers neurons in any order. A few answers out of a few dozen are found by as many passes over all scores, a handful of
    /// vectors: insertion would lose its time to mispredicted branches.
    /// </summary>
    public unsafe void OfferAll(int* labels, float* logits, float* scores, int count)
    {
        if (Count > 0 || _results.Length > MaxPasses || count > MaxScanned || !Vector256.IsHardwareAccelerated || !Scan(labels, logits, scores, count))
        {
            for (int i = 0; i < count; i++)
                Offer(labels[i], logits[i], scores[i]);
        }
    }

    /// <summary>False if a score is not finite; then nothing has been offered.</summary>
    private unsafe bool Scan(int* labels, float* logits, float* scores, int count)
    {
        int padded = (count + 7) & ~7;
        float* left = stackalloc float[MaxScanned];
        new ReadOnlySpan<float>(scores, count).CopyTo(new Span<float>(left, count));
        new Span<float>(left + count, padded - count).Clear();
        Vector256<float> finite = Vector256<float>.AllBitsSet, infinity = Vector256.Create(float.PositiveInfinity);
        for (int i = 0; i < padded; i += 8)
            finite &= Vector256.LessThan(Vector256.Abs(Vector256.Load(left + i)), infinity);
        if (finite.ExtractMostSignificantBits() != 0xFF)
            return false;
        new Span<float>(left + count, padded - count).Fill(float.NegativeInfinity);
        int wanted = Math.Min(count, _results.Length);
        for (int rank = 0; rank < wanted; rank++)
        {
            int at = Largest(labels, left, padded);
            _results[rank] = new Prediction(labels[at], logits[at], scores[at], float.NaN);
            left[at] = float.NegativeInfinity;
        }
        Count = wanted;
        if (wanted > 0 && wanted == _results.Length)
            _threshold = _results[wanted - 1].Score;
        return true;
    }

    /// <summary>The place of the largest score; among equal ones, that of the lowest label.</summary>
    private static unsafe int Largest(int* labels, float* scores, int padded)
    {
        Vector256<float> max = Vector256.Load(scores);
        for (int i = 8; i < padded; i += 8)
            max = Vector256.MaxNative(max, Vector256.Load(scores + i));
        Vector128<float> half = Vector128.MaxNative(max.GetLower(), max.GetUpper());
        half = Vector128.MaxNative(half, Vector128.Shuffle(half, Vector128.Create(2, 3, 0, 1)));
        half = Vector128.MaxNative(half, Vector128.Shuffle(half, Vector128.Create(1, 0, 3, 2)));
        Vector256<float> largest = Vector256.Create(half.ToScalar());
        int place = -1;
        for (int i = 0; i < padded; i += 8)
        {
            for (uint equal = Vector256.Equals(Vector256.Load(scores + i), largest).ExtractMostSignificantBits(); equal != 0; equal &= equal - 1)
            {
                int at = i + BitOperations.TrailingZeroCount(equal);
                if (place < 0 || labels[at] < labels[place])
                    place = at;
            }
        }
        return place;
    }

    /// <summary>Offers consecutive neurons, whose scores are their logits, in ascending order of id.</summary>
    public unsafe void OfferAll(int first, float* logits, int count)
    {
        int i = 0;
        while (i < count && Count < _results.Length)
        {
            Insert(first + i, logits[i], logits[i]);
            i++;
        }
        Vector128<float> threshold = Vector128.Create(_threshold);
        for (; i + 8 <= count; i += 8)
        {
            Vector128<float> above = Vector128.GreaterThan(Vector128.Load(logits + i), threshold) | Vector128.GreaterThan(Vector128.Load(logits + i + 4), threshold);
            if (above == Vector128<float>.Zero)
                continue;
            for (int j = i; j < i + 8; j++)
            {
                if (logits[j] > _threshold)
                    Insert(first + j, logits[j], logits[j]);
            }
            threshold = Vector128.Create(_threshold);
        }
        for (; i < count; i++)
        {
            if (logits[i] > _threshold)
                Insert(first + i, logits[i], logits[i]);
        }
    }

    /// <summary>Softmax of the scores given 1 / sum of e^(score * inverse temperature - max), mapped by the curve if there is one; or each logit's sigmoid.</summary>
    public readonly void SetProbabilities(LayerActivation activation, float inverseTemperature, float max, float inverseSum, OutputCalibration.LogisticCurve? curve)
    {
        for (int i = 0; i < Count; i++)
        {
            Prediction p = _results[i];
            float probability = activation switch
            {
                LayerActivation.Softmax when curve is { } fitted => fitted.Apply(StableMath.Exp(p.Score * inverseTemperature - max) * inverseSum),
                LayerActivation.Softmax => StableMath.Exp(p.Score * inverseTemperature - max) * inverseSum,
                LayerActivation.Sigmoid => 1f / (1f + StableMath.Exp(-p.Logit)),
                _ => float.NaN,
            };
            _results[i] = p with { Probability = probability };
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Insert(int label, float logit, float score)
    {
        if (_results.IsEmpty)
            return;
        int place = Count < _results.Length ? Count++ : _results.Length - 1;
        while (place > 0 && (_results[place - 1].Score < score || (_results[place - 1].Score == score && _results[place - 1].Label > label)))
        {
            _results[place] = _results[place - 1];
            place--;
        }
        _results[place] = new Prediction(label, logit, score, float.NaN);
        if (Count == _results.Length)
            _threshold = _results[Count - 1].Score;
    }
}
