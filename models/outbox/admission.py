"""Admission: which operators a deliverer may claim for now, within the limits of all deliverers.

A claim locks the operator's circuit row for as long as it takes, and the counts in that row hold
for all deliverers together. No claim waits for such a lock: a row that another deliverer has locked
is skipped, and tried again a moment later.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pydantic_core import to_json
from sqlalchemy import text

from models.database.round_trip import AskedTime, RoundTrip
from models.outbox.rate_limit import PartnerLimits
from models.platform.clock import in_seconds

# For a circuit row `c`: each deliverer whose calls may not be over by `:now`. The moments are in
# UTC and in one format, so that their order as texts is their order in time. Anything else in the
# document was not written by Slipway: it is ignored, since an error here would end all claims.
CALLS_IN_FLIGHT: Final = """
    SELECT d.key AS deliverer, CAST(d.value ->> 'calls' AS int) AS calls, d.value
      FROM jsonb_each(CASE jsonb_typeof(c.in_flight) WHEN 'object' THEN c.in_flight END) d
     WHERE d.value ->> 'calls' ~ '^[0-9]{1,6}$'
       AND d.value ->> 'until' ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}T'
       AND (d.value ->> 'until') COLLATE "C"
           > (to_jsonb(CAST(:now AS timestamptz)) #>> '{}') COLLATE "C\""""

# Of the given operators, in their order, those with something to claim; then their rows. Each
# subquery is ORDER BY ... LIMIT 1, which only the index answers cheaply: under EXISTS the planner
# may assume that one of the first rows of the table will match. A circuit's own row is read again
# once it is locked, so the counts of other deliverers are current (E1 is about other rows).
_NOW: Final = "(SELECT now FROM clock)"
_AGE_MAX: Final = in_seconds("CAST(:create_age_max AS interval)")
_CALLS_BY_CLOCK: Final = CALLS_IN_FLIGHT.replace("CAST(:now AS timestamptz)", _NOW)
LOCK_CIRCUITS = text(f"""
    WITH clock AS MATERIALIZED (
        SELECT coalesce(CAST(:now AS timestamptz), clock_timestamp()) AS now),
    candidate AS MATERIALIZED (
        SELECT c.operator, input.position
          FROM unnest(CAST(:operators AS int[])) WITH ORDINALITY AS input(operator, position)
          JOIN circuit c ON c.operator = input.operator
         WHERE CASE WHEN c.probe_at IS NOT NULL THEN c.probe_at <= {_NOW}
               ELSE (SELECT n.id FROM notice n
                      WHERE n.operator = c.operator AND n.head AND n.ended IS NULL
                        AND n.due_at <= {_NOW}
                        AND (n.leased_until IS NULL OR n.leased_until <= {_NOW})
                        AND (n.action NOT IN ('ticket_create', 'ticket_reserve')
                             OR (n.claims = 0 AND n.created_at > {_NOW} - {_AGE_MAX}))
                      ORDER BY n.due_at LIMIT 1) IS NOT NULL
                 OR (SELECT n.id FROM notice n
                      WHERE n.operator = c.operator AND n.head AND n.ended IS NULL
                        AND n.postponed_at < c.closed_at
                        AND (n.leased_until IS NULL OR n.leased_until <= {_NOW})
                        AND (n.quiet_until IS NULL OR n.quiet_until <= {_NOW})
                      ORDER BY n.postponed_at LIMIT 1) IS NOT NULL
               END
         ORDER BY input.position LIMIT :operators_max),
    locked AS MATERIALIZED (
        SELECT c.operator, c.closed_at, c.probe_at, c.probe_youngest, c.tokens, c.tokens_at,
               (SELECT coalesce(sum(calls.calls), 0) FROM ({_CALLS_BY_CLOCK}) calls
                 WHERE calls.deliverer <> :deliverer) AS calls_elsewhere
          FROM circuit c JOIN candidate ON candidate.operator = c.operator
           FOR NO KEY UPDATE OF c SKIP LOCKED)
    SELECT candidate.operator, o.in_flight AS in_flight_max, o.rate,
           locked.operator IS NOT NULL AS is_locked, locked.calls_elsewhere, locked.closed_at,
           locked.probe_at, locked.probe_youngest, locked.tokens, locked.tokens_at
      FROM candidate
      JOIN operator o ON o.id = candidate.operator
      LEFT JOIN locked ON locked.operator = candidate.operator
     ORDER BY candidate.position""")  # noqa: S608 - a constant

# A deliverer that died is removed once its calls must be over.
STORE_IN_FLIGHT = text(f"""
    WITH locked AS MATERIALIZED (
        SELECT c.operator FROM circuit c
          JOIN jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(operator int)
            ON r.operator = c.operator
           FOR NO KEY UPDATE OF c SKIP LOCKED)
    UPDATE circuit c
       SET in_flight = coalesce(
               (SELECT jsonb_object_agg(calls.deliverer, calls.value)
                  FROM ({CALLS_IN_FLIGHT}) calls WHERE calls.deliverer <> :deliverer),
               '{{}}')
               || CASE WHEN r.calls > 0
                       THEN jsonb_build_object(CAST(:deliverer AS text), jsonb_build_object(
                                'calls', r.calls, 'until', CAST(:until AS timestamptz)))
                       ELSE '{{}}' END,
           tokens = coalesce(r.tokens, c.tokens),
           tokens_at = CASE WHEN r.tokens IS NULL THEN c.tokens_at ELSE :now END,
           probe_at = CASE WHEN c.probe_at IS NOT NULL THEN coalesce(r.probe_at, c.probe_at) END
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
               operator int, calls int, tokens float8, probe_at timestamptz), locked
     WHERE c.operator = r.operator AND locked.operator = c.operator
 RETURNING c.operator""")  # noqa: S608 - a constant


@dataclass(frozen=True, slots=True)
class InFlightCount:
    """What a deliverer has in flight at an operator, after its claim."""

    operator: int
    calls: int
    tokens: float | None = None  # left in the rate's bucket; None: unchanged
    probe_at: datetime | None = None  # when the next probe may go, unless this one is recorded


@dataclass(frozen=True, slots=True)
class LockedCircuits:
    """The limits of the operators whose circuits are locked until the transaction ends.

    *skipped*: other deliverers hold some of them. *last_operator*: the last one that was looked at.
    *more*: there may be more operators behind it.
    """

    limits: Sequence[PartnerLimits]
    skipped: bool
    last_operator: int | None
    more: bool


def lock_circuits(
    trip: RoundTrip,
    *,
    deliverer: str,
    operators: Sequence[int],
    operators_max: int,
    now: AskedTime,
    create_age_max: timedelta,
) -> LockedCircuits:
    """Lock the circuits of the first *operators_max* of *operators* with something to claim.

    Runs *trip*, of which *now* may be a part. Costs O(operators + what is in flight), however many
    notices wait.
    """
    if not operators or operators_max <= 0:
        trip.run()
        return LockedCircuits((), skipped=False, last_operator=None, more=False)
    locked = trip.ask(
        LOCK_CIRCUITS,
        {
            "operators": list(operators),
            "operators_max": operators_max,
            "deliverer": deliverer,
            "now": now.given,
            "create_age_max": create_age_max,
        },
    )
    trip.run()
    rows = locked.named_rows
    limits = [
        PartnerLimits(
            operator=row.operator,
            in_flight_max=row.in_flight_max,
            rate=row.rate,
            calls_elsewhere=row.calls_elsewhere,
            closed_at=row.closed_at,
            probe_at=row.probe_at,
            probe_youngest=row.probe_youngest,
            tokens=row.tokens,
            tokens_at=row.tokens_at,
        )
        for row in rows
        if row.is_locked
    ]
    return LockedCircuits(
        limits,
        skipped=len(limits) < len(rows),
        last_operator=rows[-1].operator if rows else None,
        more=len(rows) == operators_max,
    )


def store_in_flight(
    trip: RoundTrip,
    counts: Collection[InFlightCount],
    *,
    deliverer: str,
    now: datetime,
    until: datetime,
    commit: bool = False,
) -> set[int]:
    """Store the deliverer's calls in flight, all over by *until*; return the operators stored.

    A circuit that another deliverer has locked keeps the old count for now. Runs *trip*. *commit*:
    end the transaction with it.
    """
    if not counts:
        trip.run(commit=commit)
        return set()
    rows = [
        {
            "operator": count.operator,
            "calls": count.calls,
            "tokens": count.tokens,
            "probe_at": count.probe_at,
        }
        for count in counts
    ]
    stored = trip.ask(
        STORE_IN_FLIGHT,
        {"rows": to_json(rows).decode(), "deliverer": deliverer, "now": now, "until": until},
    )
    trip.run(commit=commit)
    return {operator for (operator,) in stored.rows}
