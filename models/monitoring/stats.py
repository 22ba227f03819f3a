"""Collects everything that monitoring watches in the database, at a constant cost.

Counts stop at a limit, oldest moments come from the first row of an index, and the tickets of a big
table are PostgreSQL's own estimate: a billion rows cost as much as a thousand.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from models.access.facts import expiries
from models.monitoring.replication import Standbys, read_standbys
from models.monitoring.stream_losses import ALERTED_FOR, losses_since
from models.outbox.causes import Cause, cause_of, redirect_target
from models.outbox.undelivered import OLDEST_UNDELIVERED
from models.sweeps.heartbeat import Round, last_round
from models.vocabulary import JobState, Status

OPERATORS_MAX: Final = 1000  # the first ones by code
ROWS_MAX: Final = 50_000  # index entries read for all operators together
COUNT_MAX: Final = 10_000  # a greater number is shown as this one
COUNT_MIN: Final = 50  # for each operator, however many there are
PAGES_COUNTED_MAX: Final = 2000  # a ticket table up to 16 MB is counted, a bigger one estimated

OPERATOR_COUNT: Final = text("SELECT count(*) FROM operator WHERE ended_at IS NULL")

# The oldest heads of each operator, those under a lease included.
NOTICES: Final = text(f"""
    SELECT o.code, o.disabled_at IS NULL AS enabled,
           c.opened_at IS NOT NULL AND c.closed_at IS NULL AS circuit_open,
           c.reason, heads.due, heads.in_flight, heads.oldest_due_at,
           undelivered.since AS undelivered_since, dead.dead, dead.oldest_dead_at, o.access_facts,
           o.timeout
      FROM (SELECT id, code, disabled_at, timeout,
                   CASE WHEN access_switch_at <= :now THEN next_access_facts
                        ELSE access_facts END AS access_facts
              FROM operator WHERE ended_at IS NULL ORDER BY code LIMIT :operators) o
      LEFT JOIN circuit c ON c.operator = o.id
     CROSS JOIN LATERAL (
           SELECT count(*) FILTER (WHERE free) AS due,
                  count(*) FILTER (WHERE NOT free) AS in_flight,
                  min(due_at) FILTER (WHERE free) AS oldest_due_at
             FROM (SELECT n.due_at, coalesce(n.leased_until <= :now, true) AS free
                     FROM notice n
                    WHERE n.operator = o.id AND n.head AND n.ended IS NULL AND n.due_at <= :now
                    ORDER BY n.due_at LIMIT :limit) first) heads
     CROSS JOIN LATERAL ({OLDEST_UNDELIVERED}) undelivered
     CROSS JOIN LATERAL (
           SELECT count(*) AS dead, min(ended_at) AS oldest_dead_at
             FROM (SELECT n.ended_at FROM notice n
                    WHERE n.operator = o.id AND n.ended = 'dead'
                    ORDER BY n.ended_at LIMIT :limit) first) dead
     ORDER BY o.code
""")  # noqa: S608 - a constant

CLOSINGS: Final = text("""
    SELECT count(*) AS due, min(close_due_at) AS oldest
      FROM (SELECT close_due_at FROM ticket
             WHERE close_due_at IS NOT NULL AND parked = 0 AND close_due_at <= :now
               AND on_hold_at IS NULL
             ORDER BY close_due_at LIMIT :limit) first
""")

ON_HOLD: Final = text("""
    SELECT count(*) AS on_hold, min(on_hold_at) AS oldest
      FROM (SELECT on_hold_at FROM ticket
             WHERE on_hold_at IS NOT NULL ORDER BY on_hold_at LIMIT :limit) first
""")

PARKED: Final = text("""
    SELECT count(*) AS parked, min(park_until) AS first_end
      FROM (SELECT park_until FROM ticket_event
             WHERE outcome = 'parked' AND park_until IS NOT NULL
             ORDER BY park_until LIMIT :limit) first
""")

# A job that waits, for its pace or for unfinished tickets, has its next batch in the future; so has
# one whose batches fail, but it says since when.
JOBS: Final = text("""
    SELECT count(*) FILTER (WHERE state = 'waiting') AS waiting,
           count(*) FILTER (WHERE state = 'running') AS running,
           min(coalesce(failing_since, next_at))
               FILTER (WHERE coalesce(failing_since, next_at) <= :now) AS stalled_since
      FROM (SELECT state, next_at, failing_since FROM job
             WHERE ended_at IS NULL ORDER BY next_at, id LIMIT :limit) first
""")

# What needs a person: what was dealt with is marked and no longer counted. Nor is an older event
# that says the same as the current result (`Reason.OLDER_SAME`).
WAITING: Final = text("""
    SELECT (SELECT count(*)
              FROM (SELECT 1 FROM ticket_event
                     WHERE outcome = 'rejected' AND dropped_at IS NULL LIMIT :limit) event)
         + (SELECT count(*)
              FROM (SELECT 1 FROM rejected_input WHERE dropped_at IS NULL LIMIT :limit) input)
           AS rejected,
           (SELECT count(*) FILTER (WHERE reason <> 'older_same')
              FROM (SELECT reason FROM ticket_event
                     WHERE outcome = 'superseded' AND dropped_at IS NULL
                     ORDER BY decided_at DESC LIMIT :limit) newest)
           AS superseded
""")

TICKET_TABLE: Final = text("""
    SELECT reltuples, pg_relation_size(oid) / current_setting('block_size')::int AS pages
      FROM pg_class WHERE oid = 'ticket'::regclass
""")
TICKETS_COUNTED: Final = text("SELECT status, count(*) AS tickets FROM ticket GROUP BY status")
TICKETS_ESTIMATED: Final = text("""
    SELECT common.status, common.share * CAST(:tickets AS float8) AS tickets
      FROM pg_stats s
     CROSS JOIN LATERAL unnest(CAST(CAST(s.most_common_vals AS text) AS text[]),
                               s.most_common_freqs) AS common(status, share)
     WHERE s.schemaname = current_schema() AND s.tablename = 'ticket' AND s.attname = 'status'
""")


@dataclass(frozen=True, slots=True)
class OperatorStats:
    """The unfinished notices of one operator. *due*: may be claimed; *in_flight*: under a lease."""

    code: str
    enabled: bool
    circuit: Cause | None  # why it is open, and only probes are sent; None: it is closed
    due: int
    in_flight: int
    oldest_due_at: datetime | None
    undelivered_since: datetime | None  # of the oldest undelivered notice, whatever it waits for
    dead: int
    oldest_dead_at: datetime | None
    access_expires_at: datetime | None = None  # the first certificate that calls to it need
    timeout: timedelta | None = None  # of its own; None: the installation's
    redirects_to: str | None = None  # where its last attempt was redirected to; the circuit is open


@dataclass(frozen=True, slots=True)
class Stats:
    """The state at the moment *at*. Each count stops at its limit."""

    at: datetime
    operators: tuple[OperatorStats, ...]
    operators_beyond: int  # beyond the limit, and not read
    tickets: Mapping[Status, int]  # empty: a big table that was never analyzed
    closes_due: int
    oldest_close_due_at: datetime | None
    on_hold: int  # tickets that a person holds: among neither the closings nor the notices
    oldest_on_hold_at: datetime | None
    parked: int
    first_window_end: datetime | None
    rejected: int
    superseded: int  # among the newest, those that differ from what superseded them
    jobs: Mapping[JobState, int]  # that have not ended
    job_stalled_since: datetime | None  # of the first that was to be carried on, and is not
    last_round: Round | None
    stream_entries_lost: int  # noticed in the last hour
    standbys: Standbys


def collect_stats(connection: Connection, *, now: datetime) -> Stats:
    """Collect the stats in the caller's transaction, in twelve short statements."""
    operator_count: int = connection.execute(OPERATOR_COUNT).scalar_one()
    limit = _limit(min(operator_count, OPERATORS_MAX))
    notices = connection.execute(
        NOTICES,
        {"now": now, "operators": OPERATORS_MAX, "limit": limit, "undelivered_max": limit},
    )
    operators = tuple(_operator(row) for row in notices)
    closings = connection.execute(CLOSINGS, {"now": now, "limit": COUNT_MAX}).one()
    on_hold = connection.execute(ON_HOLD, {"limit": COUNT_MAX}).one()
    parked = connection.execute(PARKED, {"limit": COUNT_MAX}).one()
    waiting = connection.execute(WAITING, {"limit": COUNT_MAX}).one()
    jobs = connection.execute(JOBS, {"now": now, "limit": COUNT_MAX}).one()
    return Stats(
        at=now,
        operators=operators,
        operators_beyond=max(0, operator_count - OPERATORS_MAX),
        tickets=_tickets(connection),
        closes_due=closings.due,
        oldest_close_due_at=closings.oldest,
        on_hold=on_hold.on_hold,
        oldest_on_hold_at=on_hold.oldest,
        parked=parked.parked,
        first_window_end=parked.first_end,
        rejected=waiting.rejected,
        superseded=waiting.superseded,
        jobs={JobState.WAITING: jobs.waiting, JobState.RUNNING: jobs.running},
        job_stalled_since=jobs.stalled_since,
        last_round=last_round(connection),
        stream_entries_lost=sum(
            loss.entries for loss in losses_since(connection, now - ALERTED_FOR)
        ),
        standbys=read_standbys(connection),
    )


def _operator(row: Row[Any]) -> OperatorStats:
    return OperatorStats(
        code=row.code,
        enabled=row.enabled,
        circuit=cause_of(row.reason) if row.circuit_open else None,
        redirects_to=redirect_target(row.reason) if row.circuit_open else None,
        due=row.due,
        in_flight=row.in_flight,
        oldest_due_at=row.oldest_due_at,
        undelivered_since=row.undelivered_since,
        dead=row.dead,
        oldest_dead_at=row.oldest_dead_at,
        access_expires_at=min((at for _, at in expiries(row.access_facts or {})), default=None),
        timeout=row.timeout,
    )


def _limit(operators: int) -> int:
    """Return how many notices to read for each of *operators*."""
    return max(COUNT_MIN, min(COUNT_MAX, ROWS_MAX // max(1, operators)))


def _tickets(connection: Connection) -> dict[Status, int]:
    """Return the number of tickets by status: counted while that is cheap, else estimated.

    The estimate is as old as the table's last ANALYZE (by autovacuum) and exact to about one
    percent; a status that few tickets have may be shown as 0.
    """
    table = connection.execute(TICKET_TABLE).one()
    if table.pages <= PAGES_COUNTED_MAX:
        rows = connection.execute(TICKETS_COUNTED).all()
    elif table.reltuples >= 0:
        rows = connection.execute(TICKETS_ESTIMATED, {"tickets": table.reltuples}).all()
    else:
        return {}
    counts = {Status(row.status): round(row.tickets) for row in rows}
    return {status: counts.get(status, 0) for status in Status}
