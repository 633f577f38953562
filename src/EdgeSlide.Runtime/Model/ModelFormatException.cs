namespace EdgeSlide.Model;

/// <summary>What is wrong with a model file. Each kind of damage has its own code and its own one-line message.</summary>
public enum ModelError
{
    /// <summary>The file is missing, unreadable or not a regular file.</summary>
    CannotOpen,
    /// <summary>The file is smaller than a header.</summary>
    TooShort,
    /// <summary>The file does not begin with the .eslide signature.</summary>
    NotAModel,
    /// <summary>Written by a later format than this build reads.</summary>
    UnsupportedVersion,
    /// <summary>The header's checksum does not match.</summary>
    DamagedHeader,
    /// <summary>The file is shorter or longer than its header says.</summary>
    WrongLength,
    /// <summary>The section table's checksum does not match or its place is wrong.</summary>
    DamagedSectionTable,
    /// <summary>A section lies outside the file, overlaps another or is not aligned.</summary>
    BadSectionBounds,
    /// <summary>A section is of a kind that this build does not know.</summary>
    UnknownSection,
    /// <summary>The same section stands twice.</summary>
    DuplicateSection,
    /// <summary>A section that the network needs is missing, or one that it has no use for is there.</summary>
    MissingSection,
    /// <summary>A section's size does not fit the shape it describes.</summary>
    WrongSectionSize,
    /// <summary>A section's bytes do not match their checksum.</summary>
    DamagedSection,
    /// <summary>Bytes between sections are not zero.</summary>
    DamagedPadding,
    /// <summary>The network's shape is impossible or larger than the format allows.</summary>
    BadShape,
    /// <summary>A scale, bias, feature weight or vote parameter is not a usable number.</summary>
    BadNumber,
    /// <summary>A stored weight is outside -127..127.</summary>
    BadWeight,
    /// <summary>Bucket offsets do not ascend to the number of entries.</summary>
    BadBucketOffsets,
    /// <summary>A bucket names a neuron that the layer does not have.</summary>
    BadNeuronId,
    /// <summary>The hash parameters are impossible.</summary>
    BadHash,
    /// <summary>The featurizer's parameters are impossible.</summary>
    BadFeaturizer,
    /// <summary>The vocabulary's hash table is inconsistent.</summary>
    BadVocabulary,
    /// <summary>Label offsets do not ascend, a label is not plain UTF-8, or the map of labels is no permutation.</summary>
    BadLabels,
    /// <summary>The provenance is not a JSON object.</summary>
    BadProvenance,
    /// <summary>The calibration samples impossible neurons, or what it calibrates has no probabilities.</summary>
    BadCalibration,
}

/// <summary>A model file that cannot be used. The message is one line and says what is wrong and where.</summary>
public sealed class ModelFormatException : Exception
{
    /// <summary>Creates the error.</summary>
    public ModelFormatException(ModelError error, string message, Exception? inner = null) : base(message, inner) => Error = error;

    /// <summary>The kind of damage.</summary>
    public ModelError Error { get; }
}
