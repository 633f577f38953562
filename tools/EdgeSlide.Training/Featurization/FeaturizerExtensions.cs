using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using EdgeSlide.Features;
using EdgeSlide.Training.Data;

namespace EdgeSlide.Training.Featurization;

/// <summary>Runs the device's featurizer over whole data sets, on all cores.</summary>
internal static class FeaturizerExtensions
{
    public static Dataset Featurize(this Featurizer featurizer, RawDataset raw, CancellationToken cancel = default)
    {
        Action<int, FeatureVector> read = raw switch
        {
            TextDataset text => (row, features) => featurizer.FromText(text.RowText(row), features),
            SparseDataset sparse => (row, features) => featurizer.FromSparse(sparse.RowFeatures(row), sparse.RowValues(row), features),
            DenseDataset dense => (row, features) => featurizer.FromDense(dense.RowValues(row), features),
            _ => throw new ArgumentException("unknown kind of rows", nameof(raw)),
        };
        (Items<long> labelOffsets, Items<int> labelIds) = raw.LabelLists();
        (Items<long> offsets, Items<int> ids, Items<float> values) = Run(raw.RowCount, read, raw.Storage, cancel);
        return new Dataset
        {
            FeatureCount = featurizer.FeatureCount,
            LabelCount = raw.Labels.Count,
            FeatureOffsets = offsets,
            FeatureIds = ids,
            FeatureValues = values,
            LabelOffsets = labelOffsets,
            LabelIds = labelIds,
        };
    }

    /// <summary>
    /// Every word of a text as a label, with the words before it in its line as the input: what `edgeslide eval` does with
    /// the same text. A line's end is a word, and stands before the first word of the next.
    /// </summary>
    /// <param name="storage">Where the rows are kept; by default in memory.</param>
    public static Dataset Featurize(this Featurizer featurizer, TokenStream stream, RowStorage? storage = null, CancellationToken cancel = default)
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
        (Items<long> offsets, Items<int> ids, Items<float> values) = Run(tokens.Length, (row, features) =>
            featurizer.FromContext(text.AsSpan(starts[row + 1]..), row + 1 - starts[row + 1], features), storage ?? RowStorage.Memory, cancel);
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

    private static (Items<long> Offsets, Items<int> Ids, Items<float> Values) Run(int rows, Action<int, FeatureVector> read, RowStorage storage, CancellationToken cancel)
    {
        const int Chunk = 1024;
        var lists = new ListWriter<int>(storage);
        ItemsWriter<float> allValues = storage.Create<float>();
        var idle = new ConcurrentBag<FeatureVector>();
        try
        {
            InOrder.Run(Enumerable.Range(0, (int)(((long)rows + Chunk - 1) / Chunk)).Select(chunk => new Func<Part>(() => Read(chunk * Chunk, Math.Min(Chunk, rows - chunk * Chunk)))), part =>
            {
                lists.Append(part.Ids.Items, part.Ids.Ends);
                allValues.Append(CollectionsMarshal.AsSpan(part.Values));
            });
        }
        finally
        {
            foreach (FeatureVector features in idle)
                features.Dispose();
        }
        (Items<long> offsets, Items<int> ids) = lists.ToItems();
        return (offsets, ids, allValues.ToItems());

        Part Read(int first, int count)
        {
            cancel.ThrowIfCancellationRequested();
            if (!idle.TryTake(out FeatureVector? features))
                features = new FeatureVector();
            var part = new Part(new ListBuilder<int>(), []);
            try
            {
                for (int row = first; row < first + count; row++)
                {
                    read(row, features);
                    part.Ids.Add(features.IdSpan);
                    part.Ids.Close();
                    part.Values.AddRange(features.ValueSpan);
                }
            }
            catch (InputException e)
            {
                throw new InvalidDataException($"row {first + part.Ids.Count + 1}: {e.Message}", e);
            }
            finally
            {
                idle.Add(features);
            }
            return part;
        }
    }

    /// <summary>Some neighbouring rows.</summary>
    private sealed record Part(ListBuilder<int> Ids, List<float> Values);
}
