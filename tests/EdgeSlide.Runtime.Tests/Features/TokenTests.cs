using System.Globalization;
using System.Text;
using EdgeSlide.Features;
using EdgeSlide.Model;
using EdgeSlide.Runtime.Tests.Support;
using FsCheck;
using FsCheck.Fluent;

namespace EdgeSlide.Runtime.Tests.Features;

public sealed class TokenTests
{
    [Theory]
    [InlineData("Hello, World!", "hello|world")]
    [InlineData("  leading and\ttrailing \r\n", "leading|and|trailing")]
    [InlineData("it's 3.14 x86-64", "it|s|3|14|x86|64")]
    [InlineData("", "")]
    [InlineData(" ,;- ", "")]
    [InlineData("ΑΒΓ Σίσυφος ΣΊΣΥΦΟΣ", "αβγ|σίσυφος|σίσυφοσ")] // No final-sigma rule: one character at a time.
    [InlineData("İstanbul ıSPARTA IĞDIR", "İstanbul|ısparta|iğdir")] // Invariant: never Turkish.
    [InlineData("naïve nai\u0308ve", "naïve|nai\u0308ve")] // Combining marks stay in the word; nothing is composed.
    [InlineData("हिन्दी में", "हिन्दी|में")]
    [InlineData("日本語 テキスト", "日本語|テキスト")]
    [InlineData("한국어", "한국어")]
    [InlineData("a👍b 👩‍👩‍👧 c", "a|b|c")]
    [InlineData("٣٤٥ १२३ ４２", "٣٤٥|१२३|４２")]
    [InlineData("Ǆ ΩMEGA Ⱥ 𐐀𐐁", "ǆ|ωmega|ⱥ|𐐨𐐩")]
    [InlineData("straße STRASSE", "straße|strasse")]
    [InlineData("x\0y\u0001z\u007fw", "x|y|z|w")]
    [InlineData("a\u00a0b\u2028c\u3000d", "a|b|c|d")]
    [InlineData("foo_bar snake_case", "foo|bar|snake|case")]
    public void Words_are_runs_of_letters_marks_and_digits_in_lower_case(string text, string tokens) =>
        Assert.Equal(Hashes(tokens), Read(text, TokenizerKind.Words));

    [Theory]
    [InlineData("The <unk> 's CAT , . <eos>", "The|<unk>|'s|CAT|,|.|<eos>")]
    [InlineData(" a\u00a0b\u2003c ", "a\u00a0b\u2003c")] // ASCII alone: the same on every version of Unicode.
    [InlineData("x\u0001y\u007f", "x|y\u007f")]
    [InlineData("日本 語👍", "日本|語👍")]
    public void Ascii_white_space_and_control_characters_alone_separate_the_tokens_of_a_token_stream(string text, string tokens) =>
        Assert.Equal(Hashes(tokens), Read(text, TokenizerKind.Whitespace));

    /// <summary>Published in docs/model-format.md: a change here breaks every model file in the world.</summary>
    [Theory]
    [InlineData("", 0ul, 0xF52A15E9A9B5E89BUL)]
    [InlineData("a", 0ul, 0x02C0BDBF481420F8UL)]
    [InlineData("energy", 0ul, 0x1CDE8A37CDBCD63FUL)]
    [InlineData("größe", 0ul, 0xBE9079C1B7E5AFE8UL)]
    [InlineData("energy", 17ul, 0xBC69C6299C4EB4E0UL)]
    public void Token_hashes_are_frozen(string token, ulong seed, ulong hash) =>
        Assert.Equal($"{hash:x16}", $"{TokenHash.Of(Encoding.UTF8.GetBytes(token), seed):x16}");

    [Fact]
    public void Gram_hashes_and_feature_ids_are_frozen()
    {
        ulong low = TokenHash.Of("low"u8, 0), power = TokenHash.Of("power"u8, 0);
        Assert.Equal("1e4e187b574c17de", $"{TokenHash.Extend(low, power):x16}");
        Assert.Equal("cde5c736e3f50bab", $"{TokenHash.Extend(power, low):x16}");
        Assert.Equal(705791, TokenHash.Reduce(low, 1_000_003));
        Assert.Equal(0, TokenHash.Reduce(0, 10));
        Assert.Equal(9, TokenHash.Reduce(ulong.MaxValue, 10));
    }

    [Theory]
    [InlineData(new byte[] { 0x61, 0xFF, 0x62 }, 2)]
    [InlineData(new byte[] { 0x80 }, 1)]
    [InlineData(new byte[] { 0x61, 0x62, 0xC3 }, 3)]
    [InlineData(new byte[] { 0xC3, 0x9F, 0x20, 0xE2, 0x82 }, 4)]
    [InlineData(new byte[] { 0x20, 0xC0, 0xAF }, 2)] // An overlong slash.
    [InlineData(new byte[] { 0xED, 0xA0, 0x80 }, 1)] // A surrogate.
    [InlineData(new byte[] { 0xF4, 0x90, 0x80, 0x80 }, 1)] // Beyond U+10FFFF.
    public void Invalid_utf8_is_refused_and_the_message_says_at_which_byte(byte[] text, int position)
    {
        foreach (TokenizerKind kind in Enum.GetValues<TokenizerKind>())
        {
            var error = Assert.Throws<InputException>(() =>
            {
                var reader = new TokenReader(text, kind, 0);
                while (reader.TryRead(out _))
                {
                    // Reading to the end is the test.
                }
            });
            Assert.Equal($"invalid UTF-8 at byte {position}", error.Message);
        }
    }

    [Fact]
    public void The_frozen_tables_are_those_of_the_framework_wherever_it_knows_the_character()
    {
        int parts = 0, mapped = 0;
        for (int c = 0x80; c <= 0x10FFFF; c++)
        {
            if (!Rune.IsValid(c))
                continue;
            var rune = new Rune(c);
            bool part = UnicodeTables.IsPart(rune);
            UnicodeCategory category = Rune.GetUnicodeCategory(rune);
            if (category != UnicodeCategory.OtherNotAssigned)
                Assert.True(part == category is <= UnicodeCategory.DecimalDigitNumber, $"U+{c:X4}: {category}");
            if (!part)
                continue;
            parts++;
            Rune lower = UnicodeTables.ToLower(rune), framework = Rune.ToLowerInvariant(rune);
            mapped += lower == rune ? 0 : 1;
            // The machine's ICU may be older than the tables and then leaves a letter as it is.
            if (framework != rune)
                Assert.True(lower == framework, $"U+{c:X4} becomes U+{lower.Value:X4}, for the framework U+{framework.Value:X4}");
        }
        Assert.Equal((144_227, 1_391), (parts, mapped));
    }

    [Fact]
    public void Any_text_gives_the_tokens_of_a_plain_tokenizer()
    {
        Gen<string> texts = Gen.OneOf(Gen.Choose(0x20, 0x7E), Gen.Choose(0, 0x2FF), Gen.Choose(0x300, 0x1FFF), Gen.Choose(0x1F300, 0x1FAFF), Gen.Choose(0x10000, 0x1FFFF))
            .ArrayOf().Select(codes => string.Concat(codes.Where(Rune.IsValid).Select(c => new Rune(c).ToString())));
        Prop.ForAll(texts.ToArbitrary(), text =>
        {
            foreach (TokenizerKind kind in Enum.GetValues<TokenizerKind>())
                Assert.Equal(Naive(text, kind).Select(t => TokenHash.Of(Encoding.UTF8.GetBytes(t), 5)), Read(text, kind, 5));
        }).Check();
    }

    [Fact]
    public void Any_bytes_end_in_tokens_or_in_an_input_error()
    {
        int refused = 0;
        Prop.ForAll(ArbMap.Default.ArbFor<byte[]>(), bytes =>
        {
            try
            {
                var reader = new TokenReader(bytes, TokenizerKind.Words, 0);
                int tokens = 0;
                while (reader.TryRead(out _))
                    Assert.True(++tokens <= bytes.Length);
            }
            catch (InputException)
            {
                refused++;
                Assert.False(System.Text.Unicode.Utf8.IsValid(bytes));
            }
        }).Check();
        Assert.True(refused > 0);
    }

    private static IEnumerable<string> Naive(string text, TokenizerKind kind)
    {
        var token = new StringBuilder();
        foreach (Rune rune in text.EnumerateRunes())
        {
            bool part = kind == TokenizerKind.Words
                ? Rune.GetUnicodeCategory(rune) is <= UnicodeCategory.DecimalDigitNumber
                : rune.Value > 0x20;
            if (part)
                token.Append(kind != TokenizerKind.Words ? rune : rune.IsAscii ? Rune.ToLowerInvariant(rune) : UnicodeTables.ToLower(rune));
            else if (token.Length > 0)
            {
                yield return token.ToString();
                token.Clear();
            }
        }
        if (token.Length > 0)
            yield return token.ToString();
    }

    private static List<ulong> Hashes(string tokens) =>
        [.. tokens.Split('|', StringSplitOptions.RemoveEmptyEntries).Select(t => TokenHash.Of(Encoding.UTF8.GetBytes(t), 0))];

    private static List<ulong> Read(string text, TokenizerKind kind, ulong seed = 0)
    {
        var hashes = new List<ulong>();
        var reader = new TokenReader(Encoding.UTF8.GetBytes(text), kind, seed);
        while (reader.TryRead(out ulong hash))
            hashes.Add(hash);
        return hashes;
    }
}

public sealed unsafe class VocabularyTests
{
    [Fact]
    public void Every_word_of_a_vocabulary_is_found_and_no_other()
    {
        Prop.ForAll(ArbMap.Default.ArbFor<ulong[]>(), ArbMap.Default.ArbFor<ulong[]>(), (known, others) =>
        {
            // Distinct in the 40 bits that are stored, as the builder demands.
            ulong[] hashes = [.. known.Select(TokenHash.Mix).DistinctBy(h => h << 24)];
            Check(hashes, others.Select(h => TokenHash.Mix(h ^ 0x5555)));
        }).Check();
    }

    [Fact]
    public void A_large_vocabulary_is_found_word_by_word()
    {
        ulong[] hashes = [.. Enumerable.Range(0, 100_000).Select(i => TokenHash.Mix((ulong)i)).DistinctBy(h => h << 24)];
        Check(hashes, Enumerable.Range(1_000_000, 100_000).Select(i => TokenHash.Mix((ulong)i)));
    }

    [Fact]
    public void Words_that_all_begin_their_search_at_the_last_slot_wrap_around()
    {
        ulong[] hashes = [.. Enumerable.Range(1, 50).Select(i => ulong.MaxValue - (ulong)i)];
        Check(hashes, [5, 6, 7]);
    }

    [Fact]
    public void Two_words_that_cannot_be_told_apart_are_refused()
    {
        ulong[] hashes = [0x1234567890, 0x1234567890 | 1UL << 50];
        var error = Assert.Throws<ArgumentException>(() => VocabularyIndex.Build(hashes));
        Assert.Contains("use another seed", error.Message, StringComparison.Ordinal);
    }

    private static void Check(ulong[] hashes, IEnumerable<ulong> others)
    {
        ulong[] slots = VocabularyIndex.Build(hashes);
        fixed (ulong* p = slots)
        {
            var index = new VocabularyIndex(new View<ulong>(p, slots.Length));
            for (int id = 0; id < hashes.Length; id++)
                Assert.Equal(id, index.Find(hashes[id]));
            var known = hashes.Select(h => h << 24).ToHashSet();
            foreach (ulong hash in others.Where(h => !known.Contains(h << 24)))
                Assert.Equal(-1, index.Find(hash));
            Assert.True(index.IsConsistent(hashes.Length));
            Assert.Equal(hashes.Length > 0, !index.IsConsistent(hashes.Length - 1));
            Assert.Equal(slots, index.ToArray());
        }
    }
}
