"""Claim due notices with a lease; each operator for itself, heads only (rules 12, 14 and 19)."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final
from uuid import uuid4

from pydantic_core import to_json
from sqlalchemy import Connection, TextClause, text

from models.outbox.values import Claim
from models.vocabulary import Action

_NONE: Final[Mapping[int, datetime]] = MappingProxyType({})
_YOUNG: Final = 50  # among so many the youngest is looked for
_WAITING: Final = """n.operator = room.operator AND n.head AND n.ended IS NULL
                  AND (n.leased_until IS NULL OR n.leased_until <= :now)"""

# What counts towards the limit of a notice's attempts is its pauses: each until the next attempt
# was due, or was made, and without the time its operator's circuit was open. An attempt that comes
# late says that something was out of service, perhaps for all of the pause, so that pause does not
# count: the operator was disabled or had more than its rate allows, deliverers or servers were
# away. A notice that is always late comes to an end all the same: only so many of its pauses are
# left out. What does not count moves the start on.
_PAUSE_END: Final = "greatest(least(n.due_at, :now), n.postponed_at)"
_SERVED_FROM: Final = """CASE WHEN c.opened_at <= n.due_at
                THEN greatest(n.due_at, coalesce(c.closed_at, :now)) ELSE n.due_at END"""
_LATE: Final = "interval '1 minute'"
_LATE_TRIES_MAX: Final = 100
_COUNTED: Final = f"""
           CASE WHEN :now - {_SERVED_FROM} > {_LATE} AND n.tries < {_LATE_TRIES_MAX}
                THEN interval '0'
                WHEN c.opened_at < {_PAUSE_END}
                THEN ({_PAUSE_END} - n.postponed_at) - greatest(interval '0',
                         least({_PAUSE_END}, coalesce(c.closed_at, :now))
                         - greatest(n.postponed_at, c.opened_at))
                ELSE {_PAUSE_END} - n.postponed_at END"""

# Puts the lease on the ids that a CTE `chosen` found. They go through an array, because the planner
# cannot know how few they are and would rather join them with the whole table. A notice whose lease
# ran out may have been sent: its next claim marks it so.
_LEASE: Final = f"""
    UPDATE notice n
       SET lease = :lease, leased_until = :until, claims = n.claims + 1,
           perhaps_delivered = n.perhaps_delivered OR n.lease IS NOT NULL
      FROM ticket t, operator o LEFT JOIN circuit c ON c.operator = o.id
     WHERE n.id = ANY (ARRAY(SELECT id FROM chosen)) AND t.id = n.ticket AND o.id = n.operator
 RETURNING n.id, n.ticket, n.operator, o.code, t.ticket_id, n.action, n.generation, n.path, n.body,
           n.idempotency_key, n.claims, n.tries,
           n.first_tried_at + (:now - n.postponed_at) - {_COUNTED} AS first_tried_at,
           n.perhaps_delivered"""  # noqa: S608 - constants of this module

# MATERIALIZED: under an unlucky plan the inner LIMIT would be asked again and again (E9). Create
# and reserve are claimed once, while they are young (rule 10). What waits for a later time, and was
# told to before the circuit closed, is due too; it takes the room that is left, by an index of its
# own: nothing has to be written to a million rows when a circuit closes.
CLAIM = text(f"""
    WITH room AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(CAST(:room AS jsonb))
                   AS room(operator int, free int, released timestamptz)),
    due AS MATERIALIZED (
        SELECT room.operator, head.id
          FROM room CROSS JOIN LATERAL (
               SELECT n.id FROM notice n
                WHERE {_WAITING} AND n.due_at <= :now
                  AND (n.action NOT IN ('ticket_create', 'ticket_reserve')
                       OR (n.claims = 0 AND n.created_at > :born_after))
                ORDER BY n.due_at LIMIT room.free
                  FOR NO KEY UPDATE SKIP LOCKED) head),
    released AS MATERIALIZED (
        SELECT head.id
          FROM room CROSS JOIN LATERAL (
               SELECT n.id FROM notice n
                WHERE {_WAITING} AND n.postponed_at < room.released AND n.due_at > :now
                  AND (n.quiet_until IS NULL OR n.quiet_until <= :now)
                ORDER BY n.postponed_at
                LIMIT room.free - (SELECT count(*) FROM due d WHERE d.operator = room.operator)
                  FOR NO KEY UPDATE SKIP LOCKED) head),
    chosen AS (SELECT id FROM due UNION ALL SELECT id FROM released)
    {_LEASE}""")  # noqa: S608 - constants of this module

# One of each operator: what has waited longest, due or not; for the youngest, the last to be due,
# rather one that was never put off. Never a create or reserve, which cannot wait (rule 10).
PROBE = text(f"""
    WITH found AS MATERIALIZED (
        SELECT oldest.id
          FROM jsonb_to_recordset(CAST(:room AS jsonb)) AS room(operator int, youngest bool)
         CROSS JOIN LATERAL (
               SELECT one.id FROM (
                   (SELECT n.id, n.due_at AS since FROM notice n
                     WHERE {_WAITING} AND n.due_at <= :now AND NOT room.youngest
                       AND n.action NOT IN ('ticket_create', 'ticket_reserve')
                     ORDER BY n.due_at LIMIT 1)
                   UNION ALL
                   (SELECT n.id, n.postponed_at FROM notice n
                     WHERE {_WAITING} AND n.postponed_at IS NOT NULL AND NOT room.youngest
                       AND (n.quiet_until IS NULL OR n.quiet_until <= :now)
                     ORDER BY n.postponed_at LIMIT 1)
                   UNION ALL
                   (SELECT late.id, late.due_at FROM (
                       SELECT n.id, n.due_at, n.postponed_at FROM notice n
                        WHERE {_WAITING} AND n.due_at <= :now AND room.youngest
                          AND n.action NOT IN ('ticket_create', 'ticket_reserve')
                        ORDER BY n.due_at DESC LIMIT {_YOUNG}) late
                     ORDER BY late.postponed_at IS NOT NULL, late.due_at DESC LIMIT 1)) one
                ORDER BY one.since LIMIT 1) oldest),
    chosen AS MATERIALIZED (
        SELECT n.id FROM notice n
         WHERE n.id = ANY (ARRAY(SELECT id FROM found)) AND n.ended IS NULL
           AND (n.leased_until IS NULL OR n.leased_until <= :now)
           FOR NO KEY UPDATE SKIP LOCKED)
    {_LEASE}""")  # noqa: S608 - constants of this module

# Each with its own token: one notice may have been lost and claimed again by ourselves. Locked in
# one order, as recording does.
RELEASE = text("""
    WITH ours AS MATERIALIZED (
        SELECT n.id
          FROM unnest(CAST(:ids AS bigint[]), CAST(:leases AS uuid[])) AS held(id, lease)
          JOIN notice n ON n.id = held.id AND n.lease = held.lease
         ORDER BY n.id FOR NO KEY UPDATE OF n)
    UPDATE notice n SET lease = NULL, leased_until = NULL, claims = n.claims - 1
      FROM ours WHERE n.id = ours.id""")


def claim(
    connection: Connection,
    *,
    now: datetime,
    lease: timedelta,
    room: Mapping[int, int],
    create_age_max: timedelta,
    released: Mapping[int, datetime] = _NONE,
) -> list[Claim]:
    """Lease due notices, at most *room[operator]* of each operator, until *now* + *lease*.

    What was postponed before *released[operator]*, when its circuit closed, is due as well. Costs
    O(what it returns + what is in flight), whatever waits behind the heads or for its time.
    """
    free = [
        {"operator": operator, "free": count, "released": released.get(operator)}
        for operator, count in room.items()
        if count > 0
    ]
    more = {"born_after": now - create_age_max}
    return _leased(connection, CLAIM, free, more, now=now, lease=lease)


def claim_probes(
    connection: Connection, *, now: datetime, lease: timedelta, youngest: Mapping[int, bool]
) -> list[Claim]:
    """Lease one notice of each operator in *youngest*: its oldest, or its youngest one."""
    rows = [{"operator": operator, "youngest": end} for operator, end in youngest.items()]
    return _leased(connection, PROBE, rows, {}, now=now, lease=lease)


def _leased(
    connection: Connection,
    statement: TextClause,
    room: Sequence[Mapping[str, object]],
    more: Mapping[str, object],
    *,
    now: datetime,
    lease: timedelta,
) -> list[Claim]:
    if not room:
        return []
    token = uuid4()
    rows = connection.execute(
        statement,
        {
            "room": to_json(room).decode(),
            "now": now,
            "until": now + lease,
            "lease": token,
            **more,
        },
    ).all()
    return [  # the columns come in the order of the fields
        Claim(*(*row[:5], Action(row[5]), *row[6:-1], now, token, row.perhaps_delivered))
        for row in rows
    ]


def release(connection: Connection, claims: Sequence[Claim]) -> None:
    """Give back what was claimed but never started; no attempt is used up."""
    if claims:
        held = {"ids": [one.notice for one in claims], "leases": [one.lease for one in claims]}
        connection.execute(RELEASE, held)
