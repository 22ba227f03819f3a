"""Exchanges an operator's secret for another, and seals all of them anew with the first key."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, Row, text

from models.operators.interventions import Change, Person, record_intervention
from models.operators.listing import unknown_operator
from models.operators.secrets import EncryptedSecrets
from models.operators.validation import OperatorInvalid, check_secret
from models.platform.encryption import DecryptionFailed, Vault, hash_key
from models.platform.timestamps import format_timestamp

EXCHANGE_MAX: Final = timedelta(days=366)

LOCK: Final = text("""
    SELECT secret, next_secret, switch_at, forget_at FROM operator
     WHERE code = :code FOR NO KEY UPDATE
""")
EXCHANGE: Final = text("""
    UPDATE operator SET secret = :secret, next_secret = :next_secret, switch_at = :switch_at,
                        forget_at = :forget_at
     WHERE code = :code
""")
FORGET: Final = text("""
    UPDATE operator SET secret = next_secret, next_secret = NULL, switch_at = NULL, forget_at = NULL
     WHERE forget_at <= :now
""")
IS_API_KEY: Final = text("SELECT count(*) FROM publisher WHERE key_hash = :key_hash")
LOCK_ALL: Final = text("""
    SELECT code, secret, next_secret FROM operator ORDER BY id FOR NO KEY UPDATE
""")
RESEAL: Final = text("""
    UPDATE operator SET secret = :secret, next_secret = :next_secret WHERE code = :code
""")


class InterruptedRotation(StrEnum):
    """What became of an exchange that was going on when another began."""

    NEVER_SIGNED = "never_signed"  # its new secret was dropped before it signed anything
    OLD_FORGOTTEN = "old_forgotten"  # its old secret, still accepted until now, is so no longer


@dataclass(frozen=True, slots=True)
class ReencryptedSecrets:
    """How many operators' secrets the first key has sealed now, and whose no key opens."""

    operators: int
    unopened: tuple[str, ...]


def rotate_secret(
    connection: Connection,
    code: str,
    secret: str,
    *,
    switch_at: datetime,
    forget_at: datetime,
    now: datetime,
    vault: Vault,
    person: Person,
) -> InterruptedRotation | None:
    """Exchange an operator's secret in the caller's transaction, and keep who did it and why.

    The present one signs until *switch_at* and is accepted until *forget_at*; the new one is
    accepted at once and signs from *switch_at* on. Each operator has two secrets at most: an
    exchange that is going on ends with this one, and what becomes of it is returned.
    A present secret that no key opens any more does not stand in the way.
    Raises OperatorInvalid and OperatorUnknown; then nothing may be committed.
    """
    row = connection.execute(LOCK, {"code": code}).one_or_none()
    if row is None:
        raise unknown_operator(connection, code)
    present = EncryptedSecrets(*row)
    check_secret(secret)
    _check_moments(switch_at, forget_at, now=now)
    if secret in _opened(present.verifying(now), vault):
        raise OperatorInvalid(["this secret is in use already; make another one"])
    if connection.execute(IS_API_KEY, {"key_hash": hash_key(secret)}).scalar_one():
        raise OperatorInvalid(["this is somebody's API key; the secret must be another one"])
    connection.execute(
        EXCHANGE,
        {
            "code": code,
            "secret": present.signing(now),
            "next_secret": vault.seal(secret),
            "switch_at": switch_at,
            "forget_at": forget_at,
        },
    )
    facts = {"switch_at": format_timestamp(switch_at), "forget_at": format_timestamp(forget_at)}
    record_intervention(
        connection, Change("secret_rotated", operator=code, facts=facts), person=person, at=now
    )
    if len(present.verifying(now)) == 1:
        return None
    never_signed = present.signing(now) == present.secret
    return InterruptedRotation.NEVER_SIGNED if never_signed else InterruptedRotation.OLD_FORGOTTEN


def forget_old_secrets(connection: Connection, *, now: datetime) -> int:
    """Delete the old secrets of exchanges that are over; how many. They open nothing since then."""
    return connection.execute(FORGET, {"now": now}).rowcount


def reencrypt_secrets(
    connection: Connection, *, vault: Vault, person: Person
) -> ReencryptedSecrets:
    """Seal every secret anew with the first key, so that the other keys can be dropped.

    Every process must know the first key before. Secrets that no key opens stay as they are.
    """
    unopened: list[str] = []
    rows = connection.execute(LOCK_ALL).all()
    for row in rows:
        try:
            connection.execute(RESEAL, {"code": row.code, **_resealed(row, vault)})
        except DecryptionFailed:
            unopened.append(row.code)
    done = ReencryptedSecrets(len(rows) - len(unopened), tuple(unopened))
    facts = {"operators": done.operators, "unopened": unopened}
    record_intervention(connection, Change("secrets_resealed", facts=facts), person=person)
    return done


def _opened(sealed: Iterable[str], vault: Vault) -> set[str]:
    """Those of *sealed* that can be opened."""
    found = set()
    for one in sealed:
        with suppress(DecryptionFailed):
            found.add(vault.open(one))
    return found


def _resealed(row: Row[tuple[str, str, str | None]], vault: Vault) -> dict[str, str | None]:
    """Both secrets of an operator, or neither. Raises DecryptionFailed."""
    following = None if row.next_secret is None else vault.seal(vault.open(row.next_secret))
    return {"secret": vault.seal(vault.open(row.secret)), "next_secret": following}


def _check_moments(switch_at: datetime, forget_at: datetime, *, now: datetime) -> None:
    problems = []
    if switch_at < now:
        problems.append("--switch-at lies in the past; leave it out to switch at once")
    if forget_at < switch_at:
        problems.append("--forget-at must not lie before --switch-at: nothing would be accepted")
    if forget_at - now > EXCHANGE_MAX:
        problems.append(f"--forget-at must lie within {EXCHANGE_MAX.days} days")
    if problems:
        raise OperatorInvalid(problems)
