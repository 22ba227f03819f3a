"""Claim due notices with a lease; each operator for itself, heads only (rules 12, 14 and 19)."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import uuid4

from pydantic_core import to_json
from sqlalchemy import Connection, text

from models.lifecycle.words import Action
from models.outbox.values import Claim, Partner

PARTNERS = text("""
    SELECT id, code, protocol, url, secret, agent, rate, in_flight
      FROM operator WHERE disabled_at IS NULL ORDER BY id""")

# MATERIALIZED: under an unlucky plan the inner LIMIT would be asked again and again (E9). A notice
# whose lease ran out may have been sent: its next claim marks it so. Create and reserve are
# claimed once, while they are young (rule 10).
CLAIM = text("""
    WITH due AS MATERIALIZED (
        SELECT head.id
          FROM jsonb_to_recordset(CAST(:room AS jsonb)) AS room(operator int, free int)
         CROSS JOIN LATERAL (
               SELECT n.id FROM notice n
                WHERE n.operator = room.operator AND n.head AND n.ended IS NULL
                  AND n.due_at <= :now AND (n.leased_until IS NULL OR n.leased_until <= :now)
                  AND (n.action NOT IN ('ticket_create', 'ticket_reserve')
                       OR (n.claims = 0 AND n.created_at > :born_after))
                ORDER BY n.due_at LIMIT room.free
                  FOR NO KEY UPDATE SKIP LOCKED) head)
    UPDATE notice n
       SET lease = :lease, leased_until = :until, claims = n.claims + 1,
           perhaps_delivered = n.perhaps_delivered OR n.lease IS NOT NULL
      FROM due, ticket t, operator o
     WHERE n.id = due.id AND t.id = n.ticket AND o.id = n.operator
 RETURNING n.id, n.ticket, n.operator, o.code, t.ticket_id, n.action, n.generation, n.path, n.body,
           n.claims, n.tries, n.first_tried_at""")

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

# The head of each operator's queue; those under a lease are somebody's already.
NEXT_DUE = text("""
    SELECT min(head.due_at)
      FROM operator o
     CROSS JOIN LATERAL (
           SELECT greatest(n.due_at, n.leased_until) AS due_at FROM notice n
            WHERE n.operator = o.id AND n.head AND n.ended IS NULL
            ORDER BY n.due_at LIMIT 1) head
     WHERE o.disabled_at IS NULL""")


def partners(connection: Connection) -> list[Partner]:
    """The enabled operators. Notices of a disabled one are held."""
    return [Partner(*row) for row in connection.execute(PARTNERS)]


def claim(
    connection: Connection,
    *,
    now: datetime,
    lease: timedelta,
    room: Mapping[int, int],
    create_age_max: timedelta,
) -> list[Claim]:
    """Lease due notices, at most *room[operator]* of each operator, until *now* + *lease*.

    Costs O(what it returns + what is in flight), whatever waits behind the heads.
    """
    free = [{"operator": operator, "free": count} for operator, count in room.items() if count > 0]
    if not free:
        return []
    token = uuid4()
    rows = connection.execute(
        CLAIM,
        {
            "room": to_json(free).decode(),
            "now": now,
            "until": now + lease,
            "born_after": now - create_age_max,
            "lease": token,
        },
    )
    return [
        Claim(
            notice=row.id,
            ticket=row.ticket,
            operator=row.operator,
            operator_code=row.code,
            ticket_id=row.ticket_id,
            action=Action(row.action),
            generation=row.generation,
            path=row.path,
            body=row.body,
            number=row.claims,
            tries=row.tries,
            first_tried_at=row.first_tried_at,
            claimed_at=now,
            lease=token,
        )
        for row in rows
    ]


def release(connection: Connection, claims: Sequence[Claim]) -> None:
    """Give back what was claimed but never started; no attempt is used up."""
    if claims:
        held = {"ids": [one.notice for one in claims], "leases": [one.lease for one in claims]}
        connection.execute(RELEASE, held)


def next_due(connection: Connection) -> datetime | None:
    """When the next notice may be claimed; None: nothing waits for a time of its own."""
    moment: datetime | None = connection.execute(NEXT_DUE).scalar_one()
    return moment
