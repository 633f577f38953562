using System.Text;

namespace EdgeSlide.Training.Data;

/// <summary>A text classification task that comes with its own division into three sets under one vocabulary.</summary>
/// <param name="Description">One line that says what it is and how it was divided.</param>
internal sealed record Corpus(string Description, TextDataset Train, TextDataset Validation, TextDataset Test)
{
    public LabelVocabulary Labels => Train.Labels;
}

/// <summary>Text rows under construction.</summary>
internal sealed class TextRows(LabelVocabulary labels)
{
    private readonly ListBuilder _labels = new();
    private readonly List<ReadOnlyMemory<byte>> _texts = [];

    public void Add(string text, ReadOnlySpan<int> labelIds)
    {
        foreach (int id in labelIds) _labels.Add(id);
        _labels.Close();
        _texts.Add(Encoding.UTF8.GetBytes(text));
    }

    public TextDataset ToDataset()
    {
        (long[] offsets, int[] ids) = ListBuilder.Join([_labels]);
        return new TextDataset { Labels = labels, LabelOffsets = offsets, LabelIds = ids, Texts = [.. _texts] };
    }
}
