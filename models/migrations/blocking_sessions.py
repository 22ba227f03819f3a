"""Who holds the lock that a session waits for, in words that say what to end."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from models.platform.durations import format_duration

_NAMED_MAX: Final = 3
_LOOK_MAX: Final = timedelta(seconds=1)
# The statement itself is not asked for: whoever typed it may have typed a secret into it.
_WHO: Final = """
    SELECT p.pid, a.application_name, a.usename, host(a.client_addr) AS host, a.state,
           clock_timestamp() - a.xact_start AS lasting
      FROM {pids} AS p(pid) LEFT JOIN pg_stat_activity a ON a.pid = p.pid
     ORDER BY a.xact_start NULLS LAST LIMIT {limit}"""
BLOCKING: Final = text(_WHO.format(pids="unnest(pg_blocking_pids(:pid))", limit=_NAMED_MAX + 1))
HOLDING: Final = text(
    _WHO.format(
        pids="""(
           SELECT l.pid FROM pg_locks l JOIN pg_database d ON d.oid = l.database
            WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.granted
              AND l.objsubid = 1 AND (l.classid::bigint << 32 | l.objid::bigint) = :key)""",
        limit=_NAMED_MAX + 1,
    )
)


@dataclass(frozen=True, slots=True)
class BlockingSession:
    """A session of the server; None is what our user is not shown.

    `pid` 0 is a prepared transaction, which has no session.
    """

    pid: int
    program: str | None
    user: str | None
    host: str | None
    state: str | None
    lasting: timedelta | None  # how long its transaction has been open

    def describe(self) -> str:
        """Name it, as in `process 4711 (psql of anna at 10.0.0.7, idle in transaction for 12m)`."""
        if not self.pid:
            return "a prepared transaction (SELECT * FROM pg_prepared_xacts)"
        who = self.program or "a session"
        who += f" of {self.user}" if self.user else ""
        who += f" at {self.host}" if self.host else ""
        doing = self.state or ""
        if self.lasting is not None:
            since = timedelta(seconds=max(1, round(self.lasting.total_seconds())))
            doing += f" for {format_duration(since)}"
        return f"process {self.pid} ({', '.join(filter(None, (who, doing.strip())))})"


def describe_sessions(holders: Sequence[BlockingSession]) -> str:
    """Name *holders*, the longest transaction first."""
    if not holders:
        return "somebody who is gone already"
    named = [holder.describe() for holder in holders[:_NAMED_MAX]]
    return ", ".join([*named, *(["others"] if len(holders) > _NAMED_MAX else [])])


def advisory_lock_holders(connection: Connection, key: int) -> Sequence[BlockingSession]:
    """Who has the advisory lock *key* of this database."""
    return [BlockingSession(*row) for row in connection.execute(HOLDING, {"key": key})]


class BlockingSessions:
    """Remembers who was last seen in a session's way."""

    def __init__(self) -> None:
        """Nobody was seen yet."""
        self.seen: Sequence[BlockingSession] = ()

    def look(self, engine: Engine, pid: int) -> None:
        """Look once; an error is none of the migration's business."""
        try:
            with engine.begin() as connection:
                holders = [
                    BlockingSession(*row) for row in connection.execute(BLOCKING, {"pid": pid})
                ]
        except SQLAlchemyError:
            return
        self.seen = holders or self.seen


@contextmanager
def watch_blocking_sessions(
    engine: Engine, pid: int, *, lock_timeout: timedelta
) -> Iterator[BlockingSessions]:
    """While this lasts, look who keeps session *pid* waiting: afterwards nobody can tell.

    At least twice in *lock_timeout*; a migration that waits for nobody is over before the first.
    """
    watch, over = BlockingSessions(), threading.Event()
    pause = min(lock_timeout / 3, _LOOK_MAX).total_seconds()

    def keep_looking() -> None:
        while not over.wait(pause):
            watch.look(engine, pid)

    thread = threading.Thread(target=keep_looking, name="watches who is in the way", daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        over.set()
        thread.join()
