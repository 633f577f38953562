namespace EdgeSlide.Training.Selection;

/// <summary>
/// One query's votes, and what they cost. The rules are the device's (docs/model-format.md, sections 7.3 and 7.5), written
/// plainly; a test holds the two against each other.
/// </summary>
internal sealed class VoteTally(int neurons)
{
    private readonly float[] _votes = new float[neurons];
    private (float Votes, int Neuron)[] _elected = new (float, int)[1024];
    private int[] _touched = new int[1024];
    private int _count;

    /// <summary>Multiplications, additions and comparisons of hashing, and one for each entry read.</summary>
    public long Operations { get; set; }

    public void Add(int neuron, float vote)
    {
        if (!(vote > 0f))
            return;
        if (_votes[neuron] == 0f)
        {
            if (_count == _touched.Length)
                Array.Resize(ref _touched, 2 * _count);
            _touched[_count++] = neuron;
        }
        _votes[neuron] += vote;
    }

    /// <summary>The at most <paramref name="budget"/> neurons with most votes, the lower id where votes are equal; then starts anew.</summary>
    public int Elect(int budget, Span<int> neurons, Span<float> votes)
    {
        if (_elected.Length < _count)
            _elected = new (float, int)[_touched.Length];
        for (int i = 0; i < _count; i++)
        {
            _elected[i] = (_votes[_touched[i]], _touched[i]);
            _votes[_touched[i]] = 0f;
        }
        Span<(float Votes, int Neuron)> all = _elected.AsSpan(0, _count);
        if (_count > budget)
            all.Sort(static (a, b) => a.Votes != b.Votes ? b.Votes.CompareTo(a.Votes) : a.Neuron.CompareTo(b.Neuron));
        int elected = Math.Min(budget, _count);
        for (int i = 0; i < elected; i++)
            (votes[i], neurons[i]) = all[i];
        _count = 0;
        Operations = 0;
        return elected;
    }
}
