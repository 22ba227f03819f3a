"""Passwords: which are accepted, and how they are hashed and verified.

Hashing takes memory and time on purpose. A process hashes two at once and lets eight wait, so that
a flood of sign-ins takes 38 MiB at most, and no more than those ten threads.
"""

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import BoundedSemaphore
from typing import Final

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from models.platform.errors import SlipwayError
from models.users.errors import UserInvalid
from models.users.names import name_key

CHARACTERS_MIN: Final = 12
CHARACTERS_MAX: Final = 1000
# OWASP's first choice for Argon2id: 19 MiB, two passes, one lane.
HASHER: Final = PasswordHasher(
    time_cost=2, memory_cost=19 * 1024, parallelism=1, hash_len=32, salt_len=16, type=Type.ID
)
AT_ONCE: Final = 2
WAITING_MAX: Final = 8

ADMITTED: Final = BoundedSemaphore(AT_ONCE + WAITING_MAX)
_HASHING: Final = BoundedSemaphore(AT_ONCE)


class TooManySignIns(SlipwayError):
    """This process verifies as many passwords as it may; the next try may succeed."""

    def __init__(self) -> None:
        """Say what to do."""
        super().__init__("too many people sign in at this moment; try again in a few seconds")


def check_password(password: str, *, name: str) -> None:
    """Refuse a password that is too short or too long, or the user's own name.

    Raises UserInvalid, whose message does not show the password.
    """
    if not CHARACTERS_MIN <= len(password) <= CHARACTERS_MAX:
        raise UserInvalid(
            f"the password has {len(password):,} characters; it must have at least"
            f" {CHARACTERS_MIN} and at most {CHARACTERS_MAX:,}"
        )
    if name_key(password) == name_key(name):
        raise UserInvalid("the password must not be the user's name")
    if _bytes(password) is None:
        raise UserInvalid("the password is no valid Unicode text")


def hash_password(password: str) -> str:
    """Return the Argon2id hash of a password that was checked. Raises TooManySignIns."""
    encoded = _bytes(password)
    assert encoded is not None, "checked before"
    with _admitted():
        return HASHER.hash(encoded)


def verify_password(password: str, password_hash: str | None) -> bool:
    """Return whether *password* belongs to the hash; without a hash, work as long and say no.

    Raises TooManySignIns.
    """
    encoded = _bytes(password[: CHARACTERS_MAX + 1])
    possible = password_hash is not None and encoded is not None and len(password) <= CHARACTERS_MAX
    with _admitted():
        dummy = _dummy_hash(
            HASHER
        )  # in any case: the first call makes it, which takes as long again
        try:
            HASHER.verify(password_hash or dummy, encoded or b"")
        except (VerificationError, InvalidHashError):
            return False
    return possible


def needs_rehash(password_hash: str) -> bool:
    """Return whether the hash was made with other parameters than those of today."""
    return HASHER.check_needs_rehash(password_hash)


@cache
def _dummy_hash(hasher: PasswordHasher) -> str:
    """Return the hash that is verified for names without a password: it costs what others do."""
    return hasher.hash("a password that nobody has")


def _bytes(password: str) -> bytes | None:
    """Return the password as it is hashed, however a keyboard composes its characters."""
    try:
        return unicodedata.normalize("NFKC", password).encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return None


@contextmanager
def _admitted() -> Iterator[None]:
    if not ADMITTED.acquire(blocking=False):
        raise TooManySignIns
    try:
        with _HASHING:
            yield
    finally:
        ADMITTED.release()
