"""Recognises the operator that signed a request to the Bet Engine API (contracts: BetStack 1.2)."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Row, text

from models.events.stream_contract import ID_CHARACTERS_MAX
from models.operators.secrets import EncryptedSecrets, verifying_secrets
from models.platform.encryption import Vault, new_secret
from models.platform.signing import Flaw, Genuine, verify

# One row always: the time of a request is judged the same way whoever it claims to be from. A
# disabled operator is let in: disabling holds its notices, while events go on being applied.
FIND: Final = text("""
    SELECT clock.now, o.id, o.code, o.protocol, o.timezone, o.secret, o.next_secret, o.switch_at,
           o.forget_at
      FROM (SELECT clock_timestamp() AS now) AS clock LEFT JOIN operator o ON o.code = :code
""")


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """The three headers as they came (None: absent), and the raw body."""

    operator_name: str | None
    timestamp: str | None
    signature: str | None
    body: bytes


@dataclass(frozen=True, slots=True)
class Caller:
    """An operator whose signature is genuine."""

    operator: int
    code: str
    protocol: str
    zone: ZoneInfo


class AccessDenied(StrEnum):
    """Why a request is refused before its signature says anything."""

    HEADER_MISSING = "header_missing"
    OPERATOR_UNKNOWN = "operator_unknown"


def verify_caller(
    connection: Connection, request: SignedRequest, *, vault: Vault, window: timedelta
) -> Caller | AccessDenied | Flaw:
    """Who signed *request*, or why it is refused: for our log, the caller learns only that it was.

    The timestamp is judged by the database's clock. For an operator that is not there the same is
    done as for one that is, so that names cannot be told by the time an answer takes. Raises
    NoKeyOpensIt when the operator's own secret cannot be opened.
    """
    name, timestamp, signature = request.operator_name, request.timestamp, request.signature
    if name is None or timestamp is None or signature is None:
        return AccessDenied.HEADER_MISSING
    code = name if _is_code(name) else None
    row = connection.execute(FIND, {"code": code}).one()
    judged = verify(
        request.body,
        timestamp=timestamp,
        signature=signature,
        secrets=_secrets(row, vault),
        now=row.now,
        window=window,
    )
    if row.id is None:
        return AccessDenied.OPERATOR_UNKNOWN
    if isinstance(judged, Genuine):
        return Caller(row.id, row.code, row.protocol, ZoneInfo(row.timezone))
    return judged.flaw


def _secrets(row: Row[Any], vault: Vault) -> tuple[str, ...]:
    if row.id is None:
        return (vault.open(vault.seal(new_secret())),)
    sealed = EncryptedSecrets(row.secret, row.next_secret, row.switch_at, row.forget_at)
    return verifying_secrets(sealed, vault, row.now)


def _is_code(name: str) -> bool:
    """Whether it can be an operator's: PostgreSQL is not even asked for anything else."""
    return 1 <= len(name) <= ID_CHARACTERS_MAX and name.isprintable()
