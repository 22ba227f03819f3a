"""Apply what was read from the stream: every entry ends as an event of a ticket or is kept raw."""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from models.database.engine import Transaction
from models.database.errors import Blame, blame, error_line
from models.events.age import age_problem
from models.events.channels import channel_of
from models.events.decode import read, unreadable
from models.events.event import Entry, Event, Unreadable
from models.intake.batch import BatchResult, apply_chunk
from models.intake.rejected_input import keep
from models.platform.clock import Clock
from models.vocabulary import Outcome, Reason

log = logging.getLogger(__name__)

# Handed out this often without ever being finished: it takes its worker down (protocol H46).
DELIVERIES_MAX = 6
FAILED_MAX = 8  # tickets that fail for no known reason, before one goes through
UNREADABLE = "unreadable"

Tickets = frozenset[tuple[str, str]]
"""Tickets by operator and id, as events name them."""


@dataclass(slots=True)
class Applied:
    """What became of the entries. *outcomes* counts by (action or `unreadable`, outcome).

    *rejected* counts those of them that were rejected by (reason, door), words of closed lists.
    *left* holds the ids of entries that are as they were, because the database fails for them
    alone, with an error that blames no entry.
    """

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    due: bool = False  # a notice is due now: hint the deliverers
    rejected: Counter[tuple[str, str]] = field(default_factory=Counter)
    left: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Part:
    """Events, and entries that are none, which one transaction takes or refuses as a whole."""

    events: Sequence[Event]
    unreadable: Sequence[Unreadable] = ()

    @property
    def entry_ids(self) -> set[str]:
        """The entries it holds."""
        raw = {one.entry_id for one in self.unreadable}
        return raw | {one.entry_id for one in self.events if one.entry_id is not None}


@dataclass(frozen=True, slots=True)
class Opened:
    """Entries as read from the stream, and what is in them."""

    entries: Sequence[Entry]
    part: _Part

    @property
    def tickets(self) -> Tickets:
        """The tickets they speak of."""
        return frozenset((one.operator, one.ticket_id) for one in self.part.events)


def open_entries(entries: Sequence[Entry], *, event_age_max: timedelta | None = None) -> Opened:
    """Read what is in *entries*, without the database.

    *event_age_max*: what happened longer before it came is refused; None: nothing is too old.
    """
    return Opened(entries, _read(entries, event_age_max))


def apply_opened(
    transaction: Transaction,
    opened: Opened,
    *,
    clock: Clock,
    parking_window: timedelta,
    apart: bool = False,
) -> Applied:
    """Apply what is in the entries; all is committed when this returns.

    Raises errors that blame no entry (`models.database.errors.blame`): nothing says how much of the
    entries was applied, so the caller tries them all again, which is harmless (rule 21). An error
    that blames the content is pinned down by halving the chunk and ends as a row kept raw.

    *apart*: an error without an explanation is pinned down as well, and the tickets it stays with
    are left as they are, provided that others of the chunk go through.
    """
    by_id = {entry.id: entry for entry in opened.entries}
    applied = Applied()
    parts, failed, went_through = [opened.part], 0, False
    while parts:
        part = parts.pop(0)
        try:
            _apply(transaction, part, by_id, applied, clock=clock, parking_window=parking_window)
            went_through = True
        except Exception as error:
            whose = blame(error)
            if whose is Blame.SERVER or (whose is Blame.UNCLEAR and not apart):
                raise
            if whose is Blame.CONTENT:
                parts = _halves(part, by_id, error) + parts  # left before right (protocol H45)
            elif between := _between_tickets(part):
                parts = between + parts
            else:
                failed += 1
                if not went_through and (not parts or failed == FAILED_MAX):
                    raise  # nothing says that it is not the server's trouble with all of them
                applied.left |= part.entry_ids
    return applied


def apply_entries(
    transaction: Transaction,
    entries: Sequence[Entry],
    *,
    clock: Clock,
    parking_window: timedelta,
    event_age_max: timedelta | None = None,
    apart: bool = False,
) -> Applied:
    """Open *entries* and apply what is in them."""
    opened = open_entries(entries, event_age_max=event_age_max)
    return apply_opened(
        transaction, opened, clock=clock, parking_window=parking_window, apart=apart
    )


def _read(entries: Sequence[Entry], age_max: timedelta | None) -> _Part:
    events: list[Event] = []
    refused: list[Unreadable] = []
    for entry in entries:
        if entry.deliveries >= DELIVERIES_MAX:
            message = (
                f"handed out {entry.deliveries} times and never finished: it ends its reader, or"
                " the database fails for it alone (see the intake's log)"
            )
            refused.append(unreadable(entry, Reason.POISON, message))
            continue
        found = read(entry)
        if isinstance(found, Unreadable):
            refused.append(found)
        elif age_max is not None and (why := _too_old(found, age_max)):
            refused.append(unreadable(entry, Reason.TOO_OLD, why))
        else:
            events.append(found)
    return _Part(events, refused)


def _too_old(event: Event, age_max: timedelta) -> str | None:
    why = age_problem(event.order_time, received=event.received_at, age_max=age_max)
    return why and f"occurred_at {why}"


def _apply(
    transaction: Transaction,
    part: _Part,
    by_id: dict[str, Entry],
    applied: Applied,
    *,
    clock: Clock,
    parking_window: timedelta,
) -> None:
    with transaction() as connection:
        now = clock.now(connection)
        result = apply_chunk(connection, part.events, now=now, parking_window=parking_window)
        refused = [
            unreadable(by_id[one.event.entry_id or ""], one.reason, one.message)
            for one in result.refused
        ]
        keep(connection, [*part.unreadable, *refused], now=now)
    applied.outcomes.update(result.outcomes)
    if part.unreadable:
        applied.outcomes[UNREADABLE, Outcome.REJECTED.value] += len(part.unreadable)
    kept = [*part.unreadable, *refused]
    applied.rejected.update(_rejections(result, kept, by_id))
    applied.due = applied.due or result.due
    if log.isEnabledFor(logging.DEBUG):
        _tell(result, kept)


def _rejections(
    result: BatchResult, kept: Sequence[Unreadable], by_id: dict[str, Entry]
) -> Iterator[tuple[str, str]]:
    """Yield reason and door of each event that was rejected: kept raw, or by its ticket."""
    for one in kept:
        yield one.reason, channel_of(by_id.get(one.entry_id))
    for event, reason in result.rejected:
        yield reason, channel_of(by_id.get(event.entry_id or ""))


def _tell(result: BatchResult, kept: Sequence[Unreadable]) -> None:
    """A line for each event: the beginning of a ticket's way through the log."""
    for event, outcome in result.ended:
        facts = {
            "operator": event.operator,
            "ticket_id": event.ticket_id,
            "event_id": event.event_id,
            "entry_id": event.entry_id,
            "action": event.action.value,
            "outcome": outcome.value,
        }
        log.debug("event_decided", extra=facts)
    for one in kept:
        facts = {
            "operator": one.operator,
            "ticket_id": one.ticket_id,
            "event_id": one.event_id,
            "entry_id": one.entry_id,
            "reason": one.reason.value,
        }
        log.debug("event_kept_raw", extra=facts)


def _halves(part: _Part, by_id: dict[str, Entry], error: Exception) -> list[_Part]:
    """Split between tickets first, then in order; what stands alone is kept raw (rule 21)."""
    if between := _between_tickets(part):
        return between
    if part.unreadable:
        raise error  # a raw row that cannot even be stored: nothing more modest is left to try
    if len(part.events) == 1:
        event = part.events[0]
        log.error("event_refused_as_poison", exc_info=error, extra={"entry_id": event.entry_id})
        message = f"could not be applied: {error_line(error)}"
        return [_Part((), [unreadable(by_id[event.entry_id or ""], Reason.POISON, message)])]
    middle = len(part.events) // 2
    return [_Part(part.events[:middle]), _Part(part.events[middle:])]


def _between_tickets(part: _Part) -> list[_Part]:
    """Two smaller parts, none of which has half of a ticket; none if it is not more than one."""
    if part.unreadable and part.events:
        return [_Part((), part.unreadable), _Part(part.events)]
    if len(part.unreadable) > 1:
        middle = len(part.unreadable) // 2
        return [_Part((), part.unreadable[:middle]), _Part((), part.unreadable[middle:])]
    by_ticket: defaultdict[tuple[str, str], list[Event]] = defaultdict(list)
    for event in part.events:
        by_ticket[event.operator, event.ticket_id].append(event)
    groups = list(by_ticket.values())
    if len(groups) == 1 or not groups:
        return []
    middle = len(groups) // 2
    return [
        _Part([event for group in half for event in group])
        for half in (groups[:middle], groups[middle:])
    ]
