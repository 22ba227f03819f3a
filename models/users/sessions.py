"""Sessions of the console: a random token in a cookie, its hash in a row that ends.

Nothing about a session is in the cookie but its name, so that it can be ended here at any moment.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, text

from models.vocabulary import Role

TOUCH_INTERVAL: Final = timedelta(minutes=1)
SESSIONS_MAX: Final = 20  # of one user; a further one ends the one unused for longest
REMOVED_AT_ONCE: Final = 100
TEXT_MAX: Final = 200
_TOKEN_BYTES: Final = 32
_TOKEN_CHARACTERS: Final = 43

_START: Final = text("""
    INSERT INTO user_session (token_hash, user_id, started_at, seen_at, ends_at, remote, client)
    VALUES (:token_hash, :user_id, :now, :now, :ends_at, :remote, :client) RETURNING id
""")
_SIGNED_IN: Final = text("UPDATE user_account SET signed_in_at = :now WHERE id = :user_id")
_REMOVE_SURPLUS: Final = text("""
    DELETE FROM user_session WHERE id IN (
        SELECT id FROM user_session WHERE user_id = :user_id ORDER BY seen_at DESC, id DESC
        OFFSET :most)
""")
_REMOVE_EXPIRED: Final = text("""
    WITH expired AS MATERIALIZED (
        SELECT id FROM user_session WHERE ends_at <= :now ORDER BY ends_at LIMIT :limit
           FOR UPDATE SKIP LOCKED),
    removed AS (DELETE FROM user_session s USING expired WHERE s.id = expired.id RETURNING s.id)
    SELECT count(*) FROM removed
""")
# Text, not SQLModel: the console runs it for every request.
_FIND: Final = text("""
    SELECT s.id, s.token_hash, s.user_id, s.seen_at, s.ends_at, u.name, u.role
      FROM user_session s JOIN user_account u ON u.id = s.user_id
     WHERE s.token_hash = :token_hash AND s.ends_at > :now AND s.seen_at > :idle_since
       AND u.disabled_at IS NULL
""")
# A request that finds the row locked leaves the note to the one that holds it.
_TOUCH: Final = text("""
    UPDATE user_session SET seen_at = :now WHERE id = (
        SELECT id FROM user_session WHERE id = :id AND seen_at < :now FOR UPDATE SKIP LOCKED)
""")
_END: Final = text("DELETE FROM user_session WHERE id = :id")
_END_ALL: Final = text("DELETE FROM user_session WHERE user_id = :user_id")
_LIST: Final = text("""
    SELECT id, started_at, seen_at, ends_at, remote, client FROM user_session
     WHERE user_id = :user_id AND ends_at > :now AND seen_at > :idle_since
     ORDER BY seen_at DESC, id DESC
""")


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """When a session ends: so long after the sign-in, and so long after the last request."""

    longest: timedelta
    idle: timedelta


@dataclass(frozen=True, slots=True)
class SignedInUser:
    """A user who is signed in, as a request needs it."""

    session: int
    user_id: int
    name: str
    role: Role
    ends_at: datetime
    csrf: str = field(repr=False)  # each form carries it

    def csrf_matches(self, given: str) -> bool:
        """Return whether a form carries this session's CSRF secret."""
        return hmac.compare_digest(self.csrf.encode(), given.encode(errors="replace"))


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session that was started. The token goes into the cookie, and is stored nowhere."""

    id: int
    ends_at: datetime
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SessionLine:
    """A session as it may be shown."""

    id: int
    started_at: datetime
    seen_at: datetime
    ends_at: datetime
    remote: str
    client: str


def start_session(
    connection: Connection,
    user_id: int,
    *,
    limits: SessionLimits,
    remote: str,
    client: str,
    now: datetime,
) -> NewSession:
    """Start a session for a user whose row the caller has locked and found enabled.

    Expired sessions of anybody are removed, a bounded number at a time.
    """
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    ends_at = now + limits.longest
    session = connection.execute(
        _START,
        {
            "token_hash": hash_token(token),
            "user_id": user_id,
            "now": now,
            "ends_at": ends_at,
            "remote": _shown(remote),
            "client": _shown(client),
        },
    ).scalar_one()
    connection.execute(_SIGNED_IN, {"user_id": user_id, "now": now})
    connection.execute(_REMOVE_SURPLUS, {"user_id": user_id, "most": SESSIONS_MAX})
    remove_expired_sessions(connection, now=now)
    return NewSession(session, ends_at, token)


def find_session(
    connection: Connection, token: str, *, limits: SessionLimits, now: datetime
) -> SignedInUser | None:
    """Return who is signed in with *token*, or None: unknown, ended, idle, or the user disabled.

    One query; once a minute it also notes that the session is in use, so call it in a transaction
    that ends soon. An idle session ends up to that minute early.
    """
    if len(token) != _TOKEN_CHARACTERS or not token.isascii():
        return None
    token_hash = hash_token(token)
    parameters = {"token_hash": token_hash, "now": now, "idle_since": now - limits.idle}
    row = connection.execute(_FIND, parameters).one_or_none()
    if row is None or not hmac.compare_digest(row.token_hash, token_hash):
        return None
    if row.seen_at <= now - min(TOUCH_INTERVAL, limits.idle / 10):
        connection.execute(_TOUCH, {"id": row.id, "now": now})
    return SignedInUser(
        session=row.id,
        user_id=row.user_id,
        name=row.name,
        role=Role(row.role),
        ends_at=row.ends_at,
        csrf=_csrf(token),
    )


def end_session(connection: Connection, session: int) -> None:
    """End one session: the user signs out."""
    connection.execute(_END, {"id": session})


def end_sessions_of(connection: Connection, user_id: int | None) -> int:
    """End all sessions of a user whose row is locked, and return how many there were."""
    return connection.execute(_END_ALL, {"user_id": user_id}).rowcount


def list_sessions(
    connection: Connection, user_id: int, *, limits: SessionLimits, now: datetime
) -> list[SessionLine]:
    """Return a user's sessions that have not ended, the one used last first."""
    parameters = {"user_id": user_id, "now": now, "idle_since": now - limits.idle}
    rows = connection.execute(_LIST, parameters)
    return [SessionLine(*row) for row in rows]


def remove_expired_sessions(
    connection: Connection, *, now: datetime, limit: int = REMOVED_AT_ONCE
) -> int:
    """Remove up to *limit* sessions that are over, of anybody, and return how many."""
    parameters = {"now": now, "limit": limit}
    removed: int = connection.execute(_REMOVE_EXPIRED, parameters).scalar_one()
    return removed


def hash_token(token: str) -> str:
    """Return the SHA-256 of a random token, as the database stores it.

    A fast hash is right: 256 random bits cannot be guessed.
    """
    return hashlib.sha256(token.encode()).hexdigest()


def _csrf(token: str) -> str:
    """Return the session's CSRF secret, which the token gives and which does not give the token."""
    return hmac.digest(token.encode(), b"slipway console csrf", "sha256").hex()


def _shown(foreign: str) -> str:
    """Return foreign text as it may be stored and shown: printable, and not long."""
    return "".join(c for c in foreign[:TEXT_MAX] if c.isprintable())
