"""Rotates an operator's secret, and encrypts all secrets again with the first key."""

from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from models.database.rows import rows_within
from models.operators.interventions import Change, Person, record_intervention
from models.operators.locked_row import locked_operator
from models.operators.problems import OperatorInvalid, OperatorProblem
from models.operators.secrets import EncryptedSecrets
from models.operators.validation import check_secret
from models.platform.encryption import DecryptionFailed, Vault, hash_key
from models.platform.errors import ConflictError
from models.platform.timestamps import format_timestamp
from models.tables.operator import Operator, PublisherAccount

ROTATION_MAX: Final = timedelta(days=366)
FORGET_AFTER: Final = timedelta(hours=24)  # the switch, unless a person says otherwise

_SEALED: Final = ("secret", "next_secret", "access", "next_access")


class InterruptedRotation(StrEnum):
    """Outcome of a rotation that a newer one replaced."""

    NEVER_SIGNED = "never_signed"  # its new secret was discarded before it signed anything
    OLD_FORGOTTEN = "old_forgotten"  # its old secret, accepted until now, no longer is


INTERRUPTED: Final = {
    InterruptedRotation.NEVER_SIGNED: (
        "a rotation was in progress: its new secret is dropped, it never signed"
    ),
    InterruptedRotation.OLD_FORGOTTEN: (
        "a rotation was in progress: its old secret is no longer accepted"
    ),
}


class SecretReplaced(ConflictError):
    """The secret is not the one any more that the person saw."""

    def __init__(self, code: str) -> None:
        """Say what has happened, and what to do."""
        super().__init__(
            f"the secret of operator {code!r} was replaced meanwhile, by somebody else or by the"
            " same form sent twice; look at what holds now, and rotate again only if that is"
            " needed."
        )


@dataclass(frozen=True, slots=True)
class ReencryptedSecrets:
    """How many operators' secrets are encrypted by the first key now, and whose no key decrypts."""

    operators: int
    unopened: tuple[str, ...]  # their codes


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
    """Rotate an operator's secret in the caller's transaction, and record who did it and why.

    The present one signs until *switch_at* and is accepted until *forget_at*; the new one is
    accepted at once and signs from *switch_at* on. Each operator has two secrets at most: a
    rotation in progress ends with this one, and its outcome is returned. A present secret that no
    key decrypts any more is no obstacle.
    Raises OperatorInvalid, OperatorNotFound, OperatorEnded; then nothing may be committed.
    """
    with rows_within(connection) as session:
        row = locked_operator(session, code)
        present = _secrets(row)
        check_secret(secret)
        _check_moments(switch_at, forget_at, now=now)
        _check_unused(session, secret, present=_decrypted(present.verifying(now), vault))
        row.secret, row.next_secret = present.signing(now), vault.encrypt(secret)
        row.switch_at, row.forget_at = switch_at, forget_at
        session.flush()
    facts = {
        "switch_at": format_timestamp(switch_at),
        "forget_at": format_timestamp(forget_at),
    }
    record_intervention(
        connection, Change("secret_rotated", operator=code, facts=facts), person=person, at=now
    )
    if len(present.verifying(now)) == 1:
        return None
    never_signed = present.signing(now) == present.secret
    return InterruptedRotation.NEVER_SIGNED if never_signed else InterruptedRotation.OLD_FORGOTTEN


def require_secret(connection: Connection, code: str, version: str) -> None:
    """Lock the operator's row and raise SecretReplaced if its secret is not the one a person saw.

    *version*: `EncryptedSecrets.version`. For the transaction that then rotates it. Raises
    OperatorNotFound, OperatorEnded.
    """
    with rows_within(connection) as session:
        if _secrets(locked_operator(session, code)).version != version:
            raise SecretReplaced(code)


def reencrypt_secrets(
    connection: Connection, *, vault: Vault, person: Person
) -> ReencryptedSecrets:
    """Encrypt every secret again with the first key, so that the other keys can be removed.

    Every process must know the first key before. Secrets that no key decrypts stay as they are, and
    those of ended partnerships, which nothing uses any more.
    """
    undecryptable: list[str] = []
    with rows_within(connection) as session:
        in_use = _operators().where(col(Operator.ended_at).is_(None))
        operators = session.exec(in_use.order_by(col(Operator.id))).all()
        for operator in operators:
            try:
                _reencrypt(operator, vault)
            except DecryptionFailed:
                undecryptable.append(operator.code)
        session.flush()
    done = ReencryptedSecrets(len(operators) - len(undecryptable), tuple(undecryptable))
    facts = {"operators": done.operators, "unopened": undecryptable}
    record_intervention(connection, Change("secrets_resealed", facts=facts), person=person)
    return done


def _operators() -> SelectOfScalar[Operator]:
    """Select operators and lock their rows FOR NO KEY UPDATE."""
    return select(Operator).with_for_update(key_share=True)


def _secrets(row: Operator) -> EncryptedSecrets:
    return EncryptedSecrets(row.secret, row.next_secret, row.switch_at, row.forget_at)


def _decrypted(secrets: Iterable[str], vault: Vault) -> set[str]:
    """Return those of *secrets* that can be decrypted, in clear."""
    decrypted = set()
    for secret in secrets:
        with suppress(DecryptionFailed):
            decrypted.add(vault.decrypt(secret))
    return decrypted


def _reencrypt(operator: Operator, vault: Vault) -> None:
    """Encrypt all that is sealed of an operator again, or nothing. Raises DecryptionFailed."""
    sealed = {name: getattr(operator, name) for name in _SEALED}
    again = {
        name: None if value is None else vault.encrypt(vault.decrypt(value))
        for name, value in sealed.items()
    }
    for name, value in again.items():
        setattr(operator, name, value)


def _check_unused(session: Session, secret: str, *, present: Collection[str]) -> None:
    if secret in present:
        raise OperatorInvalid(
            [OperatorProblem("this secret is in use already; make another one", field="secret")]
        )
    key_owner = select(PublisherAccount.id).where(PublisherAccount.key_hash == hash_key(secret))
    if session.exec(key_owner).first() is not None:
        raise OperatorInvalid(
            [
                OperatorProblem(
                    "this is a publisher's API key; choose another secret", field="secret"
                )
            ]
        )


def _check_moments(switch_at: datetime, forget_at: datetime, *, now: datetime) -> None:
    problems = []
    if switch_at < now:
        problems.append(
            OperatorProblem(
                "the new secret would sign from a moment in the past; by default it signs at once",
                field="switch_at",
            )
        )
    if forget_at < switch_at:
        problems.append(
            OperatorProblem(
                "the old secret must not be forgotten before the new one signs:"
                " no signature would be accepted in between",
                field="forget_at",
            )
        )
    if forget_at - now > ROTATION_MAX:
        problems.append(
            OperatorProblem(
                f"the old secret must be forgotten within {ROTATION_MAX.days} days",
                field="forget_at",
            )
        )
    if problems:
        raise OperatorInvalid(problems)
