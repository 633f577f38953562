using EdgeSlide.Hashing;
using EdgeSlide.Model;
using EdgeSlide.Training.Evaluation;
using EdgeSlide.Training.Slide;
using EdgeSlide.Training.Tables;

namespace EdgeSlide.Training.Selection;

/// <summary>Reads the options of sources and builds them.</summary>
internal static class SourceFactory
{
    /// <summary>Reads all options of a source before there is data to build it from, so that a wrong one costs no waiting.</summary>
    /// <exception cref="ArgumentException">An option's value is impossible.</exception>
    public static Func<TrainingEvidence, ICandidateSource> Read(SourceSpec spec)
    {
        bool soft = spec.Name is "features" or "hidden" or "planes" or "tree" or "router" or "neighbours" && spec.Word("votes", "rank", "rank", "soft") == "soft";
        WeightedRows Votes(TrainingEvidence evidence) => soft ? evidence.SoftVotes : evidence.Votes;
        int Entries(int otherwise) => spec.Count("entries", otherwise, 1, 4096);
        switch (spec.Name)
        {
            case "features":
                spec.Word("trust", "1", "1", "fit");
                int bucketSize = Entries(16);
                return evidence => new FeatureBuckets(evidence, Votes(evidence), bucketSize);
            case "hidden" or "planes":
                return Projection(spec, Votes, Entries(256));
            case "router":
                TreeShape labelTree = Shape(spec, 2, 32, 8, Entries(64));
                int epochs = spec.Count("epochs", 3, 1, 100), filed = spec.Count("filed", LabelTreeBuilder.Filed, 1, CentroidTree.MaxBeam);
                return evidence =>
                {
                    (byte[] nodes, SourceRecord route, int[] leaves) = LabelTreeBuilder.Learn(evidence.Hidden, evidence.Width, Votes(evidence), evidence.Network.Layers[^1].Weights,
                        labelTree, evidence.Options with { RouterEpochs = epochs }, evidence.Cancel);
                    return KeyedBuckets.Fill(new CentroidKeys(nodes, route, evidence.Width, filed), evidence, Votes(evidence), labelTree.BucketSize, leaves);
                };
            case "tree":
                TreeShape shape = Shape(spec, 3, 16, 4, Entries(256));
                return evidence =>
                {
                    (byte[] section, SourceRecord record) = CentroidTreeBuilder.Learn(evidence.Network, evidence.Scorer, evidence.Rows, shape, evidence.Options.Seed, evidence.Cancel);
                    return KeyedBuckets.Fill(new CentroidKeys(section, record, evidence.Width), evidence, Votes(evidence), shape.BucketSize);
                };
            case "weights":
                return Weights(spec);
            case "lss":
                int planeTables = spec.Count("tables", 32, 1, 256), planeBits = spec.Count("bits", 8, 1, 12);
                return evidence =>
                {
                    LearnedPlanes planes = LearnedPlanes.Train(evidence, planeTables, planeBits);
                    return new NeuronTables(evidence, new LearnedFamily(planes, planes.QueryMean), planeBits, planeTables, planes.Bytes, new LearnedFamily(planes, planes.NeuronMean));
                };
            case "clusters":
                int count = spec.Count("count", 256, 2, 65_536), open = spec.Count("open", Math.Min(8, count), 1, count), copies = spec.Count("copies", 1, 1, 8);
                return evidence => new NeuronClusters(evidence, Math.Min(count, evidence.Neurons), open, copies);
            case "head":
                int labels = spec.Count("labels", 32, 1, 4096);
                return evidence => new FrequentLabels(evidence, labels);
            default:
                int rows = spec.Count("rows", 32, 1, 4096);
                return evidence => new NearestRows(evidence, Votes(evidence), rows);
        }
    }

    private static Func<TrainingEvidence, ICandidateSource> Projection(SourceSpec spec, Func<TrainingEvidence, WeightedRows> votes, int entries)
    {
        int tables = spec.Count("tables", 32, 1, LayerSelector.MaxTables), bits = spec.Count("bits", 8, 1, SimHash.MaxBits), probes = spec.Count("probes", 1, 1, 64);
        if (tables * bits > 4096)
            throw spec.Problem("tables times bits must be at most 4096");
        return evidence =>
        {
            IProjection projection = spec.Name == "planes"
                ? new LearnedProjection(LearnedPlanes.Train(evidence, tables, bits))
                : new HadamardProjection(evidence.Mean(), tables * bits, evidence.Options.Seed);
            return KeyedBuckets.Fill(new ProjectionKeys(projection, tables, bits, probes), evidence, votes(evidence), entries);
        };
    }

    private static TreeShape Shape(SourceSpec spec, int levels, int branch, int beam, int entries)
    {
        var shape = new TreeShape(
            spec.Count("levels", levels, 1, CentroidTree.MaxLevels), spec.Count("branch", branch, 2, CentroidTree.MaxBranch), spec.Count("beam", beam, 1, CentroidTree.MaxBeam), entries);
        try
        {
            shape.Validate("tree");
        }
        catch (ArgumentException e)
        {
            throw spec.Problem(e.Message);
        }
        return shape;
    }

    private static Func<TrainingEvidence, ICandidateSource> Weights(SourceSpec spec)
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
        float rare = spec.Number("rare", 1f, 0f, 1f);
        return evidence =>
        {
            HashFamily family = HashFamily.Create(kind, evidence.Width, k * tables, evidence.Options.Seed);
            // A bit or a place per element and function where the family is not just a seed.
            long bytes = kind switch
            {
                HashFamilyKind.SimHash => sizeof(float) * (long)evidence.Width * family.Codes,
                HashFamilyKind.SparseProjection => sizeof(int) * (long)evidence.Width * family.Codes / 3,
                HashFamilyKind.Wta or HashFamilyKind.DensifiedWta => sizeof(int) * 8L * family.Codes,
                _ => 0,
            };
            return new NeuronTables(evidence, family, k, tables, bytes, include: Rare(evidence, rare));
        };
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
}
