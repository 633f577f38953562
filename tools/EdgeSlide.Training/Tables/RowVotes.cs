using System.Runtime.InteropServices;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Evaluation;

namespace EdgeSlide.Training.Tables;

/// <summary>What each training row speaks for: its true labels and the network's best answers.</summary>
internal static class RowVotes
{
    private const int ScoreBlock = 8192;

    /// <summary>
    /// What every row votes for. Asking the network costs a dense pass, so in a large set only evenly spread blocks of rows
    /// ask it; the others vote for their true labels alone.
    /// </summary>
    public static WeightedRows Collect(DenseScorer scorer, Dataset train, int labels, SelectorOptions options, CancellationToken cancel)
    {
        int depth = Math.Min(options.VoteDepth, labels);
        int blocks = (train.RowCount + ScoreBlock - 1) / ScoreBlock;
        int asked = (int)Math.Min(blocks, (options.ScoredRows + (long)ScoreBlock - 1) / ScoreBlock);
        var ids = new ListWriter<int>(train.Storage);
        ItemsWriter<float> weights = train.Storage.Create<float>();
        var rowIds = new List<int>();
        float[]? favour = options.TailPower > 0f ? Favour(train, labels, options.TailPower) : null;
        for (int block = 0; block < blocks; block++)
        {
            cancel.ThrowIfCancellationRequested();
            int first = block * ScoreBlock, count = Math.Min(ScoreBlock, train.RowCount - first);
            TopLabels? top = IsAsked(block) ? scorer.Score(train, first, count, depth) : null;
            for (int i = 0; i < count; i++)
            {
                rowIds.Clear();
                ReadOnlySpan<int> ranked = top is null ? default : top.RowLabels(i);
                float total = 0f;
                for (int rank = 0; options.SoftVote > 0f && rank < ranked.Length && ranked[rank] >= 0; rank++)
                    total += MathF.Exp(top!.RowLogits(i)[rank] - top.RowLogits(i)[0]);
                for (int rank = 0; rank < ranked.Length; rank++)
                {
                    float vote = ranked[rank] < 0 ? 0f
                        : options.SoftVote > 0f ? options.SoftVote * MathF.Exp(top!.RowLogits(i)[rank] - top.RowLogits(i)[0]) / total
                        : rank == 0 ? options.TopVote : options.NextVote;
                    Add(Math.Max(0, ranked[rank]), vote);
                }
                foreach (int label in train.RowLabels(first + i))
                    Add(label, options.TrueVote);
                ids.Append(CollectionsMarshal.AsSpan(rowIds));
            }
        }
        (Items<long> offsets, Items<int> allIds) = ids.ToItems();
        return new WeightedRows(offsets, allIds, weights.ToItems());

        void Add(int label, float vote)
        {
            rowIds.Add(label);
            weights.Append(favour is null ? vote : vote * favour[label]);
        }

        bool IsAsked(int block) => (long)(block + 1) * asked / blocks != (long)block * asked / blocks;
    }

    /// <summary>What a vote for each label counts: more than 1 for a label of fewer rows than the mean of all.</summary>
    private static float[] Favour(Dataset train, int labels, float power)
    {
        ReadOnlySpan<int> counts = LabelFrequencies.Of(train).Counts;
        double mean = 0;
        foreach (int count in counts)
            mean += (count + 1.0) / labels;
        var favour = new float[labels];
        for (int label = 0; label < labels; label++)
            favour[label] = (float)Math.Pow(mean / (counts[label] + 1), power);
        return favour;
    }
}
