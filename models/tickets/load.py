"""Finds, locks and loads tickets, in one order, with their parked events (rules 1, 19 and 20)."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from pydantic_core import to_json
from sqlalchemy import Connection, Row, text

from models.events.event import Event
from models.events.stored import stored_data_problem
from models.lifecycle.advance import PendingEvent
from models.lifecycle.ticket import Terms, TicketState
from models.tickets.row import SELECTED, TERMS_OF_OPERATOR, state_of_row, terms_of_row
from models.tickets.tombstones import RemovedTicket, TicketKey, removed_among, removed_of_row
from models.vocabulary import Action, Reason

TERMS = text(f"SELECT {TERMS_OF_OPERATOR} FROM operator WHERE code = ANY(:codes)")  # noqa: S608 - a constant list of columns

# Without a lock: a ticket that is found is locked later, one that is not may exist by then. With
# the first OFFSET 0 only keys without a ticket are looked for among those that were removed, with
# the second by their key, however small that table still is.
NEW = text("""
    SELECT key.operator, key.ticket_id, r.ended_at, r.erased,
           CASE WHEN r.ended_at IS NULL THEN nextval('ticket_id_seq') END AS id
      FROM (SELECT k.operator, k.ticket_id
              FROM jsonb_to_recordset(CAST(:keys AS jsonb)) AS k(operator int, ticket_id text)
             WHERE NOT EXISTS (SELECT FROM ticket t
                                WHERE t.operator = k.operator AND t.ticket_id = k.ticket_id)
            OFFSET 0) key
      LEFT JOIN LATERAL (SELECT ended_at, erased FROM tombstone
                          WHERE operator = key.operator AND ticket_id = key.ticket_id
                         OFFSET 0) r ON true""")

# Missing tickets are inserted first, in key order, and only then are all locked in one order:
# "lock those that exist, insert the rest, lock these" deadlocks (E5).
INSERT_ABSENT = text("""
    INSERT INTO ticket (operator, ticket_id, created_at, changed_at)
    SELECT key.operator, key.ticket_id, :now, :now
      FROM jsonb_to_recordset(CAST(:keys AS jsonb)) AS key(operator int, ticket_id text)
     ORDER BY key.operator, key.ticket_id COLLATE "C"
        ON CONFLICT (operator, ticket_id) DO NOTHING
 RETURNING operator, ticket_id""")
DELETE = text("DELETE FROM ticket WHERE id = ANY(:ids)")

# NO KEY: an insert that refers to the ticket need not wait (E8).
# OFFSET 0 keeps the operator out of the search for the ticket: on a table that is still small, the
# planner would go through all tickets of the key's operator instead.
LOCK_BY_KEY = text(f"""
    SELECT {SELECTED}
      FROM jsonb_to_recordset(CAST(:keys AS jsonb)) AS key(operator int, ticket_id text)
      JOIN ticket t ON t.operator = key.operator AND t.ticket_id = key.ticket_id
     CROSS JOIN LATERAL (SELECT * FROM operator WHERE id = t.operator OFFSET 0) o
     ORDER BY t.id FOR NO KEY UPDATE OF t""")  # noqa: S608 - a constant list of columns
LOCK_BY_ID = text(f"""
    SELECT {SELECTED}
      FROM ticket t JOIN operator o ON o.id = t.operator
     WHERE t.id = ANY(:ids)
     ORDER BY t.id FOR NO KEY UPDATE OF t""")  # noqa: S608 - a constant list of columns

PARKED = text("""
    SELECT ticket, event_id, arrival, action, data, occurred_at, order_time, received_at,
           sequence, entry_id, park_until, reason, traceparent
      FROM ticket_event WHERE ticket = ANY(:tickets) AND outcome = 'parked'""")


def terms_of(connection: Connection, codes: Iterable[str]) -> dict[str, Terms]:
    """Return the terms of those operators among *codes* that exist."""
    rows = connection.execute(TERMS, {"codes": sorted(set(codes))})
    return {row.code: terms_of_row(row) for row in rows}


class UnknownTickets(NamedTuple):
    """Tickets that have no row: *new* ones with the ids they are to get, and those removed."""

    new: dict[TicketKey, int]
    removed: dict[TicketKey, RemovedTicket]


def unknown_among(connection: Connection, keys: Iterable[TicketKey]) -> UnknownTickets:
    """Return those of *keys* that have no ticket: yet, or any more (rule 29)."""
    unknown = UnknownTickets({}, {})
    for row in connection.execute(NEW, {"keys": _as_json(keys)}):
        key = (row.operator, row.ticket_id)
        if row.id is not None:
            unknown.new[key] = row.id
        else:
            unknown.removed[key] = removed_of_row(row)
    return unknown


def _as_json(keys: Iterable[TicketKey]) -> str:
    """Return *keys* as the parameter of a statement, sorted."""
    return to_json(
        [
            {"operator": operator, "ticket_id": ticket_id}
            for operator, ticket_id in sorted(set(keys))
        ]
    ).decode()


class LockedTickets(NamedTuple):
    """Tickets that are locked, and those among the wanted ones that were removed."""

    tickets: dict[TicketKey, TicketState]
    removed: dict[TicketKey, RemovedTicket]


def lock_by_key(
    connection: Connection, keys: Iterable[TicketKey], *, now: datetime
) -> LockedTickets:
    """Lock the tickets of *keys* until the transaction ends; inserts missing ones as `absent`.

    One that was removed is neither locked nor inserted, also if that was only a moment ago: what is
    inserted here or has gone while it was waited for is looked up after the lock (rule 20).
    """
    locked = LockedTickets({}, {})
    missing = set(keys)
    while missing:
        listed = _as_json(missing)
        inserted = {
            (row.operator, row.ticket_id)
            for row in connection.execute(INSERT_ABSENT, {"keys": listed, "now": now})
        }
        rows = connection.execute(LOCK_BY_KEY, {"keys": listed})
        tickets = {(row.operator, row.ticket_id): state_of_row(row) for row in rows}
        doubtful = inserted | (missing - tickets.keys())
        removed = removed_among(connection, _as_json(doubtful)) if doubtful else {}
        if opened_again := [tickets.pop(key).id for key in removed if key in tickets]:
            connection.execute(DELETE, {"ids": opened_again})
        locked.tickets.update(tickets)
        locked.removed.update(removed)
        # One that nothing had opened may have been removed in between: it begins again.
        missing -= tickets.keys() | removed.keys()
    return locked


def lock_by_id(connection: Connection, ids: Iterable[int]) -> dict[int, TicketState]:
    """Lock the tickets of *ids* until the transaction ends."""
    rows = connection.execute(LOCK_BY_ID, {"ids": sorted(set(ids))})
    return {row.id: state_of_row(row) for row in rows}


def parked_of(
    connection: Connection, tickets: Iterable[TicketState]
) -> defaultdict[int, list[PendingEvent]]:
    """Return the parked events by ticket; reads only if a ticket counts some (rule 20)."""
    with_parked = {ticket.id: ticket for ticket in tickets if ticket.parked}
    parked: defaultdict[int, list[PendingEvent]] = defaultdict(list)
    if with_parked:
        for row in connection.execute(PARKED, {"tickets": sorted(with_parked)}):
            parked[row.ticket].append(pending_event(row, with_parked[row.ticket]))
    return parked


def pending_event(row: Row[Any], ticket: TicketState) -> PendingEvent:
    """Return the event in a row of the event log, with the columns that `PARKED` names."""
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
        traceparent=row.traceparent,
    )
    return PendingEvent(event, row.arrival, row.park_until, Reason(row.reason), damage)
