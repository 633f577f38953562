using EdgeSlide.Training.Evaluation;

namespace EdgeSlide.Training.Selection;

/// <summary>An always-on head: the most frequent labels, whatever the query, as a prior of last resort.</summary>
internal sealed class FrequentLabels : ICandidateSource
{
    private readonly (int Neuron, float Vote)[] _head;

    public FrequentLabels(TrainingEvidence evidence, int count)
    {
        int[] counts = [.. LabelFrequencies.Of(evidence.Rows).Counts];
        float rows = Math.Max(1, evidence.Rows.RowCount);
        _head = [.. Enumerable.Range(0, evidence.Neurons).OrderByDescending(n => counts[n]).ThenBy(n => n)
            .Take(count).Where(n => counts[n] > 0).Select(n => (n, counts[n] / rows))];
    }

    public long Bytes => _head.Length * (sizeof(int) + sizeof(float));

    public void Vote(QueryVector query, VoteTally tally, float weight)
    {
        tally.Operations += _head.Length;
        foreach ((int neuron, float vote) in _head)
            tally.Add(neuron, weight * vote);
    }
}
