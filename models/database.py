"""Opening PostgreSQL, and saying which of its errors mean "the same again, later".

Nothing here runs at import: a process opens its engine when it first needs it. A connection that
was opened before a fork would be used by two processes at once.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Final

import psycopg
from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolIsExhausted

from models.addresses import database_address

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
# Our statements look a batch of rows up by their keys. The planner cannot know how small a batch
# is, and a prepared statement keeps the plan that suited a small table while the table grows:
# joined with the whole of it, or sorted as a whole, each batch would cost more than the one before.
# So it is to use an index, in its order, wherever there is one. Without `jit`: where there is none,
# servers before 18 take the price of the forbidden for a reason to compile.
_BY_KEY: Final = {
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}

# protocol.md rule 21, by class of SQLSTATE
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
    UTC; jsonb comes back as `json.loads` gives it (int stays int, a fraction becomes a float).
    After a failover a connection to what was the primary is given up at the first refusal.
    Raises ValueError when the URL is not one of PostgreSQL.
    """
    engine = create_engine(
        database_address(url),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=_POOL_SECONDS,
        pool_recycle=_RECYCLE_SECONDS,
        pool_pre_ping=True,
        connect_args={
            "application_name": application_name[:_NAME_MAX],
            "connect_timeout": _CONNECT_SECONDS,
            "options": _session(
                statement_timeout=_milliseconds(statement_timeout),
                lock_timeout=_milliseconds(lock_timeout),
                idle_in_transaction_session_timeout=_milliseconds(idle_timeout),
                timezone="UTC",
                synchronous_commit="on",  # an entry is finished, or a partner believed, after it
                **_BY_KEY,
            ),
            **_KEEPALIVE,
        },
    )
    event.listen(engine, "handle_error", _give_up_what_takes_no_writes)
    return engine


def is_transient(error: BaseException) -> bool:
    """Say whether the whole chunk is to be tried again, because its content is not to blame.

    True for the server's troubles by SQLSTATE, for a lost connection (no SQLSTATE, because nobody
    was left to send one) and for a pool without a free connection. False for everything a row can
    cause, also where psycopg refuses it before it is sent (a NUL in a text). Source: protocol.md
    rule 21.
    """
    if isinstance(error, PoolIsExhausted):
        return True
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return True
        return error.orig is not None and is_transient(error.orig)
    if not isinstance(error, psycopg.Error):
        return False
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError)
    return error.sqlstate[:2] in _TRANSIENT_CLASSES or error.sqlstate in _TRANSIENT_STATES


def _give_up_what_takes_no_writes(trouble: ExceptionContext) -> None:
    """Have the pool connect anew: kept, such connections would fail until they are recycled."""
    if isinstance(trouble.original_exception, psycopg.errors.ReadOnlySqlTransaction):
        trouble.is_disconnect = True


def _session(**values: str) -> str:
    return " ".join(f"-c {name}={value}" for name, value in values.items())


def _milliseconds(limit: timedelta) -> str:
    return str(limit // timedelta(milliseconds=1))
