"""Judges an event before it is published, with the intake's own eyes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Final, assert_never
from uuid import uuid4

from pydantic_core import from_json, to_json
from sqlalchemy import Connection, text

from models.events.age import publish_age_problem
from models.events.decode import read
from models.events.event import Entry, Event, Unreadable
from models.events.stream_contract import EVENT_BYTES_MAX, EVENT_FIELD
from models.publishers.keys import KeyHolder
from models.vocabulary import Reason
from producers.publisher.event import rfc3339

# Stands in for the entry that the event is not yet; nobody can have used it as an event's id.
_NO_ENTRY: Final = f"0-{uuid4()}"
_NO_ID: Final = f"stream:{_NO_ENTRY}"

KNOWN: Final = text("SELECT code FROM operator WHERE code = ANY(:codes)")

Now = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class ValidEvent:
    """An event that the intake can read: its id, its time and its bytes are fixed."""

    operator: str
    event_id: str
    occurred_at: str
    line: bytes


@dataclass(frozen=True, slots=True)
class InvalidEvent:
    """What is wrong with it. *too_large*: over 256 KiB."""

    message: str
    too_large: bool = False


@dataclass(frozen=True, slots=True)
class UnknownOperator:
    """This publisher's key does not reach so far, or there is no such operator."""

    message: str
    forbidden: bool


def watch(start: datetime) -> Now:
    """A clock that is set to *start*, the database's time, and runs from here on."""
    began = monotonic()
    return lambda: start + timedelta(seconds=monotonic() - began)


def examine(raw: bytes, *, now: Now, age_max: timedelta) -> ValidEvent | InvalidEvent:
    """Judge the JSON text of one event; what it leaves out is fixed here, before any try.

    What it takes, the intake refuses neither for its form nor for its age.

    Only then does a repeat of the same bytes count once. An event that names its id and time is
    published as it came.
    """
    found = read(Entry(_NO_ENTRY, {EVENT_FIELD: raw}))
    match found:
        case Unreadable():
            return InvalidEvent(found.message, too_large=found.reason is Reason.TOO_LARGE)
        case Event(occurred_at=datetime() as at) if why := publish_age_problem(
            at, now=now(), age_max=age_max
        ):
            return InvalidEvent(f"occurred_at {why}")
        case Event(occurred_at=datetime() as occurred_at) if found.event_id != _NO_ID:
            return ValidEvent(found.operator, found.event_id, rfc3339(occurred_at), raw)
        case Event():
            return _completed(found, raw, now)
        case _:
            assert_never(found)


def strangers(
    connection: Connection, holder: KeyHolder, operators: Iterable[str]
) -> dict[str, UnknownOperator]:
    """Those of *operators* that *holder* may not name, or that are not there."""
    named = set(operators)
    if holder.operators:
        bound = ", ".join(holder.operators[:5]) + (" …" if len(holder.operators) > 5 else "")  # noqa: PLR2004 - fits a line
        return {
            code: UnknownOperator(
                f"this key may not name operator {code!r}, only {bound}", forbidden=True
            )
            for code in named
            if not holder.may_name(code)
        }
    known = set(connection.execute(KNOWN, {"codes": sorted(named)}).scalars())
    return {
        code: UnknownOperator(
            f"no operator {code!r}; add it with `slipway operators add`", forbidden=False
        )
        for code in named - known
    }


def _completed(event: Event, raw: bytes, now: Now) -> ValidEvent | InvalidEvent:
    told = from_json(raw)
    assert isinstance(told, dict), "it was read as an event"
    if told.get("event_id") is None:
        told["event_id"] = str(uuid4())
    if told.get("occurred_at") is None:
        told["occurred_at"] = rfc3339(now())
    line = to_json(told)
    if len(line) > EVENT_BYTES_MAX:
        return InvalidEvent(
            f"with an event_id and a time it has {len(line)} bytes; at most {EVENT_BYTES_MAX} are"
            " taken",
            too_large=True,
        )
    return ValidEvent(event.operator, told["event_id"], told["occurred_at"], line)
