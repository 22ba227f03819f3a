"""Lock tickets in one order and load them (rules 1, 19 and 20)."""

import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from models.events.event import Event
from models.events.stored import stored_data_problem
from models.lifecycle.advance import PendingEvent
from models.lifecycle.ticket import Terms, TicketState
from models.vocabulary import Action, Reason, Result, Status

TERMS = text("""
    SELECT id, code, protocol, announces_tickets, close_delay, agent, lottery_ticket
      FROM operator WHERE code = ANY(:codes)""")

# Missing tickets are made first, in key order, and only then are all locked in one order: "lock
# what is there, insert the rest, lock that" deadlocks (protocol E5).
MAKE_ABSENT = text("""
    INSERT INTO ticket (operator, ticket_id, created_at, changed_at)
    SELECT key.operator, key.ticket_id, :now, :now
      FROM jsonb_to_recordset(CAST(:keys AS jsonb)) AS key(operator int, ticket_id text)
     ORDER BY key.operator, key.ticket_id COLLATE "C"
        ON CONFLICT (operator, ticket_id) DO NOTHING""")

# NO KEY: an insert that refers to the ticket need not wait (protocol E8).
_COLUMNS = """
    t.id, t.operator, t.ticket_id, t.status, t.result, t.generation, t.settled_at, t.amounts,
    t.amended_at, t.close_due_at, t.parked, t.sequence, t.notices, t.unfinished,
    t.held_until, t.untold, t.in_doubt, t.cancelled_by, t.draw, o.code, o.protocol,
    o.announces_tickets, o.close_delay, o.agent, o.lottery_ticket,
    t.details ->> 'currency' AS opened_in,
    CASE WHEN o.protocol = 'seamless' THEN t.details END AS details"""
# OFFSET 0 keeps the operator out of the search for the ticket: on a table that is still small, the
# planner would go through all tickets of the key's operator instead.
LOCK_BY_KEY = text(f"""
    SELECT {_COLUMNS}
      FROM jsonb_to_recordset(CAST(:keys AS jsonb)) AS key(operator int, ticket_id text)
      JOIN ticket t ON t.operator = key.operator AND t.ticket_id = key.ticket_id
     CROSS JOIN LATERAL (SELECT * FROM operator WHERE id = t.operator OFFSET 0) o
     ORDER BY t.id FOR NO KEY UPDATE OF t""")  # noqa: S608 - a constant list of columns
LOCK_BY_ID = text(f"""
    SELECT {_COLUMNS}
      FROM ticket t JOIN operator o ON o.id = t.operator
     WHERE t.id = ANY(:ids)
     ORDER BY t.id FOR NO KEY UPDATE OF t""")  # noqa: S608 - a constant list of columns

PARKED = text("""
    SELECT ticket, event_id, arrival, action, data, occurred_at, order_time, received_at,
           sequence, entry_id, park_until, reason
      FROM ticket_event WHERE ticket = ANY(:tickets) AND outcome = 'parked'""")

Key = tuple[int, str]


def terms_of(connection: Connection, codes: Iterable[str]) -> dict[str, Terms]:
    """The operators among *codes* that are known."""
    rows = connection.execute(TERMS, {"codes": sorted(set(codes))})
    return {row.code: Terms(*row) for row in rows}


def lock_by_key(
    connection: Connection, keys: Iterable[Key], *, now: datetime
) -> dict[Key, TicketState]:
    """The tickets of *keys*, locked until the transaction ends; missing ones are made `absent`."""
    listed = json.dumps([{"operator": key[0], "ticket_id": key[1]} for key in sorted(set(keys))])
    connection.execute(MAKE_ABSENT, {"keys": listed, "now": now})
    rows = connection.execute(LOCK_BY_KEY, {"keys": listed})
    return {(row.operator, row.ticket_id): _state(row) for row in rows}


def lock_by_id(connection: Connection, ids: Iterable[int]) -> dict[int, TicketState]:
    """The tickets of *ids*, locked until the transaction ends."""
    rows = connection.execute(LOCK_BY_ID, {"ids": sorted(set(ids))})
    return {row.id: _state(row) for row in rows}


def parked_of(
    connection: Connection, tickets: Iterable[TicketState]
) -> defaultdict[int, list[PendingEvent]]:
    """The parked events by ticket; asks only for tickets that say they have some (rule 20)."""
    having = {ticket.id: ticket for ticket in tickets if ticket.parked}
    found: defaultdict[int, list[PendingEvent]] = defaultdict(list)
    if having:
        for row in connection.execute(PARKED, {"tickets": sorted(having)}):
            found[row.ticket].append(waiting(row, having[row.ticket]))
    return found


def waiting(row: Row[Any], ticket: TicketState) -> PendingEvent:
    """The event of a row of the log, with the columns that `PARKED` names."""
    damage = stored_data_problem(row.data)
    event = Event(
        event_id=row.event_id,
        action=Action(row.action),
        operator=ticket.terms.code,
        ticket_id=ticket.ticket_id,
        data=row.data if damage is None else {},
        occurred_at=row.occurred_at,
        order_time=row.order_time,
        received_at=row.received_at,
        sequence=row.sequence,
        entry_id=row.entry_id,
    )
    return PendingEvent(event, row.arrival, row.park_until, Reason(row.reason), damage)


def _state(row: Row[Any]) -> TicketState:
    return TicketState(
        id=row.id,
        ticket_id=row.ticket_id,
        terms=Terms(
            row.operator,
            row.code,
            row.protocol,
            row.announces_tickets,
            row.close_delay,
            row.agent,
            row.lottery_ticket,
        ),
        status=Status(row.status),
        result=Result(row.result),
        generation=row.generation,
        settled_at=row.settled_at,
        amounts=row.amounts if isinstance(row.amounts, dict) else None,
        amended_at=row.amended_at,
        close_due_at=row.close_due_at,
        parked=row.parked,
        sequence=row.sequence,
        notices=row.notices,
        unfinished=row.unfinished,
        held_until=row.held_until,
        untold=row.untold,
        in_doubt=row.in_doubt,
        cancelled_by=row.cancelled_by,
        draw=row.draw,
        opened_in=row.opened_in,
        details=row.details if isinstance(row.details, dict) else {},
    )
