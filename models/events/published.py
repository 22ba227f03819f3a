"""Reads a published event, in the stream's own format or as a CloudEvent: one JSON object."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from models.events.action_names import unknown_action
from models.events.cloud_event import cloud_event_ids, is_cloud_event, to_published
from models.events.duplicate_keys import has_surely_no_duplicates, refuse_duplicate_keys
from models.events.event import Entry, Event
from models.events.field_names import refuse_near_misses
from models.events.format import DATA_NAMES, EVENT_NAMES, REQUIRED, StreamEvent, is_missing
from models.events.messages import IDS_RULE, TEXT_RULE, check_nfc, check_storable, not_json
from models.events.refusal import Refusal
from models.events.stream_contract import ADD_COMMAND, EVENT_BYTES_MAX, EVENT_FIELD
from models.platform.input_problems import describe_problems, quote
from models.platform.timestamps import TIMESTAMP_RULE, parse_timestamp
from models.tracing.traceparent import read_traceparent
from models.vocabulary import Action, Reason

_EVENT = TypeAdapter(StreamEvent)
_ACTIONS = {str(action): action for action in Action}  # takes a third of the time of `Action(…)`


def read_published(entry: Entry) -> Event:
    """Return the event in the entry's field `event`. Raises Refusal."""
    raw = event_field(entry)
    if len(raw) > EVENT_BYTES_MAX:
        raise Refusal(
            Reason.TOO_LARGE, f"the event has {len(raw)} bytes; at most {EVENT_BYTES_MAX} are taken"
        )
    try:
        published = _EVENT.validate_json(raw)
    except ValidationError as error:
        return _otherwise(raw, entry, error)
    if not has_surely_no_duplicates(raw, (published,)):
        refuse_duplicate_keys(raw)
    return _event(published, entry)


def validate_event(document: object, entry: Entry) -> Event:
    """Return *document*, which has no duplicate keys, as the event of *entry*. Raises Refusal."""
    if is_cloud_event(document):
        document = to_published(document)
    try:
        published = _EVENT.validate_python(document)
    except ValidationError as error:
        raise _refusal_of(document, error) from None
    return _event(published, entry)


def check_names(event: Mapping[str, object]) -> None:
    """Raise Refusal if the name of a field of *event* is nearly a known one."""
    near_misses = EVENT_NAMES.near_misses(event)
    data = event.get("data")
    if isinstance(data, Mapping) and (in_data := DATA_NAMES.near_misses(data)):
        near_misses |= {f"data.{name}": meant for name, meant in in_data.items()}
    refuse_near_misses(near_misses)


def event_ids(document: object) -> Mapping[str, object]:
    """Return the ids that an event seems to hold, for searches."""
    if is_cloud_event(document):
        return cloud_event_ids(document)
    if not isinstance(document, dict):
        return {}
    data = document.get("data")
    return (data if isinstance(data, dict) else {}) | {"event_id": document.get("event_id")}


def event_field(entry: Entry) -> bytes:
    """Return the entry's field `event`. Raises Refusal if there is none."""
    raw = entry.fields.get(EVENT_FIELD)
    if raw is None:
        names = ", ".join(sorted(repr(name)[1:66] for name in entry.fields)) or "none"
        raise Refusal(
            Reason.INVALID_EVENT,
            f"the entry has no field `event` (its fields: {names[:300]}); add it as: {ADD_COMMAND}",
        )
    return raw


def _otherwise(raw: bytes, entry: Entry, error: ValidationError) -> Event:
    """Return the CloudEvent in *raw*, which is no event of our own format. Raises Refusal."""
    first = error.errors(include_url=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        raise not_json(raw, first["msg"])
    refuse_duplicate_keys(raw)  # only the last of two was validated
    document = from_json(raw)
    if is_cloud_event(document):
        return validate_event(document, entry)
    raise _refusal_of(document, error)


def _event(published: StreamEvent, entry: Entry) -> Event:
    data: dict[str, Any] = published["data"]  # type: ignore[assignment]  # a TypedDict is a dict
    if not data.keys() <= DATA_NAMES.known or not published.keys() <= EVENT_NAMES.known:
        check_names(published)
        _check_unknown_fields(published, data)
    action = _ACTIONS[published["action"]]
    missing = [name for name in REQUIRED.get(action, ()) if is_missing(data.get(name))]
    if missing:
        listed = ", ".join(f"data.{name}" for name in missing)
        raise Refusal(Reason.INVALID_EVENT, f"{action} needs {listed}")
    given_id, operator, ticket_id = published.get("event_id"), data["operator"], data["ticket_id"]
    code = data.get("ticket_code")
    if not f"{given_id}{operator}{ticket_id}{code}".isascii():  # nearly all are
        check_nfc(
            {"event_id": given_id, "data.operator": operator, "data.ticket_id": ticket_id}
            | {"data.ticket_code": code}
        )
    entered = entry.received_at
    occurred_at = _occurred_at(published.get("occurred_at"))
    trace = published.get("traceparent")
    return Event(
        event_id=given_id or f"stream:{entry.id}",
        action=action,
        operator=operator,
        ticket_id=ticket_id,
        data=data,
        occurred_at=occurred_at,
        order_time=entered if occurred_at is None else min(occurred_at, entered),
        received_at=entered,
        sequence=published.get("sequence"),
        entry_id=entry.id,
        read_at=entry.read_at,
        entry=entry,
        traceparent=None if trace is None else read_traceparent(trace),
    )


def _check_unknown_fields(published: Mapping[str, object], data: Mapping[str, object]) -> None:
    """Check what unknown fields hold: anything; known ones were validated by their type."""
    for name in published.keys() - EVENT_NAMES.known:
        check_storable(name, "the event")
        check_storable(published[name], name[:200])
    for name in data.keys() - DATA_NAMES.known:
        check_storable(name, "data")
        check_storable(data[name], f"data.{name}"[:200])


def _occurred_at(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return parse_timestamp(text)
    except ValueError as error:
        raise Refusal(Reason.INVALID_EVENT, f"occurred_at: {error} (was {quote(text)})") from None


def _refusal_of(document: object, error: ValidationError) -> Refusal:
    """Return why *document* is no event; a missing field may be there under nearly its name."""
    if not isinstance(document, dict):
        return Refusal(Reason.INVALID_EVENT, "the event is not a JSON object")
    try:
        check_names(document)
    except Refusal as refusal:
        return refusal
    problems = error.errors(include_url=False, include_context=False)
    for problem in problems:
        if problem["loc"] == ("action",) and isinstance(problem["input"], str):
            return Refusal(Reason.UNKNOWN_ACTION, unknown_action(problem["input"]))
    return Refusal(Reason.INVALID_EVENT, describe_problems(problems, place=_place, rules=_RULES))


def _place(loc: tuple[int | str, ...]) -> str:
    named = loc[:2] if loc[0] == "data" else loc[:1]  # what follows names a type of a union
    return ".".join(map(str, named))


_WORD_RULE = "must be at most 255 printable characters without spaces"
_CENTS_RULE = "must be a whole number from 0 to 10**15, in the currency's minor unit"
_PERCENT_RULE = "must be a number from 0 to 1000, in percent"
_RULES = {
    **dict.fromkeys(("event_id", "operator", "ticket_id", "ticket_code"), IDS_RULE),
    **dict.fromkeys(("player_id", "psp", "ext_type", "atag", "rtag", "ticket_type"), _WORD_RULE),
    **dict.fromkeys(("price", "stake", "wht_amount", "ext_amount"), _CENTS_RULE),
    **dict.fromkeys(("gross_payout", "net_payout"), _CENTS_RULE),
    **dict.fromkeys(("wht", "ext"), _PERCENT_RULE),
    "currency": "must be a code of ISO 4217 in capitals, like EUR",
    **dict.fromkeys(("reason", "game", "game_id"), TEXT_RULE),
    "occurred_at": TIMESTAMP_RULE,
    "sequence": "must be a whole number: 1, 2, 3 ... per ticket, without gaps",
}
