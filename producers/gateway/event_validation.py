"""Validates an event before it is published, with the code of the intake."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Final, assert_never
from uuid import uuid4

from pydantic_core import from_json, to_json
from sqlalchemy import Connection, text

from models.events.age import publish_age_problem
from models.events.cloud_event import is_cloud_event, time_name
from models.events.decode import read
from models.events.event import Entry, Event, Unreadable
from models.events.stream_contract import EVENT_BYTES_MAX, EVENT_FIELD
from models.publishers.keys import KeyHolder
from models.vocabulary import Reason
from producers.publisher.event import rfc3339

# Stands in for the id of the entry to come; no publisher can have used it as an event id.
_NO_ENTRY: Final = f"0-{uuid4()}"
_NO_ID: Final = f"stream:{_NO_ENTRY}"

SELECT_OPERATORS: Final = text(
    "SELECT code, ended_at IS NOT NULL AS ended FROM operator WHERE code = ANY(:codes)"
)

Now = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class ValidEvent:
    """An event that the intake can read, with its final id, time and bytes."""

    operator: str
    event_id: str
    occurred_at: str
    line: bytes
    traceparent: str | None = None  # that it names itself


@dataclass(frozen=True, slots=True)
class InvalidEvent:
    """Why an event is rejected. *too_large*: it is over 256 KiB."""

    message: str
    too_large: bool = False


@dataclass(frozen=True, slots=True)
class UnusableOperator:
    """Why a publisher cannot name an operator: forbidden to its key, or unknown."""

    message: str
    forbidden: bool


def running_clock(start: datetime) -> Now:
    """Return a clock that is set to *start*, the database's time, and runs from now on."""
    began = monotonic()
    return lambda: start + timedelta(seconds=monotonic() - began)


def validate_event(raw: bytes, *, now: Now, age_max: timedelta) -> ValidEvent | InvalidEvent:
    """Validate the JSON text of one event, and fill in a missing id and time.

    The intake rejects a valid event neither for its form nor for its age. Id and time are fixed
    before the first try, so that a repeat counts once. An event that has both is published
    byte for byte as received.
    """
    event = read(Entry(_NO_ENTRY, {EVENT_FIELD: raw}))
    match event:
        case Unreadable():
            return InvalidEvent(event.message, too_large=event.reason is Reason.TOO_LARGE)
        case Event(occurred_at=datetime() as at) if why := publish_age_problem(
            at, now=now(), age_max=age_max
        ):
            return InvalidEvent(f"{time_name(raw)} {why}")
        case Event(occurred_at=datetime() as occurred_at) if event.event_id != _NO_ID:
            return ValidEvent(
                event.operator, event.event_id, rfc3339(occurred_at), raw, event.traceparent
            )
        case Event():
            return _completed(event, raw, now)
        case _:
            assert_never(event)


def unusable_operators(
    connection: Connection, holder: KeyHolder, operators: Iterable[str]
) -> dict[str, UnusableOperator]:
    """Return those of *operators* that *holder* may not name, or that take no event.

    Those do not exist, or their partnership has ended (rule 24).
    """
    named = set(operators)
    if holder.operators:
        bound = ", ".join(holder.operators[:5]) + (" …" if len(holder.operators) > 5 else "")  # noqa: PLR2004 - fits a line
        return _ended(named & holder.ended) | {
            code: UnusableOperator(
                f"this key cannot publish for operator {code!r}, only for {bound}", forbidden=True
            )
            for code in named
            if not holder.may_name(code)
        }
    rows = connection.execute(SELECT_OPERATORS, {"codes": sorted(named)})
    known = {row.code: row.ended for row in rows}
    return _ended(code for code, ended in known.items() if ended) | {
        code: UnusableOperator(
            f"operator {code!r} does not exist; add it with `slipway operators add`",
            forbidden=False,
        )
        for code in named - known.keys()
    }


def operator_ended(code: str) -> str:
    """Say why no event of this operator is published: its partnership has ended."""
    return f"the partnership with operator {code!r} has ended (operator_ended): nothing is accepted"


def _ended(codes: Iterable[str]) -> dict[str, UnusableOperator]:
    return {code: UnusableOperator(operator_ended(code), forbidden=False) for code in codes}


def _completed(event: Event, raw: bytes, now: Now) -> ValidEvent | InvalidEvent:
    fields = from_json(raw)
    assert isinstance(fields, dict), "it was read as an event"
    id_, time = ("id", "time") if is_cloud_event(fields) else ("event_id", "occurred_at")
    if fields.get(id_) is None:
        fields[id_] = str(uuid4())
    if fields.get(time) is None:
        fields[time] = rfc3339(now())
    line = to_json(fields)
    if len(line) > EVENT_BYTES_MAX:
        return InvalidEvent(
            f"with an id and a time it has {len(line)} bytes; the maximum is {EVENT_BYTES_MAX}",
            too_large=True,
        )
    return ValidEvent(event.operator, fields[id_], fields[time], line, event.traceparent)
