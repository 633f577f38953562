using System.Runtime.InteropServices;
using EdgeSlide.Features;
using EdgeSlide.Model;
using EdgeSlide.Training.Data;

namespace EdgeSlide.Training.Featurization;

/// <summary>
/// Every word of a text as a row whose label it is, its features the words before it in its line: what
/// <see cref="FeaturizerExtensions.Featurize(Featurizer, TokenStream)"/> makes at once is made here row by row, so that a
/// text takes 4 bytes a word, not a few hundred.
/// </summary>
internal sealed class ContextRows : IRowSource
{
    private readonly Featurizer _featurizer;
    private readonly int[] _tokens;
    private readonly int _endOfLine;

    public ContextRows(Featurizer featurizer, TokenStream stream)
    {
        _featurizer = featurizer;
        _tokens = stream.Ids;
        _endOfLine = stream.Vocabulary.EndOfLineId;
        LabelCount = stream.Vocabulary.Count;
    }

    public int FeatureCount => _featurizer.FeatureCount;

    public int LabelCount { get; }

    public int RowCount => _tokens.Length;

    public ReadOnlySpan<int> RowLabels(int row) => _tokens.AsSpan(row, 1);

    public RowCursor CreateCursor() => new Cursor(this);

    public ulong Fingerprint()
    {
        ulong hash = StableHash.Add((ulong)FeatureCount, (ulong)LabelCount);
        FeaturizerRecord record = _featurizer.Record;
        foreach (byte value in MemoryMarshal.AsBytes(new ReadOnlySpan<FeaturizerRecord>(in record)))
            hash = StableHash.Add(hash, value);
        foreach (int token in _tokens)
            hash = StableHash.Add(hash, (ulong)(uint)token);
        return hash;
    }

    private sealed class Cursor(ContextRows rows) : RowCursor
    {
        private readonly FeatureVector _features = new();

        public override ReadOnlySpan<int> Ids => _features.IdSpan;

        public override ReadOnlySpan<float> Values => _features.ValueSpan;

        public override void MoveTo(int row)
        {
            int window = Math.Min(rows._featurizer.ContextLength, row);
            ReadOnlySpan<int> before = rows._tokens.AsSpan(row - window, window);
            int lineEnd = before.LastIndexOf(rows._endOfLine);
            if (lineEnd >= 0)
                before = before[lineEnd..];
            if (lineEnd >= 0 || row > window)
            {
                rows._featurizer.FromContext(before, before.Length, _features);
                return;
            }
            // The first line: a line end stands before its first word, too, if the window reaches that far.
            Span<int> padded = stackalloc int[Featurizer.MaxBagWindow + 1];
            padded[0] = rows._endOfLine;
            before.CopyTo(padded[1..]);
            rows._featurizer.FromContext(padded[..(window + 1)], window + 1, _features);
        }

        protected override void Dispose(bool disposing)
        {
            _features.Dispose();
            base.Dispose(disposing);
        }
    }
}
