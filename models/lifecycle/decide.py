"""Decides one event against one ticket (rules 6, 9 and 11), in memory only."""

from models.events.amounts import amounts_of, same_amounts
from models.events.event import Event
from models.lifecycle.checks import refuse_unsupported, with_doubts
from models.lifecycle.effects import (
    add_notice,
    amend,
    confirm,
    fill_in,
    settle,
    transition,
    withdraw,
)
from models.lifecycle.machine import TRIGGER_OF, Trigger
from models.lifecycle.ticket import APPLIED, Decision, TicketState, refused_since
from models.platform.timestamps import format_timestamp
from models.vocabulary import RESULT_OF, RESULTS, Action, Outcome, Reason, Status

_WAITING = frozenset({Status.ABSENT, Status.NEW, Status.RESERVED})
_FINAL = frozenset({Status.CLOSED, Status.CANCELLED})
_OPENED_IMPLICITLY = Decision(Outcome.APPLIED, Reason.OPENED_IMPLICITLY)


def decide(ticket: TicketState, event: Event) -> Decision:
    """Return how *event* ends; *ticket* is changed in place if the event does something to it.

    A numbered event (`sequence`) waits for its turn and is then decided without times; one that
    does not fit in its turn is rejected, unless the ticket is still to be opened (rule 9). An event
    for a closed or cancelled ticket is decided at once, whatever its number (rule 7). Once the
    partnership has ended, every event is rejected (rule 24).
    """
    if ticket.terms.ended_at is not None:
        return _rejected(Reason.OPERATOR_ENDED, refused_since(ticket.terms))
    if event.sequence is None or ticket.status in _FINAL:
        return _decide(ticket, event)
    if event.sequence <= ticket.sequence:
        return _rejected(
            Reason.NUMBER_USED, f"number {event.sequence} was decided or given up before"
        )
    if event.sequence > ticket.sequence + 1:
        return _parked(
            Reason.WAITS_FOR_NUMBER,
            f"number {event.sequence} waits for number {ticket.sequence + 1}",
        )
    decision = _decide(ticket, event)
    if decision.outcome is Outcome.PARKED:
        if ticket.status in _WAITING:
            return decision
        decision = _rejected(
            Reason.OUT_OF_TURN,
            f"number {event.sequence} is {event.action}, which a ticket that is "
            f"{ticket.status_text} cannot take",
        )
    ticket.sequence = event.sequence
    return decision


def _decide(ticket: TicketState, event: Event) -> Decision:
    if (other_draw := _other_draw(ticket, event)) is not None:
        return other_draw
    if ticket.status is Status.CLOSED:
        return _rejected(
            Reason.TICKET_CLOSED, f"the ticket is closed ({ticket.result}); that is final"
        )
    unsupported = refuse_unsupported(ticket, event)
    if unsupported is not None:
        return unsupported
    handler = _result if event.action in RESULTS else _HANDLERS[event.action]
    return with_doubts(handler(ticket, event), ticket, event)


def _other_draw(ticket: TicketState, event: Event) -> Decision | None:
    """Refuse an event of another draw: a lottery ticket takes part in one draw (H11)."""
    draw = event.draw
    if draw is None or ticket.draw in (None, draw):
        return None
    return _rejected(
        Reason.OTHER_DRAW,
        f"the ticket takes part in draw {ticket.draw}, the event names draw {draw}; an operator "
        "can be set up to have a ticket for each draw",
    )


def _result(ticket: TicketState, event: Event) -> Decision:
    match ticket.status:
        case Status.CANCELLED:
            return _cancelled(ticket)
        case Status.ABSENT if not ticket.terms.announces_tickets:
            transition(ticket, Trigger.IMPLIED_OPEN)
            settle(ticket, event)
            return _OPENED_IMPLICITLY
        case Status.ABSENT | Status.NEW | Status.RESERVED:
            return _waits_for_ticket(ticket)
        case Status.OPEN:
            if _is_older(ticket, event):
                return _superseded(ticket, event, Reason.OLDER_DIFFERS)
            settle(ticket, event)
            return APPLIED
        case _:
            return _result_again(ticket, event)


def _result_again(ticket: TicketState, event: Event) -> Decision:
    same = ticket.result == RESULT_OF[event.action] and same_amounts(
        ticket.amounts, amounts_of(event.data)
    )
    if _is_older(ticket, event):
        reason = Reason.OLDER_SAME if same else Reason.OLDER_DIFFERS
        return _superseded(ticket, event, reason)
    if same:
        confirm(ticket, event)
        return Decision(Outcome.CONFIRMED, Reason.SAME_RESULT)
    if event.is_correction:
        withdraw(ticket, event)
        settle(ticket, event)
        return Decision(Outcome.APPLIED, Reason.CORRECTION)
    return _parked(
        Reason.WAITS_FOR_ROLLBACK,
        f"the ticket is {ticket.status_text}; {event.action} waits for a rollback of that",
    )


def _rollback(ticket: TicketState, event: Event) -> Decision:
    match ticket.status:
        case Status.CANCELLED:
            return _cancelled(ticket)
        case Status.ABSENT | Status.NEW | Status.RESERVED:
            return _waits_for_ticket(ticket)
        case _ if _is_older(ticket, event):
            return _superseded(ticket, event, Reason.OLDER_ROLLBACK)
        case Status.OPEN:
            return _parked(Reason.WAITS_FOR_RESULT, "there is no result to withdraw yet")
        case _:
            withdraw(ticket, event)
            return APPLIED


def _open(ticket: TicketState, event: Event) -> Decision:
    match ticket.status:
        case Status.CANCELLED:
            return _cancelled(ticket)
        case Status.ABSENT:
            transition(ticket, TRIGGER_OF[event.action])
            amend(ticket, event)
            return APPLIED
        case _:
            fill_in(ticket, event)
            return Decision(
                Outcome.APPLIED,
                Reason.LATE_OPEN,
                "adds details that were not known; the status stays",
            )


def _create(ticket: TicketState, event: Event) -> Decision:
    match ticket.status:
        case Status.CANCELLED:
            return _cancelled(ticket)
        case Status.ABSENT:
            transition(ticket, TRIGGER_OF[event.action])
            amend(ticket, event)
            add_notice(ticket, event, event.action, generation=0)
            return APPLIED
        case _:
            return _rejected(
                Reason.ALREADY_KNOWN,
                f"the ticket is {ticket.status_text} already, so the partner is not asked to debit;"
                " create and reserve need an operator that announces its tickets",
            )


def _paid(ticket: TicketState, event: Event) -> Decision:
    match ticket.status:
        case Status.CANCELLED:
            return _cancelled(ticket)
        case Status.RESERVED:
            transition(ticket, TRIGGER_OF[event.action])
            return APPLIED
        case Status.ABSENT | Status.NEW:
            return _waits_for_ticket(ticket)
        case _:
            return _rejected(
                Reason.NOT_RESERVED, f"the ticket is {ticket.status_text}, not reserved"
            )


def _update(ticket: TicketState, event: Event) -> Decision:
    match ticket.status:
        case Status.CANCELLED:
            return _cancelled(ticket)
        case Status.ABSENT | Status.NEW:
            return _waits_for_ticket(ticket)
        case _ if (
            event.sequence is None
            and ticket.amended_at is not None
            and event.order_time < ticket.amended_at
        ):
            return Decision(
                Outcome.SUPERSEDED,
                Reason.OLDER_UPDATE,
                f"an update of {format_timestamp(ticket.amended_at)} is in force",
            )
        case Status.OPEN | Status.RESERVED:
            transition(ticket, TRIGGER_OF[event.action])
            amend(ticket, event)
            # An update has no generation of its own: the notice's number distinguishes them.
            add_notice(
                ticket, event, event.action, generation=ticket.notices + len(ticket.new_notices) + 1
            )
            return APPLIED
        case _:
            return _parked(
                Reason.WAITS_FOR_ROLLBACK,
                f"the ticket is {ticket.status_text}; an update waits for a rollback of that",
            )


def _discard(ticket: TicketState, event: Event) -> Decision:
    match ticket.status:
        case Status.CANCELLED:
            return Decision(Outcome.CONFIRMED, Reason.ALREADY_CANCELLED, ticket.cancelled_by)
        case Status.ABSENT | Status.NEW | Status.RESERVED:
            transition(ticket, TRIGGER_OF[event.action])
            reason = event.data.get("reason")
            ticket.cancelled_by = f"ticket_discard {event.event_id}" + (
                f": {reason}" if reason else ""
            )
            add_notice(ticket, event, event.action, generation=0)
            return APPLIED
        case _:
            return _rejected(
                Reason.ALREADY_OPEN,
                f"the ticket is {ticket.status_text}; refund or void it instead",
            )


_HANDLERS = {
    Action.OPEN: _open,
    Action.CREATE: _create,
    Action.RESERVE: _create,
    Action.PAID: _paid,
    Action.UPDATE: _update,
    Action.DISCARD: _discard,
    Action.ROLLBACK: _rollback,
}


def _is_older(ticket: TicketState, event: Event) -> bool:
    return (
        event.sequence is None
        and ticket.settled_at is not None
        and event.order_time < ticket.settled_at
    )


def _superseded(ticket: TicketState, event: Event, reason: Reason) -> Decision:
    assert ticket.settled_at is not None, "only a settled ticket can supersede an event"
    return Decision(
        Outcome.SUPERSEDED,
        reason,
        f"{event.action} of {format_timestamp(event.order_time)} is older than the current"
        f" result: {ticket.status_text} since {format_timestamp(ticket.settled_at)}",
    )


def _waits_for_ticket(ticket: TicketState) -> Decision:
    return _parked(
        Reason.WAITS_FOR_TICKET,
        f"the ticket is {ticket.status_text}; this waits for its next status",
    )


def _cancelled(ticket: TicketState) -> Decision:
    return _rejected(Reason.TICKET_CANCELLED, f"the ticket was cancelled by {ticket.cancelled_by}")


def _rejected(reason: Reason, message: str) -> Decision:
    return Decision(Outcome.REJECTED, reason, message)


def _parked(reason: Reason, message: str) -> Decision:
    return Decision(Outcome.PARKED, reason, message)
