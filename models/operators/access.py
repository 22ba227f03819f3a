"""An operator's access: set, rotated and removed; the sealed document is the only copy."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, Final

from sqlalchemy import Connection, text

from models.access.document import open_access, seal_access
from models.access.facts import AccessFacts, access_facts
from models.access.values import NO_ACCESS, Access
from models.database.rows import rows_within
from models.operators.interventions import Change, Person, record_intervention
from models.operators.listing import unknown_operator
from models.operators.locked_row import locked_operator
from models.operators.problems import OperatorInvalid, OperatorProblem
from models.operators.validation import url_mistakes
from models.platform.encryption import DecryptionFailed, Vault
from models.platform.errors import ConflictError
from models.platform.timestamps import format_timestamp

ACCESS_CHANGED: Final = "access_changed"
SWITCH_MAX: Final = timedelta(days=366)

FIND: Final = text("""
    SELECT access, access_facts, next_access, next_access_facts, access_switch_at
      FROM operator WHERE code = :code""")


class AccessReplaced(ConflictError):
    """The access is not the one any more that the person saw."""

    def __init__(self, code: str) -> None:
        """Say what has happened, and what to do."""
        super().__init__(
            f"the access of operator {code!r} was replaced meanwhile; look at what holds now, and"
            " set it again only if that is needed."
        )


@dataclass(frozen=True, slots=True)
class AccessStatus:
    """The facts of the access in force, and of the one that replaces it at *switch_at*.

    *version*: for *seen* of `set_access`; another one after every change.
    """

    facts: AccessFacts
    version: str
    next_facts: AccessFacts | None = None
    switch_at: datetime | None = None


def check_access(access: Access, *, now: datetime) -> None:
    """Raise OperatorInvalid with every mistake in *access*, not only the first."""
    from models.access.check import access_mistakes  # noqa: PLC0415 - sweep loads no cryptography

    problems = [
        OperatorProblem(sentence, field=field)
        for field, sentence in access_mistakes(access, now=now)
    ]
    problems += _token_url_problems(access)
    if problems:
        raise OperatorInvalid(problems)


def set_access(
    connection: Connection,
    code: str,
    access: Access,
    *,
    now: datetime,
    vault: Vault,
    person: Person,
    switch_at: datetime | None = None,
    seen: str | None = None,
) -> bool:
    """Replace the operator's access in the caller's transaction, and record who did it and why.

    NO_ACCESS removes it. With *switch_at* the present one is used until then; one that waited to
    replace it is dropped. *seen*: the version that the person saw. Returns whether anything
    changed. Raises OperatorInvalid, OperatorNotFound, OperatorEnded, AccessReplaced; then nothing
    may be committed.
    """
    check_access(access, now=now)
    if switch_at is not None:
        _check_switch(switch_at, now)
        if switch_at <= now:
            switch_at = None
    with rows_within(connection) as session:
        row = locked_operator(session, code)
        _take_due(row, now)
        if seen is not None and seen != _version(row):
            raise AccessReplaced(code)
        present = None if row.access is None else _opened(row.access, vault)
        if switch_at is None and row.access_switch_at is None and present == _kept(access):
            return False
        sealed = None if access == NO_ACCESS else seal_access(access, vault)
        facts = access_facts(access)
        if switch_at is None:
            row.access, row.access_facts = sealed, facts or None
            row.next_access = row.next_access_facts = row.access_switch_at = None
        else:
            row.next_access, row.next_access_facts = sealed, facts
            row.access_switch_at = switch_at
        session.flush()
    recorded: dict[str, Any] = {"access": facts}
    if switch_at is not None:
        recorded["switch_at"] = format_timestamp(switch_at)
    change = Change(ACCESS_CHANGED, operator=code, facts=recorded)
    record_intervention(connection, change, person=person, at=now)
    return True


def access_status(connection: Connection, code: str, *, now: datetime) -> AccessStatus:
    """Return what may be shown of an operator's access at *now*. Raises OperatorNotFound."""
    row = connection.execute(FIND, {"code": code}).one_or_none()
    if row is None:
        raise unknown_operator(connection, code)
    kept = SimpleNamespace(**row._asdict())
    _take_due(kept, now)
    return AccessStatus(
        kept.access_facts or {},
        _version(kept),
        None if kept.access_switch_at is None else kept.next_access_facts or {},
        kept.access_switch_at,
    )


def _kept(access: Access) -> Access | None:
    return None if access == NO_ACCESS else access


def _opened(sealed: str, vault: Vault) -> Access | None:
    """Decrypt the present access; one that no key decrypts is no obstacle for a new one."""
    try:
        return open_access(sealed, vault)
    except DecryptionFailed:
        return NO_ACCESS  # differs from all that can be kept


def _version(row: Any) -> str:  # noqa: ANN401 - the operator's row, or what was read of it
    """Return a digest of what is stored, which discloses none of it."""
    stored = f"{row.access} {row.next_access} {row.access_switch_at}"
    return hashlib.sha256(stored.encode()).hexdigest()[:16]


def _take_due(row: Any, now: datetime) -> None:  # noqa: ANN401 - as above
    if row.access_switch_at is not None and row.access_switch_at <= now:
        row.access, row.access_facts = row.next_access, row.next_access_facts
        row.next_access = row.next_access_facts = row.access_switch_at = None


def _check_switch(switch_at: datetime, now: datetime) -> None:
    if switch_at - now > SWITCH_MAX:
        problem = f"the new access must be used within {SWITCH_MAX.days} days"
        raise OperatorInvalid([OperatorProblem(problem, field="switch_at")])


def _token_url_problems(access: Access) -> Iterator[OperatorProblem]:
    if access.oauth is not None:
        for mistake in url_mistakes(access.oauth.token_url):
            yield OperatorProblem(f"OAuth: token {mistake}", field="oauth")
