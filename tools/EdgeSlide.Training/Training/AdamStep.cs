namespace EdgeSlide.Training.Training;

/// <summary>What a row's moments do in the steps that give the row no gradient.</summary>
internal enum RowTime
{
    /// <summary>
    /// Nothing: a row counts only its own steps, and its bias correction with them. For inputs: a feature that is absent says
    /// nothing about its embedding.
    /// </summary>
    Own,

    /// <summary>
    /// What they would do with a gradient of 0: they decay, and the first moment goes on moving the weights. The missed steps
    /// are made up for when the row is touched again. For sampled neurons: one that was not drawn had a gradient, too, which
    /// was close to 0. Without this a rare label's second moment forgets how rare its gradients are, and its steps come out
    /// smaller than under the full softmax by the root of the share of steps that touch it.
    /// </summary>
    Shared,
}

/// <summary>Constants of one row's update.</summary>
/// <param name="Decay1">What is left of the first moment.</param>
/// <param name="Decay2">What is left of the second.</param>
/// <param name="Missed">Steps of the first moment, in multiples of it, that are to be made up for.</param>
internal readonly record struct RowMoments(float Decay1, float Decay2, float Correction1, float Correction2, float Missed);

/// <summary>Constants of one optimizer step; <paramref name="Number"/> counts from 1.</summary>
internal readonly record struct AdamStep(
    float LearningRate, float Beta1, float Beta2, float Epsilon, float WeightDecay, int Number, Powers Powers1, Powers Powers2)
{
    /// <summary>Brings a row's time up to this step.</summary>
    /// <param name="stamp">The row's own steps so far, or the step that touched it last; 0 for a new row.</param>
    internal RowMoments Touch(ref int stamp, RowTime time)
    {
        if (time == RowTime.Own)
        {
            int steps = ++stamp;
            return new RowMoments(Beta1, Beta2, 1 - Powers1[steps], 1 - Powers2[steps], 0);
        }
        int elapsed = Number - stamp;
        float missed = stamp == 0 ? 0 : Beta1 * (1 - Powers1[elapsed - 1]) / (1 - Beta1);
        stamp = Number;
        return new RowMoments(Powers1[elapsed], Powers2[elapsed], 1 - Powers1[Number], 1 - Powers2[Number], missed);
    }
}

/// <summary>Powers of a number below 1, of which small ones are at hand.</summary>
internal sealed class Powers
{
    private readonly float[] _table = new float[4096];
    private readonly float _base;

    internal Powers(float number)
    {
        _base = number;
        for (int i = 0; i < _table.Length; i++)
            _table[i] = MathF.Pow(number, i);
    }

    internal float this[int exponent] => (uint)exponent < (uint)_table.Length ? _table[exponent] : MathF.Pow(_base, exponent);
}
