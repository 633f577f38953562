using System.Diagnostics;

namespace EdgeSlide.Training.Training;

/// <summary>Where the time of a run goes; the last two are not training and are left out of its seconds.</summary>
public enum TrainingPhase
{
    /// <summary>Reading the rows of a batch.</summary>
    Load = 0,

    /// <summary>Hidden activations.</summary>
    Forward = 1,

    /// <summary>Choosing the active set.</summary>
    Select = 2,

    /// <summary>Logits of the active set.</summary>
    Logits = 3,

    /// <summary>The loss and its gradient for the hidden vectors.</summary>
    Gradient = 4,

    /// <summary>Gradient and update of the output neurons.</summary>
    Labels = 5,

    /// <summary>Hidden layers backward, gradient and update of the embeddings.</summary>
    Features = 6,

    /// <summary>Refilling the tables of likely labels and those that negatives are drawn from.</summary>
    Tables = 7,

    /// <summary>Scoring validation rows.</summary>
    Evaluate = 8,

    /// <summary>Writing checkpoints.</summary>
    Checkpoint = 9,
}

/// <summary>Adds up wall time by phase; one instance serves the thread that drives the run.</summary>
internal sealed class PhaseClock
{
    internal const int Phases = 10;

    private readonly long[] _ticks = new long[Phases];
    private long _last = Stopwatch.GetTimestamp();

    /// <summary>Forgets the time since the last mark.</summary>
    internal void Start() => _last = Stopwatch.GetTimestamp();

    /// <summary>Counts the time since the last mark for a phase.</summary>
    internal void Mark(TrainingPhase phase)
    {
        long now = Stopwatch.GetTimestamp();
        _ticks[(int)phase] += now - _last;
        _last = now;
    }

    internal double Seconds(TrainingPhase phase) => (double)_ticks[(int)phase] / Stopwatch.Frequency;

    /// <summary>All phases but evaluation and checkpoints.</summary>
    internal double TrainingSeconds
    {
        get
        {
            double sum = 0;
            for (TrainingPhase phase = 0; phase < TrainingPhase.Evaluate; phase++)
                sum += Seconds(phase);
            return sum;
        }
    }

    internal double[] Split() => [.. Enumerable.Range(0, Phases).Select(phase => Seconds((TrainingPhase)phase))];

    internal void Save(CheckpointWriter writer) => writer.Write<double>(Split());

    internal void Load(CheckpointReader reader)
    {
        Span<double> seconds = stackalloc double[Phases];
        reader.Read(seconds);
        for (int i = 0; i < Phases; i++)
            _ticks[i] = (long)(seconds[i] * Stopwatch.Frequency);
        Start();
    }
}
