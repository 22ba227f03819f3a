"""Claim due notices under a lease, per operator and heads only (rule 12, rule 14, rule 19)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID, uuid4

from pydantic_core import to_json
from sqlalchemy import Connection, TextClause, text

from models.database.round_trip import RoundTrip
from models.notices.short_body import WHOLE_BODY
from models.outbox.values import Claim
from models.vocabulary import Action

_NONE_RELEASED: Final[Mapping[int, datetime]] = MappingProxyType({})
_YOUNGEST_OF: Final = 50  # among the notices that became due last
_WAITING: Final = """n.operator = room.operator AND n.head AND n.ended IS NULL
                  AND (n.leased_until IS NULL OR n.leased_until <= :now)"""

# The retry limit counts the pauses between a notice's attempts: each until the next attempt was
# due, or was made, without the time that the operator's circuit was open. A late attempt shows that
# something was out of service, perhaps for the whole pause, so that pause does not count: the
# operator was disabled or had more notices than its rate allows, deliverers or servers were down. A
# notice that is always late ends all the same, as only a limited number of its pauses is left out.
# `first_tried_at` moves on by the time that does not count.
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

# The lease covers the timeout of the calls to this partner. It is read with the lease and goes with
# the claim: a deliverer may know an older one, and a call must not outlast its lease (rule 14).
# Puts the lease on the ids in the CTE `candidate`. They go through an array, because the planner
# cannot know how few they are and would rather join them with the whole table. A notice whose lease
# ran out may have been sent: its next claim marks it so. A deliverer may not know yet that a
# partnership has ended: nothing is leased then (rule 24).
_LEASE: Final = f"""
    UPDATE notice n
       SET lease = :lease, claims = n.claims + 1,
           leased_until = :now + coalesce(o.timeout, :timeout) + :margin,
           perhaps_delivered = n.perhaps_delivered OR n.lease IS NOT NULL
      FROM ticket t, operator o LEFT JOIN circuit c ON c.operator = o.id
     WHERE n.id = ANY (ARRAY(SELECT id FROM candidate)) AND t.id = n.ticket AND o.id = n.operator
       AND o.ended_at IS NULL
 RETURNING n.id, n.ticket, n.operator, o.code AS operator_code, t.ticket_id, n.action, n.generation,
           n.path, {WHOLE_BODY} AS body, n.idempotency_key, n.claims, n.tries,
           n.first_tried_at + (:now - n.postponed_at) - {_COUNTED} AS first_tried_at,
           n.perhaps_delivered, n.repeat, o.timeout, n.traceparent"""  # noqa: S608 - constants of this module

# MATERIALIZED: under an unlucky plan the inner LIMIT would be evaluated many times (E9). Create and
# reserve are claimed once, while they are young (rule 10). A notice that was postponed before the
# circuit closed is due too. It takes the room that is left, by an index of its own: so nothing has
# to be written to a million rows when a circuit closes.
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
    candidate AS (SELECT id FROM due UNION ALL SELECT id FROM released)
    {_LEASE}""")  # noqa: S608 - constants of this module

# One notice of each operator: the one that has waited longest, due or not; where the youngest is
# wanted, the last that became due, preferably one that was never postponed. Never a create or
# reserve, which cannot wait (rule 10).
PROBE = text(f"""
    WITH probe AS MATERIALIZED (
        SELECT oldest.id
          FROM jsonb_to_recordset(CAST(:room AS jsonb)) AS room(operator int, youngest bool)
         CROSS JOIN LATERAL (
               SELECT ends.id FROM (
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
                   (SELECT newest.id, newest.due_at FROM (
                       SELECT n.id, n.due_at, n.postponed_at FROM notice n
                        WHERE {_WAITING} AND n.due_at <= :now AND room.youngest
                          AND n.action NOT IN ('ticket_create', 'ticket_reserve')
                        ORDER BY n.due_at DESC LIMIT {_YOUNGEST_OF}) newest
                     ORDER BY newest.postponed_at IS NOT NULL, newest.due_at DESC LIMIT 1)) ends
                ORDER BY ends.since LIMIT 1) oldest),
    candidate AS MATERIALIZED (
        SELECT n.id FROM notice n
         WHERE n.id = ANY (ARRAY(SELECT id FROM probe)) AND n.head AND n.ended IS NULL
           AND (n.leased_until IS NULL OR n.leased_until <= :now)
           FOR NO KEY UPDATE SKIP LOCKED)
    {_LEASE}""")  # noqa: S608 - constants of this module

# Each notice by its own token: this deliverer may have lost one and claimed it again. Locked in one
# order, as recording does.
RELEASE = text("""
    WITH held AS MATERIALIZED (
        SELECT n.id
          FROM unnest(CAST(:ids AS bigint[]), CAST(:leases AS uuid[])) AS claim(id, lease)
          JOIN notice n ON n.id = claim.id AND n.lease = claim.lease
         ORDER BY n.id FOR NO KEY UPDATE OF n)
    UPDATE notice n SET lease = NULL, leased_until = NULL, claims = n.claims - 1
      FROM held WHERE n.id = held.id""")


@dataclass(frozen=True, slots=True)
class LeaseTerms:
    """How long a lease is: the partner's own timeout or else *timeout*, and *margin*."""

    timeout: timedelta
    margin: timedelta


def claim(
    connection: Connection,
    *,
    now: datetime,
    lease: LeaseTerms,
    room: Mapping[int, int],
    create_age_max: timedelta,
    released: Mapping[int, datetime] = _NONE_RELEASED,
) -> list[Claim]:
    """Lease due notices, at most *room[operator]* of each operator.

    A notice that was postponed before *released[operator]*, when its circuit closed, is due too.
    Costs O(notices returned + in flight), however many wait behind the heads or for their time.
    """
    rooms = [
        {"operator": operator, "free": free, "released": released.get(operator)}
        for operator, free in room.items()
        if free > 0
    ]
    more = {"born_after": now - create_age_max}
    return _lease(connection, CLAIM, rooms, more, now=now, lease=lease)


def claim_probes(
    connection: Connection, *, now: datetime, lease: LeaseTerms, youngest: Mapping[int, bool]
) -> list[Claim]:
    """Lease one notice of each operator in *youngest*: its oldest, or its youngest one."""
    rooms = [{"operator": operator, "youngest": end} for operator, end in youngest.items()]
    return _lease(connection, PROBE, rooms, {}, now=now, lease=lease)


def _lease(
    connection: Connection,
    statement: TextClause,
    rooms: Sequence[Mapping[str, object]],
    more: Mapping[str, object],
    *,
    now: datetime,
    lease: LeaseTerms,
) -> list[Claim]:
    if not rooms:
        return []
    token = uuid4()
    trip = RoundTrip(connection)
    leased = trip.ask(
        statement,
        {
            "room": to_json(rooms).decode(),
            "now": now,
            "timeout": lease.timeout,
            "margin": lease.margin,
            "lease": token,
            **more,
        },
    )
    trip.run()
    return _claims(leased.rows, now=now, token=token)


def _claims(rows: Sequence[Sequence[Any]], *, now: datetime, token: UUID) -> list[Claim]:
    """Make the claims; unpacked in one step, since reading each column costs 4 µs a notice."""
    return [
        Claim(
            notice=notice,
            ticket=ticket,
            operator=operator,
            operator_code=operator_code,
            ticket_id=ticket_id,
            action=Action(action),
            generation=generation,
            path=path,
            body=body,
            stored_key=stored_key,
            number=number,
            tries=tries,
            first_tried_at=first_tried_at,
            claimed_at=now,
            lease=token,
            perhaps_delivered=perhaps_delivered,
            repeat=repeat,
            timeout=timeout,
            traceparent=traceparent,
        )
        for (
            notice,
            ticket,
            operator,
            operator_code,
            ticket_id,
            action,
            generation,
            path,
            body,
            stored_key,
            number,
            tries,
            first_tried_at,
            perhaps_delivered,
            repeat,
            timeout,
            traceparent,
        ) in rows
    ]


def release(connection: Connection, claims: Sequence[Claim]) -> None:
    """Release claimed notices whose calls were never started; no attempt is used up."""
    if claims:
        tokens = {
            "ids": [claim.notice for claim in claims],
            "leases": [claim.lease for claim in claims],
        }
        connection.execute(RELEASE, tokens)
