"""Applies a batch of events in one transaction, by a handful of set-based statements."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection

from models.database.round_trip import RoundTrip
from models.events.event import ARRIVALS_END, Event
from models.events.lottery import draw_ticket_id, draw_ticket_id_problem
from models.intake.deduplicate import (
    Arrived,
    Deduplicated,
    count_repeats,
    deduplicate,
    logged_events,
)
from models.lifecycle.advance import PendingEvent, advance
from models.lifecycle.ticket import Terms, TicketState, refused_since
from models.outbox.creates import withdraw_unsent
from models.tickets.load import FoundTickets, LookUp, NamedTicket, lock_known, parked_of
from models.tickets.save import TicketChange, TicketExists, save_changes, save_new_tickets
from models.tickets.tombstones import RemovedTicket, TicketKey
from models.vocabulary import Action, Outcome, Reason, Status


@dataclass(frozen=True, slots=True)
class RefusedEvent:
    """An event that cannot become one of a ticket; it is stored as rejected input.

    *keeps_text*: as it came; without what may identify a player if not (rule 25).
    """

    event: Event
    reason: Reason
    message: str
    keeps_text: bool = True


class _Routed(NamedTuple):
    """An event of an operator that exists, and the ticket it is for."""

    key: TicketKey
    terms: Terms
    event: Event


@dataclass(frozen=True, slots=True)
class BatchResult:
    """How the events of a batch ended.

    *ended*: those that are in the event log, in no particular order. *rejected*: those among them
    that their ticket rejected.
    """

    ended: list[tuple[Event, Outcome]] = field(default_factory=list)
    rejected: list[tuple[Event, Reason]] = field(default_factory=list)
    refused: list[RefusedEvent] = field(default_factory=list)
    due: bool = False  # a new notice is due now

    @property
    def outcomes(self) -> Counter[tuple[str, str]]:
        """How many events of each action ended with each outcome."""
        ends = Counter((event.action, outcome) for event, outcome in self.ended)
        ends.update((refused.event.action, Outcome.REJECTED) for refused in self.refused)
        return Counter({(str(action), str(end)): count for (action, end), count in ends.items()})


def look_up(trip: RoundTrip, events: Sequence[Event]) -> LookUp:
    """Ask within *trip* for what `apply_events` has to know of operators and tickets."""
    return LookUp.of(trip, map(_named, events))


def apply_events(
    connection: Connection,
    events: Sequence[Event],
    *,
    now: datetime,
    parking_window: timedelta,
    looked_up: LookUp | None = None,
    commit: bool = False,
) -> BatchResult:
    """Apply *events* inside the caller's transaction, under the locks of their tickets.

    Each counts once per ticket (rule 2); those of a ticket are decided with what is parked on it,
    oldest first (rule 5). Raises what the database raises; then nothing was applied, or the
    connection was lost while it was committed. *looked_up*: by `look_up`, in a trip that was run.
    *commit*: end the transaction along with the last statement, if nothing of these events is left
    to be written then (an event that is refused is the caller's to store).
    """
    if not events:
        return BatchResult()
    while True:
        routed, refused, findings = _route(connection, events, looked_up)
        ends = commit and not refused
        try:
            new = _apply_to_new_tickets(
                connection, routed, findings, now=now, window=parking_window, commit=ends
            )
        except TicketExists:  # another transaction was first: all are decided again
            looked_up = None
            continue
        break
    known = _apply_to_known_tickets(
        connection,
        [event for event in routed if event.key in findings.known],
        findings.known,
        now=now,
        window=parking_window,
        commit=ends and not new.refused,
    )
    return BatchResult(
        ended=new.ended + known.ended,
        rejected=new.rejected + known.rejected,
        refused=refused + new.refused + known.refused,
        due=new.due or known.due,
    )


def _named(event: Event) -> NamedTicket:
    draw = event.draw
    of_draw = event.ticket_id if draw is None else draw_ticket_id(event.ticket_id, draw)
    return (event.operator, event.ticket_id, of_draw)


def _route(
    connection: Connection, events: Sequence[Event], looked_up: LookUp | None
) -> tuple[list[_Routed], list[RefusedEvent], FoundTickets]:
    """Return the events with their tickets, those that cannot have one, and what tickets exist."""
    while True:
        if looked_up is None:
            trip = RoundTrip(connection)
            looked_up = look_up(trip, events)
            trip.run()
        routed, refused = _with_tickets(events, looked_up.terms())
        findings = looked_up.tickets()
        if all(any(event.key in part for part in findings) for event in routed):
            return routed, refused, findings
        looked_up = None  # between its two statements an operator was added, or its terms changed


def _with_tickets(
    events: Sequence[Event], terms: Mapping[str, Terms]
) -> tuple[list[_Routed], list[RefusedEvent]]:
    """Return the events with their tickets, and those that cannot have one."""
    routed: list[_Routed] = []
    refused: list[RefusedEvent] = []
    for event in events:
        terms_of_event = terms.get(event.operator)
        if terms_of_event is None:
            refused.append(_unknown_operator(event))
            continue
        placed = _with_ticket_of_draw(event, terms_of_event)
        if placed is not event and (problem := draw_ticket_id_problem(placed.ticket_id)):
            refused.append(RefusedEvent(placed, Reason.INVALID_EVENT, problem))
        else:
            key = (terms_of_event.operator, placed.ticket_id)
            routed.append(_Routed(key, terms_of_event, placed))
    return routed, refused


def _apply_to_new_tickets(
    connection: Connection,
    routed: Sequence[_Routed],
    findings: FoundTickets,
    *,
    now: datetime,
    window: timedelta,
    commit: bool,
) -> BatchResult:
    """Apply the events of tickets that do not exist yet; return how they ended.

    They are decided before their tickets are inserted: a ticket without a row has no log and
    nothing parked. Raises TicketExists if another transaction inserts one of the rows first.
    Where the partnership has ended no ticket begins (rule 24), and none that was removed begins
    again (rule 29).
    """
    ids, known, removed = findings
    if not ids and not removed:
        return BatchResult()
    refused = [
        _operator_ended(event)
        if event.terms.ended_at is not None
        else _ticket_removed(event, removed[event.key])
        for event in routed
        if event.key in removed or (event.key in ids and event.terms.ended_at is not None)
    ]
    tickets = {
        event.key: TicketState(ids[event.key], event.key[1], event.terms)
        for event in routed
        if event.key in ids and event.terms.ended_at is None
    }
    arrived = [(tickets[event.key], event.event) for event in routed if event.key in tickets]
    events = deduplicate(arrived, {})
    changes = _decide(connection, events.fresh, now=now, window=window)
    is_last = commit and not known and not refused and _is_all(events, changes)
    due = save_new_tickets(connection, changes, now=now, commit=is_last)
    result = _conclude(connection, events, changes, due=due, now=now)
    result.refused.extend(refused)
    return result


def _apply_to_known_tickets(
    connection: Connection,
    routed: Sequence[_Routed],
    ids: Mapping[TicketKey, int],
    *,
    now: datetime,
    window: timedelta,
    commit: bool,
) -> BatchResult:
    """Lock the tickets of the events, then apply those that are not in the log yet."""
    if not routed:
        return BatchResult()
    tickets, removed = lock_known(connection, ids, now=now)
    arrived = [(tickets[event.key], event.event) for event in routed if event.key in tickets]
    events = deduplicate(arrived, logged_events(connection, arrived))
    changes = _decide(connection, events.fresh, now=now, window=window)
    is_last = commit and not removed and _is_all(events, changes)
    due = save_changes(connection, changes, now=now, commit=is_last)
    result = _conclude(connection, events, changes, due=due, now=now)
    result.refused.extend(
        _ticket_removed(event, removed[event.key]) for event in routed if event.key in removed
    )
    return result


def _decide(
    connection: Connection, fresh: Sequence[Arrived], *, now: datetime, window: timedelta
) -> list[TicketChange]:
    """Decide fresh events, each ticket's with what is parked on it."""
    pending: defaultdict[int, list[PendingEvent]] = defaultdict(list)
    tickets: dict[int, TicketState] = {}
    for place, (ticket, event) in enumerate(fresh):
        tickets[ticket.id] = ticket
        # They arrive after all that is parked; their place in the batch breaks ties.
        pending[ticket.id].append(PendingEvent(event, arrival=ARRIVALS_END + place))
    for ticket_id, parked in parked_of(connection, tickets.values()).items():
        pending[ticket_id] += parked
    changes: list[TicketChange] = []
    for ticket_id, events in pending.items():
        ticket = tickets[ticket_id]
        was_new = ticket.status is Status.NEW
        decided = advance(ticket, events, now=now, window=window, was_new=was_new)
        changes.append(TicketChange(ticket, decided))
    return changes


def _is_all(events: Deduplicated, changes: Sequence[TicketChange]) -> bool:
    """Return whether there is nothing to write once *changes* are saved."""
    return not (events.repeats or events.reused or _cancelled(changes))


def _cancelled(changes: Sequence[TicketChange]) -> list[int]:
    """Return the tickets whose create, if it is unsent, is withdrawn."""
    return [
        change.ticket.id
        for change in changes
        if any(notice.action is Action.DISCARD for notice in change.ticket.new_notices)
    ]


def _conclude(
    connection: Connection,
    events: Deduplicated,
    changes: Sequence[TicketChange],
    *,
    due: bool,
    now: datetime,
) -> BatchResult:
    """Do what follows once *changes* are saved. Returns how each event ended."""
    cancelled = _cancelled(changes)
    if cancelled and withdraw_unsent(connection, cancelled, now=now):
        due = True
    count_repeats(connection, events.repeats, now=now)
    decided = [
        (decided.pending.event, decided.decision)
        for change in changes
        for decided in change.decided
    ]
    duplicates = (*events.repeats, *events.redelivered)
    return BatchResult(
        ended=[
            *((event, Outcome.DUPLICATE) for _, event in duplicates),
            *((event, decision.outcome) for event, decision in decided),
        ],
        rejected=[
            (event, decision.reason)
            for event, decision in decided
            if decision.outcome is Outcome.REJECTED and decision.reason is not None
        ],
        refused=[_reused_id(event) for _, event in events.reused],
        due=due,
    )


def _with_ticket_of_draw(event: Event, terms: Terms) -> Event:
    """Return *event* on the ticket of its draw, where each draw has a ticket of its own (H11)."""
    if terms.lottery_ticket != "ticket+draw" or event.draw is None:
        return event
    return event._replace(ticket_id=draw_ticket_id(event.ticket_id, event.draw))


def _unknown_operator(event: Event) -> RefusedEvent:
    return RefusedEvent(
        event,
        Reason.UNKNOWN_OPERATOR,
        f"there is no operator {event.operator!r}; add it, then retry",
    )


def _operator_ended(routed: _Routed) -> RefusedEvent:
    return RefusedEvent(routed.event, Reason.OPERATOR_ENDED, refused_since(routed.terms))


def _ticket_removed(routed: _Routed, removed: RemovedTicket) -> RefusedEvent:
    event = routed.event
    message = removed.refusal(event.operator, event.ticket_id)
    return RefusedEvent(event, Reason.TICKET_REMOVED, message, keeps_text=not removed.erased)


def _reused_id(event: Event) -> RefusedEvent:
    return RefusedEvent(
        event,
        Reason.EVENT_ID_REUSED,
        f"event_id {event.event_id!r} was used on this ticket with another action or other data; "
        "send it again with an event_id of its own",
    )
