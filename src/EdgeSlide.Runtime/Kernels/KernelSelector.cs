namespace EdgeSlide.Kernels;

/// <summary>What can be built on top of a kernel chosen at run time.</summary>
internal interface IKernelVisitor<out TResult>
{
    TResult Visit<TKernel>() where TKernel : struct, IKernel;
}

/// <summary>The list of kernels and the choice among them, made once at start.</summary>
internal static class KernelSelector
{
    /// <summary>Set to a kernel's name to force it; an unknown or unsupported name is an error.</summary>
    public const string Variable = "EDGESLIDE_KERNEL";

    /// <summary>Fastest first. VNNI and SDOT do in one instruction what AVX2 and NEON do in three; the portable ones widen
    /// to INT32 by themselves, which costs about twice the instructions; the scalar one is the reference.</summary>
    public static readonly string[] Names =
    [
        AvxVnniKernel.Name, Avx2Kernel.Name, SdotKernel.Name, NeonKernel.Name, Vector256Kernel.Name, Vector128Kernel.Name, ScalarKernel.Name,
    ];

    public static bool IsSupported(string name) => name switch
    {
        "avxvnni" => AvxVnniKernel.IsSupported,
        "avx2" => Avx2Kernel.IsSupported,
        "sdot" => SdotKernel.IsSupported,
        "neon" => NeonKernel.IsSupported,
        "vector256" => Vector256Kernel.IsSupported,
        "vector128" => Vector128Kernel.IsSupported,
        "scalar" => ScalarKernel.IsSupported,
        _ => false,
    };

    /// <summary>The forced kernel if the environment names one, else the first supported.</summary>
    /// <exception cref="NotSupportedException">The forced kernel does not exist or does not run here.</exception>
    public static string Choose(string? forced)
    {
        if (string.IsNullOrEmpty(forced))
            return Array.Find(Names, IsSupported)!;
        if (!Array.Exists(Names, name => name == forced))
            throw new NotSupportedException($"{Variable}={forced}: no such kernel (there are {string.Join(", ", Names)})");
        return IsSupported(forced) ? forced : throw new NotSupportedException($"{Variable}={forced}: this processor does not support it");
    }

    /// <summary>The checks keep the code for kernels of other processors out of a native binary.</summary>
    public static TResult Dispatch<TResult>(string name, IKernelVisitor<TResult> visitor) => name switch
    {
        "avxvnni" when AvxVnniKernel.IsSupported => visitor.Visit<AvxVnniKernel>(),
        "avx2" when Avx2Kernel.IsSupported => visitor.Visit<Avx2Kernel>(),
        "sdot" when SdotKernel.IsSupported => visitor.Visit<SdotKernel>(),
        "neon" when NeonKernel.IsSupported => visitor.Visit<NeonKernel>(),
        "vector256" when Vector256Kernel.IsSupported => visitor.Visit<Vector256Kernel>(),
        "vector128" when Vector128Kernel.IsSupported => visitor.Visit<Vector128Kernel>(),
        _ => visitor.Visit<ScalarKernel>(),
    };
}
