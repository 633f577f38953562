using EdgeSlide.Training.Data;
using EdgeSlide.Training.Selection;

namespace EdgeSlide.Training.Tests.Selection;

[Collection(nameof(SharedSelection))]
public sealed class SourceTests(SelectionFixture fixture)
{
    private TrainingEvidence Evidence => fixture.Evidence;

    [Theory]
    [InlineData("simhash")]
    [InlineData("hadamard")]
    [InlineData("sparse")]
    [InlineData("wta")]
    [InlineData("dwta")]
    [InlineData("minhash")]
    public void A_query_that_is_a_neurons_row_collides_with_it_in_every_table(string family)
    {
        const int Tables = 20;
        var tables = (NeuronTables)Spec($"weights:family={family},k=2,tables={Tables}").Build(Evidence);
        double others = 0;
        for (int n = 0; n < 50; n++)
        {
            Dictionary<int, float> votes = Votes(tables, Evidence.Row(n).ToArray());
            Assert.Equal(Tables, votes[n]);
            others += votes.Values.Average() / 50;
        }
        Assert.InRange(others, 1, 0.8 * Tables);
        Assert.True(tables.Bytes >= 4L * Tables * SelectionFixture.Labels);
    }

    [Fact]
    public void Backing_for_rare_labels_files_no_others()
    {
        var tables = (NeuronTables)Spec("weights:rare=0.3,k=2").Build(Evidence);
        var counts = new int[SelectionFixture.Labels];
        foreach (int label in fixture.Train.LabelIds)
            counts[label]++;
        int limit = counts.Order().ElementAt((int)(0.3 * counts.Length));
        var found = new HashSet<int>();
        for (int n = 0; n < SelectionFixture.Labels; n++)
            found.UnionWith(Votes(tables, Evidence.Row(n).ToArray()).Keys);
        Assert.Equal((int)(0.3 * counts.Length), found.Count);
        Assert.All(found, n => Assert.True(counts[n] <= limit));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void Every_neuron_is_in_as_many_clusters_as_it_has_copies(int copies)
    {
        var clusters = new NeuronClusters(Evidence, 20, 20, copies);
        var seen = new int[SelectionFixture.Labels];
        for (int c = 0; c < 20; c++)
        {
            foreach (int n in clusters.Members(c))
                seen[n]++;
            Assert.Equal(clusters.Members(c).Length, clusters.Members(c).ToArray().Distinct().Count());
        }
        Assert.All(seen, count => Assert.Equal(copies, count));
        Assert.Equal(SelectionFixture.Labels, Votes(clusters, Hidden(0)).Count);
    }

    [Fact]
    public void Clusters_of_neurons_find_the_best_answers_in_few_of_them()
    {
        // Chance would find a quarter.
        var clusters = new NeuronClusters(Evidence, 20, 5, 1);
        int found = 0;
        for (int row = 0; row < 200; row++)
            found += Votes(clusters, Hidden(row)).ContainsKey(fixture.Train.RowLabels(row)[0]) ? 1 : 0;
        Assert.InRange(found, 150, 200);
    }

    [Fact]
    public void Learned_planes_make_a_query_collide_with_its_label_more_than_random_planes_do()
    {
        const int Tables = 16, Bits = 4;
        var learned = (NeuronTables)Spec($"lss:tables={Tables},bits={Bits}").Build(Evidence);
        var random = (NeuronTables)Spec($"weights:family=simhash,k={Bits},tables={Tables}").Build(Evidence);
        (double own, double other) = Collisions(learned);
        (double randomOwn, double randomOther) = Collisions(random);
        Assert.True(own > 0.5 * Tables, $"{own} of {Tables} tables");
        Assert.True(own / other > 1.5 * randomOwn / randomOther, $"learned {own} against {other}, random {randomOwn} against {randomOther}");

        (double Own, double Other) Collisions(NeuronTables tables)
        {
            double mine = 0, all = 0;
            for (int row = 0; row < 200; row++)
            {
                Dictionary<int, float> votes = Votes(tables, Hidden(row));
                mine += votes.GetValueOrDefault(fixture.Train.RowLabels(row)[0]) / 200;
                all += votes.Values.Sum() / SelectionFixture.Labels / 200;
            }
            return (mine, all);
        }
    }

    [Fact]
    public void The_head_is_the_most_frequent_labels()
    {
        var counts = new int[SelectionFixture.Labels];
        foreach (int label in fixture.Train.LabelIds)
            counts[label]++;
        int[] expected = [.. Enumerable.Range(0, counts.Length).OrderByDescending(n => counts[n]).ThenBy(n => n).Take(7)];
        Assert.Equal(expected.Order(), Votes(new FrequentLabels(Evidence, 7), Hidden(0)).Keys.Order());
    }

    [Fact]
    public void The_nearest_row_of_a_training_row_is_itself()
    {
        var nearest = new NearestRows(Evidence, Evidence.Votes, 1);
        for (int row = 0; row < 20; row++)
        {
            Dictionary<int, float> votes = Votes(nearest, Hidden(row));
            Assert.Equal(2f + (votes[fixture.Train.RowLabels(row)[0]] - 2f), votes[fixture.Train.RowLabels(row)[0]]);
            Assert.True(votes[fixture.Train.RowLabels(row)[0]] >= Evidence.Options.TrueVote);
            Assert.InRange(votes.Count, 10, 11);
        }
    }

    [Fact]
    public void A_tally_elects_the_largest_votes_and_the_lower_id_among_equals_and_starts_anew()
    {
        var random = new Random(5);
        var tally = new VoteTally(200);
        for (int trial = 0; trial < 100; trial++)
        {
            var votes = new Dictionary<int, float>();
            for (int i = random.Next(300); i > 0; i--)
            {
                (int neuron, float vote) = (random.Next(200), 0.25f * random.Next(0, 5));
                tally.Add(neuron, vote);
                if (vote > 0f)
                    votes[neuron] = votes.GetValueOrDefault(neuron) + vote;
            }
            int budget = random.Next(1, 60);
            var neurons = new int[budget];
            var elected = new float[budget];
            int count = tally.Elect(budget, neurons, elected);
            KeyValuePair<int, float>[] expected = [.. votes.OrderByDescending(v => v.Value).ThenBy(v => v.Key).Take(budget).OrderBy(v => v.Key)];
            Assert.Equal(expected, neurons.Take(count).Zip(elected, KeyValuePair.Create).OrderBy(v => v.Key));
        }
    }

    private static SourceSpec Spec(string text) => MethodSpec.Parse(text).Sources[0];

    private float[] Hidden(int row) => Evidence.Hidden.AsSpan(row * Evidence.Width, Evidence.Width).ToArray();

    private Dictionary<int, float> Votes(ICandidateSource source, float[] hidden)
    {
        using var query = new QueryVector(Evidence.Width);
        query.Load(null, 0, hidden);
        var tally = new VoteTally(SelectionFixture.Labels);
        source.Vote(query, tally, 1f);
        Assert.True(tally.Operations > 0);
        var neurons = new int[SelectionFixture.Labels];
        var votes = new float[SelectionFixture.Labels];
        int count = tally.Elect(SelectionFixture.Labels, neurons, votes);
        return neurons.Take(count).Zip(votes).ToDictionary(v => v.First, v => v.Second);
    }
}
