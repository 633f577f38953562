using EdgeSlide.Features;
using EdgeSlide.Training.Data;

namespace EdgeSlide.Training.Featurization;

/// <summary>Runs the device's featurizer over whole data sets, on all cores.</summary>
internal static class FeaturizerExtensions
{
    public static Dataset Featurize(this Featurizer featurizer, RawDataset raw)
    {
        Action<int, FeatureVector> read = raw switch
        {
            TextDataset text => (row, features) => featurizer.FromText(text.RowText(row), features),
            SparseDataset sparse => (row, features) => featurizer.FromSparse(sparse.RowFeatures(row), sparse.RowValues(row), features),
            DenseDataset dense => (row, features) => featurizer.FromDense(dense.RowValues(row), features),
            _ => throw new ArgumentException("unknown kind of rows", nameof(raw)),
        };
        (long[] offsets, int[] ids, float[] values) = Run(raw.RowCount, read);
        return new Dataset
        {
            FeatureCount = featurizer.FeatureCount,
            LabelCount = raw.Labels.Count,
            FeatureOffsets = offsets,
            FeatureIds = ids,
            FeatureValues = values,
            LabelOffsets = raw.LabelOffsets,
            LabelIds = raw.LabelIds,
        };
    }

    /// <summary>
    /// Every word of a text as a label, with the words before it in its line as the input: what `edgeslide eval` does with
    /// the same text. A line's end is a word, and stands before the first word of the next.
    /// </summary>
    public static Dataset Featurize(this Featurizer featurizer, TokenStream stream)
    {
        int[] tokens = stream.Ids;
        int endOfLine = stream.Vocabulary.EndOfLineId;
        // starts[i] is where the line of token i begins, in a text that has a line end before its first word.
        var text = new int[tokens.Length + 1];
        text[0] = endOfLine;
        tokens.CopyTo(text, 1);
        var starts = new int[text.Length];
        for (int i = 1; i < text.Length; i++)
            starts[i] = text[i - 1] == endOfLine ? i - 1 : starts[i - 1];
        (long[] offsets, int[] ids, float[] values) = Run(tokens.Length, (row, features) =>
            featurizer.FromContext(text.AsSpan(starts[row + 1]..), row + 1 - starts[row + 1], features));
        var labelOffsets = new long[tokens.Length + 1];
        for (int i = 0; i <= tokens.Length; i++)
            labelOffsets[i] = i;
        return new Dataset
        {
            FeatureCount = featurizer.FeatureCount,
            LabelCount = stream.Vocabulary.Count,
            FeatureOffsets = offsets,
            FeatureIds = ids,
            FeatureValues = values,
            LabelOffsets = labelOffsets,
            LabelIds = tokens,
        };
    }

    private static (long[] Offsets, int[] Ids, float[] Values) Run(int rows, Action<int, FeatureVector> read)
    {
        const int Chunk = 4096;
        int chunks = (rows + Chunk - 1) / Chunk;
        var parts = new (int[] Counts, int[] Ids, float[] Values)[chunks];
        Parallel.For(0, chunks, () => new FeatureVector(), (chunk, _, features) =>
        {
            int first = chunk * Chunk, count = Math.Min(Chunk, rows - first);
            var counts = new int[count];
            var ids = new List<int>();
            var values = new List<float>();
            for (int i = 0; i < count; i++)
            {
                try
                {
                    read(first + i, features);
                }
                catch (InputException e)
                {
                    throw new InvalidDataException($"row {first + i + 1}: {e.Message}", e);
                }
                counts[i] = features.Count;
                ids.AddRange(features.IdSpan);
                values.AddRange(features.ValueSpan);
            }
            parts[chunk] = (counts, [.. ids], [.. values]);
            return features;
        }, features => features.Dispose());

        var offsets = new long[rows + 1];
        for (int chunk = 0, row = 0; chunk < chunks; chunk++)
        {
            foreach (int count in parts[chunk].Counts)
            {
                offsets[row + 1] = offsets[row] + count;
                row++;
            }
        }
        var allIds = new int[offsets[^1]];
        var allValues = new float[offsets[^1]];
        Parallel.For(0, chunks, chunk =>
        {
            parts[chunk].Ids.CopyTo(allIds, offsets[chunk * Chunk]);
            parts[chunk].Values.CopyTo(allValues, offsets[chunk * Chunk]);
        });
        return (offsets, allIds, allValues);
    }
}
