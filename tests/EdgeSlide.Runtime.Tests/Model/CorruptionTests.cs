using System.Buffers.Binary;
using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Text;
using EdgeSlide.Features;
using EdgeSlide.Model;
using EdgeSlide.Runtime.Tests.Support;

namespace EdgeSlide.Runtime.Tests.Model;

/// <summary>
/// Damaged files: always one <see cref="ModelFormatException"/> of one line, never another exception, a hang, a crash or
/// more memory than the file is long. Where the damage carries valid checksums and the structure still holds, the model
/// opens and must answer with finite numbers or refuse the input.
/// </summary>
[Collection("alone")]
public sealed class CorruptionTests : IDisposable
{
    private const long AllowedMemory = 64 << 20;

    private readonly TemporaryFolder _folder = new();
    private int _files;
    private int _opened;

    public void Dispose() => _folder.Dispose();

    /// <summary>Models that together hold every section and every kind of featurizer and source.</summary>
    private static List<byte[]> Models()
    {
        var random = new TestRandom(77);
        return
        [
            GoldenModelTests.Bytes,
            GoldenModelTests.CalibratedBytes,
            GoldenModelTests.OtherFormatsBytes,
            TestNetwork.OfNumbers(FeaturizerKind.Dense, 20).WithLayers(random, [10, 70], 40, LayerActivation.Sigmoid).WithSelector(random, 6, true, true).WithSelector(random, 6, true, true, layer: 1).ToBytes(),
            TestNetwork.OfNumbers(FeaturizerKind.Sparse, 20).WithLayers(random, [], 40, LayerActivation.Identity).WithFormats(random, WeightFormat.Int8, WeightFormat.Int4).WithSelector(random, 6, true, false, blend: 1f).WithLabels().ToBytes(),
            TestNetwork.OfContext(12, 2, 5).WithLayers(random, [8], 12).WithSelector(random, 6, true, false).ToBytes(),
            TestNetwork.OfText(64, hashed: true, maxGram: 2).WithLayers(random, [8], 30).ToBytes(),
        ];
    }

    [Fact]
    public void A_file_cut_at_any_boundary_or_one_byte_beside_it_is_refused()
    {
        foreach (byte[] model in Models())
        {
            var ends = new SortedSet<long> { 0, 1, ModelFormat.HeaderSize, model.Length };
            foreach (SectionEntry entry in ModelBytes.Table(model))
                ends.UnionWith([(long)entry.Offset, (long)(entry.Offset + entry.Length), ModelFormat.Align((long)(entry.Offset + entry.Length))]);
            ends.Add(ModelFormat.HeaderSize + ModelBytes.Table(model).Length * Unsafe.SizeOf<SectionEntry>());
            foreach (long end in ends.SelectMany(e => new[] { e - 1, e, e + 1 }).Where(e => e >= 0 && e < model.Length).Distinct())
            {
                byte[] cut = model[..(int)end];
                AssertRefused(cut, end < ModelFormat.HeaderSize ? ModelError.TooShort : ModelError.WrongLength);
                // Cut by something that keeps the header honest: a section must be found to leave the file.
                if (end >= ModelFormat.HeaderSize)
                {
                    ModelBytes.Header(cut).FileLength = (ulong)end;
                    AssertRefused(ModelBytes.Reseal(cut), null);
                }
            }
            AssertRefused([.. model, 0], ModelError.WrongLength);
            AssertRefused([.. model, .. new byte[64]], ModelError.WrongLength);
        }
    }

    [Fact]
    public void A_flipped_bit_anywhere_is_noticed()
    {
        var random = new TestRandom(1);
        foreach (byte[] model in Models())
        {
            int tableEnd = ModelFormat.HeaderSize + ModelBytes.Table(model).Length * Unsafe.SizeOf<SectionEntry>();
            for (int at = 0; at < tableEnd; at++)
            {
                ModelError expected = at < 8 ? ModelError.NotAModel : at < 10 ? ModelError.UnsupportedVersion : at < ModelFormat.HeaderSize ? ModelError.DamagedHeader : ModelError.DamagedSectionTable;
                AssertRefused(Flipped(model, at, random.Below(8)), expected);
            }
            foreach (SectionEntry entry in ModelBytes.Table(model))
            {
                for (int i = 0; i < 12; i++)
                    AssertRefused(Flipped(model, (int)entry.Offset + random.Below((int)entry.Length), random.Below(8)), ModelError.DamagedSection);
            }
        }
    }

    [Fact]
    public void Padding_that_is_not_zero_is_noticed()
    {
        byte[] model = GoldenModelTests.Bytes;
        foreach (SectionEntry entry in ModelBytes.Table(model))
        {
            long end = (long)(entry.Offset + entry.Length);
            if (end % ModelFormat.Alignment != 0)
                AssertRefused(Flipped(model, (int)end, 0), ModelError.DamagedPadding);
        }
    }

    [Fact]
    public void Random_bytes_over_every_field_of_header_and_section_table_are_refused()
    {
        var random = new TestRandom(2);
        foreach (byte[] model in Models())
        {
            foreach ((int offset, int size, bool checksum) in Fields(model))
            {
                for (int i = 0; i < Effort.Times(30); i++)
                {
                    byte[] damaged = (byte[])model.Clone();
                    ulong value = Interesting(random, size, BinaryPrimitives.ReadUInt64LittleEndian([.. model.AsSpan(offset, size), 0, 0, 0, 0, 0, 0]));
                    for (int b = 0; b < size; b++)
                        damaged[offset + b] = (byte)(value >> (8 * b));
                    if (damaged.AsSpan().SequenceEqual(model))
                        continue;
                    AssertRefused(damaged, null);
                    // With checksums that match, the structure must give the damage away (the checksum fields themselves have none).
                    if (!checksum)
                        AssertRefused(ModelBytes.Reseal(damaged, sections: false), null);
                }
            }
        }
        Assert.True(_files > Effort.Times(5_000), $"{_files} files");
    }

    [Fact]
    public void Random_damage_inside_sections_is_refused_or_harmless()
    {
        var random = new TestRandom(3);
        RunWithDeadline(() =>
        {
            List<byte[]> models = Models();
            for (int i = 0; i < Effort.Times(16_000); i++)
            {
                byte[] damaged = (byte[])models[random.Below(models.Count)].Clone();
                SectionEntry[] table = ModelBytes.Table(damaged).ToArray();
                for (int n = 1 + random.Below(3); n > 0; n--)
                {
                    SectionEntry entry = table[random.Below(table.Length)];
                    if (entry.Length == 0)
                        continue;
                    int size = random.Chance(60) ? (entry.Length % 4 == 0 ? 4 : 1) : random.Chance(50) ? 2 : 1;
                    if ((int)entry.Length < size)
                        continue;
                    int at = (int)entry.Offset + random.Below((int)entry.Length / size) * size;
                    ulong old = 0;
                    for (int b = 0; b < size; b++)
                        old |= (ulong)damaged[at + b] << (8 * b);
                    ulong value = Interesting(random, size, old);
                    for (int b = 0; b < size; b++)
                        damaged[at + b] = (byte)(value >> (8 * b));
                }
                ModelBytes.Reseal(damaged);
                TryEverything(damaged, verify: i % 2 == 0);
            }
        });
        // Both outcomes must be common, or the test tests nothing.
        Assert.InRange(_opened, _files / 20, _files * 19 / 20);
    }

    [Fact]
    public void Sections_that_are_resized_removed_swapped_renamed_or_doubled_are_refused_or_harmless()
    {
        var random = new TestRandom(4);
        RunWithDeadline(() =>
        {
            List<List<SectionContent>> models = [.. Models().Select(m => ModelBytes.Table(m).ToArray()
                .Select(e => new SectionContent(e.Kind, e.Layer, e.Part, m.AsMemory((int)e.Offset, (int)e.Length))).ToList())];
            for (int i = 0; i < Effort.Times(4_000); i++)
            {
                List<SectionContent> sections = [.. models[random.Below(models.Count)]];
                int at = random.Below(sections.Count), other = random.Below(sections.Count);
                SectionContent section = sections[at];
                switch (random.Below(6))
                {
                    case 0:
                        sections.RemoveAt(at);
                        break;
                    case 1:
                        (sections[at], sections[other]) = (section with { Bytes = sections[other].Bytes }, sections[other] with { Bytes = section.Bytes });
                        break;
                    case 2:
                        sections[at] = section with { Kind = sections[other].Kind };
                        break;
                    case 3:
                        sections.Insert(other, random.Chance(50) ? section : section with { Layer = random.Below(4), Part = random.Below(3) });
                        break;
                    case 4:
                        sections[at] = section with { Bytes = section.Bytes[..random.Below(section.Bytes.Length + 1)] };
                        break;
                    default:
                        sections[at] = section with { Bytes = (byte[])[.. section.Bytes.Span, .. new byte[random.Below(200)]] };
                        break;
                }
                using var stream = new MemoryStream();
                ModelWriter.Write(stream, sections);
                TryEverything(stream.ToArray(), verify: i % 2 == 0);
            }
        });
        Assert.InRange(_opened, 0, _files / 3);
    }

    [Fact]
    public void Files_that_are_no_models_at_all_are_refused()
    {
        var random = new TestRandom(5);
        for (int i = 0; i < Effort.Times(300); i++)
        {
            byte[] noise = [.. Enumerable.Range(0, random.Below(4000)).Select(_ => (byte)random.Below(256))];
            AssertRefused(noise, noise.Length < ModelFormat.HeaderSize ? ModelError.TooShort : ModelError.NotAModel);
        }
        AssertRefused(Encoding.UTF8.GetBytes(new string('x', 1000)), ModelError.NotAModel);
        AssertRefused(new byte[4096], ModelError.NotAModel);
    }

    [Fact]
    public void Skipped_checksums_change_no_answer_and_structure_is_checked_all_the_same()
    {
        byte[] damaged = GoldenModelTests.Bytes;
        ModelBytes.Section(damaged, SectionKind.Weights)[5] ^= 1;
        string path = _folder.Write("model", damaged);
        Assert.Equal(ModelError.DamagedSection, Assert.Throws<ModelFormatException>(() => EdgeSlideModel.Open(path)).Error);
        using (EdgeSlideModel model = EdgeSlideModel.Open(path, verifyChecksums: false))
            AnswersSafely(model);
        byte[] structural = GoldenModelTests.Bytes;
        ModelBytes.Section<uint>(structural, SectionKind.BucketOffsets, 1)[3] = 999_999;
        path = _folder.Write("model", structural);
        Assert.Equal(ModelError.BadBucketOffsets, Assert.Throws<ModelFormatException>(() => EdgeSlideModel.Open(path, verifyChecksums: false)).Error);
    }

    /// <summary>One damage for every error code: the code says what is wrong, so each must be reachable and distinct.</summary>
    [Theory]
    [MemberData(nameof(DamageByError))]
    public void Every_kind_of_damage_has_its_own_error(ModelError error, string message)
    {
        byte[] model = GoldenModelTests.Bytes;
        ref FileHeader header = ref ModelBytes.Header(model);
        Span<SectionEntry> table = ModelBytes.Table(model);
        bool reseal = true;
        string? path = null;
        switch (error)
        {
            case ModelError.CannotOpen: path = _folder.File("missing.eslide"); break;
            case ModelError.TooShort: model = model[..63]; reseal = false; break;
            case ModelError.NotAModel: header.Magic ^= 1; break;
            case ModelError.UnsupportedVersion: header.Version = 4; break;
            case ModelError.DamagedHeader: header.Reserved1 = 5; break;
            case ModelError.WrongLength: model = model[..^64]; reseal = false; break;
            case ModelError.DamagedSectionTable: table[0].Offset ^= 64; reseal = false; break;
            case ModelError.BadSectionBounds: table[2].Offset += 64; break;
            case ModelError.UnknownSection: table[2].Kind = (SectionKind)0x21212121; break;
            case ModelError.DuplicateSection: table[ModelBytes.IndexOf(model, SectionKind.LabelText)].Kind = SectionKind.LabelOffsets; break;
            case ModelError.MissingSection: table[ModelBytes.IndexOf(model, SectionKind.Bias)].Layer = 5; break;
            case ModelError.WrongSectionSize: ModelBytes.Section<NetworkHeader>(model, SectionKind.Network)[0].LayerCount = 3; break;
            case ModelError.DamagedSection: ModelBytes.Section(model, SectionKind.Weights)[0] ^= 1; reseal = false; break;
            case ModelError.DamagedPadding: model[(int)(table[0].Offset + table[0].Length)] = 1; break;
            case ModelError.BadShape: ModelBytes.Section<NetworkHeader>(model, SectionKind.Network)[0].LabelCount = 61; break;
            case ModelError.BadNumber: ModelBytes.Section<float>(model, SectionKind.Scales, 1)[7] = float.NaN; break;
            case ModelError.BadWeight: ModelBytes.Section<sbyte>(model, SectionKind.Weights, 1)[9] = -128; break;
            case ModelError.BadBucketOffsets: ModelBytes.Section<uint>(model, SectionKind.BucketOffsets, 1)[1] = 1 << 20; break;
            case ModelError.BadNeuronId: ModelBytes.Section<uint>(model, SectionKind.BucketEntries, 1)[0] = 60 << 8; break;
            case ModelError.BadHash: ModelBytes.Section<uint>(model, SectionKind.Selector, 1)[0] = 0; break;
            case ModelError.BadFeaturizer: ModelBytes.Section<FeaturizerRecord>(model, SectionKind.Featurizer)[0].MaxGram = 9; break;
            case ModelError.BadVocabulary: ModelBytes.Section<ulong>(model, SectionKind.Vocabulary).Replace(0ul, 1ul); break;
            case ModelError.BadLabels: ModelBytes.Section(model, SectionKind.LabelText)[0] = 0xFF; break;
            case ModelError.BadCalibration:
                model = GoldenModelTests.CalibratedBytes;
                ModelBytes.Section<uint>(model, SectionKind.Calibration, 1)[8] = 60;
                break;
            case ModelError.BadProvenance: ModelBytes.Section(model, SectionKind.Provenance)[0] = (byte)'['; break;
        }
        path ??= _folder.Write("model.eslide", reseal ? ModelBytes.Reseal(model, sections: error != ModelError.DamagedSection) : model);
        var thrown = Assert.Throws<ModelFormatException>(() => EdgeSlideModel.Open(path));
        Assert.Equal((error, $"{path}: {message}"), (thrown.Error, thrown.Message));
    }

    public static TheoryData<ModelError, string> DamageByError => new()
    {
        { ModelError.CannotOpen, "no such file" },
        { ModelError.TooShort, "63 bytes are too few for a model's header" },
        { ModelError.NotAModel, "is not an .eslide model (wrong signature)" },
        { ModelError.UnsupportedVersion, "has format version 4; this build reads versions 1 to 3" },
        { ModelError.DamagedHeader, "the header's reserved bytes are not zero" },
        { ModelError.WrongLength, "has 13760 bytes where 13824 belong (cut short)" },
        { ModelError.DamagedSectionTable, "the section table is damaged (checksum)" },
        { ModelError.BadSectionBounds, "section FEAT[0] at 896 with 64 bytes does not follow the one before it or leaves the file" },
        { ModelError.UnknownSection, "section kind !!!! is unknown to this build" },
        { ModelError.DuplicateSection, "section LOFF[0] stands twice" },
        { ModelError.MissingSection, "section BIAS[0] is missing" },
        { ModelError.WrongSectionSize, "section NETW[0] has the wrong size" },
        { ModelError.DamagedSection, "section WGHT[0] is damaged (checksum)" },
        { ModelError.DamagedPadding, "the padding at 660 is not zero" },
        { ModelError.BadShape, "61 labels, but the output layer has 60 neurons" },
        { ModelError.BadNumber, "layer 1: scale or bias 7 is not a usable number" },
        { ModelError.BadWeight, "layer 1: a weight is outside -127..127" },
        { ModelError.BadBucketOffsets, "layer 1, source 0: bucket offsets do not ascend from 0 to 74" },
        { ModelError.BadNeuronId, "layer 1, source 0: a bucket names neuron 60, but the layer has 60" },
        { ModelError.BadHash, "layer 1: a selector with 2 sources and a budget of 0 is impossible" },
        { ModelError.BadFeaturizer, "featurizer: n-grams of 1 to 9 words are not within 1 to 5" },
        { ModelError.BadVocabulary, "the vocabulary's hash table is inconsistent" },
        { ModelError.BadLabels, "a label is not plain UTF-8 text" },
        { ModelError.BadProvenance, "the provenance is not a JSON object" },
        { ModelError.BadCalibration, "sampled neuron 0 is impossible" },
    };

    [Fact]
    public void Every_error_code_has_its_damage_above() =>
        Assert.Equal(Enum.GetValues<ModelError>(), DamageByError.Select(row => (ModelError)row[0]).Order());

    [Fact]
    public void What_cannot_be_mapped_is_named()
    {
        Assert.Equal($"{_folder.Path}: is a directory, not a model file", Refused(_folder.Path, true).Message);
        Assert.Equal(ModelError.TooShort, Refused("/dev/null", true).Error);
        Assert.Equal("/dev/null/model: no such file", Refused("/dev/null/model", true).Message);
        Assert.Equal(ModelError.CannotOpen, Refused(_folder.File("no\0name"), true).Error);
    }

    [Theory]
    [InlineData(64u, 4u, uint.MaxValue)]
    [InlineData(64u, 4u, 0u)]
    [InlineData(64u, 4u, 64u + 4096u + 262_144u + 16_777_216u)]
    [InlineData(2u, 2u, 7u)]
    public void A_centroid_source_with_a_wrong_number_of_keys_is_refused(uint branch, uint levels, uint keys)
    {
        // Trees of more nodes than there may be have no right number.
        var random = new TestRandom(6);
        TestNetwork network = TestNetwork.OfNumbers(FeaturizerKind.Dense, 20).WithLayers(random, [10], 40).WithSelector(random, 6, features: true, simHash: false);
        TestSource source = network.Output.Selector!.Sources[0];
        source.Record = source.Record with { Kind = SourceKind.Centroids, KeyCount = keys, Bits = branch, Tables = levels, Rounds = 1 };
        AssertRefused(network.ToBytes(), ModelError.BadHash);
        Assert.Contains($"impossible hash parameters (kind 3, {keys} keys, K={branch}, L={levels})", Refused(_folder.File("model"), verify: true).Message, StringComparison.Ordinal);
    }

    /// <summary>Byte ranges of all fields, and whether a field is a checksum.</summary>
    private static IEnumerable<(int Offset, int Size, bool IsChecksum)> Fields(byte[] model)
    {
        (int, int)[] header = [(0, 8), (8, 2), (10, 2), (12, 4), (16, 8), (24, 8), (32, 4), (36, 4), (40, 8), (48, 8), (56, 4), (60, 4)];
        Assert.Equal(ModelFormat.HeaderSize, header.Sum(f => f.Item2));
        foreach ((int offset, int size) in header)
            yield return (offset, size, offset is 32 or 60);
        int sections = ModelBytes.Table(model).Length;
        for (int i = 0; i < sections; i++)
        {
            int at = ModelFormat.HeaderSize + i * Unsafe.SizeOf<SectionEntry>();
            // A section's checksum has no checksum but the table's, so it must be found wrong even when that one matches.
            foreach ((int offset, int size) in new[] { (0, 4), (4, 2), (6, 2), (8, 8), (16, 8), (24, 4), (28, 4) })
                yield return (at + offset, size, false);
        }
    }

    /// <summary>Values that break things: small steps, limits, huge sizes, NaN, infinity, noise.</summary>
    private static ulong Interesting(TestRandom random, int size, ulong old) => random.Below(8) switch
    {
        0 => random.Next(),
        1 => random.Next() & 0xFF,
        2 => old + 1,
        3 => old - 1,
        4 => old ^ 1ul << random.Below(8 * size),
        5 => ulong.MaxValue >> random.Below(8 * size),
        6 => new ulong[] { 0x7FC00000ul, 0x7F800000, 0xFF800000, 0x7F7FFFFF, 0x00000001, 0x80000000, 0x4B189680 }[random.Below(7)],
        _ => 64ul << random.Below(32),
    };

    private static byte[] Flipped(byte[] model, int at, int bit)
    {
        var damaged = (byte[])model.Clone();
        damaged[at] ^= (byte)(1 << bit);
        return damaged;
    }

    /// <summary>Refused with one line, with and without checksums unless the damage is such that only a checksum can tell.</summary>
    private void AssertRefused(byte[] file, ModelError? expected)
    {
        string path = _folder.Write("model", file);
        _files++;
        ModelError error = Refused(path, verify: true).Error;
        if (expected is not null)
            Assert.Equal(expected, error);
        if (error is not (ModelError.DamagedSection or ModelError.BadWeight))
            Refused(path, verify: false);
    }

    private static ModelFormatException Refused(string path, bool verify)
    {
        var error = Assert.Throws<ModelFormatException>(() => EdgeSlideModel.Open(path, verify));
        Assert.DoesNotContain(error.Message.Replace("\0", "", StringComparison.Ordinal), char.IsControl);
        return error;
    }

    private void TryEverything(byte[] file, bool verify)
    {
        string path = _folder.Write("model", file);
        _files++;
        long before = GC.GetAllocatedBytesForCurrentThread();
        EdgeSlideModel model;
        try
        {
            model = EdgeSlideModel.Open(path, verify);
        }
        catch (ModelFormatException e)
        {
            Assert.DoesNotContain(e.Message, char.IsControl);
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, file.Length + AllowedMemory);
            return;
        }
        using (model)
        {
            _opened++;
            AnswersSafely(model);
        }
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, file.Length + AllowedMemory);
    }

    private static void AnswersSafely(EdgeSlideModel model)
    {
        using Predictor predictor = model.CreatePredictor();
        var top = new Prediction[Math.Min(4, model.LabelCount)];
        foreach (PredictionMode mode in new[] { PredictionMode.Lsh, PredictionMode.Dense })
        {
            predictor.Mode = mode;
            Ask(0);
            Ask(1);
        }

        void Ask(int variant)
        {
            int count;
            try
            {
                if (model.TakesText)
                {
                    count = predictor.PredictText(variant == 0 ? "w0 w1 w5 w11 w39 unknown w3" : "w7", top);
                }
                else if (model.Featurizer.Kind == FeaturizerKind.Sparse)
                {
                    int[] ids = [.. Enumerable.Range(0, Math.Min(20, model.FeatureCount))];
                    count = predictor.PredictSparse(ids, [.. ids.Select(i => variant == 0 ? i - 3f : 1e18f)], top);
                }
                else
                {
                    var values = new float[model.FeatureCount];
                    for (int i = 0; i < values.Length; i++)
                        values[i] = variant == 0 ? i - 3f : 1e18f / (i + 1);
                    count = predictor.PredictDense(values, top);
                }
            }
            catch (InputException e)
            {
                Assert.DoesNotContain(e.Message, char.IsControl);
                return;
            }
            Assert.InRange(count, 0, top.Length);
            foreach (Prediction answer in top.AsSpan(0, count))
            {
                Assert.InRange(answer.Label, 0, model.LabelCount - 1);
                Assert.True(float.IsFinite(answer.Logit) && float.IsFinite(answer.Score), $"{answer}");
                Assert.DoesNotContain(model.LabelName(answer.Label), char.IsControl);
            }
        }
    }

    /// <summary>Runs on a thread of its own, so that a hang fails the test instead of hanging it; watches peak memory.</summary>
    private void RunWithDeadline(Action work)
    {
        GC.Collect();
        long before = PeakResidentBytes(reset: true);
        Exception? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                work();
            }
            catch (Exception e)
            {
                failure = e;
            }
        }) { IsBackground = true };
        thread.Start();
        int seen = -1;
        var silence = Stopwatch.StartNew();
        while (!thread.Join(100))
        {
            if (_files != seen)
            {
                seen = _files;
                silence.Restart();
            }
            Assert.True(silence.Elapsed < TimeSpan.FromSeconds(60), $"file {_files} hangs");
        }
        if (failure is not null)
            throw new InvalidOperationException($"file {_files}: {failure.Message}", failure);
        // The models here are some ten kilobytes; the rest is the garbage collector's room.
        // Less than before is possible: the pages of earlier tests may have gone.
        Assert.InRange(PeakResidentBytes(reset: false) - before, long.MinValue, 2 * AllowedMemory);
    }

    private static long PeakResidentBytes(bool reset)
    {
        if (!File.Exists("/proc/self/status"))
            return 0;
        if (reset)
            File.WriteAllText("/proc/self/clear_refs", "5");
        string line = File.ReadLines("/proc/self/status").First(l => l.StartsWith("VmHWM:", StringComparison.Ordinal));
        return long.Parse(line["VmHWM:".Length..].Replace("kB", "", StringComparison.Ordinal)) * 1024;
    }
}
