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
    private readonly ListWriter<int> _labels = new(RowStorage.Memory);
    private readonly ListWriter<byte> _texts = new(RowStorage.Memory);

    public void Add(string text, ReadOnlySpan<int> labelIds)
    {
        _labels.Append(labelIds);
        _texts.Append(Encoding.UTF8.GetBytes(text));
    }

    public TextDataset ToDataset()
    {
        (Items<long> labelOffsets, Items<int> labelIds) = _labels.ToItems();
        (Items<long> textOffsets, Items<byte> bytes) = _texts.ToItems();
        return new TextDataset { Labels = labels, LabelOffsets = labelOffsets, LabelIds = labelIds, TextOffsets = textOffsets, Text = bytes };
    }
}
