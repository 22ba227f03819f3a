"""Finds the sessions that hold the lock for which another one waits, and describes them."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection, Engine, TextClause, text
from sqlalchemy.exc import SQLAlchemyError

from models.platform.durations import format_duration

_NAMED_MAX: Final = 3
_POLL_INTERVAL_MAX: Final = timedelta(seconds=1)
# The statement itself is not read: it may contain a secret.
_SESSIONS: Final = """
    SELECT p.pid, a.application_name AS program, a.usename AS "user",
           host(a.client_addr) AS host, a.state, clock_timestamp() - a.xact_start AS lasting
      FROM {pids} AS p(pid) LEFT JOIN pg_stat_activity a ON a.pid = p.pid
     ORDER BY a.xact_start NULLS LAST LIMIT {limit}"""
BLOCKING: Final = text(
    _SESSIONS.format(pids="unnest(pg_blocking_pids(:pid))", limit=_NAMED_MAX + 1)
)
HOLDING: Final = text(
    _SESSIONS.format(
        pids="""(
           SELECT l.pid FROM pg_locks l JOIN pg_database d ON d.oid = l.database
            WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.granted
              AND l.objsubid = 1 AND (l.classid::bigint << 32 | l.objid::bigint) = :key)""",
        limit=_NAMED_MAX + 1,
    )
)


@dataclass(frozen=True, slots=True)
class BlockingSession:
    """A session of the server; a field is None if our user may not see it.

    `pid` 0 is a prepared transaction, which has no session.
    """

    pid: int
    program: str | None
    user: str | None
    host: str | None
    state: str | None
    lasting: timedelta | None  # how long its transaction has been open

    def describe(self) -> str:
        """Describe it: `process 4711 (psql of anna at 10.0.0.7, idle in transaction for 12m)`."""
        if not self.pid:
            return "a prepared transaction (SELECT * FROM pg_prepared_xacts)"
        owner = self.program or "a session"
        owner += f" of {self.user}" if self.user else ""
        owner += f" at {self.host}" if self.host else ""
        activity = self.state or ""
        if self.lasting is not None:
            since = timedelta(seconds=max(1, round(self.lasting.total_seconds())))
            activity += f" for {format_duration(since)}"
        return f"process {self.pid} ({', '.join(filter(None, (owner, activity.strip())))})"


def describe_sessions(sessions: Sequence[BlockingSession]) -> str:
    """Describe *sessions*, of which the first has the longest transaction."""
    if not sessions:
        return "a session that has ended"
    described = [session.describe() for session in sessions[:_NAMED_MAX]]
    return ", ".join([*described, *(["others"] if len(sessions) > _NAMED_MAX else [])])


def advisory_lock_holders(connection: Connection, key: int) -> Sequence[BlockingSession]:
    """Return the sessions that hold the advisory lock *key* of this database."""
    return _sessions(connection, HOLDING, {"key": key})


class BlockingSessions:
    """Remembers which sessions were last seen to block another one."""

    def __init__(self) -> None:
        """Begin without any."""
        self.seen: Sequence[BlockingSession] = ()

    def poll(self, engine: Engine, pid: int) -> None:
        """Query once; an error does not concern the migration."""
        try:
            with engine.begin() as connection:
                sessions = _sessions(connection, BLOCKING, {"pid": pid})
        except SQLAlchemyError:
            return
        self.seen = sessions or self.seen


@contextmanager
def watch_blocking_sessions(
    engine: Engine, pid: int, *, lock_timeout: timedelta
) -> Iterator[BlockingSessions]:
    """Poll, while this lasts, which sessions block session *pid*: afterwards it cannot be known.

    That is at least twice in *lock_timeout*; a migration that need not wait ends before the first
    poll.
    """
    watch, over = BlockingSessions(), threading.Event()
    pause = min(lock_timeout / 3, _POLL_INTERVAL_MAX).total_seconds()

    def keep_polling() -> None:
        while not over.wait(pause):
            watch.poll(engine, pid)

    thread = threading.Thread(target=keep_polling, name="blocking-sessions", daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        over.set()
        thread.join()


def _sessions(
    connection: Connection, query: TextClause, parameters: Mapping[str, Any]
) -> Sequence[BlockingSession]:
    rows = connection.execute(query, parameters).mappings()
    return [BlockingSession(**row) for row in rows]
