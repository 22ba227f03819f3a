"""Signs a user in by name and password.

Unlike other acts it opens its transactions itself: the try must stay counted if it fails, and no
lock is held while the password is hashed, which takes long on purpose.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, text

from models.platform.timestamps import format_timestamp
from models.users.failures import count_try, take_back
from models.users.names import is_name, name_key
from models.users.passwords import hash_password, needs_rehash, verify_password
from models.users.sessions import NewSession, SessionLimits, start_session

_FIND: Final = text("SELECT password_hash FROM user_account WHERE name_key = :name_key")
_LOCK: Final = text("""
    SELECT id, password_hash, disabled_at FROM user_account WHERE name_key = :name_key
       FOR NO KEY UPDATE
""")
_REHASH: Final = text("UPDATE user_account SET password_hash = :password_hash WHERE id = :id")


class SignInRefusal(StrEnum):
    """Why nobody was signed in."""

    WRONG = "wrong"  # unknown name, wrong password, or no password here: one answer for all
    BLOCKED = "blocked"  # too many failures; also for the right password
    DISABLED = "disabled"  # shown only to the person who knows the password


@dataclass(frozen=True, slots=True)
class SignInRefused:
    """Nobody was signed in."""

    why: SignInRefusal
    until: datetime | None = None  # BLOCKED: when the block ends

    @property
    def message(self) -> str:
        """What the person is shown."""
        match self.why:
            case SignInRefusal.WRONG:
                return "the name or the password is wrong"
            case SignInRefusal.DISABLED:
                return "this account is disabled; ask somebody of operations to enable it"
            case SignInRefusal.BLOCKED:
                assert self.until is not None, "a block has an end"
                return (
                    "signing in failed too often; the next try is possible at"
                    f" {format_timestamp(self.until, 'seconds')}"
                )


def sign_in(
    engine: Engine,
    name: str,
    password: str,
    *,
    limits: SessionLimits,
    remote: str,
    client: str,
    now: datetime,
) -> NewSession | SignInRefused:
    """Start a session for the user *name* if *password* is right.

    An unknown name costs the same work as a wrong password. Raises TooManySignIns.
    """
    name = name.strip()
    with engine.begin() as connection:
        block = count_try(connection, name=name, remote=remote, now=now)
        stored = None if block else _stored_hash(connection, name)
    if block is not None:
        return SignInRefused(SignInRefusal.BLOCKED, block.until)
    if not verify_password(password, stored):
        return SignInRefused(SignInRefusal.WRONG)
    assert stored is not None, "else nothing verifies"
    renewed = hash_password(password) if needs_rehash(stored) else None
    with engine.begin() as connection:
        row = connection.execute(_LOCK, {"name_key": name_key(name)}).one_or_none()
        if row is None or row.password_hash != stored:
            return SignInRefused(SignInRefusal.WRONG)  # replaced meanwhile
        take_back(connection, name=name, remote=remote)
        if row.disabled_at is not None:
            return SignInRefused(SignInRefusal.DISABLED)
        if renewed is not None:
            connection.execute(_REHASH, {"id": row.id, "password_hash": renewed})
        return start_session(
            connection, row.id, limits=limits, remote=remote, client=client, now=now
        )


def _stored_hash(connection: Connection, name: str) -> str | None:
    if not is_name(name):
        return None
    row: Row[Any] | None = connection.execute(_FIND, {"name_key": name_key(name)}).one_or_none()
    return None if row is None else row.password_hash
