using System.Globalization;
using System.Text;
using System.Text.Json;
using EdgeSlide.EndToEnd.Tests.Support;

namespace EdgeSlide.EndToEnd.Tests;

/// <summary>The native binary and the library answer alike: same features from the same text, same bits out.</summary>
public sealed class ParityTests : IDisposable
{
    /// <summary>Letters and digits that came with Unicode 15.1 and 16: the library on .NET 10 knows them, the binary on .NET 9 does not yet.</summary>
    private static readonly (int First, int Last)[] Young =
    [
        (0x897, 0x897), (0x1C89, 0x1C8A), (0xA7CB, 0xA7CD), (0xA7DA, 0xA7DC), (0x105C0, 0x105F3), (0x10D40, 0x10D85), (0x10EC2, 0x10EC4),
        (0x10EFC, 0x10EFC), (0x11380, 0x113E2), (0x116D0, 0x116E3), (0x11BC0, 0x11BF9), (0x11F5A, 0x11F5A), (0x13460, 0x143FA),
        (0x16100, 0x16139), (0x16D40, 0x16D79), (0x1CCF0, 0x1CCF9), (0x1E5D0, 0x1E5FA),
    ];

    private readonly Shell _shell = new();

    public void Dispose() => _shell.Dispose();

    [Fact]
    public void Every_letter_of_unicode_means_the_same_to_the_binary_and_to_the_library()
    {
        string path = Models.HashedText(_shell);
        // Each line holds 40 characters with a word before them; letters that only one of the two knows, or cases that
        // differ between the two frameworks, would change the line's features and so its answers.
        var lines = new List<string>();
        var line = new StringBuilder();
        for (int code = 0x21; code <= 0x2FFFF; code++)
        {
            if (!Rune.IsValid(code) || Rune.GetUnicodeCategory(new Rune(code)) is UnicodeCategory.OtherNotAssigned or UnicodeCategory.PrivateUse or UnicodeCategory.Control
                || code is 0x2028 or 0x2029 or >= 0x4E10 and <= 0x9F00 or >= 0xAC10 and <= 0xD700 or >= 0x17000 and <= 0x18CFF or >= 0x20000 and <= 0x2FF00
                || Young.Any(y => code >= y.First && code <= y.Last))
                continue;
            line.Append(new Rune(code)).Append('x');
            if (line.Length >= 80)
            {
                lines.Add($"line {lines.Count} {line}");
                line.Clear();
            }
        }
        AssertEqual(path, lines);
    }

    [Fact]
    public void Plain_sentences_get_the_same_bits()
    {
        string path = Models.HashedText(_shell);
        AssertEqual(path, [.. Enumerable.Range(0, 300).Select(i => $"Sentence {i}: the number {i * 7919 % 1000} and the Größe of it")]);
    }

    private void AssertEqual(string path, List<string> lines)
    {
        Assert.True(lines.Count >= 300);
        _shell.Write("q", string.Join('\n', lines) + "\n");
        using EdgeSlideModel model = EdgeSlideModel.Open(path);
        using Predictor predictor = model.CreatePredictor();
        var top = new Prediction[4];
        foreach (string mode in new[] { "lsh", "dense" })
        {
            predictor.Mode = mode == "lsh" ? PredictionMode.Lsh : PredictionMode.Dense;
            string[] answers = _shell.RunWell($"edgeslide predict hashed.eslide q --json --top 4 --mode {mode}").Lines;
            Assert.Equal(lines.Count, answers.Length);
            for (int i = 0; i < lines.Count; i++)
            {
                int count = predictor.PredictText(lines[i], top);
                using JsonDocument json = JsonDocument.Parse(answers[i]);
                Assert.Equal(i + 1, json.RootElement.GetProperty("line").GetInt32());
                Assert.Equal(top.Take(count).Select(p => (p.Label, p.Logit, p.Score, p.Probability)),
                    json.RootElement.GetProperty("predictions").EnumerateArray().Select(p => (p.GetProperty("id").GetInt32(), p.GetProperty("logit").GetSingle(),
                        p.GetProperty("score").GetSingle(), p.GetProperty("probability").GetSingle())));
            }
        }
    }
}
