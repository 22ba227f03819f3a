"""`paid`: a reserved ticket has been paid and becomes open (contracts 1.7 and 1.9)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

from sqlalchemy import Connection

from models.bet_engine.access import Caller
from models.bet_engine.ticket_object import TicketObject
from models.bet_engine.tickets import find_row, read_ticket
from models.events.event import ARRIVALS_END, Event
from models.lifecycle.advance import PendingEvent, advance
from models.lifecycle.ticket import TicketState
from models.platform.clock import Clock
from models.tickets.load import lock_by_id, parked_of
from models.tickets.save import TicketChange, save_changes
from models.vocabulary import Action, Outcome, Status

_SEAMLESS: Final = "seamless"


@dataclass(frozen=True, slots=True)
class Paid:
    """It was reserved and is open now, or further: events that waited for that are decided too."""

    ticket: TicketObject


@dataclass(frozen=True, slots=True)
class UnknownTicket:
    """The operator has no such ticket."""


@dataclass(frozen=True, slots=True)
class NotReserved:
    """The ticket is not `reserved` (any more): nothing was changed."""


@dataclass(frozen=True, slots=True)
class NotOffered:
    """A seamless wallet pays in the call that places the ticket, so nothing is to be confirmed."""


PaymentOutcome = Paid | UnknownTicket | NotReserved | NotOffered


def pay(
    connection: Connection,
    caller: Caller,
    identifier: str,
    *,
    clock: Clock,
    parking_window: timedelta,
    traceparent: str | None = None,
) -> PaymentOutcome:
    """Open the caller's reserved ticket inside the caller's transaction, under the ticket's lock.

    Of several concurrent calls one is `Paid` and the others are `NotReserved`. Between a payment
    and a discard that is being applied, the first to get the lock wins. A refusal changes nothing
    and is not stored.
    """
    if caller.protocol == _SEAMLESS:
        return NotOffered()
    row_id = find_row(connection, caller, identifier)
    if row_id is None:
        return UnknownTicket()
    ticket = lock_by_id(connection, [row_id])[row_id]
    # The caller's signature was accepted before this transaction: the partnership may have ended.
    if ticket.status is not Status.RESERVED or ticket.terms.ended_at is not None:
        return NotReserved()
    now = clock.now(connection)
    # Parked events are read after the lock was taken (rule 20), and decided too (rule 5).
    payment = _payment(ticket, now, traceparent)
    pending = [*parked_of(connection, [ticket])[row_id], payment]
    decided = advance(ticket, pending, now=now, window=parking_window, was_new=False)
    paid = next(event for event in decided if event.pending is payment)
    assert paid.decision.outcome is Outcome.APPLIED, "a reserved ticket takes a payment"
    save_changes(connection, [TicketChange(ticket, decided)], now=now)
    return Paid(read_ticket(connection, row_id, caller=caller))


def _payment(ticket: TicketState, now: datetime, traceparent: str | None) -> PendingEvent:
    """Return the payment as an event for the log. It repeats nothing, so its id is new."""
    event = Event(
        event_id=f"paid:{uuid4()}",
        action=Action.PAID,
        operator=ticket.terms.code,
        ticket_id=ticket.ticket_id,
        data={"operator": ticket.terms.code, "ticket_id": ticket.ticket_id},
        occurred_at=now,
        order_time=now,
        received_at=now,
        traceparent=traceparent,
    )
    return PendingEvent(event, arrival=ARRIVALS_END)
