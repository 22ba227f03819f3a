"""One chunk of events, one transaction, a handful of set-based statements (design.md 5.1)."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection

from models.events.event import ARRIVALS_END, Event
from models.events.lottery import draw_ticket_id, draw_ticket_id_problem
from models.intake.deduplicate import Arrived, Deduplicated, count_repeats, known_of, sort_by_log
from models.lifecycle.advance import PendingEvent, advance
from models.lifecycle.ticket import Terms, TicketState
from models.outbox.creates import withdraw_unsent
from models.tickets.insert import TicketExists, TicketKey, new_among
from models.tickets.load import lock_by_key, parked_of, terms_of
from models.tickets.save import TicketChange, save_changes, save_new_tickets
from models.vocabulary import Action, Outcome, Reason, Status

# Fresh events arrive after all that is parked; their place in the chunk breaks ties.


@dataclass(frozen=True, slots=True)
class RefusedEvent:
    """An event that is not one of a ticket: to be kept raw, with this reason."""

    event: Event
    reason: Reason
    message: str


class _Routed(NamedTuple):
    """An event of an operator that is known."""

    key: TicketKey
    terms: Terms
    event: Event


@dataclass(slots=True)
class BatchResult:
    """What became of a chunk. *ended*: each event's outcome, in no particular order.

    *rejected*: those among them that their ticket did not take, and why.
    """

    ended: list[tuple[Event, Outcome]] = field(default_factory=list)
    rejected: list[tuple[Event, Reason]] = field(default_factory=list)
    refused: list[RefusedEvent] = field(default_factory=list)
    due: bool = False

    @property
    def outcomes(self) -> Counter[tuple[str, str]]:
        """How many events of each action ended how."""
        ends = Counter((event.action, outcome) for event, outcome in self.ended)
        ends.update((one.event.action, Outcome.REJECTED) for one in self.refused)
        return Counter({(str(action), str(end)): count for (action, end), count in ends.items()})


def apply_chunk(
    connection: Connection, events: Sequence[Event], *, now: datetime, parking_window: timedelta
) -> BatchResult:
    """Apply *events* inside the caller's transaction, under the locks of their tickets.

    Each counts once per ticket (rule 2); those of a ticket are decided with what is parked on it,
    oldest first (rule 5). Raises what the database raises; then nothing was applied.
    """
    result = BatchResult()
    welcome = _welcome(connection, events, result)
    left = _begin_tickets(connection, welcome, result, now=now, window=parking_window)
    if left:
        tickets = lock_by_key(connection, (one.key for one in left), now=now)
        arrived = [(tickets[one.key], one.event) for one in left]
        log = sort_by_log(arrived, known_of(connection, arrived))
        turns = _take_turns(connection, log.fresh, now=now, window=parking_window)
        result.due = save_changes(connection, turns, now=now) or result.due
        _conclude(connection, log, turns, result, now=now)
    return result


def _welcome(connection: Connection, events: Sequence[Event], result: BatchResult) -> list[_Routed]:
    terms = terms_of(connection, (event.operator for event in events))
    welcome: list[_Routed] = []
    for event in events:
        agreed = terms.get(event.operator)
        if agreed is None:
            result.refused.append(_unknown_operator(event))
            continue
        placed = _at_its_draw(event, agreed)
        if problem := draw_ticket_id_problem(placed.ticket_id):
            result.refused.append(RefusedEvent(placed, Reason.INVALID_EVENT, problem))
        else:
            welcome.append(_Routed((agreed.operator, placed.ticket_id), agreed, placed))
    return welcome


def _begin_tickets(
    connection: Connection,
    welcome: Sequence[_Routed],
    result: BatchResult,
    *,
    now: datetime,
    window: timedelta,
) -> list[_Routed]:
    """Apply the events of tickets nobody knows; the rest, whose tickets have to be locked.

    They are decided before their tickets are made: a ticket without a row has no log and nothing
    parked. Where somebody else makes one of the rows first, all are decided anew without it.
    """
    while True:
        ids = new_among(connection, (one.key for one in welcome)) if welcome else {}
        new = {
            one.key: TicketState(ids[one.key], one.key[1], one.terms)
            for one in welcome
            if one.key in ids
        }
        log = sort_by_log([(new[one.key], one.event) for one in welcome if one.key in new], {})
        turns = _take_turns(connection, log.fresh, now=now, window=window)
        try:
            result.due = save_new_tickets(connection, turns, now=now)
        except TicketExists:
            continue
        _conclude(connection, log, turns, result, now=now)
        return [one for one in welcome if one.key not in new]


def _take_turns(
    connection: Connection, fresh: Sequence[Arrived], *, now: datetime, window: timedelta
) -> list[TicketChange]:
    by_ticket: defaultdict[int, list[PendingEvent]] = defaultdict(list)
    tickets: dict[int, TicketState] = {}
    for place, (ticket, event) in enumerate(fresh):
        tickets[ticket.id] = ticket
        by_ticket[ticket.id].append(PendingEvent(event, arrival=ARRIVALS_END + place))
    for ticket_id, parked in parked_of(connection, tickets.values()).items():
        by_ticket[ticket_id] += parked
    turns: list[TicketChange] = []
    for ticket_id, waiting in by_ticket.items():
        ticket = tickets[ticket_id]
        was_new = ticket.status is Status.NEW
        decided = advance(ticket, waiting, now=now, window=window, was_new=was_new)
        turns.append(TicketChange(ticket, decided))
    return turns


def _conclude(
    connection: Connection,
    log: Deduplicated,
    turns: Sequence[TicketChange],
    result: BatchResult,
    *,
    now: datetime,
) -> None:
    """Do what follows once the turns are stored, and note how each event ended."""
    result.refused += [_reused(event) for _, event in log.reused]
    result.ended += [(event, Outcome.DUPLICATE) for _, event in (*log.repeats, *log.redelivered)]
    result.ended += [
        (one.pending.event, one.decision.outcome) for turn in turns for one in turn.decided
    ]
    result.rejected += [
        (one.pending.event, reason)
        for turn in turns
        for one in turn.decided
        if one.decision.outcome is Outcome.REJECTED and (reason := one.decision.reason)
    ]
    cancelled = [
        turn.ticket.id
        for turn in turns
        if any(owed.action is Action.DISCARD for owed in turn.ticket.new_notices)
    ]
    if withdraw_unsent(connection, cancelled, now=now):
        result.due = True
    count_repeats(connection, log.repeats, now=now)


def _at_its_draw(event: Event, terms: Terms) -> Event:
    """Where each draw of a lottery ticket is a ticket of its own, *event* on that (H11)."""
    if terms.lottery_ticket != "ticket+draw" or event.draw is None:
        return event
    return event._replace(ticket_id=draw_ticket_id(event.ticket_id, event.draw))


def _unknown_operator(event: Event) -> RefusedEvent:
    return RefusedEvent(
        event,
        Reason.UNKNOWN_OPERATOR,
        f"no operator {event.operator!r}; add it with `slipway operators add`, then retry",
    )


def _reused(event: Event) -> RefusedEvent:
    return RefusedEvent(
        event,
        Reason.EVENT_ID_REUSED,
        f"event_id {event.event_id!r} was used on this ticket with another action or other data; "
        "send it again under an id of its own",
    )
