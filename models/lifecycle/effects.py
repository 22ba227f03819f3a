"""What a decision or a partner's response does to a ticket in memory, and which notices follow."""

from models.events.amounts import CURRENCY, amounts_of
from models.events.event import Event
from models.events.format import is_missing
from models.lifecycle.machine import TRIGGER_OF, Trigger, next_state
from models.lifecycle.ticket import NewNotice, TicketState
from models.vocabulary import Action, Status

_CORRECTED = "correction"
_NOT_DETAILS = ("operator", "ticket_id", "reason", "correction", "lottery")
_ACCEPTED = {Action.CREATE: Trigger.CREATE_ACCEPTED, Action.RESERVE: Trigger.RESERVE_ACCEPTED}


# --- an event that is applied ---------------------------------------------------------------------


def settle(ticket: TicketState, event: Event) -> None:
    """Set the result of *event*; the 24 hours start once the partner has taken it (rule 16)."""
    transition(ticket, TRIGGER_OF[event.action])
    ticket.generation += 1
    ticket.amounts = amounts_of(event.data)
    _note_time(ticket, event)
    if ticket.terms.leaves_out(event.action):
        ticket.untold = ticket.generation
    add_notice(ticket, event, event.action, generation=ticket.generation)


def confirm(ticket: TicketState, event: Event) -> None:
    """Note that the current result was stated again, with the currency that either event names."""
    _note_time(ticket, event)
    if event.currency is not None and (ticket.amounts or {}).get(CURRENCY) is None:
        ticket.amounts = {**(ticket.amounts or {}), CURRENCY: event.currency}


def withdraw(ticket: TicketState, event: Event) -> None:
    """Take the current result back and stop the clock."""
    transition(ticket, Trigger.ROLLBACK)
    ticket.amounts = None
    ticket.close_due_at = None
    _note_time(ticket, event)
    data = event.data
    if event.action is not Action.ROLLBACK:
        data = {"reason": event.data.get("reason") or _CORRECTED}
    ticket.new_notices.append(
        NewNotice(
            Action.ROLLBACK,
            ticket.generation,
            data,
            event.event_id,
            at=event.order_time,
            withheld=ticket.untold == ticket.generation,
            traceparent=event.traceparent,
        )
    )


def amend(ticket: TicketState, event: Event) -> None:
    """Replace the ticket's details by those of *event*."""
    ticket.amended = {**(ticket.amended or {}), **_details_in(event)}
    ticket.amended_at = max(ticket.amended_at or event.order_time, event.order_time)
    _note_draw(ticket, event)


def fill_in(ticket: TicketState, event: Event) -> None:
    """Add the details of *event* that the ticket does not have yet."""
    ticket.filled = {**_details_in(event), **(ticket.filled or {})}
    _note_draw(ticket, event)


def add_notice(ticket: TicketState, event: Event, action: Action, *, generation: int) -> None:
    """Add the notice that *event* causes."""
    ticket.new_notices.append(
        NewNotice(
            action,
            generation,
            event.data,
            event.event_id,
            at=event.order_time,
            traceparent=event.traceparent,
        )
    )


def transition(ticket: TicketState, trigger: Trigger) -> None:
    """Move the ticket as the machine defines; the callers have checked that it may move."""
    target = next_state(ticket.status, ticket.result, trigger)
    assert target is not None, f"{trigger} does not move a ticket that is {ticket.status}"
    ticket.status, ticket.result = target


# --- the partner's response to a create or reserve (rule 10) --------------------------------------


def accept_create(ticket: TicketState, action: Action) -> None:
    """Open or reserve the ticket after a 200, if it still waits for that (H26)."""
    if ticket.status is Status.NEW:
        transition(ticket, _ACCEPTED[action])


def refuse_create(
    ticket: TicketState,
    action: Action,
    *,
    why: str,
    in_doubt: bool,
    traceparent: str | None = None,
) -> None:
    """Cancel the ticket after any other response, or none, and have the partner discard it.

    *in_doubt*: the partner may have debited the player although its response did not say so, so one
    discard is not enough (H25). The doubt is noted whatever the ticket's status is by now.
    """
    if in_doubt:
        ticket.in_doubt = True
    if ticket.status is Status.NEW:
        transition(ticket, Trigger.REFUSED)
        ticket.cancelled_by = f"{action}: {why}"
        ticket.new_notices.append(
            NewNotice(Action.DISCARD, 0, {"reason": why}, event_id=None, traceparent=traceparent)
        )


def _note_time(ticket: TicketState, event: Event) -> None:
    """Make the time of *event* that of the current result; it never goes back (rule 4)."""
    if ticket.settled_at is None or event.order_time > ticket.settled_at:
        ticket.settled_at = event.order_time
    _note_draw(ticket, event)


def _note_draw(ticket: TicketState, event: Event) -> None:
    """Keep the draw of the first applied event that names one (H11)."""
    if ticket.draw is None and event.draw is not None:
        ticket.draw = event.draw


def _details_in(event: Event) -> dict[str, object]:
    """Return what *event* says about the ticket itself, without what happened to it."""
    details = {name: value for name, value in event.data.items() if not is_missing(value)}
    for name in _NOT_DETAILS:
        details.pop(name, None)
    return details
