"""What needs a person now: short reads, each bounded, and each failing by itself.

A read that fails or takes too long says so in its place: an error never looks like "nothing to do".
The thresholds are those of the alerts (deploy/prometheus/alerts.yml).
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, TextClause, text
from sqlalchemy.exc import DBAPIError

from models.database.errors import error_line
from models.outbox.causes import Cause, cause_of

log = logging.getLogger(__name__)

COUNT_MAX: Final = 1000  # more are "1,000+"
CIRCUITS_MAX: Final = 50
NEWEST_MAX: Final = 10_000  # superseded events that are looked at
LATE: Final = timedelta(minutes=5)  # for what should have happened by itself
HELD_LONG: Final = timedelta(days=3)
FAILED_SINCE: Final = timedelta(days=3)  # an older failure was seen
READ_MAX: Final = timedelta(seconds=1)
ALL_MAX: Final = timedelta(seconds=3)


class Need(StrEnum):
    """What can need a person."""

    SWEEP = "sweep"  # it has stopped: nothing closes, no window ends, no job goes on
    CIRCUITS = "circuits"  # open: only probes are sent
    DEAD = "dead"  # notices
    REJECTED = "rejected"  # events, and input that was none
    SUPERSEDED = "superseded"  # events that say something else than what superseded them
    PARKED = "parked"  # events whose window has ended, though nothing decided them
    CLOSINGS = "closings"  # late
    ON_HOLD = "on_hold"  # tickets, for days
    STUCK_JOBS = "stuck_jobs"  # nothing carries them on
    FAILED_JOBS = "failed_jobs"


@dataclass(frozen=True, slots=True)
class Figure:
    """How many need a person, up to 1,001, and since when the oldest does.

    *failed*: it could not be read; count and age then mean nothing.
    """

    need: Need
    count: int = 0
    oldest: datetime | None = None
    failed: bool = False


@dataclass(frozen=True, slots=True)
class HeldPartner:
    """A partner whose circuit is open: only probes are sent, the rest is held back."""

    operator: str
    since: datetime
    reason: str | None
    cause: Cause
    next_probe_at: datetime | None


@dataclass(frozen=True, slots=True)
class Attention:
    """All figures as of *at*, and the circuits that are open, the oldest first."""

    at: datetime
    figures: tuple[Figure, ...]
    circuits: tuple[HeldPartner, ...]

    @property
    def circuits_beyond(self) -> bool:
        """Whether more circuits are open than are listed."""
        return any(
            figure.need is Need.CIRCUITS and figure.count > len(self.circuits)
            for figure in self.figures
        )

    @property
    def all_read(self) -> bool:
        """Whether every figure could be read."""
        return not any(figure.failed for figure in self.figures)

    @property
    def nothing(self) -> bool:
        """Whether it is known that nothing needs a person."""
        return self.all_read and not any(figure.count for figure in self.figures)


LIMIT_TIME: Final = text("SELECT set_config('statement_timeout', :milliseconds, true)")
CIRCUITS: Final = text("""
    SELECT o.code, c.opened_at, c.reason, c.probe_at
      FROM circuit c JOIN operator o ON o.id = c.operator
     WHERE c.opened_at IS NOT NULL AND c.closed_at IS NULL
       AND o.ended_at IS NULL AND o.disabled_at IS NULL
     ORDER BY c.opened_at, o.code LIMIT :limit""")
# Operator by operator through `notice_dead`: the count stops, the oldest is each one's first.
_DEAD_OF: Final = """
      FROM operator o CROSS JOIN LATERAL (
           SELECT n.ended_at FROM notice n
            WHERE n.operator = o.id AND n.ended = 'dead'
            ORDER BY n.ended_at LIMIT {}) dead"""
DEAD: Final = text(f"""
    SELECT (SELECT count(*) FROM (SELECT 1 {_DEAD_OF.format(":limit")} LIMIT :limit) first)
             AS number,
           (SELECT min(dead.ended_at) {_DEAD_OF.format(1)}) AS oldest""")  # noqa: S608 - constants
REJECTED: Final = text("""
    SELECT count(*) AS number, min(at) AS oldest
      FROM ((SELECT decided_at AS at FROM ticket_event
              WHERE outcome = 'rejected' AND dropped_at IS NULL
              ORDER BY decided_at LIMIT :limit)
            UNION ALL
            (SELECT rejected_at FROM rejected_input
              WHERE dropped_at IS NULL ORDER BY rejected_at LIMIT :limit)) waiting""")
SUPERSEDED: Final = text("""
    SELECT count(*) AS number, min(decided_at) AS oldest
      FROM (SELECT reason, decided_at FROM ticket_event
             WHERE outcome = 'superseded' AND dropped_at IS NULL
             ORDER BY decided_at DESC LIMIT :newest) newest
     WHERE reason IS DISTINCT FROM 'older_same'""")
PARKED: Final = text("""
    SELECT count(*) AS number, min(park_until) AS oldest
      FROM (SELECT park_until FROM ticket_event
             WHERE outcome = 'parked' AND park_until IS NOT NULL AND park_until <= :late
             ORDER BY park_until LIMIT :limit) first""")
CLOSINGS: Final = text("""
    SELECT count(*) AS number, min(close_due_at) AS oldest
      FROM (SELECT close_due_at FROM ticket
             WHERE close_due_at IS NOT NULL AND parked = 0 AND close_due_at <= :late
               AND on_hold_at IS NULL
             ORDER BY close_due_at LIMIT :limit) first""")
ON_HOLD: Final = text("""
    SELECT count(*) AS number, min(on_hold_at) AS oldest
      FROM (SELECT on_hold_at FROM ticket
             WHERE on_hold_at IS NOT NULL AND on_hold_at <= :held_long
             ORDER BY on_hold_at LIMIT :limit) first""")
# One row at most; none: there has been no round yet.
SWEEP: Final = text("""
    SELECT CASE WHEN max(ended_at) >= :round_since THEN 0 ELSE 1 END AS number,
           max(ended_at) AS oldest FROM sweep_round""")
STUCK_JOBS: Final = text("""
    SELECT count(*) AS number, min(next_at) AS oldest
      FROM (SELECT next_at FROM job
             WHERE ended_at IS NULL AND next_at <= :late ORDER BY next_at LIMIT :limit) first""")
FAILED_JOBS: Final = text("""
    SELECT count(*) FILTER (WHERE state = 'failed') AS number,
           min(ended_at) FILTER (WHERE state = 'failed') AS oldest
      FROM (SELECT state, ended_at FROM job
             WHERE ended_at IS NOT NULL AND ended_at >= :failed_since
             ORDER BY ended_at DESC LIMIT :newest) newest""")

STATEMENTS: Final[Mapping[Need, TextClause]] = {
    Need.SWEEP: SWEEP,
    Need.DEAD: DEAD,
    Need.REJECTED: REJECTED,
    Need.SUPERSEDED: SUPERSEDED,
    Need.PARKED: PARKED,
    Need.CLOSINGS: CLOSINGS,
    Need.ON_HOLD: ON_HOLD,
    Need.STUCK_JOBS: STUCK_JOBS,
    Need.FAILED_JOBS: FAILED_JOBS,
}


def what_needs_a_person(
    connection: Connection,
    *,
    now: datetime,
    round_late: timedelta,
    read_max: timedelta = READ_MAX,
    all_max: timedelta = ALL_MAX,
    monotonic: Callable[[], float] = time.monotonic,
) -> Attention:
    """Read all figures in the caller's transaction.

    *round_late*: a sweep without a round for so long has stopped. Raises the database's error only
    if the connection itself is lost.
    """
    until = monotonic() + all_max.total_seconds()

    def read(need: Need, work: Callable[[], Figure]) -> Figure:
        left = min(read_max.total_seconds(), until - monotonic())
        return _bounded(connection, need, work, seconds=left)

    circuits: list[HeldPartner] = []

    def read_circuits() -> Figure:
        circuits.extend(_open_circuits(connection))
        oldest = circuits[0].since if circuits else None
        return Figure(Need.CIRCUITS, len(circuits), oldest)

    parameters = {
        "limit": COUNT_MAX + 1,
        "newest": NEWEST_MAX,
        "late": now - LATE,
        "held_long": now - HELD_LONG,
        "failed_since": now - FAILED_SINCE,
        "round_since": now - round_late,
    }

    def count(need: Need) -> Figure:
        row = connection.execute(STATEMENTS[need], parameters).one()
        return Figure(need, min(row.number, COUNT_MAX + 1), row.oldest if row.number else None)

    figures = [read(Need.CIRCUITS, read_circuits)]
    figures += [read(need, partial(count, need)) for need in STATEMENTS]
    return Attention(now, tuple(figures), tuple(circuits[:CIRCUITS_MAX]))


def _open_circuits(connection: Connection) -> list[HeldPartner]:
    rows = connection.execute(CIRCUITS, {"limit": COUNT_MAX + 1})
    return [
        HeldPartner(row.code, row.opened_at, row.reason, cause_of(row.reason), row.probe_at)
        for row in rows
    ]


def _bounded(
    connection: Connection, need: Need, work: Callable[[], Figure], *, seconds: float
) -> Figure:
    """Run one read with a time limit of its own; a failure is undone and becomes its figure."""
    milliseconds = int(seconds * 1000)
    if milliseconds <= 0:  # the reads before took all the time; 0 would mean no limit
        return Figure(need, failed=True)
    parameters: dict[str, Any] = {"milliseconds": str(milliseconds)}
    try:
        with connection.begin_nested():
            connection.execute(LIMIT_TIME, parameters)
            return work()
    except DBAPIError as error:
        if connection.invalidated or error.connection_invalidated:
            raise
        log.warning("attention_not_read", extra={"need": need, "error": error_line(error)})
        return Figure(need, failed=True)
