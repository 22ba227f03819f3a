"""The partners as a list that people look through: a page at a time, at a bounded cost.

`models.monitoring.operators` counts further and asks the attempts themselves; here the attempts are
those that the sweep has counted by the minute.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from models.monitoring.minutes import MINUTE
from models.operators.listing import unknown_operator
from models.outbox.admission import CALLS_IN_FLIGHT
from models.outbox.causes import Cause, cause_of
from models.outbox.undelivered import OLDEST_UNDELIVERED

NOW_MINUTES: Final = 5  # that "now" means: the last ones that are counted
STALE_AFTER: Final = timedelta(minutes=3)  # behind which the counting is late, so "now" is unknown
COUNTED_MAX: Final = 1_000  # notices, per operator; one more is counted
_POSTPONED_MAX: Final = 1_000  # that are read for the oldest, per operator
_PAGE_MAX: Final = 200

# The operators of the page first, by the index of their code; then what is asked of each.
PARTNERS: Final = text(f"""
    WITH page AS MATERIALIZED (
        SELECT o.id FROM operator o LEFT JOIN circuit c ON c.operator = o.id
         WHERE (CAST(:code AS text) IS NULL OR o.code = :code)
           AND (CAST(:after AS text) IS NULL OR o.code > :after)
           AND CASE CAST(:state AS text)
                    WHEN 'enabled' THEN o.disabled_at IS NULL AND o.ended_at IS NULL
                    WHEN 'disabled' THEN o.disabled_at IS NOT NULL AND o.ended_at IS NULL
                    WHEN 'ended' THEN o.ended_at IS NOT NULL
                    WHEN 'circuit_open' THEN c.probe_at IS NOT NULL AND o.ended_at IS NULL
                    ELSE true END
         ORDER BY o.code LIMIT :limit)
    SELECT o.code, o.protocol, o.disabled_at, o.ended_at, o.in_flight AS in_flight_max,
           o.rate, c.opened_at, c.closed_at, c.reason, c.probe_at,
           (SELECT coalesce(sum(calls.calls), 0) FROM ({CALLS_IN_FLIGHT}) calls) AS in_flight,
           undelivered.since AS undelivered_since, waiting.count AS waiting, dead.count AS dead,
           p.minutes_since, p.minutes_until, recent.delivered, recent.failed
      FROM page
      JOIN operator o ON o.id = page.id
      LEFT JOIN circuit c ON c.operator = o.id
      LEFT JOIN plot_progress p ON p.id = 1
     CROSS JOIN LATERAL ({OLDEST_UNDELIVERED}) undelivered
     CROSS JOIN LATERAL (
           SELECT count(*) AS count
             FROM (SELECT FROM notice n WHERE n.operator = o.id AND n.head AND n.ended IS NULL
                    ORDER BY n.due_at LIMIT :counted_max) heads) waiting
     CROSS JOIN LATERAL (
           SELECT count(*) AS count
             FROM (SELECT FROM notice n WHERE n.operator = o.id AND n.ended = 'dead'
                    ORDER BY n.ended_at LIMIT :counted_max) ended) dead
     CROSS JOIN LATERAL (
           SELECT coalesce(sum(m.delivered), 0) AS delivered, coalesce(sum(m.failed), 0) AS failed
             FROM partner_minute m
            WHERE m.operator = o.id AND m.minute < p.minutes_until
              AND m.minute >= p.minutes_until - CAST(:recent AS interval)) recent
     ORDER BY o.code""")  # noqa: S608 - constants
# What a list of partners shows, in short; a few rows of small tables.
PULSE: Final = text("""
    SELECT (SELECT minutes_until FROM plot_progress WHERE id = 1),
           (SELECT array_agg(row(id, disabled_at, ended_at, in_flight, rate) ORDER BY id)::text
              FROM operator WHERE CAST(:code AS text) IS NULL OR code = :code),
           (SELECT array_agg(row(operator, opened_at, closed_at, probe_at,
                                 CASE WHEN CAST(:code AS text) IS NOT NULL THEN in_flight END)
                             ORDER BY operator)::text
              FROM circuit c
             WHERE CAST(:code AS text) IS NULL
                OR operator = (SELECT id FROM operator WHERE code = :code)),
           (SELECT id FROM intervention
             WHERE (operator, id) >= (:code, 0) AND (operator, id) <= (:code, 9223372036854775807)
               AND ticket IS NULL
             ORDER BY operator DESC, id DESC LIMIT 1)""")


class PartnerStanding(StrEnum):
    """By which state a list of partners can be narrowed."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    ENDED = "ended"
    CIRCUIT_OPEN = "circuit_open"


@dataclass(frozen=True, slots=True)
class PartnerNow:
    """How a partner is doing now.

    *waiting* are tickets with an undelivered notice, *dead* are notices; both are counted up to
    1,001. *delivered_per_minute* and *failure_rate* (0 to 1) are of the last five minutes that the
    sweep has counted. Both are None if these are not known; the rate also without an attempt.
    """

    code: str
    protocol: str
    disabled_at: datetime | None
    ended_at: datetime | None
    circuit_open: bool
    circuit_since: datetime | None  # None: it was never open
    circuit_reason: str | None  # why it is open
    circuit_cause: Cause | None
    next_probe_at: datetime | None
    in_flight: int
    in_flight_max: int
    rate: float | None
    undelivered_since: datetime | None
    waiting: int
    dead: int
    delivered_per_minute: float | None
    failure_rate: float | None

    @property
    def state(self) -> PartnerStanding:
        """Whether it is enabled, disabled or ended."""
        if self.ended_at is not None:
            return PartnerStanding.ENDED
        return PartnerStanding.ENABLED if self.disabled_at is None else PartnerStanding.DISABLED


@dataclass(frozen=True, slots=True)
class PartnerList:
    """A page of partners by code. *next*: the code behind which the next page begins, or None."""

    partners: tuple[PartnerNow, ...]
    next: str | None


def list_partners(
    connection: Connection,
    *,
    now: datetime,
    state: PartnerStanding | None = None,
    after: str | None = None,
    limit: int = 50,
) -> PartnerList:
    """List the partners by code, those behind the code *after*; ended ones too."""
    limit = min(limit, _PAGE_MAX)
    rows = _read(connection, now=now, state=state, after=after, limit=limit + 1)
    partners = tuple(_partner(row, now) for row in rows[:limit])
    return PartnerList(partners, partners[-1].code if len(rows) > limit else None)


def partner_now(connection: Connection, code: str, *, now: datetime) -> PartnerNow:
    """Return how one partner is doing. Raises OperatorNotFound."""
    rows = _read(connection, now=now, code=code)
    if not rows:
        raise unknown_operator(connection, code)
    return _partner(rows[0], now)


def partners_pulse(connection: Connection, code: str | None = None) -> tuple[Any, ...]:
    """Return what differs when the list of partners does, or one of them."""
    return tuple(connection.execute(PULSE, {"code": code}).one())


def _read(
    connection: Connection,
    *,
    now: datetime,
    code: str | None = None,
    state: PartnerStanding | None = None,
    after: str | None = None,
    limit: int = 1,
) -> list[Row[Any]]:
    parameters = {
        "now": now,
        "code": code,
        "state": state,
        "after": after,
        "limit": limit,
        "counted_max": COUNTED_MAX + 1,
        "undelivered_max": _POSTPONED_MAX,
        "recent": NOW_MINUTES * MINUTE,
    }
    return list(connection.execute(PARTNERS, parameters))


def _partner(row: Row[Any], now: datetime) -> PartnerNow:
    is_open = row.probe_at is not None
    per_minute, failures = _recent(row, now)
    return PartnerNow(
        code=row.code,
        protocol=row.protocol,
        disabled_at=row.disabled_at,
        ended_at=row.ended_at,
        circuit_open=is_open,
        circuit_since=row.opened_at if is_open else row.closed_at,
        circuit_reason=row.reason if is_open else None,
        circuit_cause=cause_of(row.reason) if is_open else None,
        next_probe_at=row.probe_at,
        in_flight=row.in_flight,
        in_flight_max=row.in_flight_max,
        rate=row.rate,
        undelivered_since=row.undelivered_since,
        waiting=row.waiting,
        dead=row.dead,
        delivered_per_minute=per_minute,
        failure_rate=failures,
    )


def _recent(row: Row[Any], now: datetime) -> tuple[float | None, float | None]:
    """Return the deliveries per minute and the failure rate of the last minutes counted."""
    if row.minutes_until is None or row.minutes_until < now - STALE_AFTER:
        return None, None
    counted = min(NOW_MINUTES, (row.minutes_until - row.minutes_since) // MINUTE)
    if not counted:
        return None, None
    attempts = row.delivered + row.failed
    return float(row.delivered / counted), float(row.failed / attempts) if attempts else None
