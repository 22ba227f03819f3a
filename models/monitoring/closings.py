"""The closings of the next 24 hours, in steps of 15 minutes: counted by the sweep, read for a plot.

Tickets that a person holds are counted too: their closing falls due, though it waits.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, text
from sqlalchemy.exc import OperationalError

from models.platform.clock import floor_to

STEP: Final = timedelta(minutes=15)
STEPS: Final = 97  # 24 hours from any moment of the first step
COUNTED_EVERY: Final = timedelta(minutes=1)
# Many tickets take long to count: then it is done more rarely, and takes a sixtieth of the time.
SHARE: Final = 60
COUNTED_MAX: Final = 10_000_000
STATEMENT_MAX: Final = timedelta(seconds=5)
_CANCELED: Final = "57014"  # query_canceled: the limit was reached

BEGIN: Final = text("INSERT INTO plot_progress (id) VALUES (1) ON CONFLICT (id) DO NOTHING")
_LAST: Final = "SELECT closings_counted_at, closings_took_ms FROM plot_progress WHERE id = 1"
LAST: Final = text(_LAST)
LOCK_LAST: Final = text(f"{_LAST} FOR NO KEY UPDATE SKIP LOCKED")
LIMIT_TIME: Final = text("SELECT set_config('statement_timeout', :milliseconds, true)")
# By the index `ticket_close_due` alone: the condition is that of the index.
COUNT: Final = text("""
    SELECT (extract(epoch FROM date_bin(:step, close_due_at, :since) - :since)
            / extract(epoch FROM CAST(:step AS interval)))::int AS step, count(*) AS closings
      FROM (SELECT close_due_at FROM ticket
             WHERE close_due_at IS NOT NULL AND parked = 0
               AND close_due_at >= :since AND close_due_at < :until
             ORDER BY close_due_at LIMIT :counted_max) due
     GROUP BY 1 ORDER BY 1""")
STORE: Final = text("""
    UPDATE plot_progress
       SET closings_counted_at = :now, closings_took_ms = :took_ms, closings_from = :since,
           closings = :closings
     WHERE id = 1""")
READ: Final = text("""
    SELECT closings_counted_at, closings_from, closings FROM plot_progress
     WHERE id = 1 AND closings IS NOT NULL""")


@dataclass(frozen=True, slots=True)
class ClosingsAhead:
    """How many tickets are due to close in each step from *since* on, as of *counted_at*.

    There are fewer than 97 steps if there was too much to count.
    """

    counted_at: datetime
    since: datetime
    step: timedelta
    closings: tuple[int, ...]


def count_closings(
    connection: Connection, *, now: datetime, monotonic: Callable[[], float] = time.monotonic
) -> bool:
    """Count and store the closings ahead, in the caller's transaction, at most once a minute.

    Returns whether it did. A count that takes more than five seconds is given up for some minutes.
    """
    last = connection.execute(LAST).one_or_none()
    if last is None:
        connection.execute(BEGIN)
    elif not _is_due(last, now):
        return False
    last = connection.execute(LOCK_LAST).one_or_none()
    if last is None or not _is_due(last, now):  # another sweep is counting, or has counted
        return False
    began = monotonic()
    since = floor_to(now, STEP)
    closings = _count(connection, since)
    took_ms = round((monotonic() - began) * 1000)
    connection.execute(
        STORE, {"now": now, "took_ms": took_ms, "since": since, "closings": closings}
    )
    return True


def closings_ahead(connection: Connection) -> ClosingsAhead | None:
    """Return the closings ahead as they were counted last; None: not yet, or they could not be."""
    row = connection.execute(READ).one_or_none()
    if row is None:
        return None
    return ClosingsAhead(
        counted_at=row.closings_counted_at,
        since=row.closings_from,
        step=STEP,
        closings=tuple(row.closings),
    )


def _is_due(last: Row[Any], now: datetime) -> bool:
    if last.closings_counted_at is None:
        return True
    pause = max(COUNTED_EVERY, SHARE * timedelta(milliseconds=last.closings_took_ms or 0))
    return not last.closings_counted_at <= now < last.closings_counted_at + pause


def _count(connection: Connection, since: datetime) -> list[int] | None:
    parameters = {
        "since": since,
        "until": since + STEPS * STEP,
        "step": STEP,
        "counted_max": COUNTED_MAX,
    }
    try:
        with connection.begin_nested():
            milliseconds = str(round(STATEMENT_MAX.total_seconds() * 1000))
            connection.execute(LIMIT_TIME, {"milliseconds": milliseconds})
            counts = {row.step: row.closings for row in connection.execute(COUNT, parameters)}
    except OperationalError as error:
        if connection.invalidated or getattr(error.orig, "sqlstate", None) != _CANCELED:
            raise
        return None
    steps = STEPS if sum(counts.values()) < COUNTED_MAX else max(counts)
    return [counts.get(step, 0) for step in range(steps)]
