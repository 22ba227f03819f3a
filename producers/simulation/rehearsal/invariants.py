"""What every committed state of a rehearsal must satisfy, whatever happens next."""

from sqlalchemy import text

from producers.simulation.rehearsal.world import World

CLOSED_ON_HOLD = text("""
    SELECT ticket_id FROM ticket
     WHERE operator = ANY(:operators) AND closed_at > on_hold_at""")
# What every committed state must satisfy; each query finds violations.
INVARIANTS = {
    "a ticket's head is not its oldest unfinished notice": text("""
        SELECT t.ticket_id FROM ticket t
         WHERE t.operator = ANY(:operators)
           AND (SELECT array_agg(n.number) FROM notice n WHERE n.ticket = t.id AND n.head)
               IS DISTINCT FROM
               (SELECT array_agg(f.number) FROM (
                    SELECT number FROM notice n
                     WHERE n.ticket = t.id AND (n.ended IS NULL OR n.ended = 'dead')
                       AND t.on_hold_at IS NULL
                     ORDER BY number LIMIT 1) f)"""),
    "unfinished notices or parked events are miscounted": text("""
        SELECT t.ticket_id FROM ticket t
         WHERE t.operator = ANY(:operators)
           AND (t.unfinished <> (SELECT count(*) FROM notice n WHERE n.ticket = t.id
                                    AND (n.ended IS NULL OR n.ended = 'dead'))
             OR t.parked <> (SELECT count(*) FROM ticket_event e
                              WHERE e.ticket = t.id AND e.outcome = 'parked'))"""),
    "the closing delay runs too soon, or not after the delivery of the current result": text("""
        SELECT t.ticket_id FROM ticket t
         WHERE t.operator = ANY(:operators) AND t.status = 'resulted'
           AND (t.close_due_at IS NOT NULL) <> EXISTS (
                   SELECT FROM notice n WHERE n.ticket = t.id AND n.generation = t.generation
                      AND n.repeat = 0
                      AND n.action IN ('ticket_win', 'ticket_lost', 'ticket_void', 'ticket_refund')
                      AND n.ended IN ('delivered', 'not_wanted'))"""),
    "closed earlier than the delay after its result was delivered": text("""
        SELECT t.ticket_id FROM ticket t JOIN operator o ON o.id = t.operator
          JOIN notice n ON n.ticket = t.id AND n.generation = t.generation AND n.repeat = 0
           AND n.action IN ('ticket_win', 'ticket_lost', 'ticket_void', 'ticket_refund')
         WHERE t.operator = ANY(:operators) AND t.status = 'closed' AND o.ended_at IS NULL
           AND (n.ended IS NULL OR n.ended NOT IN ('delivered', 'not_wanted')
                OR t.closed_at < n.ended_at + o.close_delay)
           AND o.protocol = 'pam'"""),
    "a new ticket is on hold": text("""
        SELECT t.ticket_id FROM ticket t
         WHERE t.operator = ANY(:operators) AND t.on_hold_at IS NOT NULL AND t.status = 'new'"""),
    "closed while on hold": CLOSED_ON_HOLD,
    "removed, and opened again": text("""
        SELECT t.ticket_id FROM ticket t
          JOIN tombstone r ON r.operator = t.operator AND r.ticket_id = t.ticket_id
         WHERE t.operator = ANY(:operators)"""),
}
# All of them in one question, by their place: it is asked after each step of a history.
_EACH = tuple(INVARIANTS)
_BROKEN = text(
    " UNION ALL ".join(
        f"SELECT {place} AS broken, ticket_id FROM ({INVARIANTS[name].text}) rule{place}"  # noqa: S608 - constants
        for place, name in enumerate(_EACH)
    )
)
CLOSED_OVER_ROLLBACK = text("""
    SELECT t.ticket_id, o.code, e.entry_id, n.ended_at + o.close_delay AS due_at
      FROM ticket t JOIN operator o ON o.id = t.operator
      JOIN notice n ON n.ticket = t.id AND n.generation = t.generation AND n.repeat = 0
       AND n.action IN ('ticket_win', 'ticket_lost', 'ticket_void', 'ticket_refund')
      JOIN ticket_event e ON e.ticket = t.id
     WHERE t.operator = ANY(:operators) AND t.status = 'closed'
       AND e.action = 'ticket_rollback' AND e.reason = 'ticket_closed'""")


def broken_invariants(world: World) -> list[str]:
    """Return every invariant that the database violates now, with a ticket as evidence."""
    violations = list(world.wrong_claims)
    parameters = {"operators": list(world.operators)}
    with world.transaction() as connection:
        broken = connection.execute(_BROKEN, parameters).all()
        violations += [f"{row.ticket_id}: {_EACH[row.broken]}" for row in broken]
        for row in connection.execute(CLOSED_OVER_ROLLBACK, parameters):
            # Its real arrival counts, whatever its id says.
            released_at = world.released_at.get((row.code, row.ticket_id), row.due_at)
            if world.arrived_at[row.entry_id] < max(row.due_at, released_at):
                violations.append(
                    f"{row.ticket_id}: closed despite a rollback that arrived in time"
                )
    return violations


def closed_on_hold(world: World) -> list[str]:
    """Return the tickets that were closed while they were on hold."""
    with world.transaction() as connection:
        tickets = connection.execute(CLOSED_ON_HOLD, {"operators": list(world.operators)})
        return list(tickets.scalars())
