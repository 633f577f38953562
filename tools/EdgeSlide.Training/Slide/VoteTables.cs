using EdgeSlide.Training.Training;

namespace EdgeSlide.Training.Slide;

/// <summary>
/// Hash tables by a layer's input. A bucket holds the neurons that were most active for such inputs, with votes that fade,
/// so that similar inputs meet the same neurons from step to step and the neurons specialise. Threads update buckets
/// without locks, as they do weights: a lost vote is one of many.
/// </summary>
internal sealed unsafe class VoteTables : IDisposable
{
    public const int Empty = -1;

    private readonly NativeArray<int> _ids;
    private readonly NativeArray<float> _votes;

    /// <param name="keys">The buckets.</param>
    /// <param name="slots">Neurons that a bucket holds.</param>
    /// <param name="decay">What is left of a bucket's votes after one more input.</param>
    public VoteTables(BucketKeys keys, int slots, float decay)
    {
        (Keys, Slots, Decay) = (keys, slots, decay);
        _ids = new NativeArray<int>(keys.Count * slots);
        _votes = new NativeArray<float>(keys.Count * slots);
        new Span<int>(_ids.Items, checked((int)_ids.Length)).Fill(Empty);
    }

    public BucketKeys Keys { get; }

    public int Slots { get; }

    public float Decay { get; }

    /// <summary>The neurons of a bucket, <see cref="Empty"/> where there is none.</summary>
    public Span<int> Ids(int key) => new(_ids.Items + ((nint)key * Slots), Slots);

    public Span<float> Votes(int key) => new(_votes.Items + ((nint)key * Slots), Slots);

    public void Dispose()
    {
        _ids.Dispose();
        _votes.Dispose();
    }
}
