using EdgeSlide.Hashing;
using EdgeSlide.Model;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Slide;
using EdgeSlide.Training.Tables;

namespace EdgeSlide.Training.Selection;

/// <summary>Builds sources from their specifications.</summary>
internal static class SourceFactory
{
    public static ICandidateSource Create(SourceSpec spec, TrainingEvidence evidence)
    {
        string votes = spec.Name is "features" or "hidden" or "planes" or "tree" or "router" or "neighbours" ? spec.Word("votes", "rank", "rank", "soft") : "rank";
        WeightedRows Votes() => votes == "soft" ? evidence.SoftVotes : evidence.Votes;
        int Entries(int otherwise) => spec.Count("entries", otherwise, 1, 4096);
        switch (spec.Name)
        {
            case "features":
                spec.Word("trust", "1", "1", "fit");
                return new FeatureBuckets(evidence, Votes(), Entries(16));
            case "hidden" or "planes":
                int tables = spec.Count("tables", 32, 1, LayerSelector.MaxTables), bits = spec.Count("bits", 8, 1, SimHash.MaxBits);
                int probes = spec.Count("probes", 1, 1, 64);
                Require(tables * bits <= 4096, "tables times bits must be at most 4096");
                IProjection projection = spec.Name == "planes"
                    ? new LearnedProjection(LearnedPlanes.Train(evidence, tables, bits))
                    : new HadamardProjection(evidence.Mean(), tables * bits, evidence.Options.Seed);
                return KeyedBuckets.Fill(new ProjectionKeys(projection, tables, bits, probes), evidence, Votes(), Entries(256));
            case "router":
                SelectorOptions routing = evidence.Options with { RouterEpochs = spec.Count("epochs", 3, 1, 100) };
                (byte[] nodes, SourceRecord route, int[] leaves) =
                    LabelTreeBuilder.Learn(evidence.Hidden, evidence.Width, Votes(), evidence.Network.Layers[^1].Weights, Shape(spec, 2, 32, 8, Entries(64)), routing, evidence.Cancel);
                return KeyedBuckets.Fill(new CentroidKeys(nodes, route, evidence.Width, spec.Count("filed", LabelTreeBuilder.Filed, 1, CentroidTree.MaxBeam)), evidence, Votes(), Entries(64), leaves);
            case "tree":
                TreeShape shape = Shape(spec, 3, 16, 4, Entries(256));
                (byte[] section, SourceRecord record) = CentroidTreeBuilder.Learn(evidence.Network, evidence.Scorer, evidence.Rows, shape, evidence.Options.Seed, evidence.Cancel);
                return KeyedBuckets.Fill(new CentroidKeys(section, record, evidence.Width), evidence, Votes(), Entries(256));
            case "weights":
                return Weights(spec, evidence);
            case "lss":
                int planeTables = spec.Count("tables", 32, 1, 256), planeBits = spec.Count("bits", 8, 1, 12);
                LearnedPlanes planes = LearnedPlanes.Train(evidence, planeTables, planeBits);
                return new NeuronTables(evidence, new LearnedFamily(planes, planes.QueryMean), planeBits, planeTables, planes.Bytes, new LearnedFamily(planes, planes.NeuronMean));
            case "clusters":
                int count = Math.Min(spec.Count("count", 256, 2, 65_536), evidence.Neurons);
                return new NeuronClusters(evidence, count, spec.Count("open", 8, 1, count), spec.Count("copies", 1, 1, 8));
            case "head":
                return new FrequentLabels(evidence, spec.Count("labels", 32, 1, 4096));
            default:
                return new NearestRows(evidence, Votes(), spec.Count("rows", 32, 1, 4096));
        }
    }

    private static TreeShape Shape(SourceSpec spec, int levels, int branch, int beam, int entries)
    {
        var shape = new TreeShape(
            spec.Count("levels", levels, 1, CentroidTree.MaxLevels), spec.Count("branch", branch, 2, CentroidTree.MaxBranch), spec.Count("beam", beam, 1, CentroidTree.MaxBeam), entries);
        shape.Validate($"{spec.Name} source's tree");
        return shape;
    }

    private static NeuronTables Weights(SourceSpec spec, TrainingEvidence evidence)
    {
        HashFamilyKind kind = spec.Word("family", "simhash", "simhash", "hadamard", "sparse", "wta", "dwta", "minhash") switch
        {
            "simhash" => HashFamilyKind.SimHash,
            "hadamard" => HashFamilyKind.Hadamard,
            "sparse" => HashFamilyKind.SparseProjection,
            "wta" => HashFamilyKind.Wta,
            "dwta" => HashFamilyKind.DensifiedWta,
            _ => HashFamilyKind.MinHash,
        };
        int k = spec.Count("k", kind is HashFamilyKind.Wta or HashFamilyKind.DensifiedWta ? 3 : kind == HashFamilyKind.MinHash ? 2 : 9, 1, 20), tables = spec.Count("tables", 50, 1, 256);
        HashFamily family = HashFamily.Create(kind, evidence.Width, k * tables, evidence.Options.Seed);
        // A bit or a place per element and function where the family is not just a seed.
        long bytes = kind switch
        {
            HashFamilyKind.SimHash => sizeof(float) * (long)evidence.Width * family.Codes,
            HashFamilyKind.SparseProjection => sizeof(int) * (long)evidence.Width * family.Codes / 3,
            HashFamilyKind.Wta or HashFamilyKind.DensifiedWta => sizeof(int) * 8L * family.Codes,
            _ => 0,
        };
        return new NeuronTables(evidence, family, k, tables, bytes, include: Rare(evidence, spec.Number("rare", 1f, 0f, 1f)));
    }

    /// <summary>The rarest labels: this share of all, by training frequency.</summary>
    private static Func<int, bool>? Rare(TrainingEvidence evidence, float share)
    {
        if (share >= 1f)
            return null;
        int[] counts = [.. LabelFrequencies.Of(evidence.Rows).Counts];
        var rare = new bool[evidence.Neurons];
        foreach (int n in Enumerable.Range(0, evidence.Neurons).OrderBy(n => counts[n]).ThenBy(n => n).Take((int)(share * evidence.Neurons)))
            rare[n] = true;
        return n => rare[n];
    }

    private static void Require(bool condition, string message)
    {
        if (!condition)
            throw new ArgumentException(message);
    }
}
