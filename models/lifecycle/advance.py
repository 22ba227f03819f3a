"""Decides all events that wait for one ticket, oldest first, again after each change (rule 5).

Intake, delivery, `paid`, the sweep and the command line all call `advance`, each inside its own
transaction and under the ticket's lock.
"""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from models.events.event import Event
from models.lifecycle.decide import decide
from models.lifecycle.ticket import Decision, TicketState
from models.platform.timestamps import format_timestamp
from models.vocabulary import PARKED_MAX, Outcome, Reason, Status

# No window runs while the partner has yet to answer our create (rule 8).
NO_WINDOW = datetime(9999, 1, 1, tzinfo=UTC)


class PendingEvent(NamedTuple):
    """An event to be decided. *arrival* breaks ties of time; parked events carry their window."""

    event: Event
    arrival: int
    park_until: datetime | None = None  # None: it has just arrived
    reason: Reason | None = None  # what it has waited for so far
    damage: str | None = None  # why it cannot be decided: its row is not as we wrote it

    @property
    def is_fresh(self) -> bool:
        """Whether it was never stored before."""
        return self.park_until is None


class DecidedEvent(NamedTuple):
    """How a pending event ended, or that it is (still) parked until *park_until*."""

    pending: PendingEvent
    decision: Decision
    before: str
    after: str
    park_until: datetime | None = None

    @property
    def is_applied(self) -> bool:
        """Whether the event did what it says."""
        return self.decision.outcome is Outcome.APPLIED


class _ParkedEvent(NamedTuple):
    """A pending event that has to wait, and the decision that says what for."""

    pending: PendingEvent
    decision: Decision


def advance(
    ticket: TicketState,
    pending: list[PendingEvent],
    *,
    now: datetime,
    window: timedelta,
    was_new: bool,
    ended_before: datetime | None = None,
) -> list[DecidedEvent]:
    """Decide *pending*, fresh and parked alike, against *ticket*, which is changed in place.

    *was_new*: the ticket awaited the partner's response when this transaction began, so its parked
    events get a whole window from now on. *ended_before*: events whose window ended by then are
    decided once more, then rejected. Returns what is to be stored: a parked event that stays as it
    was is not in it.
    """
    # An event that fits pays nothing for parking.
    if len(pending) == 1 and not ticket.parked and pending[0].damage is None:
        before = ticket.status_text
        decision = decide(ticket, pending[0].event)
        if decision.outcome is not Outcome.PARKED:
            return [DecidedEvent(pending[0], decision, before, ticket.status_text)]
    in_order = sorted(pending, key=lambda event: (event.event.order_time, event.arrival))
    decided, undamaged = _reject_damaged(ticket, in_order)
    ended, parked = _decide_until_stable(ticket, undamaged)
    decided += ended
    while ended_before is not None and (overdue := _overdue(ticket, parked, ended_before)):
        decided.append(_give_up(ticket, overdue))
        left = [event.pending for event in parked if event is not overdue]
        ended, parked = _decide_until_stable(ticket, left)
        decided += ended
    excess, parked = _reject_excess(ticket, parked)
    decided += excess
    decided += _park(ticket, parked, now=now, window=window, was_new=was_new)
    ticket.parked = len(parked)
    return decided


def _decide_until_stable(
    ticket: TicketState, pending: list[PendingEvent]
) -> tuple[list[DecidedEvent], list[_ParkedEvent]]:
    """Return the events that ended, and those that have to wait as the ticket is now.

    Each change may let an older event fit, so all that wait are decided again after it; this ends
    because every round ends one of them.
    """
    left = pending.copy()
    ended: list[DecidedEvent] = []
    parked: list[_ParkedEvent] = []
    while len(parked) < len(left):
        event = left[len(parked)]
        before = ticket.status_text
        decision = decide(ticket, event.event)
        if decision.outcome is Outcome.PARKED:
            parked.append(_ParkedEvent(event, decision))
            continue
        ended.append(DecidedEvent(event, decision, before, ticket.status_text))
        del left[len(parked)]
        parked.clear()
    return ended, parked


def _overdue(
    ticket: TicketState, parked: list[_ParkedEvent], ended_before: datetime
) -> _ParkedEvent | None:
    """Return the next event to give up because a window is over, or None if there is none.

    A numbered event gives up the gap before it, so the lowest number up to it is the next.
    """
    overdue = [
        event
        for event in parked
        if event.pending.park_until is not None and event.pending.park_until <= ended_before
    ]
    if not overdue or ticket.status is Status.NEW:
        return None
    numbers = [number for event in overdue if (number := event.pending.event.sequence) is not None]
    if not numbers:
        return overdue[0]
    return min((event for event in parked if _is_numbered_up_to(event, max(numbers))), key=_number)


def _is_numbered_up_to(event: _ParkedEvent, last: int) -> bool:
    return event.pending.event.sequence is not None and _number(event) <= last


def _number(event: _ParkedEvent) -> int:
    assert event.pending.event.sequence is not None, "only numbered events are compared by number"
    return event.pending.event.sequence


def _give_up(ticket: TicketState, overdue: _ParkedEvent) -> DecidedEvent:
    """End the wait of one event: a numbered one is decided without the gap before it."""
    before = ticket.status_text
    if overdue.pending.event.sequence is None:
        return DecidedEvent(
            overdue.pending, _window_ended(ticket, overdue.decision), before, before
        )
    number = _number(overdue)
    ticket.sequence = number - 1
    decision = decide(ticket, overdue.pending.event)
    if decision.outcome is Outcome.PARKED:
        ticket.sequence = number
        decision = _window_ended(ticket, decision)
    return DecidedEvent(overdue.pending, decision, before, ticket.status_text)


def _window_ended(ticket: TicketState, parked: Decision) -> Decision:
    return Decision(
        Outcome.REJECTED,
        Reason.WINDOW_ENDED,
        f"waited for as long as the parking window lasts; {parked.message} "
        f"(current result: {ticket.status_text}"
        + (f" of {format_timestamp(ticket.settled_at)})" if ticket.settled_at else ")"),
    )


def _reject_damaged(
    ticket: TicketState, pending: list[PendingEvent]
) -> tuple[list[DecidedEvent], list[PendingEvent]]:
    """Reject events whose stored data is damaged: they need a person, and nothing waits for them.

    Returns them and the others.
    """
    rejected = [
        DecidedEvent(
            event,
            Decision(Outcome.REJECTED, Reason.POISON, event.damage),
            ticket.status_text,
            ticket.status_text,
        )
        for event in pending
        if event.damage is not None
    ]
    return rejected, [event for event in pending if event.damage is None]


def _reject_excess(
    ticket: TicketState, parked: list[_ParkedEvent]
) -> tuple[list[DecidedEvent], list[_ParkedEvent]]:
    """Reject the latest to arrive beyond `PARKED_MAX` (rule 7). Returns them and the others."""
    if len(parked) <= PARKED_MAX:
        return [], parked
    last = sorted(event.pending.arrival for event in parked)[PARKED_MAX - 1]
    decision = Decision(
        Outcome.REJECTED,
        Reason.TOO_MANY_PARKED,
        f"{PARKED_MAX} events wait on this ticket already",
    )
    excess = sorted(
        (event.pending for event in parked if event.pending.arrival > last),
        key=lambda event: event.arrival,
    )
    unchanged = ticket.status_text
    rejected = [DecidedEvent(event, decision, unchanged, unchanged) for event in excess]
    return rejected, [event for event in parked if event.pending.arrival <= last]


def _park(
    ticket: TicketState,
    parked: list[_ParkedEvent],
    *,
    now: datetime,
    window: timedelta,
    was_new: bool,
) -> list[DecidedEvent]:
    """Return the fresh events, and those that wait for something else, or longer, than before."""
    to_store: list[DecidedEvent] = []
    for pending, decision in parked:
        until = pending.park_until
        if ticket.status is Status.NEW:
            until = NO_WINDOW
        elif was_new:
            until = now + window
        elif until is None:
            # From its receipt (rule 8), by the same clock that ends windows.
            until = now - pending.event.lag + window
        if (until, decision.reason) != (pending.park_until, pending.reason):
            to_store.append(
                DecidedEvent(pending, decision, ticket.status_text, ticket.status_text, until)
            )
    return to_store
