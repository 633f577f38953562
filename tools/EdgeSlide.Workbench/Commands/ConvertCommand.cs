using System.CommandLine;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Export;

namespace EdgeSlide.Workbench.Commands;

/// <summary>Writes rows in the formats that other programs train on.</summary>
internal static class ConvertCommand
{
    public static Command Create()
    {
        var path = new Argument<string>("DATA") { Description = "Labelled rows or running text." };
        var target = new Argument<string>("OUT") { Description = "The file to write; .gz compresses." };
        var network = new Option<string?>("--network") { Description = "An .esnet file: write the features that it sees. Needed for text, whose features are the network's." };
        Option<string> format = DataOptions.Choice("--to", "xc: the format of the XC repository, with values; fasttext: __label__ID, then a word fID per feature, repeated where the value is a whole number.", "xc", "xc", "fasttext");
        var data = new DataOptions();
        var command = new Command("convert", """
            Write rows as other programs read them, labels and features by number.

              edgeslide-workbench data convert train.xc.txt train.ft.txt --to fasttext
              edgeslide-workbench data convert train.tsv train.xc.txt --network tags.esnet
            """) { path, target, network, format };
        data.AddTo(command);
        command.SetLongAction((parsed, cancel) =>
        {
            OutputPaths.Require([parsed.GetValue(target)], parsed.GetValue(path), parsed.GetValue(network), parsed.GetValue(data.Labels));
            TrainedModel? model = parsed.GetValue(network) is { } file ? TrainedModel.Load(file) : null;
            LoadedData loaded = data.Read(parsed, [parsed.GetValue(path)!], model?.Labels, cancel)[0];
            IRowSource rows = model is not null ? loaded.Source(model.Featurizer, cancel) : loaded switch
            {
                LoadedRows { Rows: SparseDataset sparse } => sparse.ToDataset(),
                LoadedRows { Rows: DenseDataset dense } => dense.ToSparse().ToDataset(),
                _ => throw new CommandException(ExitCodes.Usage, "text has no numbered features: name the --network whose features are to be written"),
            };
            if (model is not null && rows.LabelCount != model.Network.OutputCount)
                throw new CommandException(ExitCodes.BadInput, $"the data has {rows.LabelCount} labels, the network {model.Network.OutputCount}");
            string output = parsed.GetValue(target)!;
            using (var files = new OutputFiles(cancel))
            {
                if (parsed.GetValue(format) == "fasttext")
                    FastTextFormat.Write(output, rows, files);
                else
                    XcFormat.Write(output, rows, files);
                files.Commit();
            }
            Console.Screen.Say($"wrote {output}: {rows.RowCount:N0} rows, {rows.FeatureCount:N0} features, {rows.LabelCount:N0} labels");
            return ExitCodes.Ok;
        });
        return command;
    }
}
