using EdgeSlide.Calibration;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using EdgeSlide.Model;

namespace EdgeSlide.Kernels;

/// <summary>
/// Keeps the k best answers in the caller's memory, best first; equal scores rank by id. Insertion into a sorted list: k is
/// small and almost every offer fails its first comparison.
/// </summary>
internal ref struct TopK(Span<Prediction> results)
{
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
