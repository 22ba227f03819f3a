"""User accounts: adds, lists, changes, disables and enables them, each with a record of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from models.database.rows import rows_within
from models.operators.interventions import Change, Person, record_intervention
from models.tables.user import UserAccount
from models.users.errors import UserExists, UserInvalid, UserNotFound
from models.users.failures import forget_failures
from models.users.names import NAME_CHARACTERS_MAX, is_name, name_key
from models.users.passwords import check_password, hash_password
from models.users.sessions import end_sessions_of
from models.vocabulary import Role

LISTED_MAX: Final = 10_000
LOCAL: Final = "local"


@dataclass(frozen=True, slots=True)
class User:
    """A user as it may be shown: without the password's hash."""

    id: int
    name: str
    role: Role
    source: str  # local, oidc, proxy
    has_password: bool
    created_at: datetime
    signed_in_at: datetime | None
    disabled_at: datetime | None


def add_user(
    connection: Connection,
    name: str,
    *,
    role: Role,
    password: str | None = None,
    source: str = LOCAL,
    person: Person,
    now: datetime,
) -> User:
    """Add a user in the caller's transaction, and record who did it and why.

    A local one has a password; another signs in through *source*, and is known by its name until
    then. Raises UserInvalid, UserExists, TooManySignIns; then nothing may be committed.
    """
    check_name(name)
    if (password is None) == (source == LOCAL):
        raise UserInvalid(
            "a local user needs a password"
            if password is None
            else f"a user who signs in through {source} has no password here"
        )
    if password is not None:
        check_password(password, name=name)
    row = connection.execute(
        insert(UserAccount)
        .values(
            name=name,
            name_key=name_key(name),
            role=role.value,
            source=source,
            password_hash=None if password is None else hash_password(password),
            created_at=now,
        )
        .on_conflict_do_nothing()
        .returning(col(UserAccount.id))
    ).one_or_none()
    if row is None:
        raise UserExists(
            f"user {name!r} exists already (names are compared without case); choose another name,"
            " or change the account with `slipway users set`"
        )
    facts = {"user": name, "role": role.value, "source": source}
    record_intervention(connection, Change("user_added", facts=facts), person=person, at=now)
    return find_user(connection, name)


def find_user(connection: Connection, name: str) -> User:
    """Return the user called *name*, in any case. Raises UserNotFound."""
    with rows_within(connection) as session:
        return as_user(_row(session, name, lock=False))


def list_users(connection: Connection, *, limit: int = LISTED_MAX) -> list[User]:
    """Return all users by name, disabled ones too, at most *limit*."""
    query = select(UserAccount).order_by(UserAccount.name_key).limit(limit)
    with rows_within(connection) as session:
        return [as_user(row) for row in session.exec(query)]


def change_user(
    connection: Connection,
    name: str,
    *,
    role: Role | None = None,
    password: str | None = None,
    person: Person,
    now: datetime,
) -> Mapping[str, object]:
    """Change a user's role or password, and return what differs now, for the record.

    A new role counts from the next request on; a new password ends all sessions and lets the user
    sign in again at once. Raises UserInvalid, UserNotFound, TooManySignIns.
    """
    facts: dict[str, object] = {}
    with rows_within(connection) as session:
        row = _row(session, name)
        if password is not None:
            if row.source != LOCAL:
                raise UserInvalid(
                    f"user {row.name!r} signs in through {row.source} and has no password here"
                )
            check_password(password, name=row.name)
            row.password_hash = hash_password(password)
            facts["password_replaced"] = True
            facts["sessions_ended"] = end_sessions_of(connection, row.id)
            forget_failures(connection, name=row.name)
        if role is not None and row.role != role.value:
            facts["role"] = {"from": row.role, "to": role.value}
            row.role = role.value
        session.flush()
    if facts:
        change = Change("user_changed", facts={"user": row.name} | facts)
        record_intervention(connection, change, person=person, at=now)
    return facts


def disable_user(connection: Connection, name: str, *, person: Person, now: datetime) -> bool:
    """Let a user sign in no more, end all sessions, and return whether that changed anything.

    Raises UserNotFound.
    """
    with rows_within(connection) as session:
        row = _row(session, name)
        if row.disabled_at is not None:
            return False
        row.disabled_at = now
        session.flush()
    facts = {"user": row.name, "sessions_ended": end_sessions_of(connection, row.id)}
    record_intervention(connection, Change("user_disabled", facts=facts), person=person, at=now)
    return True


def enable_user(connection: Connection, name: str, *, person: Person, now: datetime) -> bool:
    """Let a user sign in again, and return whether that changed anything. Raises UserNotFound."""
    with rows_within(connection) as session:
        row = _row(session, name)
        if row.disabled_at is None:
            return False
        row.disabled_at = None
        session.flush()
    forget_failures(connection, name=row.name)
    change = Change("user_enabled", facts={"user": row.name})
    record_intervention(connection, change, person=person, at=now)
    return True


def sign_out_user(connection: Connection, name: str, *, person: Person, now: datetime) -> int:
    """End all sessions of a user, and return how many there were. Raises UserNotFound."""
    with rows_within(connection) as session:
        row = _row(session, name)
    ended = end_sessions_of(connection, row.id)
    if ended:
        facts = {"user": row.name, "sessions_ended": ended}
        record_intervention(
            connection, Change("user_signed_out", facts=facts), person=person, at=now
        )
    return ended


def as_user(row: UserAccount) -> User:
    """Return what may be shown of a row."""
    assert row.id is not None, "the database fills it in"
    assert row.created_at is not None, "the database fills it in"
    return User(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        source=row.source,
        has_password=row.password_hash is not None,
        created_at=row.created_at,
        signed_in_at=row.signed_in_at,
        disabled_at=row.disabled_at,
    )


def check_name(name: str) -> None:
    """Refuse what cannot be a user's name. Raises UserInvalid."""
    if not is_name(name):
        raise UserInvalid(
            f"name {name[:100]!r} must be 1 to {NAME_CHARACTERS_MAX} printable characters, without"
            " a space before or after them"
        )


def _row(session: Session, name: str, *, lock: bool = True) -> UserAccount:
    """Return the user's row, locked FOR NO KEY UPDATE if wanted. Raises UserNotFound."""
    query = select(UserAccount).where(UserAccount.name_key == name_key(name))
    if lock:
        query = query.with_for_update(key_share=True)
    row = session.exec(query).one_or_none() if is_name(name) else None
    if row is None:
        raise UserNotFound(name)
    return row
