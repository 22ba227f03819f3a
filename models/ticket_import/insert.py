"""Imports running tickets: a group in one transaction, with a handful of statements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection

from models.events.refusal import Refusal
from models.lifecycle.advance import advance
from models.lifecycle.checks import import_problem
from models.lifecycle.ticket import Terms, TicketState, refused_since
from models.operators.interventions import Change, Person, record_interventions
from models.platform.timestamps import format_timestamp
from models.ticket_import.ticket_line import ImportedTicket
from models.tickets.load import lock_by_key, parked_of, terms_of
from models.tickets.save import TicketChange, save_changes
from models.tickets.tombstones import TicketKey
from models.vocabulary import Reason, Status

DID = "ticket_imported"


@dataclass(slots=True)
class ImportResult:
    """The result for a group. *refused* has the problems, by the tickets' places in the group."""

    imported: int = 0
    known: int = 0  # Slipway had them already, imported or published
    refused: dict[int, Refusal] = field(default_factory=dict)


def import_tickets(
    connection: Connection,
    tickets: Sequence[ImportedTicket],
    *,
    person: Person,
    now: datetime,
    parking_window: timedelta,
) -> ImportResult:
    """Create *tickets* in their current state, in the caller's transaction; nothing is sent.

    The close delay of a result starts when the partner accepted it. A ticket that Slipway knows is
    left unchanged, so importing the same again changes nothing. Events that were parked until the
    ticket exists are decided too (rule 5), and the notices they cause are sent.
    """
    result = ImportResult()
    terms = terms_of(connection, (ticket.operator for ticket in tickets))
    accepted: list[tuple[int, TicketKey, ImportedTicket]] = []
    for place, ticket in enumerate(tickets):
        if problem := _problem_of(ticket, terms, now=now):
            result.refused[place] = problem
        else:
            key = (terms[ticket.operator].operator, ticket.ticket_id)
            accepted.append((place, key, ticket))
    locked, removed = lock_by_key(connection, (key for _, key, _ in accepted), now=now)
    created: list[tuple[TicketState, ImportedTicket]] = []
    for place, key, ticket in accepted:
        if key in removed:
            why = removed[key].refusal(ticket.operator, ticket.ticket_id)
            result.refused[place] = Refusal(Reason.TICKET_REMOVED, why)
            continue
        state = locked[key]
        if state.status is Status.ABSENT:
            _apply(state, ticket)
            created.append((state, ticket))
    parked = parked_of(connection, [state for state, _ in created])
    changes = [
        TicketChange(
            state,
            advance(state, parked[state.id], now=now, window=parking_window, was_new=False),
        )
        for state, _ in created
    ]
    save_changes(connection, changes, now=now)
    interventions = [_intervention(state, ticket) for state, ticket in created]
    record_interventions(connection, interventions, person=person, at=now)
    result.imported = len(created)
    result.known = sum(key in locked for _, key, _ in accepted) - len(created)
    return result


def _problem_of(
    ticket: ImportedTicket, terms: Mapping[str, Terms], *, now: datetime
) -> Refusal | None:
    if ticket.operator not in terms:
        return Refusal(Reason.UNKNOWN_OPERATOR, f"there is no operator {ticket.operator}")
    if terms[ticket.operator].ended_at is not None:
        return Refusal(Reason.OPERATOR_ENDED, refused_since(terms[ticket.operator]))
    for name, at in (("taken_at", ticket.taken_at), ("settled_at", ticket.settled_at)):
        if at is not None and at > now:
            problem = f"{name}: {format_timestamp(at)} is in the future"
            return Refusal(Reason.INVALID_EVENT, problem)
    protocol = terms[ticket.operator].protocol
    if protocol == "seamless" and ticket.status is Status.RESERVED:
        return Refusal(
            Reason.INVALID_EVENT,
            "state: a seamless wallet reserves nothing; the ticket is open once the wallet was"
            " debited",
        )
    if missing := import_problem(protocol, ticket.facts):
        return Refusal(Reason.MISSING_FIELDS, missing)
    return None


def _apply(state: TicketState, ticket: ImportedTicket) -> None:
    """Set the state of the ticket, which was unknown, to what *ticket* describes."""
    state.status, state.result = ticket.status, ticket.result
    state.settled_at, state.amounts = ticket.settled_at, ticket.amounts
    state.sequence = ticket.sequence
    state.filled = dict(ticket.facts)
    if ticket.taken_at is not None:
        state.generation = 1
        state.close_due_at = ticket.taken_at + state.terms.close_delay


def _intervention(state: TicketState, ticket: ImportedTicket) -> Change:
    taken_at = None if ticket.taken_at is None else format_timestamp(ticket.taken_at)
    facts = {"state": ticket.status, "result": ticket.result, "taken_at": taken_at}
    return Change(DID, operator=ticket.operator, ticket=state.id, facts=facts)
