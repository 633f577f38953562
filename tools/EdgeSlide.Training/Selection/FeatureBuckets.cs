using EdgeSlide.Hashing;
using EdgeSlide.Training.Tables;

namespace EdgeSlide.Training.Selection;

/// <summary>
/// Buckets keyed by the query's own features. A feature may have a weight of its own: how far its bucket is to be believed.
/// </summary>
internal sealed class FeatureBuckets : ICandidateSource
{
    private readonly FrozenBuckets _buckets;
    private readonly float[]? _trust;
    private readonly float[] _values = new float[256];

    private FeatureBuckets(FrozenBuckets buckets, float[]? trust)
    {
        (_buckets, _trust) = (buckets, trust);
        BucketTable.DecodeVotes(buckets.VoteScale, _values);
    }

    public FeatureBuckets(TrainingEvidence evidence, WeightedRows votes, int entries)
        : this(TableBuilder.Build(new WeightedRows(evidence.Rows.FeatureOffsets, evidence.Rows.FeatureIds, evidence.Rows.FeatureValues),
            votes, evidence.Rows.FeatureCount, evidence.Neurons, entries, evidence.Cancel), null)
    {
    }

    /// <summary>The tables, with a byte a feature for its weight.</summary>
    public long Bytes => sizeof(uint) * ((long)_buckets.Offsets.Length + _buckets.Entries.Length) + (_trust?.Length ?? 0);

    public int FeatureCount => _buckets.Offsets.Length - 1;

    /// <summary>The same buckets with each feature's votes times its weight.</summary>
    public FeatureBuckets WithTrust(float[] trust) => new(_buckets, trust);

    public void Vote(QueryVector query, VoteTally tally, float weight)
    {
        ReadOnlySpan<int> features = query.Features;
        for (int i = 0; i < features.Length; i++)
            Vote(features[i], MathF.Abs(query.Values[i]) * (_trust is null ? 1f : _trust[features[i]]), tally, weight);
    }

    /// <summary>One feature's bucket: its neurons with their votes for a feature value of 1.</summary>
    public IEnumerable<(int Neuron, float Vote)> Bucket(int feature)
    {
        for (uint at = _buckets.Offsets[feature]; at < _buckets.Offsets[feature + 1]; at++)
            yield return ((int)(_buckets.Entries[at] >> BucketTable.VoteBits), _values[_buckets.Entries[at] & 0xFF]);
    }

    private void Vote(int feature, float value, VoteTally tally, float weight)
    {
        uint start = _buckets.Offsets[feature], end = _buckets.Offsets[feature + 1];
        tally.Operations += end - start;
        for (uint at = start; at < end; at++)
            tally.Add((int)(_buckets.Entries[at] >> BucketTable.VoteBits), value * (weight * _values[_buckets.Entries[at] & 0xFF]));
    }
}
