"""How the partners are doing: their circuits, what is in flight, due and dead, the last minutes."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from models.operators.listing import LISTED_MAX, unknown_operator
from models.outbox.admission import CALLS_IN_FLIGHT
from models.outbox.causes import Cause, advice_for, cause_of
from models.outbox.undelivered import OLDEST_UNDELIVERED, UNDELIVERED_MAX

WINDOW: Final = timedelta(minutes=5)  # what "lately" means
COUNTED_MAX: Final = 100_000  # notices, per operator
ATTEMPTS_MAX: Final = 10_000  # the last ones, per operator

# Every look is bounded and ordered by the index it takes, so that this may be asked of a database
# in trouble.
HEALTH: Final = text(f"""
    SELECT o.code, o.disabled_at, o.in_flight AS in_flight_max, o.rate, c.opened_at, c.closed_at,
           c.reason, c.probe_at,
           (SELECT coalesce(sum(live.calls), 0) FROM ({CALLS_IN_FLIGHT}) live) AS in_flight,
           due.count AS due, due.oldest AS oldest_due_at, undelivered.since AS undelivered_since,
           dead.count AS dead,
           lately.attempts, lately.delivered, lately.latencies[1] AS p50_ms,
           lately.latencies[2] AS p99_ms
      FROM operator o
      LEFT JOIN circuit c ON c.operator = o.id
     CROSS JOIN LATERAL (
           SELECT count(*) AS count, min(heads.due_at) AS oldest
             FROM (SELECT n.due_at FROM notice n
                    WHERE n.operator = o.id AND n.head AND n.ended IS NULL AND n.due_at <= :now
                      AND (n.leased_until IS NULL OR n.leased_until <= :now)
                    ORDER BY n.due_at LIMIT :counted_max) heads) due
     CROSS JOIN LATERAL ({OLDEST_UNDELIVERED}) undelivered
     CROSS JOIN LATERAL (
           SELECT count(*) AS count
             FROM (SELECT FROM notice n WHERE n.operator = o.id AND n.ended = 'dead'
                    ORDER BY n.ended_at LIMIT :counted_max) ended) dead
     CROSS JOIN LATERAL (
           SELECT count(*) AS attempts,
                  count(*) FILTER (WHERE last.verdict = 'delivered') AS delivered,
                  percentile_disc(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY last.took_ms)
                      FILTER (WHERE last.http_status IS NOT NULL OR last.took_ms > 0) AS latencies
             FROM (SELECT a.verdict, a.took_ms, a.http_status FROM delivery_attempt a
                    WHERE a.operator = o.id AND a.recorded_at > :since
                    ORDER BY a.recorded_at DESC LIMIT :attempts_max) last) lately
     WHERE CAST(:code AS text) IS NULL OR o.code = :code
     ORDER BY o.code LIMIT :limit""")  # noqa: S608 - a constant


@dataclass(frozen=True, slots=True)
class OperatorHealth:
    """One partner as it is doing now; "lately" is the last five minutes, 10,000 attempts at most.

    Notices are counted up to 100,000. While a circuit is open nothing but its probes goes out.
    """

    code: str
    disabled_at: datetime | None
    circuit: str  # `closed` or `open`
    circuit_since: datetime | None  # none: it was never open
    circuit_reason: str | None  # why it is open, and what the last probe met
    circuit_cause: Cause | None  # the same in one word
    circuit_advice: str | None  # what to do about it
    next_probe_at: datetime | None
    in_flight: int  # requests, of all deliverers
    in_flight_max: int
    rate: float | None  # notices per second at most; none: no limit
    due: int
    oldest_due_at: datetime | None
    undelivered_since: (
        datetime | None
    )  # the oldest notice that is not taken: due, failed or in flight
    dead: int
    attempts: int  # lately
    success_rate: float | None  # of them, from 0 to 1; none: there were none
    p50_ms: int | None  # how long requests took
    p99_ms: int | None


def operator_health(
    connection: Connection, *, now: datetime, code: str | None = None
) -> list[OperatorHealth]:
    """The health of all operators by code, or of one. Raises OperatorUnknown."""
    found = connection.execute(
        HEALTH,
        {
            "code": code,
            "now": now,
            "since": now - WINDOW,
            "counted_max": COUNTED_MAX,
            "undelivered_max": UNDELIVERED_MAX,
            "attempts_max": ATTEMPTS_MAX,
            "limit": LISTED_MAX,
        },
    ).all()
    if code is not None and not found:
        raise unknown_operator(connection, code)
    return [_health(row) for row in found]


def _health(row: Row[Any]) -> OperatorHealth:
    is_open = row.probe_at is not None
    cause = cause_of(row.reason) if is_open else None
    return OperatorHealth(
        code=row.code,
        disabled_at=row.disabled_at,
        circuit="open" if is_open else "closed",
        circuit_since=row.closed_at or row.opened_at,
        circuit_reason=row.reason if is_open else None,
        circuit_cause=cause,
        circuit_advice=None if cause is None else advice_for(cause, row.code),
        next_probe_at=row.probe_at,
        in_flight=row.in_flight,
        in_flight_max=row.in_flight_max,
        rate=row.rate,
        due=row.due,
        oldest_due_at=row.oldest_due_at,
        undelivered_since=row.undelivered_since,
        dead=row.dead,
        attempts=row.attempts,
        success_rate=row.delivered / row.attempts if row.attempts else None,
        p50_ms=row.p50_ms,
        p99_ms=row.p99_ms,
    )
