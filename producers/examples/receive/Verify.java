// Verify what Slipway sends: SECRET=… java Verify.java pam TIMESTAMP SIGNATURE < body
import static java.nio.charset.StandardCharsets.UTF_8;

import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.Base64;
import java.util.HexFormat;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

public final class Verify {
  static final long WINDOW = 300; // seconds

  /** Verifies the headers `timestamp` and `signature` over the body as it arrived, unparsed. */
  static boolean notice(byte[] secret, String timestamp, String signature, byte[] body, long now)
      throws GeneralSecurityException {
    if (!timestamp.matches("[0-9]{1,11}")) return false;
    if (Math.abs(now - Long.parseLong(timestamp)) > WINDOW) return false;
    Mac mac = keyed("HmacSHA256", secret);
    mac.update(timestamp.getBytes(UTF_8));
    String expected = HexFormat.of().formatHex(mac.doFinal(body));
    return MessageDigest.isEqual(expected.getBytes(UTF_8), signature.getBytes(UTF_8));
  }

  /** Verifies the header `x-amb-signature` over the body as it arrived, unparsed. */
  static boolean walletCall(byte[] secret, String signature, byte[] body)
      throws GeneralSecurityException {
    String expected = Base64.getEncoder().encodeToString(pbkdf2(body, secret));
    return MessageDigest.isEqual(expected.getBytes(UTF_8), signature.getBytes(UTF_8));
  }

  /** PBKDF2-HMAC-SHA512 in 1000 rounds, its first 64 bytes. Java's own takes no bytes. */
  static byte[] pbkdf2(byte[] password, byte[] salt) throws GeneralSecurityException {
    Mac mac = keyed("HmacSHA512", password);
    mac.update(salt);
    byte[] round = mac.doFinal(new byte[] {0, 0, 0, 1});
    byte[] sum = round.clone();
    for (int i = 1; i < 1000; i++) {
      round = mac.doFinal(round);
      for (int at = 0; at < sum.length; at++) sum[at] ^= round[at];
    }
    return sum;
  }

  static Mac keyed(String algorithm, byte[] key) throws GeneralSecurityException {
    Mac mac = Mac.getInstance(algorithm);
    mac.init(new SecretKeySpec(key, algorithm));
    return mac;
  }

  public static void main(String[] given) throws Exception {
    byte[] secret = System.getenv("SECRET").getBytes(UTF_8);
    byte[] body = System.in.readAllBytes();
    boolean accepted;
    if (given[0].equals("pam")) {
      long now = given.length > 3 ? Long.parseLong(given[3]) : System.currentTimeMillis() / 1000;
      accepted = notice(secret, given[1], given[2], body, now);
    } else {
      accepted = walletCall(secret, given[1], body);
    }
    System.out.println(accepted ? "accepted" : "refused");
    System.exit(accepted ? 0 : 1);
  }
}
