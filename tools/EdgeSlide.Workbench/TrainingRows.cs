using EdgeSlide.Features;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Featurization;

namespace EdgeSlide.Workbench;

/// <summary>Rows that are ready to train on. What they were read from, which is as large again, is not kept.</summary>
/// <param name="Featurizer">Fitted to the training rows.</param>
/// <param name="Rows">To train on.</param>
/// <param name="Held">To judge on; null if there are none.</param>
/// <param name="Labels">Names by number.</param>
/// <param name="HasLabelNames">Whether names say more than numbers.</param>
internal sealed record TrainingRows(Featurizer Featurizer, IRowSource Rows, IRowSource? Held, IReadOnlyList<string> Labels, bool HasLabelNames)
{
    public static TrainingRows Of(LoadedData train, LoadedData? validation, FeatureOptions features, CancellationToken cancel)
    {
        Featurizer featurizer = train.Fit(features);
        return new TrainingRows(featurizer, train.Source(featurizer, cancel), validation?.Source(featurizer, cancel), train.Labels, train.HasLabelNames);
    }
}
