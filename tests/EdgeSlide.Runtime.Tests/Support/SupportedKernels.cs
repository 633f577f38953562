using EdgeSlide.Kernels;

namespace EdgeSlide.Runtime.Tests.Support;

/// <summary>The kernels that run on this machine, for tests that every one of them must pass.</summary>
public sealed class SupportedKernels : TheoryData<string>
{
    public SupportedKernels() => AddRange([.. All]);

    internal static IEnumerable<string> All => KernelSelector.Names.Where(KernelSelector.IsSupported);
}
