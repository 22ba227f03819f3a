"""Takes a batch of stream entries into the database: decode the entries, apply their events.

Every entry ends as an event of a ticket or is stored as rejected input. The database is the
caller's; acknowledging the entries and notifying the deliverers is the loop's.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Self

from pydantic_core import to_json
from sqlalchemy import Connection, text

from models.database.engine import Transaction
from models.database.errors import Blame, blame, error_line
from models.database.round_trip import AskedTime, RoundTrip
from models.events.age import age_problem
from models.events.cloud_event import time_name
from models.events.decode import read, unreadable
from models.events.event import Entry, Event, Unreadable
from models.events.kept_data import kept_data
from models.events.published import event_field
from models.intake.batch import BatchResult, RefusedEvent, apply_events, look_up
from models.platform.clock import Clock
from models.tracing.traceparent import log_fields
from models.vocabulary import Outcome, Reason

log = logging.getLogger(__name__)

# Delivered this often without ever being acknowledged: it kills its worker (H46).
DELIVERIES_MAX = 6
FAILED_MAX = 8  # tickets that fail for no known reason, before one is applied
UNREADABLE = "unreadable"

# Written last in its transaction, in key order: before the tickets, these rows deadlock (rule 19).
STORE_REJECTED = text("""
    INSERT INTO rejected_input (entry_id, kind, raw, whole, reason, message, operator, ticket_id,
                                event_id, received_at, rejected_at)
    VALUES (:entry_id, :kind, :raw, :whole, :reason, :message, :operator, :ticket_id, :event_id,
            :received_at, :now)
    ON CONFLICT (entry_id) DO NOTHING""")

Tickets = frozenset[tuple[str, str]]
"""Tickets by operator and id, as events name them."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Events and unreadable entries that one transaction applies or fails as a whole."""

    events: Sequence[Event]
    unreadable: Sequence[Unreadable] = ()

    @property
    def entry_ids(self) -> set[str]:
        """The ids of its entries."""
        ids = {entry.entry_id for entry in self.unreadable}
        return ids | {event.entry_id for event in self.events if event.entry_id is not None}


@dataclass(frozen=True, slots=True)
class DecodedBatch:
    """Entries as read from the stream, and what is in them."""

    entries: Sequence[Entry]
    part: _Part

    @property
    def tickets(self) -> Tickets:
        """The tickets that their events are about."""
        return frozenset((event.operator, event.ticket_id) for event in self.part.events)

    @property
    def events(self) -> Sequence[Event]:
        """The events in them, in their order."""
        return self.part.events

    def with_events(self, events: Sequence[Event]) -> Self:
        """Return the batch with *events* in place of its own, which differ in their traces only."""
        return replace(self, part=replace(self.part, events=events))


@dataclass(frozen=True, slots=True)
class Applied:
    """How the entries of a batch ended.

    *outcomes* counts them by (action or `unreadable`, outcome), *rejected* those that were rejected
    by (reason, channel); all of these are words of closed lists. *left* holds the ids of entries
    that were not applied, because the database fails for them alone with an error that blames no
    entry.
    """

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    due: bool = False  # a notice is due now: notify the deliverers
    rejected: Counter[tuple[str, str]] = field(default_factory=Counter)
    left: set[str] = field(default_factory=set)
    traced: dict[str, str] = field(default_factory=dict)  # outcomes, by entry, of events in a trace


# --- decode ---------------------------------------------------------------------------------------


def decode_entries(
    entries: Sequence[Entry], *, event_age_max: timedelta | None = None
) -> DecodedBatch:
    """Decode the events in *entries*, without the database.

    An event that happened more than *event_age_max* before it was received is rejected.
    """
    events: list[Event] = []
    rejected: list[Unreadable] = []
    for entry in entries:
        decoded = _decode(entry, event_age_max)
        if isinstance(decoded, Unreadable):
            rejected.append(decoded)
        else:
            events.append(decoded)
    return DecodedBatch(entries, _Part(events, rejected))


def _decode(entry: Entry, age_max: timedelta | None) -> Event | Unreadable:
    if entry.deliveries >= DELIVERIES_MAX:
        message = (
            f"delivered {entry.deliveries} times and never acknowledged: it kills its reader, or"
            " the database fails for it alone (see the intake's log)"
        )
        return unreadable(entry, Reason.POISON, message)
    decoded = read(entry)
    if isinstance(decoded, Unreadable) or age_max is None:
        return decoded
    problem = age_problem(decoded.order_time, received=decoded.received_at, age_max=age_max)
    if problem is None:
        return decoded
    return unreadable(entry, Reason.TOO_OLD, f"{time_name(event_field(entry))} {problem}")


# --- apply ----------------------------------------------------------------------------------------


def apply_entries(
    transaction: Transaction,
    entries: Sequence[Entry],
    *,
    clock: Clock,
    parking_window: timedelta,
    event_age_max: timedelta | None = None,
    isolate_unclear: bool = False,
    commits_along: bool = True,
) -> Applied:
    """Decode *entries* and apply their events."""
    batch = decode_entries(entries, event_age_max=event_age_max)
    return apply_batch(
        transaction,
        batch,
        clock=clock,
        parking_window=parking_window,
        isolate_unclear=isolate_unclear,
        commits_along=commits_along,
    )


def apply_batch(
    transaction: Transaction,
    batch: DecodedBatch,
    *,
    clock: Clock,
    parking_window: timedelta,
    isolate_unclear: bool = False,
    commits_along: bool = True,
) -> Applied:
    """Apply the events of *batch*; all is committed when this returns.

    Raises errors that blame no entry (`models.database.errors.blame`): nothing says how much of the
    batch was applied, so the caller applies all of it again, which is harmless (rule 21). An error
    that blames the content is isolated by halving the batch and ends as a row of rejected input.

    *isolate_unclear*: an error without an explanation is isolated as well, and the tickets that it
    stays with are left as they are, provided that others of the batch are applied.

    *commits_along*: send COMMIT along with the last statement where that is known to be the last,
    so *transaction* has nothing left to commit then.
    """
    parts, applied, left, failed = [batch.part], list[Applied](), set[str](), 0
    while parts:
        part = parts.pop(0)
        try:
            applied.append(
                _apply(
                    transaction,
                    part,
                    clock=clock,
                    parking_window=parking_window,
                    commits_along=commits_along,
                )
            )
        except Exception as error:
            blamed = blame(error)
            if blamed is Blame.SERVER or (blamed is Blame.UNCLEAR and not isolate_unclear):
                raise
            if blamed is Blame.CONTENT:
                parts = _isolate(part, error) + parts  # left before right (H45)
            elif smaller := _split_between_tickets(part):
                parts = smaller + parts
            else:
                failed += 1
                if not applied and (not parts or failed == FAILED_MAX):
                    raise  # nothing says that the trouble is not with the server
                left |= part.entry_ids
    return _merged(applied, left)


@dataclass(frozen=True, slots=True)
class BatchApplier:
    """Decodes and applies batches with what a process shares. Safe to call from any thread."""

    transaction: Transaction
    clock: Clock
    parking_window: timedelta
    event_age_max: timedelta | None = None  # None: no event is too old

    def decode(self, entries: Sequence[Entry]) -> DecodedBatch:
        """Decode the events in *entries*, without the database."""
        return decode_entries(entries, event_age_max=self.event_age_max)

    def apply(self, batch: DecodedBatch, *, isolate_unclear: bool = False) -> Applied:
        """Apply *batch*; all of it is committed on return (`apply_batch`)."""
        return apply_batch(
            self.transaction,
            batch,
            clock=self.clock,
            parking_window=self.parking_window,
            isolate_unclear=isolate_unclear,
        )


def _apply(
    transaction: Transaction,
    part: _Part,
    *,
    clock: Clock,
    parking_window: timedelta,
    commits_along: bool,
) -> Applied:
    """Apply *part* in one transaction."""
    with transaction() as connection:
        trip = RoundTrip(connection)
        moment = AskedTime.of(clock, trip)
        looked_up = look_up(trip, part.events) if part.events else None
        trip.run()
        now = moment.read()
        result = apply_events(
            connection,
            part.events,
            now=now,
            parking_window=parking_window,
            looked_up=looked_up,
            commit=commits_along and not part.unreadable,
        )
        rejected = [*part.unreadable, *map(_rejected_input, result.refused)]
        _store_rejected(connection, rejected, now=now)
    if log.isEnabledFor(logging.DEBUG):
        _log_events(result, rejected)
    outcomes = result.outcomes
    if part.unreadable:
        outcomes[UNREADABLE, Outcome.REJECTED.value] += len(part.unreadable)
    reasons: Counter[tuple[str, str]] = Counter(
        (entry.reason.value, entry.channel.value) for entry in rejected
    )
    reasons.update((reason.value, event.channel.value) for event, reason in result.rejected)
    traced = {
        event.entry_id: outcome.value
        for event, outcome in result.ended
        if event.traceparent is not None and event.entry_id is not None
    }
    return Applied(outcomes, result.due, reasons, traced=traced)


def _store_rejected(
    connection: Connection, rejected: Sequence[Unreadable], *, now: datetime
) -> None:
    """Store *rejected*; an entry that was delivered twice is stored once."""
    if not rejected:
        return
    rows = [
        {
            "entry_id": entry.entry_id,
            "kind": entry.kind,
            "raw": entry.raw,
            "whole": entry.whole,
            "reason": entry.reason,
            "message": entry.message,
            "operator": entry.operator,
            "ticket_id": entry.ticket_id,
            "event_id": entry.event_id,
            "received_at": entry.received_at,
            "now": now,
        }
        for entry in sorted(rejected, key=lambda entry: entry.entry_id)
    ]
    connection.execute(STORE_REJECTED, rows)


def _merged(parts: Sequence[Applied], left: set[str]) -> Applied:
    merged = Applied(due=any(part.due for part in parts), left=left)
    for part in parts:
        merged.outcomes.update(part.outcomes)
        merged.rejected.update(part.rejected)
        merged.traced.update(part.traced)
    return merged


def _rejected_input(refused: RefusedEvent) -> Unreadable:
    event = refused.event
    assert event.entry is not None, "an event that is refused has just been decoded"
    rejected = unreadable(event.entry, refused.reason, refused.message)
    if refused.keeps_text:
        return rejected
    identity = {"event_id": event.event_id, "occurred_at": event.order_time}
    kept = {**identity, "action": event.action, "data": kept_data(event.data)}
    return replace(rejected, raw=to_json(kept), kind=None, whole=True)


def _log_events(result: BatchResult, rejected: Sequence[Unreadable]) -> None:
    """Log a line for each event, by which a ticket can be followed from the stream on."""
    for event, outcome in result.ended:
        facts = {
            "operator": event.operator,
            "ticket_id": event.ticket_id,
            "event_id": event.event_id,
            "entry_id": event.entry_id,
            "action": event.action.value,
            "outcome": outcome.value,
            **log_fields(event.traceparent),
        }
        log.debug("event_decided", extra=facts)
    for entry in rejected:
        facts = {
            "operator": entry.operator,
            "ticket_id": entry.ticket_id,
            "event_id": entry.event_id,
            "entry_id": entry.entry_id,
            "reason": entry.reason.value,
        }
        log.debug("input_rejected", extra=facts)


# --- isolate what fails ---------------------------------------------------------------------------


def _isolate(part: _Part, error: Exception) -> list[_Part]:
    """Split *part* between tickets first, then in order; a single event is rejected (rule 21)."""
    if smaller := _split_between_tickets(part):
        return smaller
    if part.unreadable:
        raise error  # a row of rejected input that cannot be stored: there is nothing left to try
    if len(part.events) == 1:
        event = part.events[0]
        log.error("event_refused_as_poison", exc_info=error, extra={"entry_id": event.entry_id})
        message = f"could not be applied: {error_line(error)}"
        return [_Part((), [_rejected_input(RefusedEvent(event, Reason.POISON, message))])]
    middle = len(part.events) // 2
    return [_Part(part.events[:middle]), _Part(part.events[middle:])]


def _split_between_tickets(part: _Part) -> list[_Part]:
    """Return two parts that have no ticket in common, or none if that is not possible."""
    if part.unreadable and part.events:
        return [_Part((), part.unreadable), _Part(part.events)]
    if len(part.unreadable) > 1:
        middle = len(part.unreadable) // 2
        return [_Part((), part.unreadable[:middle]), _Part((), part.unreadable[middle:])]
    by_ticket: defaultdict[tuple[str, str], list[Event]] = defaultdict(list)
    for event in part.events:
        by_ticket[event.operator, event.ticket_id].append(event)
    groups = list(by_ticket.values())
    if len(groups) < 2:  # noqa: PLR2004 - two halves
        return []
    middle = len(groups) // 2
    return [
        _Part([event for group in half for event in group])
        for half in (groups[:middle], groups[middle:])
    ]
