"""Finds, locks and loads tickets, in one order, with their parked events (rules 1, 19 and 20)."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, text

from models.database.round_trip import Answer, RoundTrip
from models.events.event import Event
from models.events.stored import stored_data_problem
from models.lifecycle.advance import PendingEvent
from models.lifecycle.ticket import Terms, TicketState
from models.tickets.row import SELECTED, TERMS_OF_OPERATOR, array, states_of_rows, terms_of_row
from models.tickets.tombstones import RemovedTicket, TicketKey, removed_among
from models.vocabulary import Action, Reason

# From the planner the arrays' sizes are hidden: one who knows of one key, where there might be ten,
# takes a plan made for it to be better than a general one, and plans each time for longer than
# looking up takes.
_CODES: Final = "CAST((SELECT CAST(:codes AS text[])) AS text[])"
TERMS = text(f"SELECT {TERMS_OF_OPERATOR} FROM operator WHERE code = ANY({_CODES})")  # noqa: S608 - a constant list of columns
TERMS_BY_ID = text(f"SELECT {TERMS_OF_OPERATOR} FROM operator WHERE id = ANY(:ids)")  # noqa: S608 - a constant list of columns
_KEY: Final = """unnest(CAST(:operators AS int[]), CAST(:ticket_ids AS text[]))
                      AS key(operator, ticket_id)"""

# Without a lock: a ticket that is found is locked later, one that is not may exist by then. Keys as
# events name them, so that nothing has to be read before: where each draw has a ticket of its own
# (H11), that one is looked up. With the first OFFSET 0 only keys without a ticket are looked for
# among those that were removed, with the second by their key, however small that table still is.
FIND = text(f"""
    SELECT k.operator, k.ticket_id, k.known, r.ended_at, r.erased,
           CASE WHEN k.known IS NULL AND r.ended_at IS NULL
                THEN nextval('ticket_id_seq') END AS new
      FROM (SELECT key.operator, key.ticket_id, t.id AS known
              FROM (SELECT o.id AS operator,
                           CASE WHEN o.lottery_ticket = 'ticket+draw' THEN named.of_draw
                                ELSE named.ticket_id END AS ticket_id
                      FROM unnest({_CODES},
                                  CAST((SELECT CAST(:ticket_ids AS text[])) AS text[]),
                                  CAST((SELECT CAST(:of_draws AS text[])) AS text[]))
                               AS named(code, ticket_id, of_draw)
                      JOIN operator o ON o.code = named.code
                    OFFSET 0) key
              LEFT JOIN ticket t ON t.operator = key.operator AND t.ticket_id = key.ticket_id
            OFFSET 0) k
      LEFT JOIN LATERAL (SELECT ended_at, erased FROM tombstone
                          WHERE k.known IS NULL
                            AND operator = k.operator AND ticket_id = k.ticket_id
                         OFFSET 0) r ON true""")  # noqa: S608 - constants of this module

# Missing tickets are inserted first, in key order, and only then are all locked in one order:
# "lock those that exist, insert the rest, lock these" deadlocks (E5).
INSERT_ABSENT = text(f"""
    INSERT INTO ticket (operator, ticket_id, created_at, changed_at)
    SELECT key.operator, key.ticket_id, :now, :now
      FROM {_KEY}
     ORDER BY key.operator, key.ticket_id COLLATE "C"
        ON CONFLICT (operator, ticket_id) DO NOTHING
 RETURNING operator, ticket_id""")  # noqa: S608 - constants of this module
DELETE = text("DELETE FROM ticket WHERE id = ANY(:ids)")

# NO KEY: an insert that refers to the ticket need not wait (E8).
LOCK_BY_KEY = text(f"""
    SELECT {SELECTED}
      FROM {_KEY}
      JOIN ticket t ON t.operator = key.operator AND t.ticket_id = key.ticket_id
     ORDER BY t.id FOR NO KEY UPDATE OF t""")  # noqa: S608 - a constant list of columns
LOCK_BY_ID = text(f"""
    SELECT {SELECTED} FROM ticket t WHERE t.id = ANY(:ids)
     ORDER BY t.id FOR NO KEY UPDATE""")  # noqa: S608 - a constant list of columns
DETAILS = text("SELECT id, details FROM ticket WHERE id = ANY(:ids)")

PARKED = text("""
    SELECT ticket, event_id, arrival, action, data, occurred_at, order_time, received_at,
           sequence, entry_id, park_until, reason, traceparent
      FROM ticket_event WHERE ticket = ANY(:tickets) AND outcome = 'parked'""")


def terms_of(connection: Connection, codes: Iterable[str]) -> dict[str, Terms]:
    """Return the terms of those operators among *codes* that exist."""
    rows = connection.execute(TERMS, {"codes": sorted(set(codes))})
    return {row.code: terms_of_row(row) for row in rows}


class FoundTickets(NamedTuple):
    """Tickets by their keys: *new* ones with the ids they are to get, *known* ones with theirs."""

    new: dict[TicketKey, int]
    known: dict[TicketKey, int]
    removed: dict[TicketKey, RemovedTicket]


NamedTicket = tuple[str, str, str]
"""A ticket as an event names it: its operator's code, its id, and the id of its draw's ticket."""


@dataclass(frozen=True, slots=True)
class LookUp:
    """What was asked about operators and tickets, to be read once its trip was run."""

    _terms: Answer
    _found: Answer

    @classmethod
    def of(cls, trip: RoundTrip, names: Iterable[NamedTicket]) -> "LookUp":
        """Ask within *trip* for the terms of the operators, and for the tickets without a lock.

        Those of an operator that does not exist are not looked up.
        """
        ordered = sorted(set(names))
        codes, ticket_ids, of_draws = zip(*ordered, strict=True) if ordered else ((), (), ())
        keys = {"codes": array(codes), "ticket_ids": array(ticket_ids), "of_draws": array(of_draws)}
        return cls(trip.ask(TERMS, {"codes": sorted(set(codes))}), trip.ask(FIND, keys))

    def terms(self) -> dict[str, Terms]:
        """Return the terms of the operators that exist, by their codes. Once."""
        return {row.code: terms_of_row(row) for row in self._terms.named_rows}

    def tickets(self) -> FoundTickets:
        """Return the tickets: some are new, some were removed (rule 29). Once."""
        tickets = FoundTickets({}, {}, {})
        for operator, ticket_id, known, ended_at, erased, new in self._found.rows:
            key = (operator, ticket_id)
            if known is not None:
                tickets.known[key] = known
            elif new is not None:
                tickets.new[key] = new
            else:
                tickets.removed[key] = RemovedTicket(ended_at, bool(erased))
        return tickets


def _parameters(keys: Iterable[TicketKey]) -> dict[str, str]:
    """Return *keys*, sorted, as the parameters of a statement."""
    ordered = sorted(set(keys))
    return {
        "operators": array(operator for operator, _ in ordered),
        "ticket_ids": array(ticket_id for _, ticket_id in ordered),
    }


class LockedTickets(NamedTuple):
    """Tickets that are locked, and those among the wanted ones that were removed."""

    tickets: dict[TicketKey, TicketState]
    removed: dict[TicketKey, RemovedTicket]


def lock_known(
    connection: Connection, known: Mapping[TicketKey, int], *, now: datetime
) -> LockedTickets:
    """Lock tickets that were found a moment ago, by their ids, until the transaction ends.

    One that has been removed since is treated as by `lock_by_key`.
    """
    tickets = lock_by_id(connection, known.values())
    locked = LockedTickets({key: tickets[id_] for key, id_ in known.items() if id_ in tickets}, {})
    if gone := known.keys() - locked.tickets.keys():
        again = lock_by_key(connection, gone, now=now)
        locked.tickets.update(again.tickets)
        locked.removed.update(again.removed)
    return locked


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
        listed = _parameters(missing)
        inserted = {
            (row.operator, row.ticket_id)
            for row in connection.execute(INSERT_ABSENT, {**listed, "now": now})
        }
        rows = connection.execute(LOCK_BY_KEY, listed).all()
        states = _states(connection, rows)
        tickets = {(state.terms.operator, state.ticket_id): state for state in states.values()}
        doubtful = inserted | (missing - tickets.keys())
        removed = removed_among(connection, _parameters(doubtful)) if doubtful else {}
        if opened_again := [tickets.pop(key).id for key in removed if key in tickets]:
            connection.execute(DELETE, {"ids": opened_again})
        locked.tickets.update(tickets)
        locked.removed.update(removed)
        # One that nothing had opened may have been removed in between: it begins again.
        missing -= tickets.keys() | removed.keys()
    return locked


def lock_by_id(connection: Connection, ids: Iterable[int]) -> dict[int, TicketState]:
    """Lock the tickets of *ids* until the transaction ends."""
    rows = connection.execute(LOCK_BY_ID, {"ids": sorted(set(ids))}).all()
    return _states(connection, rows)


def _states(connection: Connection, rows: Sequence[Sequence[Any]]) -> dict[int, TicketState]:
    """Return the tickets in *rows*, which are locked, with the terms of their operators.

    These are read once for each operator, after the lock (rule 20).
    """
    if not rows:
        return {}
    operators = connection.execute(TERMS_BY_ID, {"ids": sorted({row[0] for row in rows})})
    terms = {row.operator: terms_of_row(row) for row in operators}
    of_wallets = [row[1] for row in rows if terms[row[0]].protocol == "seamless"]
    details = _details_of(connection, of_wallets) if of_wallets else {}
    return states_of_rows(rows, terms, details)


def _details_of(connection: Connection, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    rows = connection.execute(DETAILS, {"ids": ids})
    return {row.id: row.details for row in rows if isinstance(row.details, dict)}


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
