using System.Buffers;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Text;
using EdgeSlide.Model;

namespace EdgeSlide.Features;

/// <summary>The hashes of docs/model-format.md, section 5: 64-bit FNV-1a over UTF-8, finished by the SplitMix64 mixer.</summary>
internal static class TokenHash
{
    public const ulong Basis = 0xCBF29CE484222325;
    public const ulong Prime = 0x00000100000001B3;

    public static ulong Mix(ulong x)
    {
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
        return x ^ (x >> 31);
    }

    /// <summary>The hash of a token that is already in its final (lower) case.</summary>
    public static ulong Of(ReadOnlySpan<byte> token, ulong seed)
    {
        ulong hash = Basis ^ seed;
        foreach (byte value in token)
            hash = (hash ^ value) * Prime;
        return Mix(hash);
    }

    /// <summary>The hash of an n-gram from the hash of its first n - 1 tokens and that of its last.</summary>
    public static ulong Extend(ulong gram, ulong token) => Mix(BitOperations.RotateLeft(gram, 23) + token);

    /// <summary>Maps a hash evenly to 0..count-1.</summary>
    public static int Reduce(ulong hash, int count) => (int)Math.BigMul(hash, (ulong)(uint)count, out _);
}

/// <summary>The n-grams of <paramref name="shortest"/> to <paramref name="longest"/> tokens that end at each of a run of tokens.</summary>
/// <param name="grams">Scratch of at least <paramref name="longest"/> hashes.</param>
/// <param name="shortest">Smallest n.</param>
/// <param name="longest">Largest n.</param>
internal ref struct GramWindow(Span<ulong> grams, int shortest, int longest)
{
    // _grams[n - 1] is the hash of the n tokens that end at the current one.
    private readonly Span<ulong> _grams = grams;
    private int _tokens;

    /// <summary>Takes the next token; returns the n-grams that end at it, shortest first.</summary>
    public ReadOnlySpan<ulong> Push(ulong token)
    {
        _tokens = Math.Min(_tokens + 1, longest);
        for (int n = _tokens; n > 1; n--)
            _grams[n - 1] = TokenHash.Extend(_grams[n - 2], token);
        _grams[0] = token;
        return _tokens < shortest ? default : _grams[(shortest - 1).._tokens];
    }
}

/// <summary>Cuts UTF-8 text into tokens and hashes each as it goes: no strings, no allocation.</summary>
internal ref struct TokenReader(ReadOnlySpan<byte> text, TokenizerKind kind, ulong seed)
{
    private readonly ReadOnlySpan<byte> _text = text;
    private int _position;

    /// <summary>Moves to the next token; false at the end of the text.</summary>
    /// <exception cref="InputException">The text is not valid UTF-8.</exception>
    public bool TryRead(out ulong hash)
    {
        ulong running = TokenHash.Basis ^ seed;
        bool inside = false;
        while (_position < _text.Length)
        {
            byte first = _text[_position];
            if (first < 0x80)
            {
                _position++;
                // Control characters separate like white space does.
                byte folded = kind == TokenizerKind.Words ? Fold(first) : first > 0x20 ? first : (byte)0;
                if (folded != 0)
                {
                    running = (running ^ folded) * TokenHash.Prime;
                    inside = true;
                }
                else if (inside)
                {
                    break;
                }
                continue;
            }
            if (Rune.DecodeFromUtf8(_text[_position..], out Rune rune, out int length) != OperationStatus.Done)
                throw new InputException($"invalid UTF-8 at byte {_position + 1}");
            _position += length;
            if (IsPart(rune))
            {
                running = Absorb(running, kind == TokenizerKind.Words ? UnicodeTables.ToLower(rune) : rune);
                inside = true;
            }
            else if (inside)
            {
                break;
            }
        }
        hash = TokenHash.Mix(running);
        return inside;
    }

    private static byte Fold(byte ascii)
    {
        if ((uint)(ascii - 'a') <= 'z' - 'a' || (uint)(ascii - '0') <= 9)
            return ascii;
        return (uint)(ascii - 'A') <= 'Z' - 'A' ? (byte)(ascii | 0x20) : (byte)0;
    }

    private readonly bool IsPart(Rune rune) => kind == TokenizerKind.Whitespace || UnicodeTables.IsPart(rune);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static ulong Absorb(ulong running, Rune rune)
    {
        Span<byte> utf8 = stackalloc byte[4];
        int length = rune.EncodeToUtf8(utf8);
        for (int i = 0; i < length; i++)
            running = (running ^ utf8[i]) * TokenHash.Prime;
        return running;
    }
}
