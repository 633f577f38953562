using System.Globalization;
using System.Text;
using EdgeSlide.IO;

namespace EdgeSlide.Training.Training;

/// <summary>One line of a training log: the state of a run at an evaluation or at the end of an epoch.</summary>
/// <param name="Epoch">Epochs done, in fractions.</param>
/// <param name="Step">Batches done since the start of the run.</param>
/// <param name="Rows">Rows seen since the start of the run.</param>
/// <param name="Seconds">Wall time of training, without evaluations and checkpoints, over all parts of a resumed run.</param>
/// <param name="Loss">Mean loss of a row, smoothed over recent batches.</param>
/// <param name="ActiveFraction">Mean share of output neurons that a batch evaluated.</param>
/// <param name="P1">Precision at 1 on validation rows; NaN if they were not scored.</param>
/// <param name="Split">Seconds by <see cref="TrainingPhase"/>.</param>
public sealed record TrainingLogLine(
    double Epoch, long Step, long Rows, double Seconds, double Loss, double LearningRate, double ActiveFraction, double P1, double P5,
    IReadOnlyList<double> Split);

/// <summary>
/// A CSV file with a line per evaluation. Lines are on disk as soon as they are written; a resumed run drops the lines
/// beyond its checkpoint and goes on.
/// </summary>
internal sealed class TrainingLog : IDisposable
{
    private static readonly string Header = "epoch,step,rows,seconds,loss,lr,active_fraction,p1,p5," + string.Join(
        ',', Enum.GetNames<TrainingPhase>().Select(name => name.ToLowerInvariant() + "_seconds"));

    private readonly FileStream _stream;

    /// <param name="resumedStep">Lines of later steps are dropped; negative starts an empty log.</param>
    /// <exception cref="InvalidDataException">The file to continue is not a training log.</exception>
    internal TrainingLog(string path, long resumedStep)
    {
        List<string> kept = [Header];
        if (resumedStep >= 0 && File.Exists(path))
        {
            string[] lines = File.ReadAllLines(path);
            if (lines.Length > 0 && lines[0] != Header)
                throw new InvalidDataException($"{path}: is not a training log of this version");
            // A last line may be cut short by whatever ended the run before.
            int columns = Header.Count(c => c == ',');
            kept.AddRange(lines.Skip(1).Where(line => line.Count(c => c == ',') == columns
                && long.TryParse(line.Split(',')[1], NumberStyles.None, CultureInfo.InvariantCulture, out long step) && step <= resumedStep));
        }
        // In one move: a run that is killed here keeps its lines.
        WholeFile.Write(path, file =>
        {
            foreach (string line in kept)
                file.Write(Encoding.UTF8.GetBytes(line + "\n"));
        });
        _stream = new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.Read);
    }

    internal void Write(TrainingLogLine line)
    {
        IEnumerable<double> figures = [line.Loss, line.LearningRate, line.ActiveFraction, line.P1, line.P5, .. line.Split];
        Append(string.Create(CultureInfo.InvariantCulture, $"{line.Epoch:0.####},{line.Step},{line.Rows},{line.Seconds:0.###}")
            + string.Concat(figures.Select(value => "," + (double.IsNaN(value) ? "" : value.ToString("0.######", CultureInfo.InvariantCulture)))));
    }

    private void Append(string line)
    {
        _stream.Write(Encoding.UTF8.GetBytes(line + "\n"));
        _stream.Flush();
    }

    public void Dispose() => _stream.Dispose();
}
