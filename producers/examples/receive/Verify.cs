// Verify what Slipway sends: SECRET=… dotnet run -- pam TIMESTAMP SIGNATURE < body
using System;
using System.IO;
using System.Linq;
using System.Security.Cryptography;
using System.Text;

public static class Verify
{
    const long Window = 300; // seconds

    /// Verifies the headers `timestamp` and `signature` over the body as it arrived, unparsed.
    public static bool Notice(byte[] secret, string timestamp, string signature, byte[] body, long now)
    {
        if (timestamp.Length < 1 || timestamp.Length > 11 || !timestamp.All(c => c >= '0' && c <= '9'))
            return false;
        if (Math.Abs(now - long.Parse(timestamp)) > Window)
            return false;
        using (var hmac = new HMACSHA256(secret))
        {
            var digest = hmac.ComputeHash(Encoding.UTF8.GetBytes(timestamp).Concat(body).ToArray());
            return IsEqual(BitConverter.ToString(digest).Replace("-", "").ToLowerInvariant(), signature);
        }
    }

    /// Verifies the header `x-amb-signature` over the body as it arrived, unparsed.
    public static bool WalletCall(byte[] secret, string signature, byte[] body)
    {
        return IsEqual(Convert.ToBase64String(Pbkdf2(body, secret)), signature);
    }

    /// PBKDF2-HMAC-SHA512 in 1000 rounds, its first 64 bytes; from .NET 6 on Rfc2898DeriveBytes.Pbkdf2
    /// does it, with HashAlgorithmName.SHA512.
    static byte[] Pbkdf2(byte[] password, byte[] salt)
    {
        using (var hmac = new HMACSHA512(password))
        {
            var round = hmac.ComputeHash(salt.Concat(new byte[] { 0, 0, 0, 1 }).ToArray());
            var sum = (byte[])round.Clone();
            for (var i = 1; i < 1000; i++)
            {
                round = hmac.ComputeHash(round);
                for (var at = 0; at < sum.Length; at++) sum[at] ^= round[at];
            }
            return sum;
        }
    }

    static bool IsEqual(string expected, string given)
    {
        return CryptographicOperations.FixedTimeEquals(
            Encoding.UTF8.GetBytes(expected), Encoding.UTF8.GetBytes(given));
    }

    public static int Main(string[] given)
    {
        var secret = Encoding.UTF8.GetBytes(Environment.GetEnvironmentVariable("SECRET"));
        var input = new MemoryStream();
        Console.OpenStandardInput().CopyTo(input);
        var body = input.ToArray();
        bool accepted;
        if (given[0] == "pam")
        {
            var now = given.Length > 3 ? long.Parse(given[3]) : DateTimeOffset.UtcNow.ToUnixTimeSeconds();
            accepted = Notice(secret, given[1], given[2], body, now);
        }
        else
        {
            accepted = WalletCall(secret, given[1], body);
        }
        Console.WriteLine(accepted ? "accepted" : "refused");
        return accepted ? 0 : 1;
    }
}
