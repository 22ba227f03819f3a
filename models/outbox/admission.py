"""The gates through which claims go: each operator's circuit row, locked for as long as a claim.

What is counted there holds for all deliverers together. Nobody waits at a gate: one that somebody
else is passing is looked at again a moment later.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pydantic_core import to_json
from sqlalchemy import Connection, text

from models.outbox.rate_limit import PartnerLimits

# For a circuit row `c`: each deliverer whose calls may not be over by `:now`. Moments stand there
# in UTC and in one form, so as texts they are in the order of time. Whatever else stands there was
# written by nobody of ours: it is passed over, for an error here would end all claims.
CALLS_IN_FLIGHT: Final = """
    SELECT d.key AS deliverer, CAST(d.value ->> 'calls' AS int) AS calls, d.value
      FROM jsonb_each(CASE jsonb_typeof(c.in_flight) WHEN 'object' THEN c.in_flight END) d
     WHERE d.value ->> 'calls' ~ '^[0-9]{1,6}$'
       AND d.value ->> 'until' ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}T'
       AND (d.value ->> 'until') COLLATE "C"
           > (to_jsonb(CAST(:now AS timestamptz)) #>> '{}') COLLATE "C\""""

# Of the operators asked for, in this order, those with something to claim; then their rows. Each
# look is ORDER BY ... LIMIT 1, which only the index gives cheaply: under EXISTS the planner may
# trust that one of the first rows of the table will do. A circuit's own row is read again once it
# is locked, so the counts of others are never old (protocol E1 speaks of other rows).
LOCK_CIRCUITS = text(f"""
    WITH wanting AS MATERIALIZED (
        SELECT c.operator, asked.turn
          FROM unnest(CAST(:operators AS int[])) WITH ORDINALITY AS asked(operator, turn)
          JOIN circuit c ON c.operator = asked.operator
         WHERE CASE WHEN c.probe_at IS NOT NULL THEN c.probe_at <= :now
               ELSE (SELECT n.id FROM notice n
                      WHERE n.operator = c.operator AND n.head AND n.ended IS NULL
                        AND n.due_at <= :now AND (n.leased_until IS NULL OR n.leased_until <= :now)
                        AND (n.action NOT IN ('ticket_create', 'ticket_reserve')
                             OR (n.claims = 0 AND n.created_at > :born_after))
                      ORDER BY n.due_at LIMIT 1) IS NOT NULL
                 OR (SELECT n.id FROM notice n
                      WHERE n.operator = c.operator AND n.head AND n.ended IS NULL
                        AND n.postponed_at < c.closed_at
                        AND (n.leased_until IS NULL OR n.leased_until <= :now)
                        AND (n.quiet_until IS NULL OR n.quiet_until <= :now)
                      ORDER BY n.postponed_at LIMIT 1) IS NOT NULL
               END
         ORDER BY asked.turn LIMIT :most),
    ours AS MATERIALIZED (
        SELECT c.operator, c.closed_at, c.probe_at, c.probe_youngest, c.tokens, c.tokens_at,
               (SELECT coalesce(sum(live.calls), 0) FROM ({CALLS_IN_FLIGHT}) live
                 WHERE live.deliverer <> :deliverer) AS others
          FROM circuit c JOIN wanting w ON w.operator = c.operator
           FOR NO KEY UPDATE OF c SKIP LOCKED)
    SELECT w.operator, o.in_flight AS cap, o.rate, ours.operator IS NOT NULL AS ours, ours.others,
           ours.closed_at, ours.probe_at, ours.probe_youngest, ours.tokens, ours.tokens_at
      FROM wanting w
      JOIN operator o ON o.id = w.operator
      LEFT JOIN ours ON ours.operator = w.operator
     ORDER BY w.turn""")  # noqa: S608 - a constant

# Who died is forgotten when its calls must be over.
STORE_IN_FLIGHT = text(f"""
    WITH ours AS MATERIALIZED (
        SELECT c.operator FROM circuit c
          JOIN jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(operator int)
            ON r.operator = c.operator
           FOR NO KEY UPDATE OF c SKIP LOCKED)
    UPDATE circuit c
       SET in_flight = coalesce(
               (SELECT jsonb_object_agg(live.deliverer, live.value) FROM ({CALLS_IN_FLIGHT}) live
                 WHERE live.deliverer <> :deliverer),
               '{{}}')
               || CASE WHEN r.calls > 0
                       THEN jsonb_build_object(CAST(:deliverer AS text), jsonb_build_object(
                                'calls', r.calls, 'until', CAST(:until AS timestamptz)))
                       ELSE '{{}}' END,
           tokens = coalesce(r.tokens, c.tokens),
           tokens_at = CASE WHEN r.tokens IS NULL THEN c.tokens_at ELSE :now END,
           probe_at = CASE WHEN c.probe_at IS NOT NULL THEN coalesce(r.probe_at, c.probe_at) END
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
               operator int, calls int, tokens float8, probe_at timestamptz), ours
     WHERE c.operator = r.operator AND ours.operator = c.operator
 RETURNING c.operator""")  # noqa: S608 - a constant


@dataclass(frozen=True, slots=True)
class InFlightCount:
    """What a deliverer has in flight at an operator, after its claim."""

    operator: int
    calls: int
    tokens: float | None = None  # left of the rate's bucket; None: as before
    probe_at: datetime | None = None  # the next probe may go then, unless this one is recorded


@dataclass(frozen=True, slots=True)
class LockedCircuits:
    """Gates that are ours until the transaction ends. *busy*: others were in somebody's hands.

    *last*: the last operator that was looked at; with *full*, there may be more behind it.
    """

    ours: Sequence[PartnerLimits]
    busy: bool
    last: int | None
    full: bool


def lock_circuits(
    connection: Connection,
    *,
    deliverer: str,
    operators: Sequence[int],
    most: int,
    now: datetime,
    create_age_max: timedelta,
) -> LockedCircuits:
    """Lock the gates of the first *most* of *operators* that have something to claim.

    Costs O(operators + what is in flight), whatever waits.
    """
    if not operators or most <= 0:
        return LockedCircuits((), busy=False, last=None, full=False)
    rows = connection.execute(
        LOCK_CIRCUITS,
        {
            "operators": list(operators),
            "most": most,
            "deliverer": deliverer,
            "now": now,
            "born_after": now - create_age_max,
        },
    ).all()
    ours = [
        PartnerLimits(
            operator=row.operator,
            cap=row.cap,
            rate=row.rate,
            others=row.others,
            closed_at=row.closed_at,
            probe_at=row.probe_at,
            probe_youngest=row.probe_youngest,
            tokens=row.tokens,
            tokens_at=row.tokens_at,
        )
        for row in rows
        if row.ours
    ]
    last = rows[-1].operator if rows else None
    return LockedCircuits(ours, busy=len(ours) < len(rows), last=last, full=len(rows) == most)


def store_in_flight(
    connection: Connection,
    counted: Collection[InFlightCount],
    *,
    deliverer: str,
    now: datetime,
    until: datetime,
) -> set[int]:
    """Write down what the deliverer has in flight, over by *until*; of which operators it was.

    A gate that somebody else is passing keeps the old count for now.
    """
    if not counted:
        return set()
    rows = [
        {
            "operator": one.operator,
            "calls": one.calls,
            "tokens": one.tokens,
            "probe_at": one.probe_at,
        }
        for one in counted
    ]
    written = connection.execute(
        STORE_IN_FLIGHT,
        {"rows": to_json(rows).decode(), "deliverer": deliverer, "now": now, "until": until},
    )
    return set(written.scalars())
