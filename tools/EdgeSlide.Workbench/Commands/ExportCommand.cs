using System.CommandLine;
using EdgeSlide.Training.Data;
using EdgeSlide.Training.Export;
using EdgeSlide.Workbench.Console;

namespace EdgeSlide.Workbench.Commands;

/// <summary>Writes a network's output layer and hidden vectors for other programs.</summary>
internal static class ExportCommand
{
    public static Command Create()
    {
        var network = new Argument<string>("NETWORK") { Description = "An .esnet file from train." };
        var rows = new Argument<string>("DATA") { Description = "Rows whose hidden vectors and labels are wanted, such as a test set." };
        var folder = new Option<string>("--out", "-o") { Description = "The folder to write to.", Required = true };
        var data = new DataOptions();
        var command = new Command("export", """
            Write what another program needs to answer from the same output layer, as NumPy .npy files.

            weights.npy [labels, width] and bias.npy [labels] are the FP32 output layer; hidden.npy [rows, width] holds what it is
            multiplied with: a label's logit is weights[label] . hidden[row] + bias[label]. The labels of row i are
            label_ids.npy[label_offsets.npy[i] .. label_offsets.npy[i + 1]]. inverse_propensities.npy [labels] are the weights of
            PSP@k.

              edgeslide-workbench export tags.esnet test.tsv --out arrays
            """) { network, rows, folder };
        data.AddTo(command);
        command.SetLongAction((parsed, cancel) =>
        {
            TrainedModel model = TrainedModel.Load(parsed.GetValue(network)!);
            string target = parsed.GetValue(folder)!;
            Dataset test = QuantizeCommand.Featurize(model, data.Read(parsed, [parsed.GetValue(rows)!], model.Labels, cancel)[0], cancel);
            Directory.CreateDirectory(target);
            IReadOnlyList<string> files = Screen.Stages(stage =>
            {
                stage($"hidden vectors of {test.RowCount:N0} rows");
                return ArrayExport.Write(model, test, target, cancel);
            });
            Screen.Say($"wrote {string.Join(", ", files)} to {target}");
            return ExitCodes.Ok;
        });
        return command;
    }
}
