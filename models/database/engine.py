"""Opening PostgreSQL, and saying which of its errors mean "the same again, later".

Nothing here runs at import: a process opens its engine when it first needs it. A connection that
was opened before a fork would be used by two processes at once.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from enum import Enum
from typing import Final

import psycopg
from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError, StatementError
from sqlalchemy.exc import TimeoutError as PoolIsExhausted

from models.database.error_texts import without_values
from models.database.session import (
    ENCODING,
    UnusableDatabase,
    require_settings,
    session_settings,
    startup_options,
)
from models.settings.addresses import database_address, options_of

Transaction = Callable[[], AbstractContextManager[Connection]]
"""Opens a transaction that ends with the block: commit, or roll back on an error. `engine.begin`
is one."""

STATEMENT_TIMEOUT: Final = timedelta(seconds=10)  # no verb of ours comes near it
LOCK_TIMEOUT: Final = timedelta(seconds=3)  # then the chunk again, rather than a queue of waiters
IDLE_TIMEOUT: Final = timedelta(seconds=15)  # a frozen process must not hold its tickets' locks
_CONNECT_SECONDS: Final = 5
_POOL_SECONDS: Final = 5  # waiting for a free connection of our own pool
_RECYCLE_SECONDS: Final = 1800  # below the idle cut of common proxies and firewalls
_NAME_MAX: Final = 63  # characters PostgreSQL keeps of an application name
# A peer that vanished without a word is noticed within 45 s when we wait, 30 s when we send
# (keepalives do not run while sent bytes are unacknowledged; without a limit that takes 15 min).
_KEEPALIVE: Final = {
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
# protocol.md rule 21, by class of SQLSTATE: the server says what is the matter with it, and it is
# waited for as long as that takes.
_TRANSIENT_CLASSES: Final = frozenset(
    {
        "08",  # the connection failed
        "40",  # rolled back: deadlock, serialization
        "53",  # resources: disk full, out of memory, too many connections
        "55",  # object not ready: a lock was not to be had in time (55P03)
        "57",  # somebody stepped in: statement timeout (57014), shutdown, restart
        "58",  # the server's own machine failed: input and output
        # Beyond rule 21: a table, column or right is missing, because the schema is older than this
        # code. No event causes that, and rejecting them all would be worse than waiting.
        "42",
    }
)
# Of the other classes; these are the server's state, not the event's.
_TRANSIENT_STATES: Final = frozenset(
    {
        "0A000",  # a column changed its type under a prepared statement; rolled back, it is gone
        "25006",  # a read-only server: the primary was just demoted
        "25P03",  # our own limit on idling inside a transaction: this process was frozen
        "25P04",  # the same for the whole transaction, where the server sets such a limit
    }
)
# All that a row can cause: cardinality, data, integrity.
_ROW_CLASSES: Final = frozenset({"21", "22", "23"})
# A session in which that happened has lost its transaction or its prepared statements: the next
# try gets another one.
_SESSION_LOST: Final = frozenset({"25", "26"})


UNEXPLAINED: Final = "unexplained_database_error"  # a line of the log, and an alert
UNEXPLAINED_TRIES: Final = 3  # of a whole batch, before it is taken apart for such an error


class Blame(Enum):
    """Whose fault an error is."""

    CONTENT = "content"
    """What was to be stored, or what our program made of it."""
    SERVER = "server"
    """The server, the connection or the set-up, by what the error says: it passes."""
    UNCLEAR = "unclear"
    """Nothing that a row can cause, and nothing of which is known that it passes."""


def open_engine(
    url: str,
    *,
    application_name: str,
    pool_size: int = 2,
    statement_timeout: timedelta = STATEMENT_TIMEOUT,
    lock_timeout: timedelta = LOCK_TIMEOUT,
    idle_timeout: timedelta = IDLE_TIMEOUT,
) -> Engine:
    """Make an engine with limits on everything; it connects when first used.

    `application_name` is what `pg_stat_activity` shows. `pool_size` is the most connections at
    once: one per thread that works with the database. READ COMMITTED; the session's time zone is
    UTC, whatever a role's defaults are; jsonb comes back as `json.loads` gives it (int stays int, a
    fraction becomes a float). Connecting fails with `UnusableDatabase` (as the `orig` of an
    OperationalError) behind a pooler, and where the database is not UTF8.
    After a failover a connection to what was the primary is given up at the first refusal; so is
    a session that has lost its statements or its transaction.
    Raises ValueError when the URL is not one of PostgreSQL.
    """
    asked = session_settings(
        statement_timeout=statement_timeout, lock_timeout=lock_timeout, idle_timeout=idle_timeout
    )
    address = database_address(url)
    engine = create_engine(
        address,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=_POOL_SECONDS,
        pool_recycle=_RECYCLE_SECONDS,
        pool_pre_ping=True,
        hide_parameters=True,  # players and amounts, in every traceback
        connect_args={
            "application_name": application_name[:_NAME_MAX],
            "connect_timeout": _CONNECT_SECONDS,
            "client_encoding": ENCODING,
            # Of an option that is given twice the last one counts.
            "options": f"{options_of(address)} {startup_options(asked)}".strip(),
            **_KEEPALIVE,
        },
    )
    # Before SQLAlchemy's own first questions, which a pooler may answer oddly.
    event.listen(engine, "connect", lambda new, _: require_settings(new, asked), insert=True)
    event.listen(engine, "handle_error", _give_up_lost_sessions)
    event.listen(engine, "handle_error", _hide_values)
    return engine


def require_usable_database(url: str, *, application_name: str) -> None:
    """Connect once, as a process does when it starts. Raises UnusableDatabase, and nothing else.

    A server that is away, or has not started yet, is waited for by whoever needs it.
    """
    engine = open_engine(url, application_name=application_name, pool_size=1)
    try:
        with engine.connect():
            pass
    except SQLAlchemyError as error:
        if isinstance(error, DBAPIError) and isinstance(error.orig, UnusableDatabase):
            raise error.orig from None
    finally:
        engine.dispose()


def is_transient(error: BaseException) -> bool:
    """Say whether the same is to be tried again, because its content is not to blame."""
    return blame(error) is not Blame.CONTENT


def blame(error: BaseException) -> Blame:
    """Say whose fault *error* is (protocol.md rule 21).

    The content is to blame for what a row can cause alone: SQLSTATE classes 21, 22 and 23, what
    psycopg refuses before it is sent (a NUL in a text), and an error of our own program. A lost
    connection has no SQLSTATE, because nobody was left to send one. Whatever else a database
    raises, and a machine without memory or files, is not the content's.
    """
    cause = error.orig if isinstance(error, StatementError) and error.orig is not None else error
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return Blame.UNCLEAR if _state(cause)[:2] in _SESSION_LOST else Blame.SERVER
    match cause:
        case PoolIsExhausted():
            return Blame.SERVER
        case psycopg.Error():
            return _blame_of(cause)
        case UnicodeEncodeError() if not _is_utf8(cause.encoding):
            return Blame.UNCLEAR  # the database is to blame; half a character is the row's own
        case SQLAlchemyError() | OSError() | MemoryError():
            return Blame.UNCLEAR
        case _:
            return Blame.CONTENT


def _blame_of(error: psycopg.Error) -> Blame:
    state = _state(error)
    if not state:
        if isinstance(error, psycopg.OperationalError):
            return Blame.SERVER
        return Blame.CONTENT if isinstance(error, psycopg.DataError) else Blame.UNCLEAR
    if state[:2] in _TRANSIENT_CLASSES or state in _TRANSIENT_STATES:
        return Blame.SERVER
    return Blame.CONTENT if state[:2] in _ROW_CLASSES else Blame.UNCLEAR


def _state(error: BaseException | None) -> str:
    return (isinstance(error, psycopg.Error) and error.sqlstate) or ""


def _is_utf8(encoding: str) -> bool:
    return encoding.lower().replace("-", "").replace("_", "") == "utf8"


def _give_up_lost_sessions(trouble: ExceptionContext) -> None:
    """Have the pool connect again: kept, such a session would fail until it is recycled."""
    error = trouble.original_exception
    if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
        trouble.is_disconnect = True
    elif _state(error)[:2] in _SESSION_LOST:
        trouble.is_disconnect = True
        trouble.invalidate_pool_on_disconnect = False  # it says nothing of the other sessions


def _hide_values(trouble: ExceptionContext) -> None:
    """Take the values out of both errors: the driver's, and SQLAlchemy's that repeats it."""
    cause, wrapped = trouble.original_exception, trouble.sqlalchemy_exception
    without_values(cause)
    if wrapped is not None:
        kind = type(cause)
        wrapped.args = (f"({kind.__module__}.{kind.__qualname__}) {cause}",)
