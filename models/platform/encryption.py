"""Secrets: generated, encrypted at rest, and recognised by their hash."""

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from pydantic import SecretStr

from models.platform.errors import SlipwayError

if TYPE_CHECKING:  # 7 MiB, for those who hold keys
    from cryptography.fernet import MultiFernet

_RANDOM_BYTES: Final = 32  # 256 bits: beyond guessing, whatever the hash
_API_KEY_PREFIX: Final = "slipway_"  # lets people and secret scanners recognise a leaked key


class DecryptionFailed(SlipwayError):
    """None of the keys in SLIPWAY_SECRET_KEY decrypts this: the key is missing, or it is damaged.

    Add the key that encrypted it behind the present ones (keys are separated by commas, the first
    encrypts), or give the operator a new secret.
    """

    def __init__(self) -> None:
        super().__init__(" ".join((type(self).__doc__ or "").split()))


@dataclass(frozen=True, slots=True)
class Vault:
    """Encrypts secrets for the database and decrypts them. Its repr shows no key."""

    _fernet: "MultiFernet" = field(repr=False)

    @classmethod
    def with_keys(cls, keys: Iterable[SecretStr]) -> Self:
        """Build a vault from Fernet keys, as in `Settings.secret_key`; the first one encrypts.

        Raises ValueError without a key, or for one that is not a Fernet key.
        """
        from cryptography.fernet import Fernet, MultiFernet  # noqa: PLC0415 - for those who hold keys

        return cls(MultiFernet([Fernet(key.get_secret_value()) for key in keys]))

    def encrypt(self, secret: str) -> str:
        """Encrypt with the first key: printable ASCII, different each time."""
        return self._fernet.encrypt(secret.encode()).decode("ascii")

    def decrypt(self, encrypted: str) -> str:
        """Decrypt with the key that fits. Raises DecryptionFailed if none does."""
        from cryptography.fernet import InvalidToken  # noqa: PLC0415 - for those who hold keys

        try:
            return self._fernet.decrypt(encrypted).decode()
        except (InvalidToken, ValueError):  # ValueError: it is not even ASCII
            raise DecryptionFailed from None


def new_secret() -> str:
    """Return a new operator's secret: 256 random bits, 43 characters, none of them a space."""
    return secrets.token_urlsafe(_RANDOM_BYTES)


def new_api_key() -> str:
    """Return a new publisher's key: `slipway_` and 256 random bits. Only its hash is stored."""
    return _API_KEY_PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)


def hash_key(api_key: str) -> str:
    """Return the SHA-256 of a publisher's key, 64 hexadecimal digits, as the database stores it.

    A fast hash is right here. Slow ones (scrypt, argon2) protect passwords that can be guessed;
    256 random bits cannot be. And the same key must give the same hash, without salt, so that a
    request's key is found by an index.
    """
    return hashlib.sha256(api_key.encode()).hexdigest()
