"""Opens PostgreSQL, with limits on everything.

Nothing here runs at import: a process opens its engine when it first needs it. A connection that
was opened before a fork would be used by two processes at once.
"""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from functools import partial
from typing import Final

import psycopg
from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from models.database.connection_failures import describe_failures, remedy_for
from models.database.errors import ends_session, without_values
from models.database.liveness import Liveness
from models.database.pooler import DRIVER, Opening
from models.database.session import ENCODING, UnusableDatabase, session_settings, startup_options
from models.platform.version import version
from models.settings.addresses import database_address, options_of, search_path_of

log = logging.getLogger(__name__)

Transaction = Callable[[], AbstractContextManager[Connection]]
"""Opens a transaction that ends with the block: commit, or roll back on an error. `engine.begin`
is one."""

STATEMENT_TIMEOUT: Final = timedelta(seconds=10)  # no statement of ours comes near it
LOCK_TIMEOUT: Final = timedelta(seconds=3)  # then the batch again, rather than a queue of waiters
IDLE_TIMEOUT: Final = timedelta(seconds=15)  # a frozen process must not hold its tickets' locks
_CONNECT_SECONDS: Final = 5
_POOL_SECONDS: Final = 5  # waiting for a free connection of our own pool
_RECYCLE_SECONDS: Final = 1800  # below the idle cut of common proxies and firewalls
_NAME_MAX: Final = 63  # characters PostgreSQL keeps of an application name
# A peer that vanished silently is noticed within 45 s when we wait, 30 s when we send
# (keepalives do not run while sent bytes are unacknowledged; without a limit that takes 15 min).
_KEEPALIVE: Final = {
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}


def open_engine(
    url: str,
    *,
    application_name: str,
    pool_size: int = 2,
    statement_timeout: timedelta = STATEMENT_TIMEOUT,
    lock_timeout: timedelta = LOCK_TIMEOUT,
    idle_timeout: timedelta = IDLE_TIMEOUT,
    own_session: bool = False,
) -> Engine:
    """Return an engine with limits on everything; it connects when first used.

    `application_name` is what `pg_stat_activity` shows; one of ours (`slipway …`) gets our version
    behind it. `pool_size` is the most connections at once: one per thread that works with the
    database. READ COMMITTED; the session's time zone is UTC, whatever a role's defaults are; jsonb
    comes back as `json.loads` gives it (int stays int, a fraction becomes a float).
    Through a connection pooler in transaction mode each transaction has the same settings and
    limits; with `own_session` a pooler is refused, because locks or settings are to outlast a
    transaction. Connecting fails with `UnusableDatabase` (as the `orig` of an OperationalError)
    then, and where the database is not UTF8.
    After a failover a connection to the former primary is discarded at its first refusal; so is a
    session that has lost its statements or its transaction.
    Raises ValueError when the URL is not one of PostgreSQL.
    """
    settings = session_settings(
        statement_timeout=statement_timeout, lock_timeout=lock_timeout, idle_timeout=idle_timeout
    )
    address = database_address(url)
    opening = Opening(settings, search_path=search_path_of(address), own_session=own_session)
    engine = create_engine(
        make_url(address).set(drivername=DRIVER),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=_POOL_SECONDS,
        pool_recycle=_RECYCLE_SECONDS,
        hide_parameters=True,  # players and amounts, in every traceback
        connect_args={
            "application_name": _with_version(application_name)[:_NAME_MAX],
            "connect_timeout": _CONNECT_SECONDS,
            "client_encoding": ENCODING,
            # Of an option that is given twice the last one counts.
            "options": f"{options_of(address)} {startup_options(settings)}".strip(),
            **_KEEPALIVE,
        },
    )
    _listen(engine, opening)
    return engine


def _listen(engine: Engine, opening: Opening) -> None:
    event.listen(
        engine,
        "do_connect",
        lambda psycopg3, _, words, given: opening.connect(partial(psycopg3.connect, *words), given),
    )
    # Before SQLAlchemy's own first queries, which a pooler may answer oddly.
    event.listen(engine, "connect", opening.prepare, insert=True)
    liveness = Liveness(engine.dialect.do_ping)
    event.listen(engine, "checkin", liveness.left)
    event.listen(engine, "checkout", liveness.taken)
    event.listen(engine, "handle_error", _discard_lost_sessions)
    event.listen(engine, "handle_error", _hide_values)


def _with_version(name: str) -> str:
    """Return a process's name with this code's version, by which a rollout can be watched."""
    known = version()
    return f"{name} {known}" if name.startswith("slipway ") and known[:1].isdecimal() else name


def require_usable_database(url: str, *, application_name: str) -> None:
    """Connect once, as a process does when it starts. Raises UnusableDatabase, and nothing else.

    A server that is unavailable, or has not started yet, is waited for where it is needed. Who
    waits for a wrong address would wait indefinitely: so that is logged, with what was expected.
    """
    engine = open_engine(url, application_name=application_name, pool_size=1)
    try:
        with engine.connect():
            pass
    except SQLAlchemyError as error:
        if isinstance(error, DBAPIError) and isinstance(error.orig, UnusableDatabase):
            raise error.orig from None
        _log_unreached(error.orig if isinstance(error, DBAPIError) else error, url)
    finally:
        engine.dispose()


def _log_unreached(error: BaseException | None, url: str) -> None:
    met = type(error).__name__
    if isinstance(error, psycopg.OperationalError):  # the text of any other may hold values
        met = describe_failures(error, url)
        met = f"{met}; {remedy}" if (remedy := remedy_for(error)) is not None else met
    log.warning("database_not_checked", extra={"setting": "SLIPWAY_DATABASE_URL", "error": met})


def _discard_lost_sessions(context: ExceptionContext) -> None:
    """Have the pool connect again: kept, such a session would fail until it is recycled."""
    error = context.original_exception
    if ends_session(error):
        context.is_disconnect = True
        # Of a former primary all are of no use; else the other sessions may be all right.
        is_former = isinstance(error, psycopg.errors.ReadOnlySqlTransaction)
        context.invalidate_pool_on_disconnect = is_former


def _hide_values(context: ExceptionContext) -> None:
    """Remove the values from both errors: the driver's, and SQLAlchemy's that repeats it."""
    cause, wrapped = context.original_exception, context.sqlalchemy_exception
    without_values(cause)
    if wrapped is not None:
        kind = type(cause)
        wrapped.args = (f"({kind.__module__}.{kind.__qualname__}) {cause}",)
