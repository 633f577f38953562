using System.Globalization;

namespace EdgeSlide.Training.Data;

/// <summary>What a generated corpus looks like.</summary>
internal sealed record SyntheticCorpusOptions
{
    public int Rows { get; init; } = 60_000;

    public int Labels { get; init; } = 12_000;

    public int Topics { get; init; } = 150;

    public ulong Seed { get; init; } = 1;
}

/// <summary>
/// A generated stand-in for real text: made-up words, a label tail after Zipf, and a solution that is known. It is the
/// same on every machine: integer arithmetic and its own random numbers throughout.
/// </summary>
/// <remarks>
/// Label r (from 0) is drawn with a probability proportional to 1 / (r + 1). It belongs to a topic and has two keywords,
/// each shared with a few other labels, so that only the pair tells; its name, <c>topic-keyword-keyword</c>, shows how.
/// A row has one to three labels, the further ones mostly of the first one's topic. Its text holds for each label both
/// keywords (one in 8 of 100 cases, none in 2) and a word or two of the topic, among common words and now and then a
/// stray keyword, shuffled.
/// </remarks>
internal sealed class SyntheticCorpus
{
    private const int WordsPerTopic = 20, CommonWords = 2_000;

    private readonly SyntheticCorpusOptions _options;
    private readonly Xoshiro256 _random;
    private readonly int[] _topics;
    private readonly (int First, int Second)[] _keywords;
    private readonly ZipfDistribution _labelDistribution;
    private readonly ZipfDistribution _commonDistribution = new(Enumerable.Range(0, CommonWords));
    private readonly ZipfDistribution?[] _topicDistributions;

    private SyntheticCorpus(SyntheticCorpusOptions options)
    {
        _options = options;
        _random = new Xoshiro256(options.Seed);
        _topics = new int[options.Labels];
        _keywords = new (int, int)[options.Labels];
        var taken = new HashSet<(int Topic, int First, int Second)>();
        for (int label = 0; label < options.Labels; label++)
        {
            do
            {
                _topics[label] = _random.Below(options.Topics);
                int first = _random.Below(KeywordCount), second = _random.Below(KeywordCount);
                _keywords[label] = (Math.Min(first, second), Math.Max(first, second));
            }
            while (_keywords[label].First == _keywords[label].Second || !taken.Add((_topics[label], _keywords[label].First, _keywords[label].Second)));
        }
        _labelDistribution = new ZipfDistribution(Enumerable.Range(0, options.Labels));
        _topicDistributions = new ZipfDistribution?[options.Topics];
        foreach (IGrouping<int, int> topic in Enumerable.Range(0, options.Labels).GroupBy(label => _topics[label]))
            _topicDistributions[topic.Key] = new ZipfDistribution(topic);
    }

    private int KeywordCount => _options.Labels / 2 + 2;

    /// <summary>Generates the corpus: of every 20 rows 17 for training, 1 for validation, 2 for test.</summary>
    public static Corpus Generate(SyntheticCorpusOptions? options = null) => Generate(options ?? new SyntheticCorpusOptions(), out _);

    /// <param name="oracleAccuracy">
    /// Share of all rows for which a reader who knows the topics, keywords and popularity of all labels, but not the row's
    /// labels, puts a right one first. (It adds up evidence and is not the Bayes optimum, which lies a little higher.)
    /// </param>
    internal static Corpus Generate(SyntheticCorpusOptions options, out double oracleAccuracy)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Rows, 20);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Labels, 3);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Topics, 1);
        return new SyntheticCorpus(options).Generate(out oracleAccuracy);
    }

    private Corpus Generate(out double oracleAccuracy)
    {
        LabelVocabulary labels = LabelVocabulary.FromNames(Enumerable.Range(0, _options.Labels).Select(Name));
        TextRows train = new(labels), validation = new(labels), test = new(labels);
        var oracle = new Oracle(this);
        int right = 0;
        var rowLabels = new List<int>();
        var words = new List<int>();
        for (int row = 0; row < _options.Rows; row++)
        {
            DrawLabels(rowLabels);
            DrawWords(rowLabels, words);
            int[] ids = [.. rowLabels];
            if (Array.IndexOf(ids, oracle.Predict(words)) >= 0) right++;
            TextRows target = (row % 20) switch { 17 => validation, >= 18 => test, _ => train };
            target.Add(string.Join(' ', words.Select(Word)), ids);
        }
        oracleAccuracy = (double)right / _options.Rows;
        string description = string.Create(CultureInfo.InvariantCulture,
            $"generated corpus (seed {_options.Seed}): {_options.Rows:N0} rows of made-up words, {_options.Labels:N0} labels after Zipf; knowing the rules, P@1 is {oracleAccuracy:F3}");
        return new Corpus(description, train.ToDataset(), validation.ToDataset(), test.ToDataset());
    }

    private void DrawLabels(List<int> labels)
    {
        labels.Clear();
        int first = _labelDistribution.Draw(_random);
        labels.Add(first);
        int draw = _random.Below(10);
        int more = draw < 5 ? 0 : draw < 8 ? 1 : 2;
        for (int i = 0; i < more; i++)
        {
            ZipfDistribution distribution = _random.Chance(70) ? _topicDistributions[_topics[first]]! : _labelDistribution;
            int label = distribution.Draw(_random);
            if (!labels.Contains(label)) labels.Add(label);
        }
    }

    /// <summary>Words are numbered through: topics' names, then their other words, keywords, common words.</summary>
    private void DrawWords(List<int> labels, List<int> words)
    {
        words.Clear();
        foreach (int label in labels)
        {
            int luck = _random.Below(100);
            if (luck < 94) words.Add(Keyword(_keywords[label].First));
            if (luck < 90 || luck is >= 94 and < 98) words.Add(Keyword(_keywords[label].Second));
            int topicWords = 1 + _random.Below(2);
            for (int i = 0; i < topicWords; i++) words.Add(_topics[label] * WordsPerTopic + _random.Below(WordsPerTopic));
        }
        if (_random.Chance(10)) words.Add(Keyword(_random.Below(KeywordCount)));
        int common = 3 + _random.Below(6);
        for (int i = 0; i < common; i++) words.Add(Keyword(KeywordCount) + _commonDistribution.Draw(_random));
        _random.Shuffle(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(words));
    }

    private int Keyword(int keyword) => _options.Topics * WordsPerTopic + keyword;

    private string Name(int label) =>
        $"{Word(_topics[label] * WordsPerTopic)}-{Word(Keyword(_keywords[label].First))}-{Word(Keyword(_keywords[label].Second))}";

    /// <summary>A pronounceable word of three syllables (or more, beyond 343,000), different for every number.</summary>
    private static string Word(int number)
    {
        const string consonants = "bdfgklmnprstvz", vowels = "aeiou";
        const int syllables = 14 * 5, three = syllables * syllables * syllables;
        // Multiplying by a number prime to the modulus visits every word once and keeps neighbours apart.
        int left = (int)((long)(number % three) * 104_729 % three);
        int beyond = number / three;
        Span<char> word = stackalloc char[16];
        int length = 0;
        for (int i = 0; i < 3 || beyond > 0; i++)
        {
            int syllable = left % syllables;
            left /= syllables;
            if (i >= 3)
            {
                syllable = beyond % syllables;
                beyond /= syllables;
            }
            word[length++] = consonants[syllable / vowels.Length];
            word[length++] = vowels[syllable % vowels.Length];
        }
        return word[..length].ToString();
    }

    /// <summary>Draws item r of a list with a probability proportional to 1 / (r + 1), r being the item's own number.</summary>
    private sealed class ZipfDistribution
    {
        private readonly int[] _items;
        private readonly ulong[] _cumulative;

        public ZipfDistribution(IEnumerable<int> items)
        {
            _items = [.. items];
            _cumulative = new ulong[_items.Length];
            ulong sum = 0;
            // Whole-numbered weights: libm's last bit differs between machines, a division's does not.
            for (int i = 0; i < _items.Length; i++) _cumulative[i] = sum += (1UL << 40) / (ulong)(_items[i] + 1);
        }

        public int Draw(Xoshiro256 random)
        {
            int index = Array.BinarySearch(_cumulative, random.Below(_cumulative[^1]));
            // A bound itself belongs to the item after it.
            return _items[index >= 0 ? index + 1 : ~index];
        }
    }

    /// <summary>Predicts a label from a text with the corpus's own rules.</summary>
    private sealed class Oracle
    {
        private readonly SyntheticCorpus _corpus;
        private readonly List<int>[] _labelsOfKeyword;

        public Oracle(SyntheticCorpus corpus)
        {
            _corpus = corpus;
            _labelsOfKeyword = [.. Enumerable.Range(0, corpus.KeywordCount).Select(_ => new List<int>())];
            for (int label = 0; label < corpus._keywords.Length; label++)
            {
                _labelsOfKeyword[corpus._keywords[label].First].Add(label);
                _labelsOfKeyword[corpus._keywords[label].Second].Add(label);
            }
        }

        public int Predict(List<int> words)
        {
            int firstKeyword = _corpus.Keyword(0), lastKeyword = _corpus.Keyword(_corpus.KeywordCount - 1);
            var topics = words.Where(word => word < firstKeyword).Select(word => word / WordsPerTopic).ToHashSet();
            var scores = new Dictionary<int, int>();
            foreach (int word in words.Distinct())
            {
                if (word < firstKeyword || word > lastKeyword) continue;
                foreach (int label in _labelsOfKeyword[word - firstKeyword])
                    scores[label] = scores.GetValueOrDefault(label, topics.Contains(_corpus._topics[label]) ? 2 : 0) + 3;
            }
            // Equal evidence: the more popular label, which has the smaller number.
            return scores.Count == 0 ? 0 : scores.OrderByDescending(score => score.Value).ThenBy(score => score.Key).First().Key;
        }
    }
}
