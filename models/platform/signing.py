"""Signatures: PAM and Bet Engine API (contracts 1.3), seamless wallet (contracts 2.1).

The bytes that are sent are signed, never a second serialisation of them.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from hashlib import _Hash

_TIMESTAMP_DIGITS_MAX: Final = 11  # unix seconds have 10 until the year 2286; milliseconds have 13
_SEAMLESS_ROUNDS: Final = 1000
_SEAMLESS_BYTES: Final = 64
_BLOCK_BYTES: Final = 64  # of SHA-256
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))
_SECRETS_MAX: Final = 1024  # whose beginnings are kept; more operators than most installations have


class Flaw(StrEnum):
    """Why a signature was refused: for our log. The caller learns only that it was."""

    TIMESTAMP_UNREADABLE = "timestamp_unreadable"  # not unix time in whole seconds
    TIMESTAMP_OUTSIDE_WINDOW = "timestamp_outside_window"  # too old, or too far ahead
    SIGNATURE_WRONG = "signature_wrong"  # another secret, or other bytes


@dataclass(frozen=True, slots=True)
class Genuine:
    """The sender knows the secret, and signed the bytes within the window."""


@dataclass(frozen=True, slots=True)
class SignatureRefused:
    """The request must not be processed. It is falsy, so that `if verify(…)` refuses it."""

    flaw: Flaw

    def __bool__(self) -> Literal[False]:
        """Be false."""
        return False


def sign(body: bytes, *, timestamp: int, secret: str) -> str:
    """Sign a body for a PAM or Bet Engine call at `timestamp` (unix time, seconds).

    Lower-case hexadecimal HMAC-SHA256, key = the operator's secret, over the timestamp's digits and
    then the body as given. The contract signs "the body without spaces": our compact bodies hold
    none, so both readings are the same bytes. No body (GET) is `b""`. Source: contracts 1.3.
    """
    return _hmac(str(timestamp).encode() + body, secret=secret)


def verify(
    body: bytes,
    *,
    timestamp: str,
    signature: str,
    secrets: Sequence[str],
    now: datetime,
    window: timedelta,
) -> Genuine | SignatureRefused:
    """Verify the `timestamp` and `signature` headers of a request with this raw body.

    Accepts the signature by any of `secrets` (two while one is being rotated), over the raw bytes
    or over them with every space removed: the contract can be read both ways where a string holds
    a space. The timestamp may lie up to `window` before or after `now`.
    Source: contracts 1.3, contracts 5.1.
    """
    signed_at = _unix_seconds(timestamp)
    if signed_at is None:
        return SignatureRefused(Flaw.TIMESTAMP_UNREADABLE)
    if abs(signed_at - now.timestamp()) > window.total_seconds():
        return SignatureRefused(Flaw.TIMESTAMP_OUTSIDE_WINDOW)
    given = signature.encode(errors="replace")
    head = timestamp.encode()
    for secret in secrets:
        for text in (body, body.replace(b" ", b"")):
            expected = _hmac(head + text, secret=secret)
            if hmac.compare_digest(expected.encode(), given):  # in constant time
                return Genuine()
    return SignatureRefused(Flaw.SIGNATURE_WRONG)


def sign_seamless(body: bytes, *, secret: str) -> str:
    """Sign a body for the header `x-amb-signature` of a seamless wallet call.

    Base64 of PBKDF2-HMAC-SHA512: the exact body is the password, the secret the salt, 1000 rounds,
    64 bytes. Source: contracts 2.1.
    """
    digest = hashlib.pbkdf2_hmac(
        "sha512", body, secret.encode(), _SEAMLESS_ROUNDS, dklen=_SEAMLESS_BYTES
    )
    return base64.b64encode(digest).decode("ascii")


def _hmac(message: bytes, *, secret: str) -> str:
    """Return the HMAC of *message*, as `hmac.new` makes it, in a fifth of its time."""
    begun, ended = _keyed(secret)
    inner, outer = begun.copy(), ended.copy()
    inner.update(message)
    outer.update(inner.digest())
    return outer.hexdigest()


@lru_cache(_SECRETS_MAX)
def _keyed(secret: str) -> "tuple[_Hash, _Hash]":
    """Return the two hashes of an HMAC (RFC 2104) once the key went in: the same for all messages.

    They are copied, and never changed.
    """
    key = secret.encode()
    if len(key) > _BLOCK_BYTES:
        key = hashlib.sha256(key).digest()
    key = key.ljust(_BLOCK_BYTES, b"\0")
    return hashlib.sha256(key.translate(_INNER)), hashlib.sha256(key.translate(_OUTER))


def _unix_seconds(timestamp: str) -> int | None:
    # isascii: isdigit alone also takes the digits of other scripts, which would sign differently
    if len(timestamp) <= _TIMESTAMP_DIGITS_MAX and timestamp.isascii() and timestamp.isdigit():
        return int(timestamp)
    return None
