"""Identifies the operator that signed a request to the Bet Engine API (contracts 1.2)."""

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

# Always one row: the time of a request is checked in the same way whether or not the operator that
# it names exists. A disabled operator has access: disabling holds its notices, while events are
# still applied. One whose partnership has ended has none (rule 24).
FIND: Final = text("""
    SELECT clock.now, o.id, o.code, o.protocol, o.timezone, o.secret, o.next_secret, o.switch_at,
           o.forget_at, o.ended_at
      FROM (SELECT clock_timestamp() AS now) AS clock LEFT JOIN operator o ON o.code = :code
""")


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """The three headers as received, None if absent, and the raw body."""

    operator_name: str | None
    timestamp: str | None
    signature: str | None
    body: bytes


@dataclass(frozen=True, slots=True)
class Caller:
    """An operator whose signature is valid."""

    operator: int
    code: str
    protocol: str
    zone: ZoneInfo


class AccessDenied(StrEnum):
    """Why a request is refused before its signature is checked."""

    HEADER_MISSING = "header_missing"
    OPERATOR_UNKNOWN = "operator_unknown"
    OPERATOR_ENDED = "operator_ended"


def verify_caller(
    connection: Connection, request: SignedRequest, *, vault: Vault, window: timedelta
) -> Caller | AccessDenied | Flaw:
    """Return who signed *request*, or why it is refused.

    The reason is for Slipway's log; the caller only learns that it was refused. The timestamp is
    checked against the database's clock. An unknown operator costs the same work as a known one, so
    that response times do not reveal names. Raises DecryptionFailed if no key decrypts the
    operator's secret.
    """
    name, timestamp, signature = request.operator_name, request.timestamp, request.signature
    if name is None or timestamp is None or signature is None:
        return AccessDenied.HEADER_MISSING
    code = name if _is_code(name) else None
    row = connection.execute(FIND, {"code": code}).one()
    verified = verify(
        request.body,
        timestamp=timestamp,
        signature=signature,
        secrets=_secrets(row, vault),
        now=row.now,
        window=window,
    )
    if row.id is None:
        return AccessDenied.OPERATOR_UNKNOWN
    if row.ended_at is not None:
        return AccessDenied.OPERATOR_ENDED
    if isinstance(verified, Genuine):
        return Caller(
            operator=row.id, code=row.code, protocol=row.protocol, zone=ZoneInfo(row.timezone)
        )
    return verified.flaw


def _secrets(row: Row[Any], vault: Vault) -> tuple[str, ...]:
    if row.id is None:
        return (vault.decrypt(vault.encrypt(new_secret())),)
    encrypted = EncryptedSecrets(
        secret=row.secret,
        next_secret=row.next_secret,
        switch_at=row.switch_at,
        forget_at=row.forget_at,
    )
    return verifying_secrets(encrypted, vault, row.now)


def _is_code(name: str) -> bool:
    """Whether it can be an operator's code. PostgreSQL is not queried for anything else."""
    return 1 <= len(name) <= ID_CHARACTERS_MAX and name.isprintable()
