"""Read a stream entry into an event, or say in words what is wrong with it. Never raises."""

import difflib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, from_json

from models.events.event import Entry, Event, Unreadable
from models.events.format import REQUIRED, WireEvent
from models.lifecycle.words import INBOUND, Action, Reason

EVENT_BYTES_MAX = 256 * 1024
RAW_BYTES_MAX = 8 * 1024 * 1024  # of a rejected entry: the start is kept, the rest is cut
PROBLEMS_SHOWN_MAX = 5
_WIRE = TypeAdapter(WireEvent)
_FIELD = b"event"
_SUSPICIOUS = re.compile(rb"\\u0000|\d[eE]|\d{300}|NaN|Infinity")
_LATEST = datetime(9999, 1, 1, tzinfo=UTC)  # room for a window behind it
_STRANGERS_NOTE = "unknown fields are kept, but must be storable as JSON"


class _Refusal(Exception):
    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def received_at(entry_id: str) -> datetime:
    """The moment a stream entry was added, by Redis' clock.

    An id may be given with XADD, and so lie beyond all dates: that counts as the year 9999.
    """
    try:
        moment = datetime.fromtimestamp(int(entry_id.partition("-")[0]) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return _LATEST
    return min(moment, _LATEST)


def read(entry: Entry) -> Event | Unreadable:
    """The event in *entry*; `Unreadable` with reason and message where there is none."""
    try:
        return _read(entry)
    except _Refusal as refusal:
        return unreadable(entry, refusal.reason, str(refusal))


def _read(entry: Entry) -> Event:
    kind = entry.fields.get(b"type")
    if kind is not None:
        named = kind.decode("utf-8", "replace")
        raise _Refusal(Reason.UNKNOWN_TYPE, f"type {named[:64]!r} is not known; leave `type` out")
    raw = entry.fields.get(_FIELD)
    if raw is None:
        names = ", ".join(sorted(repr(name)[1:66] for name in entry.fields)) or "none"
        raise _Refusal(
            Reason.INVALID_EVENT,
            f"the entry has no field `event` (its fields: {names[:300]}); "
            "add it as: XADD ticket-events * event '<json>'",
        )
    return _event_from_json(raw, entry_id=entry.id)


def _event_from_json(raw: bytes, *, entry_id: str) -> Event:
    if len(raw) > EVENT_BYTES_MAX:
        raise _Refusal(
            Reason.TOO_LARGE, f"the event has {len(raw)} bytes; at most {EVENT_BYTES_MAX} are taken"
        )
    try:
        wire = _WIRE.validate_json(raw)
    except ValidationError as error:
        raise _explained(raw, error) from None
    return _event(wire, raw, entry_id)


def _event(wire: WireEvent, raw: bytes, entry_id: str) -> Event:
    data: dict[str, Any] = wire["data"]  # type: ignore[assignment]  # a TypedDict is a dict
    action = Action(wire["action"])
    missing = [name for name in REQUIRED.get(action, ()) if data.get(name) is None]
    if missing:
        listed = ", ".join(f"data.{name}" for name in missing)
        raise _Refusal(Reason.INVALID_EVENT, f"{action} needs {listed}")
    _storable(raw, data)
    event_id = wire.get("event_id") or f"stream:{entry_id}"
    entered = received_at(entry_id)
    occurred_at = _moment(wire.get("occurred_at"))
    return Event(
        event_id=event_id,
        action=action,
        operator=data["operator"],
        ticket_id=data["ticket_id"],
        data=data,
        occurred_at=occurred_at,
        order_time=entered if occurred_at is None else min(occurred_at, entered),
        received_at=entered,
        sequence=wire.get("sequence"),
        entry_id=entry_id,
    )


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise _Refusal(Reason.INVALID_EVENT, f"occurred_at: {text!r}: {error}") from None


def _storable(raw: bytes, data: dict[str, Any]) -> None:
    """PostgreSQL's jsonb takes no NUL, and JSON no infinity; only a suspicious text is walked."""
    if _SUSPICIOUS.search(raw):
        _check_storable(data, "data")


def _check_storable(value: object, where: str) -> None:
    match value:
        case str() if "\x00" in value:
            raise _Refusal(Reason.INVALID_EVENT, f"{where}: holds a NUL character; remove it")
        case float() if not isfinite(value):
            raise _Refusal(
                Reason.INVALID_EVENT, f"{where}: the number is not finite; {_STRANGERS_NOTE}"
            )
        case dict():
            for name, inner in value.items():
                _check_storable(name, where)
                _check_storable(inner, f"{where}.{name}"[:200])
        case list():
            for inner in value:
                _check_storable(inner, where)
        case _:
            pass


def _explained(raw: bytes, error: ValidationError) -> _Refusal:
    problems = error.errors(include_url=False, include_context=False)
    first = problems[0]
    if first["type"] == "json_invalid":
        return _not_json(raw, first)
    if not first["loc"]:
        return _Refusal(Reason.INVALID_EVENT, "the event is not a JSON object")
    for problem in problems:
        if problem["loc"] == ("action",) and isinstance(problem["input"], str):
            return _Refusal(Reason.UNKNOWN_ACTION, _unknown_action(problem["input"]))
    said = list(dict.fromkeys(_problem(problem) for problem in problems))
    more = len(said) - PROBLEMS_SHOWN_MAX
    shown = "; ".join(said[:PROBLEMS_SHOWN_MAX])
    return _Refusal(Reason.INVALID_EVENT, shown + (f"; and {more} more" if more > 0 else ""))


def _not_json(raw: bytes, problem: ErrorDetails) -> _Refusal:
    try:
        raw.decode()
    except UnicodeDecodeError as broken:
        return _Refusal(
            Reason.NOT_UTF8, f"the event is not UTF-8: byte {broken.start} ({broken.reason})"
        )
    message = problem["msg"].replace("Invalid JSON", "not JSON")
    if _TOO_DEEP in message:
        place = message.partition(_TOO_DEEP)[2]
        message = f"nested too deeply{place}; an event is an object with an object `data`"
    return _Refusal(Reason.NOT_JSON, message)


def _problem(problem: ErrorDetails) -> str:
    where = ".".join(str(part) for part in problem["loc"][:2])  # below: which type of a union
    if problem["type"] == "missing":
        return f"{where}: is missing"
    given = repr(problem["input"])
    shown = given if len(given) <= 80 else f"{given[:80]}… ({len(given)} characters)"  # noqa: PLR2004 - fits a line
    rule = _RULES.get(where.removeprefix("data."), problem["msg"])
    return f"{where}: {rule} (was {shown})"


_TOO_DEEP = "not JSON: recursion limit exceeded"
_IDS_RULE = "must be 1 to 64 printable characters without spaces"
_WORDS_RULE = "must be at most 255 printable characters without spaces"
_CENTS_RULE = "must be a whole number from 0 to 10**15, in the currency's minor unit"
_PERCENT_RULE = "must be a number from 0 to 1000, in percent"
_RULES = {
    **dict.fromkeys(("event_id", "operator", "ticket_id", "ticket_code"), _IDS_RULE),
    **dict.fromkeys(("player_id", "psp", "ext_type", "atag", "rtag", "ticket_type"), _WORDS_RULE),
    **dict.fromkeys(("price", "stake", "wht_amount", "ext_amount"), _CENTS_RULE),
    **dict.fromkeys(("gross_payout", "net_payout"), _CENTS_RULE),
    **dict.fromkeys(("wht", "ext"), _PERCENT_RULE),
    "currency": "must be a code of ISO 4217 in capitals, like EUR",
    "occurred_at": "must be RFC 3339 with an offset, like 2026-11-20T10:00:00Z",
    "sequence": "must be a whole number: 1, 2, 3 ... per ticket, without gaps",
}


def _unknown_action(action: str) -> str:
    if action == Action.CLOSED:
        return "ticket_closed is the clock's own; it is never accepted from outside"
    near = difflib.get_close_matches(action[:64].lower(), INBOUND, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"known are: {', '.join(INBOUND)}"
    return f"action {action[:64]!r} is not known; {hint}"


_ID = re.compile(r"[^\s\x00]{1,64}")


def unreadable(entry: Entry, reason: Reason, message: str) -> Unreadable:
    """*entry* as a rejected row; names what ids can still be made out, for those who search."""
    raw = entry.fields.get(_FIELD)
    if raw is None:
        raw = b"\n".join(name + b"=" + value for name, value in entry.fields.items())
    kind = entry.fields.get(b"type")
    ids = _glimpse(raw)
    return Unreadable(
        entry_id=entry.id,
        kind=None if kind is None else kind.decode("utf-8", "replace").replace("\x00", "�")[:64],
        raw=raw[:RAW_BYTES_MAX],
        reason=reason,
        message=message.replace("\x00", "�"),
        received_at=received_at(entry.id),
        operator=ids.get("operator"),
        ticket_id=ids.get("ticket_id"),
        event_id=ids.get("event_id"),
    )


def _glimpse(raw: bytes) -> Mapping[str, str]:
    if len(raw) > EVENT_BYTES_MAX:
        return {}
    try:
        document = from_json(raw)
    except ValueError:
        return {}
    if not isinstance(document, dict):
        return {}
    data = document.get("data")
    found = {**(data if isinstance(data, dict) else {}), "event_id": document.get("event_id")}
    return {
        name: value
        for name in ("operator", "ticket_id", "event_id")
        if isinstance(value := found.get(name), str) and _ID.fullmatch(value)
    }
