"""Decide all that waits for one ticket, oldest first, again after each change (rule 5).

The one function that intake, delivery outcome, paid, sweep and command line all call, each inside
its own transaction and under the ticket's lock.
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
    """An event to be decided. *arrival* breaks ties of time; parked ones carry their window."""

    event: Event
    arrival: int
    park_until: datetime | None = None  # none: it has just arrived
    reason: Reason | None = None  # what it has waited for so far
    damage: str | None = None  # why nobody can decide it: its row is not as we wrote it

    @property
    def is_fresh(self) -> bool:
        """It was never stored before."""
        return self.park_until is None


class DecidedEvent(NamedTuple):
    """How a waiting event ended, or that it is (still) parked until *park_until*."""

    pending: PendingEvent
    decision: Decision
    before: str
    after: str
    park_until: datetime | None = None


def advance(
    ticket: TicketState,
    waiting: list[PendingEvent],
    *,
    now: datetime,
    window: timedelta,
    was_new: bool,
    ended_before: datetime | None = None,
) -> list[DecidedEvent]:
    """Decide *waiting* (fresh and parked alike) against *ticket*, which is changed in place.

    *was_new*: the ticket awaited the partner's answer when this transaction began, so its parked
    events have a whole window from now on. *ended_before*: windows that ended up to then are
    given up: decided once more, then rejected. Returns what is to be stored; a parked event that
    stays as it was is not in it.
    """
    # An event that fits pays nothing for parking.
    if len(waiting) == 1 and not ticket.parked and waiting[0].damage is None:
        before = ticket.standing
        decision = decide(ticket, waiting[0].event)
        if decision.outcome is not Outcome.PARKED:
            return [DecidedEvent(waiting[0], decision, before, ticket.standing)]
    left = sorted(waiting, key=lambda one: (one.event.order_time, one.arrival))
    decided = _turn_away_the_damaged(ticket, left)
    decided += _decide_until_stable(ticket, left)
    while ended_before is not None and (over := _give_up(ticket, left, ended_before)):
        decided.append(over)
        decided += _decide_until_stable(ticket, left)
    decided += _turn_away_the_excess(ticket, left)
    decided += _park(ticket, left, now=now, window=window, was_new=was_new)
    ticket.parked = len(left)
    return decided


def _decide_until_stable(ticket: TicketState, left: list[PendingEvent]) -> list[DecidedEvent]:
    """Each change may let an older one fit; ends because every round removes one of *left*."""
    decided: list[DecidedEvent] = []
    place = 0
    while place < len(left):
        before = ticket.standing
        decision = decide(ticket, left[place].event)
        if decision.outcome is Outcome.PARKED:
            place += 1
            continue
        decided.append(DecidedEvent(left.pop(place), decision, before, ticket.standing))
        place = 0
    return decided


def _give_up(
    ticket: TicketState, left: list[PendingEvent], ended_before: datetime
) -> DecidedEvent | None:
    """End the wait of one event whose window is over; a numbered one gives up the gap before it."""
    ended = [one for one in left if one.park_until is not None and one.park_until <= ended_before]
    if not ended or ticket.status is Status.NEW:
        return None
    numbered = [one for one in ended if one.event.sequence is not None]
    before = ticket.standing
    if numbered:
        last = max(_number(one) for one in numbered)
        first = min(
            (one for one in left if one.event.sequence is not None and _number(one) <= last),
            key=_number,
        )
        left.remove(first)
        ticket.sequence = _number(first) - 1
        decision = decide(ticket, first.event)
        if decision.outcome is Outcome.PARKED:
            ticket.sequence = _number(first)
            decision = _window_ended(ticket, decision)
        return DecidedEvent(first, decision, before, ticket.standing)
    left.remove(ended[0])
    return DecidedEvent(
        ended[0], _window_ended(ticket, decide(ticket, ended[0].event)), before, before
    )


def _number(one: PendingEvent) -> int:
    assert one.event.sequence is not None, "only numbered events are asked for their number"
    return one.event.sequence


def _window_ended(ticket: TicketState, waited: Decision) -> Decision:
    return Decision(
        Outcome.REJECTED,
        Reason.WINDOW_ENDED,
        f"waited for as long as the parking window lasts; {waited.message} "
        f"(statement in force: {ticket.standing}"
        + (f" of {format_timestamp(ticket.settled_at)})" if ticket.settled_at else ")"),
    )


def _turn_away_the_damaged(ticket: TicketState, left: list[PendingEvent]) -> list[DecidedEvent]:
    """What the log holds otherwise than it came is a person's; nothing waits for it."""
    damaged = [one for one in left if one.damage is not None]
    for one in damaged:
        left.remove(one)
    return [
        DecidedEvent(
            one,
            Decision(Outcome.REJECTED, Reason.POISON, one.damage),
            ticket.standing,
            ticket.standing,
        )
        for one in damaged
    ]


def _turn_away_the_excess(ticket: TicketState, left: list[PendingEvent]) -> list[DecidedEvent]:
    """At most `PARKED_MAX` wait on one ticket; the latest to arrive are turned away (rule 7)."""
    excess = sorted(left, key=lambda one: one.arrival)[PARKED_MAX:]
    for one in excess:
        left.remove(one)
    message = f"{PARKED_MAX} events wait on this ticket already"
    decision = Decision(Outcome.REJECTED, Reason.TOO_MANY_PARKED, message)
    return [DecidedEvent(one, decision, ticket.standing, ticket.standing) for one in excess]


def _park(
    ticket: TicketState,
    left: list[PendingEvent],
    *,
    now: datetime,
    window: timedelta,
    was_new: bool,
) -> list[DecidedEvent]:
    """Store the fresh ones, and those that wait for something else, or for longer, than before."""
    parked: list[DecidedEvent] = []
    for one in left:
        until = one.park_until
        if ticket.status is Status.NEW:
            until = NO_WINDOW
        elif was_new:
            until = now + window
        elif until is None:
            # From its receipt (rule 8), by the one clock that windows are judged by.
            until = now - one.event.lag + window
        decision = decide(ticket, one.event)
        if (until, decision.reason) != (one.park_until, one.reason):
            parked.append(DecidedEvent(one, decision, ticket.standing, ticket.standing, until))
    return parked
