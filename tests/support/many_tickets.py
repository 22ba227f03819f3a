"""Many tickets at once, written straight into the tables: a partner is down."""

from datetime import datetime

from sqlalchemy import Connection, text

SICK, HEALTHY = 1, 2  # ids of the operators, in the order they were made
SICK_TICKETS = 20_000
HEALTHY_TICKETS = 200
NOTICES_EACH = 5  # a head, and what it holds back
PARKED_EVERY = 10  # one ticket in so many has a parked event

# What writes many rows that fit each other spares having the keys of each looked up.
UNCHECKED = text("SET LOCAL session_replication_role = replica")
TICKETS = text(f"""
    INSERT INTO ticket (operator, ticket_id, status, result, generation, notices, unfinished,
                        close_due_at, parked)
    SELECT CASE WHEN n <= {SICK_TICKETS} THEN {SICK} ELSE {HEALTHY} END, 'T' || n,
           'resulted', 'won', 1, {NOTICES_EACH}, {NOTICES_EACH},
           CAST(:now AS timestamptz) + n * interval '1 second',
           CASE n % {PARKED_EVERY} WHEN 0 THEN 1 ELSE 0 END
      FROM generate_series(1, {SICK_TICKETS + HEALTHY_TICKETS}) AS n""")  # noqa: S608 - numbers

EVENTS = text("""
    INSERT INTO ticket_event (ticket, event_id, action, order_time, received_at, outcome, reason,
                              status_before, status_after, decided_at, park_until)
    SELECT t.id, 'e' || k, 'ticket_lost', :now, :now,
           CASE WHEN k <= t.parked THEN 'parked' ELSE 'applied' END,
           CASE WHEN k <= t.parked THEN 'waits_for_rollback' END,
           'resulted/won', 'resulted/won', :now,
           CASE WHEN k <= t.parked
                THEN CAST(:now AS timestamptz) + t.id * interval '1 second' END
      FROM ticket t, generate_series(1, 2) AS k WHERE t.ticket_id LIKE 'T%'""")

# The sick one's heads are tried again in an hour, the healthy one's are due.
NOTICES = text(f"""
    INSERT INTO notice (ticket, operator, number, action, generation, body, head, due_at,
                        created_at)
    SELECT t.id, t.operator, k, 'ticket_update', k, '{{}}', k = 1,
           CAST(:now AS timestamptz)
           + CASE t.operator WHEN {SICK} THEN interval '1 hour' ELSE interval '-1 minute' END,
           :now
      FROM ticket t, generate_series(1, {NOTICES_EACH}) AS k
     WHERE t.ticket_id LIKE 'T%'""")  # noqa: S608 - numbers


def gather(connection: Connection, *, now: datetime) -> None:
    """Fill the tables inside the caller's transaction; the two operators are there already."""
    connection.execute(text("SET LOCAL statement_timeout = '5min'"))  # a busy machine needs it
    connection.execute(UNCHECKED)
    for statement in (TICKETS, EVENTS, NOTICES):
        connection.execute(statement, {"now": now})
    connection.execute(text("SET LOCAL session_replication_role = origin"))
