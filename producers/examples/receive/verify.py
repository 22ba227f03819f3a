"""Verify what Slipway sends: SECRET=… python verify.py pam TIMESTAMP SIGNATURE < body."""  # noqa: INP001 - to copy, no package

import base64
import hashlib
import hmac
import os
import sys
import time

WINDOW = 300  # seconds
DIGITS_MAX = 11


def verify_notice(secret: bytes, timestamp: str, signature: str, body: bytes, now: float) -> bool:
    """Verify the headers `timestamp` and `signature` over the body as it arrived, unparsed."""
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= DIGITS_MAX):
        return False
    if abs(now - int(timestamp)) > WINDOW:
        return False
    expected = hmac.new(secret, timestamp.encode() + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.encode(errors="replace"))


def verify_wallet_call(secret: bytes, signature: str, body: bytes) -> bool:
    """Verify the header `x-amb-signature` over the body as it arrived, unparsed."""
    expected = base64.b64encode(hashlib.pbkdf2_hmac("sha512", body, secret, 1000, 64))
    return hmac.compare_digest(expected, signature.encode(errors="replace"))


if __name__ == "__main__":
    secret, raw = os.environ["SECRET"].encode(), sys.stdin.buffer.read()
    kind, *given = sys.argv[1:]
    if kind == "pam":
        timestamp, signature, *at = given
        now = float(at[0]) if at else time.time()
        accepted = verify_notice(secret, timestamp, signature, raw, now)
    else:
        accepted = verify_wallet_call(secret, given[0], raw)
    print("accepted" if accepted else "refused")  # noqa: T201 - its result
    sys.exit(not accepted)
