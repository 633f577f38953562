namespace EdgeSlide.Training.Selection;

/// <summary>
/// One way to find the neurons that may answer a query: whatever it finds it votes for. Sources are compared, and added up,
/// by their votes alone. Immutable, so threads share it.
/// </summary>
internal interface ICandidateSource
{
    /// <summary>What a device would have to store for it.</summary>
    long Bytes { get; }

    /// <summary>Adds the source's votes, each times <paramref name="weight"/>, and what they cost.</summary>
    void Vote(QueryVector query, VoteTally tally, float weight);
}
