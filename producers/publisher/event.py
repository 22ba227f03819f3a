"""The object in the field `event` of an entry of the stream `ticket-events`."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NotRequired, TypedDict
from uuid import uuid4

from models.events.cloud_event import to_published
from models.events.cloud_event_format import SPECVERSION_NAME
from models.events.published import check_names
from models.events.refusal import Refusal
from models.events.stream_contract import EVENT_BYTES_MAX
from models.platform.timestamps import format_timestamp
from producers.publisher.errors import EventUnsendable


class OutgoingEvent(TypedDict):
    """An event on a ticket. Contracts 1.4 has the fields of *data* for each action."""

    event_id: str
    occurred_at: str  # RFC 3339 with an offset
    action: str
    sequence: NotRequired[int]  # 1, 2, 3 ... per ticket, no gaps; only if every event carries it
    traceparent: NotRequired[str]  # the trace it belongs to, as W3C Trace Context writes it
    data: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class PreparedEvent:
    """An event with its final id, time and bytes: every try sends exactly these."""

    event: dict[str, object]
    line: bytes


def event(
    action: str,
    data: Mapping[str, object],
    *,
    occurred_at: datetime,
    event_id: str | None = None,
    sequence: int | None = None,
    traceparent: str | None = None,
) -> OutgoingEvent:
    """Build the event *action* on the ticket named in *data*, ready to be published.

    *occurred_at* is when it happened, not when it is published: it orders the results and rollbacks
    of a ticket. *event_id* defaults to a new uuid4. A naive time raises ValueError. *traceparent*
    is the trace that it belongs to; the intake drops a malformed one.
    """
    fields: OutgoingEvent = {
        "event_id": event_id or str(uuid4()),
        "occurred_at": rfc3339(occurred_at),
        "action": action,
        "data": dict(data),
    }
    if sequence is not None:
        fields["sequence"] = sequence
    if traceparent is not None:
        fields["traceparent"] = traceparent
    return fields


def rfc3339(moment: datetime) -> str:
    """Format an aware moment in UTC, to the microsecond: `2026-11-20T10:00:00.000000Z`."""
    if moment.tzinfo is None:
        raise ValueError(
            f"{moment.isoformat()} has no timezone; pass an aware datetime, e.g. in UTC"
        )
    return format_timestamp(moment, "microseconds")


def prepare(
    event: Mapping[str, object], *, position: int, now: Callable[[], datetime]
) -> PreparedEvent:
    """Fix the id, time and bytes of an event before the first try.

    Missing `event_id` and `occurred_at` are filled in, so that a repeat is the same event and not a
    new one. The intake checks what the fields mean. Raises `EventUnsendable`,
    which names *position*, when it is not an event, not JSON, over 256 KiB, or has a field that is
    nearly called like a known one: beside an `eventId`, an `event_id` of ours would be another.
    A CloudEvent stays one, with its `time` filled in.
    """
    if event.get(SPECVERSION_NAME) is not None:
        return _prepare_cloud_event(event, position=position, now=now)
    action, data = event.get("action"), event.get("data")
    if not isinstance(action, str) or not action:
        raise EventUnsendable(position, "`action` must be a string such as 'ticket_win'")
    if not isinstance(data, Mapping):
        raise EventUnsendable(position, "`data` must be an object with operator and ticket_id")
    try:
        check_names(event)
    except Refusal as refusal:
        raise EventUnsendable(position, str(refusal)) from None
    fields = {name: value for name, value in event.items() if value is not None}
    fields["data"] = dict(data)
    fields.setdefault("event_id", str(uuid4()))
    if "occurred_at" not in fields:
        fields["occurred_at"] = rfc3339(now())
    return PreparedEvent(fields, _line(fields, position=position))


def _prepare_cloud_event(
    event: Mapping[str, object], *, position: int, now: Callable[[], datetime]
) -> PreparedEvent:
    try:
        to_published(dict(event))
    except Refusal as refusal:
        raise EventUnsendable(position, str(refusal)) from None
    fields = {name: value for name, value in event.items() if value is not None}
    if "time" not in fields:
        fields["time"] = rfc3339(now())
    return PreparedEvent(fields, _line(fields, position=position))


def _line(fields: dict[str, object], *, position: int) -> bytes:
    try:
        text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        line = text.encode("utf-8")
    except (TypeError, ValueError, RecursionError) as cause:
        raise EventUnsendable(
            position, f"it cannot be encoded as JSON in UTF-8 ({cause}); pass plain JSON values"
        ) from cause
    if len(line) > EVENT_BYTES_MAX:
        raise EventUnsendable(
            position,
            f"it has {len(line):,} bytes; the maximum is {EVENT_BYTES_MAX:,}; omit large fields",
        )
    return line
