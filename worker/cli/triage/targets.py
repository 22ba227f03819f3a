"""Finds the events that a command means: by their ids, or all that fit."""

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
    raw_naming,
)
from models.vocabulary import Outcome
from worker.cli.errors import Failed, WrongUsage
from worker.cli.triage.options import Choice
from worker.cli.triage.session import selection


@dataclass(frozen=True, slots=True)
class Targets:
    """What to change, in the order in which it came: raw input first. *more*: the limit cut it."""

    raw: Sequence[str]  # entry ids
    events: Sequence[EventKey]
    more: bool = False

    def __len__(self) -> int:
        """How many there are."""
        return len(self.raw) + len(self.events)

    def by_ticket(self) -> list[list[EventKey]]:
        """The events of each ticket together, oldest ticket's first."""
        grouped: dict[int, list[EventKey]] = {}
        for key in self.events:
            grouped.setdefault(key.ticket, []).append(key)
        return list(grouped.values())


def find_one(
    connection: Connection, event_id: str, outcome: Outcome, choice: Choice
) -> LoggedEvent | RawInput:
    """The one event, or raw input, that an id means. Raises Failed or WrongUsage."""
    events = find_events(connection, event_id, operator=choice.operator, ticket_id=choice.ticket)
    meant: list[LoggedEvent | RawInput] = [one for one in events if one.outcome == outcome]
    if outcome is Outcome.REJECTED:
        raw = find_raw(connection, event_id)
        if raw is not None and _fits(raw, choice):
            meant.append(raw)
        if not meant:  # input that was to become an event of this id
            meant += _raw_of(connection, event_id, choice)
    if len(meant) == 1:
        return meant[0]
    if meant:
        listed = ", ".join(map(_named, meant))
        raise WrongUsage(
            f"{event_id} may be any of {len(meant)}: {listed}; narrow it with --operator or"
            " --ticket, or give the entry's id"
        )
    if events:
        found = ", ".join(f"{one.outcome} ({_named(one)}): {_page_of(one)}" for one in events)
        raise Failed(f"event {event_id} is not {outcome.value} but {found}")
    narrowed = " there" if choice.operator or choice.ticket else ""
    kept = raw_naming(connection, event_id)
    hint = f"; input that names it is kept raw: `slipway events rejected show {event_id}`"
    hint = hint if kept else ""
    raise Failed(f"no event {event_id} is known{narrowed}{hint}")


def find_named(connection: Connection, outcome: Outcome, choice: Choice) -> Targets:
    """What the ids of *choice* mean. Raises Failed or WrongUsage."""
    found = [find_one(connection, one, outcome, choice) for one in dict.fromkeys(choice.ids)]
    return Targets(
        raw=[one.entry_id for one in found if isinstance(one, RawInput)],
        events=[one.key for one in found if isinstance(one, LoggedEvent)],
    )


def find_fitting(
    connection: Connection, now: datetime, outcome: Outcome, choice: Choice
) -> Targets:
    """All that fits *choice*, oldest first, as far as its limit goes."""
    asked = selection(choice, now)
    raw: list[str] = []
    if outcome is Outcome.REJECTED:
        raw = choose_raw(connection, asked, limit=choice.limit + 1)
    events = choose_events(connection, outcome, asked, limit=choice.limit + 1)
    room = max(choice.limit - len(raw), 0)
    more = len(raw) + len(events) > choice.limit
    return Targets(raw[: choice.limit], events[:room], more)


def _raw_of(connection: Connection, event_id: str, choice: Choice) -> list[RawInput]:
    found = [find_raw(connection, one) for one in raw_naming(connection, event_id)]
    return [one for one in found if one is not None and _fits(one, choice)]


def _page_of(one: LoggedEvent) -> str:
    """The command that shows it."""
    if one.outcome in NEEDING_A_PERSON:
        return f"`slipway events {one.outcome} show {one.event_id}`"
    return f"`slipway ticket {one.ticket_id} --operator {one.operator}`"


def _fits(raw: RawInput, choice: Choice) -> bool:
    return choice.operator in {None, raw.operator} and choice.ticket in {None, raw.ticket_id}


def _named(one: LoggedEvent | RawInput) -> str:
    if isinstance(one, RawInput):
        return f"raw input of entry {one.entry_id}"
    return f"{one.action} of ticket {one.ticket_id} of {one.operator}"
