using EdgeSlide.Features;
using EdgeSlide.Model;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Export;
using EdgeSlide.Training.Selection;
using EdgeSlide.Training.Tables;
using EdgeSlide.Training.Tests.Export;
using EdgeSlide.Training.Training;

namespace EdgeSlide.Training.Tests.Selection;

/// <summary>One trained network with its rows, shared by the tests of selection methods, which only read it.</summary>
public sealed class SelectionFixture : IDisposable
{
    public const int Labels = 300;

    private readonly string _folder = Directory.CreateTempSubdirectory("edgeslide").FullName;

    public SelectionFixture()
    {
        Train = Samples.Learnable(1, 3000, 3000, Labels);
        Held = Samples.Learnable(2, 600, 3000, Labels);
        TrainingResult trained = new Trainer(new TrainerOptions { HiddenSizes = [32], Epochs = 6, LearningRate = 0.02f, BatchSize = 128, RandomNegatives = 128 }, Train, Held).Run();
        Featurizer featurizer = Featurizer.Create(new FeaturizerRecord { Kind = FeaturizerKind.Sparse, FeatureCount = 3000 }, null, null);
        Model = new TrainedModel(trained.Network, featurizer, [.. Enumerable.Range(0, Labels).Select(i => $"{i}")], false, new TrainingRecord());
        Evidence = new TrainingEvidence(trained.Network, Train, new SelectorOptions());
    }

    internal Dataset Train { get; }

    internal Dataset Held { get; }

    internal TrainedModel Model { get; }

    internal TrainingEvidence Evidence { get; }

    internal string Path(string name) => System.IO.Path.Combine(_folder, name);

    internal SelectionComparison Comparison() => new(Path(Guid.NewGuid().ToString()), Model, Train, Held, 600, new SelectorOptions());

    /// <summary>Writes a model with these tables and opens it.</summary>
    internal EdgeSlideModel Open(string name, SelectorOptions options)
    {
        ExportedSelector selector = SelectorBuilder.Build(Model.Network, Train, options);
        ModelExporter.Write(Path(name), QuantizedNetwork.From(Model.Network, denseInput: false), Model.Featurizer, [selector], null, "{}"u8.ToArray());
        return EdgeSlideModel.Open(Path(name));
    }

    public void Dispose()
    {
        Evidence.Dispose();
        Directory.Delete(_folder, recursive: true);
    }
}

/// <summary>Trains the network once for all of them.</summary>
[CollectionDefinition(nameof(SharedSelection))]
public sealed class SharedSelection : ICollectionFixture<SelectionFixture>;
