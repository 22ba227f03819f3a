"""Users of the console, added as an operator would, and the limits of their sessions."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Engine

from models.operators.interventions import Person
from models.users import (
    NewSession,
    Role,
    SessionLimits,
    SignedInUser,
    SignInRefused,
    User,
    add_user,
    find_session,
)
from models.users.sign_in import sign_in

ADMIN: Final = Person("admin", "a test needs it")
PASSWORD: Final = "correct horse battery staple"
LIMITS: Final = SessionLimits(timedelta(hours=12), timedelta(hours=1))
OFFICE: Final = "203.0.113.7"


def added_user(
    engine: Engine, name: str, *, now: datetime, role: Role = Role.SUPPORT, password: str = PASSWORD
) -> User:
    """Add a local user and commit."""
    with engine.begin() as connection:
        return add_user(connection, name, role=role, password=password, person=ADMIN, now=now)


def try_sign_in(
    engine: Engine, name: str, password: str = PASSWORD, *, now: datetime, remote: str = OFFICE
) -> NewSession | SignInRefused:
    """Try to sign in from *remote*."""
    return sign_in(engine, name, password, limits=LIMITS, remote=remote, client="Firefox", now=now)


def signed_in(engine: Engine, name: str, *, now: datetime, remote: str = OFFICE) -> NewSession:
    """Sign a user in, who must succeed."""
    session = try_sign_in(engine, name, now=now, remote=remote)
    assert isinstance(session, NewSession), session
    return session


def session_user(engine: Engine, session: NewSession, *, now: datetime) -> SignedInUser | None:
    """Return who a request with this session's token comes from."""
    with engine.begin() as connection:
        return find_session(connection, session.token, limits=LIMITS, now=now)
