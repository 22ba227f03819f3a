"""Decodes a stream entry into an event, or describes what is wrong with it. Never raises."""

import re
from collections.abc import Callable, Mapping

from pydantic_core import from_json

from models.events import celery_message, lottery
from models.events.event import Entry, Event, Unreadable
from models.events.field_names import KnownNames, refuse_near_misses
from models.events.format import EVENT_NAMES, LENIENT_NAMES
from models.events.published import event_ids, read_published
from models.events.refusal import Refusal
from models.events.stream_contract import (
    CELERY_MESSAGE_BYTES_MAX,
    CELERY_TYPE,
    EVENT_FIELD,
    ID_CHARACTERS_MAX,
    LOTTERY_TYPE,
    OPERATOR_FIELD,
    TRACEPARENT_FIELD,
    TYPE_FIELD,
)
from models.tracing.traceparent import read_traceparent
from models.vocabulary import Reason

RAW_BYTES_MAX = 8 * 1024 * 1024  # of a rejected entry: the beginning is stored, the rest cut off
_READERS: dict[bytes | None, Callable[[Entry], Event]] = {
    None: read_published,
    LOTTERY_TYPE: lottery.read_lottery,
    CELERY_TYPE: celery_message.read_celery_message,
}
_NAMED_FIELDS = frozenset({EVENT_FIELD, TYPE_FIELD, OPERATOR_FIELD})
_KNOWN_FIELDS = _NAMED_FIELDS | {TRACEPARENT_FIELD}  # of which a near miss is no mistake
_FIELDS = KnownNames.of(
    (name.decode() for name in _NAMED_FIELDS),
    elsewhere={
        name: f"{name} in the JSON of `event`" for name in EVENT_NAMES.known - LENIENT_NAMES
    },
)
_ID = re.compile(rf"[^\s\x00]{{1,{ID_CHARACTERS_MAX}}}")


def read(entry: Entry) -> Event | Unreadable:
    """Return the event in *entry*, or why it holds none."""
    try:
        if not entry.fields.keys() <= _KNOWN_FIELDS:
            _check_names(entry.fields)
        event = _reader(entry)(entry)
    except Refusal as refusal:
        return unreadable(entry, refusal.reason, str(refusal))
    # An event's own trace comes before that of whatever put it on the stream.
    if event.traceparent is None and TRACEPARENT_FIELD in entry.fields:
        return event._replace(traceparent=read_traceparent(entry.fields[TRACEPARENT_FIELD]))
    return event


def _check_names(fields: Mapping[bytes, bytes]) -> None:
    """Refuse a field whose name is nearly a known one, or that belongs into the event."""
    names = [name.decode("utf-8", "replace") for name in fields]
    refuse_near_misses(_FIELDS.near_misses(dict.fromkeys(names)), within="the entry's field ")


def _reader(entry: Entry) -> Callable[[Entry], Event]:
    type_ = entry.fields.get(TYPE_FIELD)
    if type_ in _READERS:
        return _READERS[type_]
    assert type_ is not None, "an entry without a type has a reader"
    shown = type_.decode("utf-8", "replace")[:64]
    raise Refusal(Reason.UNKNOWN_TYPE, f"type {shown!r} is not known; leave `type` out")


def unreadable(entry: Entry, reason: Reason, message: str) -> Unreadable:
    """Return *entry* as rejected input, with the ids that can be read from it, for searches."""
    event = entry.fields.get(EVENT_FIELD)
    raw = event
    if raw is None:
        raw = b"\n".join(name + b"=" + value for name, value in entry.fields.items())
    kind = entry.fields.get(TYPE_FIELD)
    ids = _best_effort_ids(entry)
    return Unreadable(
        entry_id=entry.id,
        kind=None if kind is None else kind.decode("utf-8", "replace").replace("\x00", "�")[:64],
        raw=raw[:RAW_BYTES_MAX],
        reason=reason,
        message=message.replace("\x00", "�"),
        received_at=entry.received_at,
        whole=event is not None and len(event) <= RAW_BYTES_MAX,
        channel=entry.channel,
        operator=ids.get("operator"),
        ticket_id=ids.get("ticket_id"),
        event_id=ids.get("event_id"),
    )


def _best_effort_ids(entry: Entry) -> Mapping[str, str]:
    raw = entry.fields.get(EVENT_FIELD)
    if raw is None or len(raw) > CELERY_MESSAGE_BYTES_MAX:
        return {}
    try:
        ids = _ids(entry, raw)
    except (ValueError, Refusal):
        return {}
    return {
        name: value
        for name in ("operator", "ticket_id", "event_id")
        if isinstance(value := ids.get(name), str) and _ID.fullmatch(value)
    }


def _ids(entry: Entry, raw: bytes) -> Mapping[str, object]:
    """Return the ids that *raw* seems to hold. Raises ValueError or Refusal."""
    type_ = entry.fields.get(TYPE_FIELD)
    if type_ == CELERY_TYPE:
        return celery_message.ids_in(raw)
    if type_ == LOTTERY_TYPE:
        return lottery.ids_in(entry)
    return event_ids(from_json(raw))
