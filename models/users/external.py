"""Accounts of people who sign in elsewhere: with OpenID Connect, or at a trusted proxy."""

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from models.database.rows import rows_within
from models.operators.interventions import Change, Person, record_intervention
from models.tables.user import SOURCES, UserAccount
from models.users.accounts import LOCAL, User, as_user, check_name
from models.users.errors import LocalUserExists, UserDisabled, UserInvalid, UserUnknown
from models.users.names import name_key
from models.users.sessions import NewSession, SessionLimits, start_session
from models.vocabulary import Role

SUBJECT_CHARACTERS_MAX: Final = 500

_LOCK: Final = text("""
    SELECT name, disabled_at FROM user_account WHERE id = :id FOR NO KEY UPDATE
""")


def external_user(
    connection: Connection,
    *,
    source: str,
    subject: str,
    name: str,
    role: Role | None,
    now: datetime,
) -> User:
    """Return the account of *subject* at *source*, made or brought up to date; writes only then.

    *subject* is what never changes about a person there (with OpenID Connect the issuer and `sub`,
    at a proxy the name again). Without a *role* the account must have been added here, by its name,
    and keeps its role. An account that signs in another way is never taken over. Raises
    UserInvalid, LocalUserExists, UserDisabled, UserUnknown; then nothing may be committed.
    """
    assert source in SOURCES, source
    assert source != LOCAL, source
    check_name(name)
    if not 1 <= len(subject) <= SUBJECT_CHARACTERS_MAX or not subject.isprintable():
        raise UserInvalid(f"the subject must be 1 to {SUBJECT_CHARACTERS_MAX} printable characters")
    with rows_within(connection) as session:
        row = _known(session, source, subject, name)
        if row is None:
            if role is None:
                raise UserUnknown(name)
            row = _added(session, source, subject, name, role, now)
        if row.disabled_at is not None:
            raise UserDisabled(row.name)
        _update(session, row, subject, name, role, now)
        return as_user(row)


def start_external_session(
    connection: Connection,
    user: User,
    *,
    limits: SessionLimits,
    remote: str,
    client: str,
    now: datetime,
) -> NewSession:
    """Start a session for a user whom another system has identified. Raises UserDisabled."""
    row = connection.execute(_LOCK, {"id": user.id}).one()
    if row.disabled_at is not None:
        raise UserDisabled(row.name)
    return start_session(connection, user.id, limits=limits, remote=remote, client=client, now=now)


def _known(session: Session, source: str, subject: str, name: str) -> UserAccount | None:
    """Return the account of *subject*, or the one that was added for *name* and waits for it."""
    mine = select(UserAccount).where(UserAccount.source == source, UserAccount.subject == subject)
    row = session.exec(mine).one_or_none()
    if row is not None:
        return row
    same_name = select(UserAccount).where(UserAccount.name_key == name_key(name))
    row = session.exec(same_name).one_or_none()
    if row is None:
        return None
    if row.source != source or row.subject is not None:
        raise LocalUserExists(name)
    return row


def _added(
    session: Session, source: str, subject: str, name: str, role: Role, now: datetime
) -> UserAccount:
    """Add the account, or return the one that another request of the person has just added."""
    added = session.connection().execute(
        insert(UserAccount)
        .values(
            name=name,
            name_key=name_key(name),
            role=role.value,
            source=source,
            subject=subject,
            created_at=now,
        )
        .on_conflict_do_nothing()
        .returning(col(UserAccount.id))
    )
    new = added.one_or_none() is not None
    query = select(UserAccount).where(col(UserAccount.name_key) == name_key(name))
    row = session.exec(query).one()
    if (row.source, row.subject) != (source, subject):
        raise LocalUserExists(name)
    if new:
        _record(session, "user_added", {"user": name, "role": role.value, "source": source}, now)
    return row


def _update(
    session: Session, row: UserAccount, subject: str, name: str, role: Role | None, now: datetime
) -> None:
    """Change what the other system says differently now."""
    facts: dict[str, object] = {}
    if row.name != name:
        facts["name"] = {"from": row.name, "to": name}
    if role is not None and row.role != role.value:
        facts["role"] = {"from": row.role, "to": role.value}
    if row.subject is None:
        facts["subject"] = "bound"
    if not facts:
        return
    taken = select(UserAccount.id).where(
        UserAccount.name_key == name_key(name), UserAccount.id != row.id
    )
    if session.exec(taken).one_or_none() is not None:
        raise LocalUserExists(name)
    former = row.name
    row.name, row.name_key, row.subject = name, name_key(name), subject
    if role is not None:
        row.role = role.value
    session.flush()
    _record(session, "user_changed", {"user": former} | facts, now, source=row.source)


def _record(
    session: Session, did: str, facts: dict[str, object], now: datetime, *, source: str = ""
) -> None:
    person = Person(source or str(facts["source"]), "as the identity provider says")
    record_intervention(session.connection(), Change(did, facts=facts), person=person, at=now)
