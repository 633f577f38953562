using EdgeSlide.Training.Data;

namespace EdgeSlide.Training.Tests.Data;

/// <summary>Random damage to small files of every format: a reader gives rows, or one line, and nothing else.</summary>
public sealed class DamagedInputTests : IDisposable
{
    private const int Mutations = 2_000;

    private readonly TemporaryFiles _files = new();

    public void Dispose() => _files.Dispose();

    [Fact]
    public void Xc() => Damage("3 10 5\n0,4 1:1 3:0.5\n 9:2e-1 2:3\n2 7:-1e10\n", path => XcFormat.Read(path), path => XcFormat.Read(path, skipped: new SkippedRows()));

    [Fact]
    public void Text() => Damage("a,b\tsome text\nc\tWörter, ein paar\n\tx\n", path => TextFormat.Read(path), path => TextFormat.Read(path, skipped: new SkippedRows()));

    [Fact]
    public void Labels() => Damage("0\tp1\tone\n2\tp3\tthree\n1\tp2\ttwo\n", path => LabelVocabulary.Read(path));

    [Fact]
    public void Dense() => Damage("7,0,1.5,-2\n3,4,0,0\n", path => DenseFormat.Read(path), path => DenseFormat.Read(path, skipped: new SkippedRows()));

    [Fact]
    public void Tokens() => Damage("<eos>\na\nb\n", path => TokenFormat.Read(path, TokenFormat.ReadVocabulary(path)), path => TokenFormat.BuildVocabulary(path));

    [Fact]
    public void PackageIndex() => Damage(
        "Package: foo\nDepends: a (>= 1) | b:any,\n c\nDescription: short\n long\n .\n\nPackage: bar\n",
        path => Assert.NotNull(DebianIndex.Read(path).ToList()), path => Assert.NotNull(DebianIndex.Read(path, new SkippedRows()).ToList()));

    private void Damage(string text, params Action<string>[] readers)
    {
        var random = new Xoshiro256(11);
        byte[] whole = System.Text.Encoding.UTF8.GetBytes(text);
        byte[] interesting = [.. " \t\r\n,:.-+eE0919\0<>|(["u8, 0x1F, 0x8B, 0xFF, 0xC3, 0x80];
        int refused = 0;
        for (int i = 0; i < Mutations; i++)
        {
            var bytes = new List<byte>(whole);
            for (int n = 1 + random.Below(3); n > 0 && bytes.Count > 0; n--)
            {
                int at = random.Below(bytes.Count);
                byte value = random.Chance(70) ? interesting[random.Below(interesting.Length)] : (byte)random.Below(256);
                switch (random.Below(4))
                {
                    case 0: bytes[at] = value; break;
                    case 1: bytes.Insert(at, value); break;
                    case 2: bytes.RemoveAt(at); break;
                    default: bytes.RemoveRange(at, random.Below(bytes.Count - at)); break;
                }
            }
            byte[] damaged = [.. bytes];
            if (random.Chance(10)) damaged = TemporaryFiles.Gzip(damaged)[..^random.Below(4)];
            string path = _files.Write("input", damaged);
            foreach (Action<string> read in readers)
            {
                try
                {
                    read(path);
                }
                catch (DataFormatException e)
                {
                    refused++;
                    Assert.StartsWith(path + ":", e.Message);
                    Assert.DoesNotContain(e.Message, char.IsControl);
                }
            }
        }
        Assert.InRange(refused, Mutations / 10, readers.Length * Mutations);
    }
}
