using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using EdgeSlide.Kernels;
using EdgeSlide.Runtime.Tests.Support;

namespace EdgeSlide.Runtime.Tests.Kernels;

public sealed class KernelSelectorTests
{
    [Fact]
    public void Without_a_wish_the_fastest_kernel_of_this_processor_is_chosen()
    {
        // On a processor known from outside (an emulated one), the environment says which kernel that must be.
        string expected = Environment.GetEnvironmentVariable("EDGESLIDE_TEST_EXPECT_KERNEL") ?? RuntimeInformation.ProcessArchitecture switch
        {
            Architecture.Arm64 => Dp.IsSupported ? "sdot" : "neon",
            Architecture.X64 => AvxVnni.IsSupported ? "avxvnni" : Avx2.IsSupported ? "avx2" : "vector128",
            _ => SupportedKernels.All.First(),
        };
        Assert.Equal(expected, KernelSelector.Choose(null));
        Assert.Equal(expected, KernelSelector.Choose(""));
    }

    [Theory, ClassData(typeof(SupportedKernels))]
    public void A_supported_kernel_can_be_forced_and_names_itself(string kernel)
    {
        Assert.Equal(kernel, KernelSelector.Choose(kernel));
        Assert.Equal(kernel, KernelSelector.Dispatch(kernel, new NameOf()));
    }

    [Fact]
    public void The_scalar_reference_and_portable_vectors_run_everywhere()
    {
        Assert.True(KernelSelector.IsSupported("scalar"));
        Assert.True(KernelSelector.IsSupported("vector128"));
    }

    [Theory]
    [InlineData("avx512")]
    [InlineData("AVX2")]
    [InlineData(" scalar")]
    public void An_unknown_kernel_is_an_error_that_lists_those_there_are(string name)
    {
        var error = Assert.Throws<NotSupportedException>(() => KernelSelector.Choose(name));
        Assert.Equal($"EDGESLIDE_KERNEL={name}: no such kernel (there are avxvnni, avx2, sdot, neon, vector256, vector128, scalar)", error.Message);
    }

    [Fact]
    public void A_kernel_that_this_processor_lacks_is_an_error_and_never_a_crash()
    {
        string[] missing = [.. KernelSelector.Names.Except(SupportedKernels.All)];
        Assert.NotEmpty(missing); // No processor has both SDOT and AVX2.
        foreach (string name in missing)
        {
            var error = Assert.Throws<NotSupportedException>(() => KernelSelector.Choose(name));
            Assert.Equal($"EDGESLIDE_KERNEL={name}: this processor does not support it", error.Message);
        }
    }

    private sealed class NameOf : IKernelVisitor<string>
    {
        public string Visit<TKernel>() where TKernel : struct, IKernel => TKernel.Name;
    }
}
