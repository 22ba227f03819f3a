"""Finds the events that a command applies to: by their ids, or all that match its options."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from models.triage import (
    NEEDING_A_PERSON,
    EventKey,
    LoggedEvent,
    RawInput,
    choose_events,
    choose_raw,
    find_events,
    find_raw,
    find_raw_by_event_id,
)
from models.vocabulary import Outcome
from worker.cli.errors import Failed, WrongUsage
from worker.cli.triage.options import SelectionOptions
from worker.cli.triage.session import selection_at


@dataclass(frozen=True, slots=True)
class Targets:
    """What to change, in order of arrival: raw input first. *more*: the limit left some out."""

    raw: Sequence[str]  # entry ids
    events: Sequence[EventKey]
    more: bool = False

    def by_ticket(self) -> list[list[EventKey]]:
        """Return the events grouped by ticket, the ticket with the oldest event first."""
        grouped: dict[int, list[EventKey]] = {}
        for key in self.events:
            grouped.setdefault(key.ticket, []).append(key)
        return list(grouped.values())


def find_one(
    connection: Connection,
    event_id: str,
    outcome: Outcome,
    *,
    operator: str | None,
    ticket: str | None,
) -> LoggedEvent | RawInput:
    """Return the one event, or raw input, that an id means. Raises Failed or WrongUsage."""
    events = find_events(connection, event_id, operator=operator, ticket_id=ticket)
    candidates: list[LoggedEvent | RawInput] = [
        event for event in events if event.outcome == outcome
    ]
    if outcome is Outcome.REJECTED:
        raw = find_raw(connection, event_id)
        if raw is not None and _matches(raw, operator, ticket):
            candidates.append(raw)
        if not candidates:  # raw input whose event was to have this id
            named = [
                find_raw(connection, entry) for entry in find_raw_by_event_id(connection, event_id)
            ]
            candidates += [raw for raw in named if raw and _matches(raw, operator, ticket)]
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        names = ", ".join(map(_name, candidates))
        raise WrongUsage(
            f"{event_id} matches {len(candidates)}: {names}; narrow it with --operator or"
            " --ticket, or give the entry's id"
        )
    if events:
        others = ", ".join(
            f"{event.outcome} ({_name(event)}): {_page_of(event)}" for event in events
        )
        raise Failed(f"event {event_id} is not {outcome.value} but {others}")
    narrowed = " there" if operator or ticket else ""
    advice = ""
    if find_raw_by_event_id(connection, event_id):
        advice = f"; raw input names it: `slipway events rejected show {event_id}`"
    raise Failed(f"no event {event_id} is known{narrowed}{advice}")


def find_named(
    connection: Connection, outcome: Outcome, ids: Sequence[str], selection: SelectionOptions
) -> Targets:
    """Return what *ids* mean. Raises Failed or WrongUsage."""
    targets = [
        find_one(
            connection, event_id, outcome, operator=selection.operator, ticket=selection.ticket
        )
        for event_id in dict.fromkeys(ids)
    ]
    return Targets(
        raw=[target.entry_id for target in targets if isinstance(target, RawInput)],
        events=[target.key for target in targets if isinstance(target, LoggedEvent)],
    )


def find_matching(
    connection: Connection, now: datetime, outcome: Outcome, options: SelectionOptions
) -> Targets:
    """Return what matches *options*, oldest first, up to their limit."""
    selection = selection_at(options, now)
    raw: list[str] = []
    if outcome is Outcome.REJECTED:
        raw = choose_raw(connection, selection, limit=options.limit + 1)
    events = choose_events(connection, outcome, selection, limit=options.limit + 1)
    room = max(options.limit - len(raw), 0)
    more = len(raw) + len(events) > options.limit
    return Targets(raw[: options.limit], events[:room], more)


def _page_of(event: LoggedEvent) -> str:
    """Return the command that shows *event*."""
    if event.outcome in NEEDING_A_PERSON:
        return f"`slipway events {event.outcome} show {event.event_id}`"
    return f"`slipway ticket {event.ticket_id} --operator {event.operator}`"


def _matches(raw: RawInput, operator: str | None, ticket: str | None) -> bool:
    return operator in {None, raw.operator} and ticket in {None, raw.ticket_id}


def _name(target: LoggedEvent | RawInput) -> str:
    if isinstance(target, RawInput):
        return f"raw input of entry {target.entry_id}"
    return f"{target.action} of ticket {target.ticket_id} of {target.operator}"
