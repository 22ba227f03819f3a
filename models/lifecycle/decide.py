"""Decide one event against one ticket (protocol.md, rules 6, 9 and 11). Touches memory only."""

from models.events.event import Event
from models.events.format import amounts_of
from models.lifecycle.moves import moved
from models.lifecycle.ticket import APPLIED, Decision, Owed, TicketState
from models.lifecycle.words import RESULT_OF, RESULTS, Action, Outcome, Reason, Status
from models.notices.contract import refusal

_WAITING = frozenset({Status.ABSENT, Status.NEW, Status.RESERVED})
_FINAL = frozenset({Status.CLOSED, Status.CANCELLED})
_CORRECTED = "correction"


def decide(ticket: TicketState, event: Event) -> Decision:
    """What *event* does to *ticket*, which is changed in place where it does something.

    A numbered event (`sequence`) waits for its turn and is then decided without times; one that
    does not fit in its turn is rejected, unless the ticket itself is still to come (rule 9). A
    closed or cancelled ticket answers at once, whatever the number (rule 7).
    """
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
            f"{ticket.standing} cannot take",
        )
    ticket.sequence = event.sequence
    ticket.touched = True
    return decision


def _decide(ticket: TicketState, event: Event) -> Decision:
    if ticket.status is Status.CLOSED:
        return _rejected(
            Reason.TICKET_CLOSED, f"the ticket is closed ({ticket.result}); that is final"
        )
    refused = refusal(ticket, event)
    if refused is not None:
        return refused
    if event.action in RESULTS:
        return _result(ticket, event)
    return _HANDLERS[event.action](ticket, event)


def _result(ticket: TicketState, event: Event) -> Decision:
    match ticket.status:
        case Status.CANCELLED:
            return _cancelled(ticket)
        case Status.ABSENT if not ticket.terms.announces_tickets:
            _move(ticket, "implied_open")
            _settle(ticket, event)
            return Decision(Outcome.APPLIED, Reason.OPENED_IMPLICITLY)
        case Status.ABSENT | Status.NEW | Status.RESERVED:
            return _waits_for_ticket(ticket)
        case Status.OPEN:
            if _is_older(ticket, event):
                return _superseded(ticket, event, Reason.OLDER_DIFFERS)
            _settle(ticket, event)
            return APPLIED
        case _:
            return _result_again(ticket, event)


def _result_again(ticket: TicketState, event: Event) -> Decision:
    same = ticket.result == RESULT_OF[event.action] and amounts_of(event.data) == ticket.amounts
    if _is_older(ticket, event):
        reason = Reason.OLDER_SAME if same else Reason.OLDER_DIFFERS
        return _superseded(ticket, event, reason)
    if same:
        _note_time(ticket, event)
        return Decision(Outcome.CONFIRMED, Reason.SAME_RESULT)
    if event.is_correction:
        _withdraw(ticket, event)
        _settle(ticket, event)
        return Decision(Outcome.APPLIED, Reason.CORRECTION)
    return _parked(
        Reason.WAITS_FOR_ROLLBACK,
        f"the ticket stands at {ticket.standing}; {event.action} waits for a rollback of that",
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
            _withdraw(ticket, event)
            return APPLIED


def _open(ticket: TicketState, event: Event) -> Decision:
    match ticket.status:
        case Status.CANCELLED:
            return _cancelled(ticket)
        case Status.ABSENT:
            _move(ticket, event.action)
            _amend(ticket, event)
            return APPLIED
        case _:
            ticket.filled = {**_facts(event), **(ticket.filled or {})}
            ticket.touched = True
            return Decision(
                Outcome.APPLIED, Reason.LATE_OPEN, "fills in what was not known; moves nothing"
            )


def _create(ticket: TicketState, event: Event) -> Decision:
    match ticket.status:
        case Status.CANCELLED:
            return _cancelled(ticket)
        case Status.ABSENT:
            _move(ticket, event.action)
            _amend(ticket, event)
            _owe(ticket, event, event.action, generation=0)
            return APPLIED
        case _:
            return _rejected(
                Reason.ALREADY_KNOWN,
                f"the ticket is {ticket.standing} already, so the partner is not asked to debit; "
                "who publishes create or reserve sets --announces-tickets on the operator",
            )


def _paid(ticket: TicketState, event: Event) -> Decision:
    match ticket.status:
        case Status.CANCELLED:
            return _cancelled(ticket)
        case Status.RESERVED:
            _move(ticket, event.action)
            return APPLIED
        case Status.ABSENT | Status.NEW:
            return _waits_for_ticket(ticket)
        case _:
            return _rejected(Reason.NOT_RESERVED, f"the ticket is {ticket.standing}, not reserved")


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
                f"an update of {ticket.amended_at.isoformat()} stands",
            )
        case Status.OPEN | Status.RESERVED:
            _move(ticket, event.action)
            _amend(ticket, event)
            # An update has no generation of its own: the notice's number tells them apart.
            _owe(ticket, event, event.action, generation=ticket.notices + len(ticket.owed) + 1)
            return APPLIED
        case _:
            return _parked(Reason.WAITS_FOR_ROLLBACK, f"the ticket stands at {ticket.standing}")


def _discard(ticket: TicketState, event: Event) -> Decision:
    match ticket.status:
        case Status.CANCELLED:
            return Decision(Outcome.CONFIRMED, Reason.ALREADY_CANCELLED, ticket.cancelled_by)
        case Status.ABSENT | Status.NEW | Status.RESERVED:
            _move(ticket, event.action)
            said = event.data.get("reason")
            ticket.cancelled_by = f"ticket_discard {event.event_id}" + (f": {said}" if said else "")
            _owe(ticket, event, event.action, generation=0)
            return APPLIED
        case _:
            return _rejected(
                Reason.ALREADY_OPEN, f"the ticket is {ticket.standing}; refund or void it instead"
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


def _settle(ticket: TicketState, event: Event) -> None:
    """A result comes into force; the 24 hours start when the partner has taken it (rule 16)."""
    _move(ticket, event.action)
    ticket.generation += 1
    ticket.amounts = amounts_of(event.data)
    _note_time(ticket, event)
    _owe(ticket, event, event.action, generation=ticket.generation)


def _withdraw(ticket: TicketState, event: Event) -> None:
    """The standing result is taken back, and the clock with it."""
    _move(ticket, Action.ROLLBACK)
    ticket.amounts = None
    ticket.close_due_at = None
    _note_time(ticket, event)
    data = event.data
    if event.action is not Action.ROLLBACK:
        data = {"reason": event.data.get("reason") or _CORRECTED}
    ticket.owed.append(
        Owed(
            Action.ROLLBACK,
            ticket.generation,
            data,
            event.event_id,
            at=event.occurred_at or event.order_time,
            withheld=ticket.untold == ticket.generation,
        )
    )


def _move(ticket: TicketState, trigger: str) -> None:
    target = moved(ticket.status, ticket.result, trigger)
    assert target is not None, "the callers ask the status first"
    ticket.status, ticket.result = target
    ticket.touched = True


def _note_time(ticket: TicketState, event: Event) -> None:
    if ticket.settled_at is None or event.order_time > ticket.settled_at:  # rule 4: it only grows
        ticket.settled_at = event.order_time
    ticket.touched = True


def _amend(ticket: TicketState, event: Event) -> None:
    ticket.amended = {**(ticket.amended or {}), **_facts(event)}
    ticket.amended_at = max(ticket.amended_at or event.order_time, event.order_time)


def _facts(event: Event) -> dict[str, object]:
    facts = {name: value for name, value in event.data.items() if value is not None}
    for name in ("operator", "ticket_id", "reason", "correction"):
        facts.pop(name, None)
    return facts


def _owe(ticket: TicketState, event: Event, action: Action, *, generation: int) -> None:
    at = event.occurred_at or event.order_time
    ticket.owed.append(Owed(action, generation, event.data, event.event_id, at=at))


def _is_older(ticket: TicketState, event: Event) -> bool:
    return (
        event.sequence is None
        and ticket.settled_at is not None
        and event.order_time < ticket.settled_at
    )


def _superseded(ticket: TicketState, event: Event, reason: Reason) -> Decision:
    assert ticket.settled_at is not None, "what is older is older than something"
    return Decision(
        Outcome.SUPERSEDED,
        reason,
        f"{event.action} of {event.order_time.isoformat()} is older than the statement in force: "
        f"{ticket.standing} since {ticket.settled_at.isoformat()}",
    )


def _waits_for_ticket(ticket: TicketState) -> Decision:
    return _parked(Reason.WAITS_FOR_TICKET, f"the ticket is {ticket.standing}; this needs it open")


def _cancelled(ticket: TicketState) -> Decision:
    return _rejected(Reason.TICKET_CANCELLED, f"the ticket was cancelled by {ticket.cancelled_by}")


def _rejected(reason: Reason, message: str) -> Decision:
    return Decision(Outcome.REJECTED, reason, message)


def _parked(reason: Reason, message: str) -> Decision:
    return Decision(Outcome.PARKED, reason, message)
