using System.CommandLine;
using EdgeSlide.Features;
using EdgeSlide.Model;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Export;
using EdgeSlide.Training.Networks;
using EdgeSlide.Training.Slide;
using EdgeSlide.Workbench.Console;

namespace EdgeSlide.Workbench.Commands;

/// <summary>Takes over networks that other programs trained.</summary>
internal static class ImportCommand
{
    public static Command Create()
    {
        var path = new Argument<string>("WEIGHTS") { Description = "An .npz file saved by the SLIDE C++ reference." };
        var output = new Option<string>("--out", "-o") { Description = "The network file to write.", DefaultValueFactory = _ => "slide.esnet" };
        var names = new Option<string?>("--labels") { Description = "Label names, one per line; without it labels are numbers." };
        Option<string> normalize = DataOptions.Choice("--normalize", "What the network expects of its inputs: none as SLIDE trains, l2 for rows scaled to length 1.", "none", "none", "l2");
        var zero = new Option<bool>("--zero-bias") { Description = "Replace all biases by 0: the reference saves the random biases it began with, not the trained ones." };
        var command = new Command("import", """
            Turn weights saved by the SLIDE C++ reference into a network file.

            Reads w_layer_i [neurons, inputs] and b_layer_i [neurons], ReLU between layers, softmax at the end. Inputs are
            sparse rows in the XC format with the same feature numbers.
            """) { path, output, names, normalize, zero };
        command.SetLongAction((parsed, cancel) =>
        {
            string file = parsed.GetValue(path)!, target = parsed.GetValue(output)!;
            string? labelFile = parsed.GetValue(names);
            OutputPaths.Require([target], file, labelFile);
            Network network = NpzReader.ReadNetwork(file, cancel);
            if (parsed.GetValue(zero))
            {
                foreach (NetworkLayer layer in network.Layers)
                    Array.Clear(layer.Bias);
            }
            IReadOnlyList<string> labels = labelFile is null
                ? LabelVocabulary.Numbered(network.OutputCount).Names
                : LabelVocabulary.Read(labelFile).Names;
            if (labels.Count != network.OutputCount)
                throw new CommandException(ExitCodes.BadInput, $"{labelFile}: has {labels.Count} labels, the network {network.OutputCount}");
            Featurizer featurizer = Featurizer.Create(new FeaturizerRecord
            {
                Kind = FeaturizerKind.Sparse,
                FeatureCount = (uint)network.InputCount,
                Normalization = parsed.GetValue(normalize) == "l2" ? ValueNormalization.L2 : ValueNormalization.None,
                UnknownToken = FeaturizerRecord.NoToken,
                LineStartToken = FeaturizerRecord.NoToken,
            }, null, null);
            new TrainedModel(network, featurizer, labels, labelFile is not null, new TrainingRecord
            {
                Tool = "SLIDE C++ reference, imported",
                Data = Path.GetFileName(file),
                Trained = Provenance.Now,
                Options = $"normalize {parsed.GetValue(normalize)}",
            }).SaveUnlessCancelled(target, cancel);
            Screen.Say($"{string.Join('-', network.Layers.Select(l => l.Inputs).Append(network.OutputCount))} network, wrote {target}");
            return ExitCodes.Ok;
        });
        return command;
    }
}
