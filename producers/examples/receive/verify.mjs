// Verify what Slipway sends: SECRET=… node verify.mjs pam TIMESTAMP SIGNATURE < body
import { createHmac, pbkdf2Sync, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const WINDOW = 300; // seconds

// Verify the headers `timestamp` and `signature` over the body as it arrived: a Buffer, unparsed
// (in Express: express.raw({ type: "application/json" })).
export function verifyNotice(secret, timestamp, signature, body, now = Date.now() / 1000) {
  if (!/^[0-9]{1,11}$/.test(timestamp)) return false;
  if (Math.abs(now - Number(timestamp)) > WINDOW) return false;
  const expected = createHmac("sha256", secret).update(timestamp).update(body).digest("hex");
  return equal(expected, signature);
}

// Verify the header `x-amb-signature` over the body as it arrived, unparsed.
export function verifyWalletCall(secret, signature, body) {
  return equal(pbkdf2Sync(body, secret, 1000, 64, "sha512").toString("base64"), signature);
}

function equal(expected, given) {
  const [left, right] = [Buffer.from(expected), Buffer.from(given)];
  return left.length === right.length && timingSafeEqual(left, right);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [kind, ...given] = process.argv.slice(2);
  const body = readFileSync(0);
  const { SECRET } = process.env;
  const accepted =
    kind === "pam"
      ? verifyNotice(SECRET, given[0], given[1], body, given[2] ? Number(given[2]) : undefined)
      : verifyWalletCall(SECRET, given[0], body);
  console.log(accepted ? "accepted" : "refused");
  process.exit(accepted ? 0 : 1);
}
