"""What a decision does to a ticket in memory: moves, money, times, and what the partner is owed."""

from models.events.amounts import CURRENCY, amounts_of
from models.events.event import Event
from models.events.format import is_missing
from models.lifecycle.draws import note_draw
from models.lifecycle.moves import moved
from models.lifecycle.ticket import Owed, TicketState
from models.vocabulary import Action

_CORRECTED = "correction"


def settle(ticket: TicketState, event: Event) -> None:
    """A result comes into force; the 24 hours start when the partner has taken it (rule 16)."""
    move(ticket, event.action)
    ticket.generation += 1
    ticket.amounts = amounts_of(event.data)
    note_time(ticket, event)
    owe(ticket, event, event.action, generation=ticket.generation)


def confirm(ticket: TicketState, event: Event) -> None:
    """The standing result was stated again; it is in the currency that either statement names."""
    note_time(ticket, event)
    if event.currency is not None and (ticket.amounts or {}).get(CURRENCY) is None:
        ticket.amounts = {**(ticket.amounts or {}), CURRENCY: event.currency}


def withdraw(ticket: TicketState, event: Event) -> None:
    """The standing result is taken back, and the clock with it."""
    move(ticket, Action.ROLLBACK)
    ticket.amounts = None
    ticket.close_due_at = None
    note_time(ticket, event)
    data = event.data
    if event.action is not Action.ROLLBACK:
        data = {"reason": event.data.get("reason") or _CORRECTED}
    ticket.owed.append(
        Owed(
            Action.ROLLBACK,
            ticket.generation,
            data,
            event.event_id,
            at=event.order_time,
            withheld=ticket.untold == ticket.generation,
        )
    )


def move(ticket: TicketState, trigger: str) -> None:
    """Go where the table says *trigger* leads from here."""
    target = moved(ticket.status, ticket.result, trigger)
    assert target is not None, "the callers ask the status first"
    ticket.status, ticket.result = target


def note_time(ticket: TicketState, event: Event) -> None:
    """*event* is the statement in force from its time on."""
    if ticket.settled_at is None or event.order_time > ticket.settled_at:  # rule 4: it only grows
        ticket.settled_at = event.order_time
    note_draw(ticket, event)


def amend(ticket: TicketState, event: Event) -> None:
    """Its facts replace what was known of the slip."""
    ticket.amended = {**(ticket.amended or {}), **facts(event)}
    ticket.amended_at = max(ticket.amended_at or event.order_time, event.order_time)
    note_draw(ticket, event)


def fill_in(ticket: TicketState, event: Event) -> None:
    """Its facts stand where nothing was known of the slip."""
    ticket.filled = {**facts(event), **(ticket.filled or {})}
    note_draw(ticket, event)


def facts(event: Event) -> dict[str, object]:
    """What *event* tells about the slip itself, beside what happened to it."""
    facts = {name: value for name, value in event.data.items() if not is_missing(value)}
    for name in ("operator", "ticket_id", "reason", "correction", "lottery"):
        facts.pop(name, None)
    return facts


def owe(ticket: TicketState, event: Event, action: Action, *, generation: int) -> None:
    """The partner is to be told."""
    ticket.owed.append(Owed(action, generation, event.data, event.event_id, at=event.order_time))
