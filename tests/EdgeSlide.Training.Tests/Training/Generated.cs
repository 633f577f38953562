using System.Runtime.InteropServices;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Training;

namespace EdgeSlide.Training.Tests.Training;

/// <summary>Small generated problems: a label is a hidden topic, its rows draw most features from the topic's own.</summary>
internal static class Generated
{
    internal static Dataset Topics(int rows, int features, int labels, int featuresPerRow = 6, int seed = 1, bool dense = false)
    {
        Random random = new(seed);
        List<long> featureOffsets = [0], labelOffsets = [0];
        List<int> ids = [], labelIds = [];
        List<float> values = [];
        for (int row = 0; row < rows; row++)
        {
            int label = random.Next(labels);
            SortedSet<int> chosen = [];
            while (chosen.Count < featuresPerRow)
                chosen.Add(random.NextDouble() < 0.7 ? ((label * 3) + random.Next(3)) % features : random.Next(features));
            foreach (int feature in chosen)
            {
                ids.Add(feature);
                values.Add(dense ? 0.5f + random.NextSingle() : 1);
            }
            featureOffsets.Add(ids.Count);
            labelIds.Add(label);
            if (random.Next(3) == 0)
                labelIds.Add((label + 1) % labels);
            labelOffsets.Add(labelIds.Count);
        }
        return new Dataset
        {
            FeatureCount = features, LabelCount = labels, FeatureOffsets = [.. featureOffsets], FeatureIds = [.. ids],
            FeatureValues = [.. values], LabelOffsets = [.. labelOffsets], LabelIds = [.. labelIds],
        };
    }

    /// <summary>The values of a set in memory, to damage some of them.</summary>
    internal static Span<float> Values(Dataset data)
    {
        ReadOnlySpan<float> values = data.FeatureValues.Slice(0, (int)data.FeatureValues.Length);
        return MemoryMarshal.CreateSpan(ref MemoryMarshal.GetReference(values), values.Length);
    }

    internal static readonly TrainerOptions Small = new()
    {
        HiddenSizes = [24], Epochs = 3, BatchSize = 32, LearningRate = 0.01f, RandomNegatives = 16, Threads = 1,
    };
}
