"""Brings tickets in flight in: a group in one transaction, a handful of statements."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection

from models.lifecycle.advance import advance
from models.lifecycle.checks import import_problem
from models.lifecycle.ticket import Terms, TicketState
from models.operators.interventions import Change, Person, record_interventions
from models.platform.timestamps import format_timestamp
from models.ticket_import.ticket_line import ImportedTicket
from models.tickets.load import lock_by_key, parked_of, terms_of
from models.tickets.save import TicketChange, save_changes
from models.vocabulary import Status

DID = "ticket_imported"


@dataclass(slots=True)
class ImportResult:
    """What became of a group. *refused*: by their places in it, with what is wrong."""

    imported: int = 0
    known: int = 0  # Slipway has them already, as they were imported or as they stand since
    refused: dict[int, str] = field(default_factory=dict)


def import_tickets(
    connection: Connection,
    tickets: Sequence[ImportedTicket],
    *,
    person: Person,
    now: datetime,
    parking_window: timedelta,
) -> ImportResult:
    """Make *tickets* as they stand, in the caller's transaction; nothing is sent for them.

    The closing delay of a result runs from when the partner took it. A ticket that Slipway knows
    is left alone, so the same again changes nothing. Events that waited for a ticket to be there
    are decided with it (rule 5), and what they owe the partner is sent.
    """
    brought = ImportResult()
    terms = terms_of(connection, (one.operator for one in tickets))
    good: list[tuple[Terms, ImportedTicket]] = []
    for place, one in enumerate(tickets):
        if problem := _problem_of(one, terms, now=now):
            brought.refused[place] = problem
        else:
            good.append((terms[one.operator], one))
    keys = [(of.operator, one.ticket_id) for of, one in good]
    locked = lock_by_key(connection, keys, now=now) if keys else {}
    made: list[tuple[TicketState, ImportedTicket]] = []
    for key, (_, one) in zip(keys, good, strict=True):
        ticket = locked[key]
        if ticket.status is Status.ABSENT:
            _apply(ticket, one)
            made.append((ticket, one))
    waiting = parked_of(connection, [ticket for ticket, _ in made])
    turns = [
        TicketChange(
            ticket,
            advance(ticket, waiting[ticket.id], now=now, window=parking_window, was_new=False),
        )
        for ticket, _ in made
    ]
    save_changes(connection, turns, now=now)
    record_interventions(connection, [_change(*one) for one in made], person=person, at=now)
    brought.imported = len(made)
    brought.known = len(good) - len(made)
    return brought


def _problem_of(one: ImportedTicket, terms: dict[str, Terms], *, now: datetime) -> str | None:
    if one.operator not in terms:
        return f"there is no operator {one.operator}; add it with `slipway operators add`"
    for name, at in (("taken_at", one.taken_at), ("settled_at", one.settled_at)):
        if at is not None and at > now:
            return f"{name}: {format_timestamp(at)} is in the future"
    protocol = terms[one.operator].protocol
    if protocol == "seamless" and one.status is Status.RESERVED:
        return "state: a seamless wallet reserves nothing; it is open once the wallet was debited"
    return import_problem(protocol, one.facts)


def _apply(ticket: TicketState, one: ImportedTicket) -> None:
    """The ticket was unknown; from now on it stands as *one* says."""
    ticket.status, ticket.result = one.status, one.result
    ticket.settled_at, ticket.amounts = one.settled_at, one.amounts
    ticket.sequence = one.sequence
    ticket.filled = dict(one.facts)
    if one.taken_at is not None:
        ticket.generation = 1
        ticket.close_due_at = one.taken_at + ticket.terms.close_delay


def _change(ticket: TicketState, one: ImportedTicket) -> Change:
    taken_at = None if one.taken_at is None else format_timestamp(one.taken_at)
    facts = {"state": one.status, "result": one.result, "taken_at": taken_at}
    return Change(DID, operator=one.operator, ticket=ticket.id, facts=facts)
