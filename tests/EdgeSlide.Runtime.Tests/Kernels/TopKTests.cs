using EdgeSlide.Kernels;
using EdgeSlide.Model;

namespace EdgeSlide.Runtime.Tests.Kernels;

public sealed unsafe class TopKTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(5)]
    [InlineData(64)]
    [InlineData(1000)]
    public void Offers_in_any_order_end_sorted_by_score_then_id(int k)
    {
        var random = new Random(8);
        for (int round = 0; round < 200; round++)
        {
            int count = random.Next(0, 300);
            // Few distinct scores, so that ties are the rule.
            (int Id, float Score)[] offers = [.. Enumerable.Range(0, count).Select(id => (id, random.Next(10) * 0.5f))];
            random.Shuffle(offers);
            var best = new Prediction[k];
            var top = new TopK(best);
            foreach ((int id, float score) in offers)
                top.Offer(id, -score, score);
            (int, float)[] expected = [.. offers.OrderByDescending(o => o.Score).ThenBy(o => o.Id).Take(k)];
            Assert.Equal(expected, best.Take(top.Count).Select(p => (p.Label, p.Score)));
            Assert.All(best.Take(top.Count), p => Assert.Equal(-p.Score, p.Logit));
            Assert.Equal(expected.Length == 0 ? float.NegativeInfinity : expected[0].Item2, top.Max);
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(5)]
    [InlineData(700)]
    public void Whole_runs_of_neurons_end_the_same_way(int k)
    {
        var random = new Random(9);
        using var logits = new NativeBuffer<float>(1024);
        for (int round = 0; round < 200; round++)
        {
            int count = random.Next(1, 1000);
            bool ties = round % 2 == 0;
            for (int i = 0; i < count; i++)
                logits.Pointer[i] = ties ? random.Next(6) : random.NextSingle();
            var best = new Prediction[k];
            var top = new TopK(best);
            int first = random.Next(count);
            top.OfferAll(0, logits.Pointer, first);
            top.OfferAll(first, logits.Pointer + first, count - first);
            (int, float)[] expected = [.. Enumerable.Range(0, count).Select(id => (Id: id, Score: logits.Pointer[id]))
                .OrderByDescending(o => o.Score).ThenBy(o => o.Id).Take(k)];
            Assert.Equal(expected, best.Take(top.Count).Select(p => (p.Label, p.Score)));
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(5)]
    [InlineData(9)]
    public void Neurons_offered_together_end_as_if_one_by_one(int k)
    {
        var random = new Random(10);
        using var labels = new NativeBuffer<int>(100);
        using var logits = new NativeBuffer<float>(100);
        using var scores = new NativeBuffer<float>(100);
        float[] odd = [float.NaN, float.PositiveInfinity, float.NegativeInfinity, -0f, 0f, float.MaxValue, float.MinValue];
        for (int round = 0; round < 2000; round++)
        {
            int count = random.Next(0, 80);
            for (int i = 0; i < count; i++)
            {
                labels.Pointer[i] = random.Next(round % 3 == 0 ? 1000 : 10_000_000);
                logits.Pointer[i] = i;
                scores.Pointer[i] = round % 4 == 0 ? random.Next(-3, 3) : random.NextSingle() - 0.5f;
                if (round % 8 == 5 && random.Next(10) == 0)
                    scores.Pointer[i] = odd[random.Next(odd.Length)];
            }
            int distinct = labels.Span[..count].ToArray().Distinct().Count();
            if (distinct < count)
                continue;
            var (together, single) = (new Prediction[k], new Prediction[k]);
            TopK all = new(together), one = new(single);
            all.OfferAll(labels.Pointer, logits.Pointer, scores.Pointer, count);
            for (int i = 0; i < count; i++)
                one.Offer(labels.Pointer[i], logits.Pointer[i], scores.Pointer[i]);
            Assert.Equal(one.Count, all.Count);
            Assert.Equal(one.Max, all.Max);
            Assert.Equal(single.Select(p => (p.Label, p.Logit, BitConverter.SingleToInt32Bits(p.Score))), together.Select(p => (p.Label, p.Logit, BitConverter.SingleToInt32Bits(p.Score))));
            // Both go on alike.
            all.Offer(-1, 0f, 0.25f);
            one.Offer(-1, 0f, 0.25f);
            Assert.Equal(single.Select(p => p.Label), together.Select(p => p.Label));
        }
    }

    [Fact]
    public void Probabilities_follow_the_activation()
    {
        var best = new Prediction[3];
        var top = new TopK(best);
        top.Offer(0, 1f, 2f);
        top.Offer(1, 0f, 1f);
        top.SetProbabilities(LayerActivation.Softmax, 1f, 2f, 1f / (1f + (float)Math.Exp(-1)), null);
        Assert.Equal(1.0, best[0].Probability + best[1].Probability, 5);
        Assert.Equal(Math.E, best[0].Probability / best[1].Probability, 4);
        top.SetProbabilities(LayerActivation.Sigmoid, 1f, 2f, 1f, null);
        Assert.Equal(1 / (1 + Math.Exp(-1)), best[0].Probability, 5);
        Assert.Equal(0.5, best[1].Probability, 5);
        top.SetProbabilities(LayerActivation.Identity, 1f, 2f, 1f, null);
        Assert.True(float.IsNaN(best[0].Probability));
    }
}
