"""The health of each operator: circuit, requests in flight, notices due and dead, last attempts."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from models.operators.listing import LISTED_MAX, unknown_operator
from models.outbox.admission import CALLS_IN_FLIGHT
from models.outbox.attempts import first_attempts
from models.outbox.causes import Cause, cause_of
from models.outbox.undelivered import OLDEST_UNDELIVERED, UNDELIVERED_MAX

WINDOW: Final = timedelta(minutes=5)  # of the last attempts
COUNTED_MAX: Final = 100_000  # notices, per operator
ATTEMPTS_MAX: Final = 10_000  # the last ones, per operator

_NEWEST: Final = "ORDER BY a.recorded_at DESC LIMIT :attempts_max"
_RECENT_ATTEMPTS: Final = first_attempts(
    "a.verdict, a.took_ms, a.http_status, a.recorded_at",
    "a.operator = o.id AND a.recorded_at > :since",
    _NEWEST,
)

# Every read is bounded and ordered by the index it uses, so that this may run on a database in
# trouble.
HEALTH: Final = text(f"""
    SELECT o.code, o.disabled_at, o.ended_at, o.in_flight AS in_flight_max, o.rate, c.opened_at,
           c.closed_at, c.reason, c.probe_at,
           (SELECT coalesce(sum(calls.calls), 0) FROM ({CALLS_IN_FLIGHT}) calls) AS in_flight,
           due.count AS due, due.oldest AS oldest_due_at, undelivered.since AS undelivered_since,
           dead.count AS dead,
           recent.attempts, recent.delivered, recent.latencies[1] AS p50_ms,
           recent.latencies[2] AS p99_ms
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
                  count(*) FILTER (WHERE attempt.verdict = 'delivered') AS delivered,
                  percentile_disc(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY attempt.took_ms)
                      FILTER (WHERE attempt.http_status IS NOT NULL OR attempt.took_ms > 0)
                      AS latencies
             FROM (SELECT * FROM {_RECENT_ATTEMPTS} a {_NEWEST}) attempt) recent
     WHERE CASE WHEN CAST(:code AS text) IS NULL THEN o.ended_at IS NULL ELSE o.code = :code END
     ORDER BY o.code LIMIT :limit""")  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class OperatorHealth:
    """The present health of one partner, and its attempts of the last five minutes.

    Attempts are counted up to 10,000, notices up to 100,000. While a circuit is open only its
    probes are sent.
    """

    code: str
    disabled_at: datetime | None
    ended_at: datetime | None  # the partnership is over: nothing is sent or probed (rule 24)
    circuit: str  # `closed` or `open`
    circuit_since: datetime | None  # None: it was never open
    circuit_reason: str | None  # why it is open, and what the last probe met
    circuit_cause: Cause | None  # the same from a closed list
    next_probe_at: datetime | None
    in_flight: int  # requests, of all deliverers
    in_flight_max: int
    rate: float | None  # notices per second at most; None: no limit
    due: int
    oldest_due_at: datetime | None
    undelivered_since: datetime | None  # of the oldest undelivered notice: due, failed or in flight
    dead: int
    attempts: int  # of the last five minutes
    success_rate: float | None  # of them, from 0 to 1; None: there were none
    p50_ms: int | None  # how long requests took
    p99_ms: int | None


def operator_health(
    connection: Connection, *, now: datetime, code: str | None = None
) -> list[OperatorHealth]:
    """Return the health of all operators by code, or of one. Raises OperatorNotFound.

    One whose partnership has ended is shown only if its *code* is given.
    """
    rows = connection.execute(
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
    if code is not None and not rows:
        raise unknown_operator(connection, code)
    return [_health(row) for row in rows]


def _health(row: Row[Any]) -> OperatorHealth:
    is_open = row.probe_at is not None
    cause = cause_of(row.reason) if is_open else None
    return OperatorHealth(
        code=row.code,
        disabled_at=row.disabled_at,
        ended_at=row.ended_at,
        circuit="open" if is_open else "closed",
        circuit_since=row.closed_at or row.opened_at,
        circuit_reason=row.reason if is_open else None,
        circuit_cause=cause,
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
