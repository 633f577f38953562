using System.Text;

namespace EdgeSlide.Energy.Reports;

/// <summary>Writes a file under a temporary name and renames it, so that no reader sees half of it.</summary>
internal static class WholeFile
{
    public static void Write(string path, string text)
    {
        string temporary = path + ".part";
        try
        {
            File.WriteAllText(temporary, text, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false));
            File.Move(temporary, path, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new EnergyException($"{path}: cannot be written ({e.Message.ReplaceLineEndings(" ")})", e);
        }
    }
}
