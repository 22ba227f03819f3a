"""API tokens: programs that use the operations API, each with a role and perhaps an end."""

import hmac
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select

from models.database.rows import rows_within
from models.operators.interventions import Change, Person, record_intervention
from models.platform.errors import ConflictError, InvalidError, NotFoundError
from models.platform.timestamps import format_timestamp
from models.tables.user import ApiToken
from models.users.names import NAME_CHARACTERS_MAX, is_name
from models.users.sessions import hash_token
from models.vocabulary import Role

PREFIX: Final = "slipway_"  # secret scanners find a leaked one by it
USED_INTERVAL: Final = timedelta(minutes=1)
LISTED_MAX: Final = 10_000
_ID_BYTES: Final = 4
_RANDOM_BYTES: Final = 32
_CHARACTERS_MAX: Final = 100

# Text, not SQLModel: the API runs it for every request.
_FIND: Final = text("""
    SELECT id, name, role, token_hash, used_at FROM api_token
     WHERE token_hash = :token_hash AND revoked_at IS NULL
       AND (expires_at IS NULL OR expires_at > :now)
""")
# A request that finds the row locked leaves the note to the one that holds it.
_USED: Final = text("""
    UPDATE api_token SET used_at = :now WHERE id = (
        SELECT id FROM api_token WHERE id = :id AND (used_at IS NULL OR used_at < :now)
           FOR NO KEY UPDATE SKIP LOCKED)
""")


class TokenInvalid(InvalidError):
    """This token cannot be added as described; the message says what is wrong."""


class TokenExists(ConflictError):
    """The name is taken, perhaps by a revoked token: who acted stays clear."""

    def __init__(self, name: str) -> None:
        """Name it."""
        super().__init__(
            f"token {name!r} exists already, or did: choose another name, such as {name}-2"
        )


class TokenNotFound(NotFoundError):
    """There is no such token, or it was revoked before."""


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was added. This is the one time it can be shown."""

    name: str
    role: Role
    prefix: str
    expires_at: datetime | None
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TokenLine:
    """A token as it may be shown; its prefix tells which one has leaked."""

    name: str
    role: Role
    prefix: str
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class TokenHolder:
    """The program that a token belongs to."""

    id: int
    name: str
    role: Role


def add_token(
    connection: Connection,
    name: str,
    *,
    role: Role,
    expires_at: datetime | None = None,
    granted_by: Role = Role.OPERATIONS,
    person: Person,
    now: datetime,
) -> NewToken:
    """Add a token in the caller's transaction, and record who did it and why.

    Nobody grants more than the own role, *granted_by*; a shell has every role. Raises TokenInvalid,
    TokenExists; then nothing may be committed.
    """
    if not is_name(name):
        raise TokenInvalid(
            f"name {name[:100]!r} must be 1 to {NAME_CHARACTERS_MAX} printable characters, without"
            " a space before or after them"
        )
    if not granted_by.allows(role):
        raise TokenInvalid(f"role {granted_by} cannot grant role {role}")
    if expires_at is not None and expires_at <= now:
        raise TokenInvalid(f"the token would expire at once, at {format_timestamp(expires_at)}")
    prefix = PREFIX + secrets.token_hex(_ID_BYTES)
    token = f"{prefix}_{secrets.token_urlsafe(_RANDOM_BYTES)}"
    added = connection.execute(
        insert(ApiToken)
        .values(
            name=name,
            role=role.value,
            prefix=prefix,
            token_hash=hash_token(token),
            created_at=now,
            expires_at=expires_at,
        )
        .on_conflict_do_nothing(index_elements=["name"])
        .returning(col(ApiToken.id))
    ).one_or_none()
    if added is None:
        raise TokenExists(name)
    expires = None if expires_at is None else format_timestamp(expires_at)
    facts = {"token": name, "role": role.value, "prefix": prefix, "expires_at": expires}
    record_intervention(connection, Change("token_added", facts=facts), person=person, at=now)
    return NewToken(name, role, prefix, expires_at, token)


def list_tokens(connection: Connection, *, limit: int = LISTED_MAX) -> list[TokenLine]:
    """Return all tokens by name, revoked and expired ones too, at most *limit*."""
    query = select(ApiToken).order_by(ApiToken.name).limit(limit)
    with rows_within(connection) as session:
        return [_line(row) for row in session.exec(query)]


def revoke_token(connection: Connection, name: str, *, person: Person, now: datetime) -> None:
    """Revoke a token, from when the caller's transaction commits. Raises TokenNotFound."""
    with rows_within(connection) as session:
        query = select(ApiToken).where(ApiToken.name == name).with_for_update(key_share=True)
        row = session.exec(query).one_or_none() if is_name(name) else None
        if row is None:
            raise TokenNotFound(f"no token {name[:100]!r}; `slipway tokens list` shows all of them")
        if row.revoked_at is not None:
            since = format_timestamp(row.revoked_at)
            raise TokenNotFound(f"token {name!r} has been revoked since {since}")
        row.revoked_at = now
        session.flush()
    facts = {"token": name, "prefix": row.prefix}
    record_intervention(connection, Change("token_revoked", facts=facts), person=person, at=now)


def find_token(connection: Connection, token: str, *, now: datetime) -> TokenHolder | None:
    """Return the program of *token*, or None: unknown, revoked or expired.

    One query; once a minute it also notes that the token is in use.
    """
    if len(token) > _CHARACTERS_MAX or not token.startswith(PREFIX) or not token.isascii():
        return None
    token_hash = hash_token(token)
    row = connection.execute(_FIND, {"token_hash": token_hash, "now": now}).one_or_none()
    if row is None or not hmac.compare_digest(row.token_hash, token_hash):
        return None
    if row.used_at is None or row.used_at <= now - USED_INTERVAL:
        connection.execute(_USED, {"id": row.id, "now": now})
    return TokenHolder(row.id, row.name, Role(row.role))


def _line(row: ApiToken) -> TokenLine:
    assert row.created_at is not None, "the database fills it in"
    return TokenLine(
        name=row.name,
        role=Role(row.role),
        prefix=row.prefix,
        created_at=row.created_at,
        expires_at=row.expires_at,
        used_at=row.used_at,
        revoked_at=row.revoked_at,
    )
