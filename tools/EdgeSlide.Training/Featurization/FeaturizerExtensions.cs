using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using EdgeSlide.Features;
using EdgeSlide.Training.Data;

namespace EdgeSlide.Training.Featurization;

/// <summary>Runs the device's featurizer over whole data sets, on all cores.</summary>
internal static class FeaturizerExtensions
{
    /// <exception cref="DataFormatException">A row that the featurizer refuses.</exception>
    public static Dataset Featurize(this Featurizer featurizer, RawDataset raw, CancellationToken cancel = default) => featurizer.Featurize(raw, null, out _, cancel);

    /// <param name="skipped">Takes rows that the featurizer refuses, which are left out; without it the first one is fatal.</param>
    /// <param name="kept">The rows that are left.</param>
    /// <exception cref="DataFormatException">A row that the featurizer refuses.</exception>
    public static Dataset Featurize(this Featurizer featurizer, RawDataset raw, SkippedRows? skipped, out RawDataset kept, CancellationToken cancel = default)
    {
        Action<int, FeatureVector> read = raw switch
        {
            TextDataset text => (row, features) => featurizer.FromText(text.RowText(row), features),
            SparseDataset sparse => (row, features) => featurizer.FromSparse(sparse.RowFeatures(row), sparse.RowValues(row), features),
            DenseDataset dense => (row, features) => featurizer.FromDense(dense.RowValues(row), features),
            _ => throw new ArgumentException("unknown kind of rows", nameof(raw)),
        };
        var refused = new List<int>();
        (Items<long> offsets, Items<int> ids, Items<float> values) = Run(raw.RowCount, read, raw.Storage, (row, problem) =>
        {
            DataFormatException where = raw.Origin?.Problem(row, problem.Message, problem) ?? new DataFormatException($"row {row + 1}", 0, problem.Message, problem);
            if (skipped is null)
                throw where;
            skipped.Add(where);
            refused.Add(row);
        }, cancel);
        if (refused.Count == raw.RowCount && refused.Count > 0)
            throw skipped!.First!;
        kept = refused.Count == 0 ? raw : raw.Select([.. Enumerable.Range(0, raw.RowCount).Except(refused)]);
        (Items<long> labelOffsets, Items<int> labelIds) = kept.LabelLists();
        return new Dataset
        {
            FeatureCount = featurizer.FeatureCount,
            LabelCount = raw.Labels.Count,
            FeatureOffsets = offsets,
            FeatureIds = ids,
            FeatureValues = values,
            LabelOffsets = labelOffsets,
            LabelIds = labelIds,
            Origin = kept.Origin,
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
            featurizer.FromContext(text.AsSpan(starts[row + 1]..), row + 1 - starts[row + 1], features), storage ?? RowStorage.Memory, (_, problem) => throw problem, cancel);
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

    /// <param name="refuse">Gets the rows that cannot be read, in their order; they are left out.</param>
    private static (Items<long> Offsets, Items<int> Ids, Items<float> Values) Run(
        int rows, Action<int, FeatureVector> read, RowStorage storage, Action<int, InputException> refuse, CancellationToken cancel)
    {
        const int Chunk = 1024;
        var lists = new ListWriter<int>(storage);
        ItemsWriter<float> allValues = storage.Create<float>();
        var idle = new ConcurrentBag<FeatureVector>();
        try
        {
            InOrder.Run(Enumerable.Range(0, (int)(((long)rows + Chunk - 1) / Chunk)).Select(chunk => new Func<Part>(() => Read(chunk * Chunk, Math.Min(Chunk, rows - chunk * Chunk)))), part =>
            {
                foreach ((int row, InputException problem) in part.Refused)
                    refuse(row, problem);
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
            var part = new Part(new ListBuilder<int>(), [], []);
            try
            {
                for (int row = first; row < first + count; row++)
                {
                    try
                    {
                        read(row, features);
                    }
                    catch (InputException problem)
                    {
                        part.Refused.Add((row, problem));
                        continue;
                    }
                    part.Ids.Add(features.IdSpan);
                    part.Ids.Close();
                    part.Values.AddRange(features.ValueSpan);
                }
            }
            finally
            {
                idle.Add(features);
            }
            return part;
        }
    }

    /// <summary>Some neighbouring rows.</summary>
    private sealed record Part(ListBuilder<int> Ids, List<float> Values, List<(int Row, InputException Problem)> Refused);
}
