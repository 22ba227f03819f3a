"""The keyed hash by which an erased player can be recognised, but not found out.

Players' ids are short and often numbered: a hash without a key would be undone by trying them all.
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

from pydantic import SecretStr

_PURPOSE: Final = b"slipway erasure of a player"


def player_fingerprints(
    keys: Sequence[SecretStr], *, operator: str, player_id: str
) -> tuple[str, ...]:
    """Return the fingerprint under each of `Settings.secret_key`; the first is the one to store."""
    text = f"{operator} {player_id}".encode()  # an operator's code holds no space
    return tuple(hmac.new(_derived(key), text, hashlib.sha256).hexdigest()[:32] for key in keys)


def _derived(key: SecretStr) -> bytes:
    return hmac.new(key.get_secret_value().encode(), _PURPOSE, hashlib.sha256).digest()
