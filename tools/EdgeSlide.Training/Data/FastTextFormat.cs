namespace EdgeSlide.Training.Data;

/// <summary>
/// Rows as fastText reads them for classification: <c>__label__ID</c> for each label, then a word <c>fID</c> for each feature.
/// A word has no value: one that is a whole number repeats the word, any other leaves it once.
/// </summary>
internal static class FastTextFormat
{
    /// <summary>A feature is never written more often than this.</summary>
    public const int MaxRepeats = 64;

    /// <summary>Writes rows; gzip if the name ends in .gz.</summary>
    public static void Write(string path, IRowSource rows, OutputFiles? files = null) => OutputFile.Write(path, output =>
    {
        using RowCursor cursor = rows.CreateCursor();
        for (int row = 0; row < rows.RowCount; row++)
        {
            bool first = true;
            foreach (int label in rows.RowLabels(row))
            {
                output.Append(first ? "__label__"u8 : " __label__"u8).Append(label);
                first = false;
            }
            cursor.MoveTo(row);
            for (int i = 0; i < cursor.Ids.Length; i++)
            {
                for (int n = Repeats(cursor.Values[i]); n > 0; n--)
                {
                    output.Append(first ? "f"u8 : " f"u8).Append(cursor.Ids[i]);
                    first = false;
                }
            }
            output.Append((byte)'\n');
        }
    }, files);

    private static int Repeats(float value) => value >= 1 && value == MathF.Floor(value) ? (int)Math.Min(value, MaxRepeats) : 1;
}
