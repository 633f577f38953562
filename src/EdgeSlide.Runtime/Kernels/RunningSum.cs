namespace EdgeSlide.Kernels;

/// <summary>A softmax's sum over blocks of logits, kept relative to the largest logit so far and rescaled when a larger one comes.</summary>
internal unsafe struct RunningSum()
{
    private float _max = float.NegativeInfinity;

    public float Value { get; private set; }

    /// <param name="logits">A block.</param>
    /// <param name="count">Its length.</param>
    /// <param name="max">The largest logit of this block and all before it.</param>
    public void Add(float* logits, int count, float max)
    {
        if (max > _max)
        {
            Value *= StableMath.Exp(_max - max);
            _max = max;
        }
        Value += FloatKernels.SumOfExponentials(logits, count, _max);
    }
}
