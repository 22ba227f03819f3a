"""Reads a CloudEvent 1.0 as an event in the stream's own format: both are judged alike.

`id` is the event's id, `time` when it happened, `type` its action, perhaps behind a name in
reverse DNS. `subject` is the ticket's id; `data` has the facts, and may name the ticket as well.
`source` is required and not part of the identity: an event counts once by operator, ticket and id,
so that it is the same event in whichever form it is published again.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeGuard

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from models.events.action_names import unknown_action
from models.events.cloud_event_format import (
    CLOUD_EVENT_DATA_NAMES,
    CLOUD_EVENT_NAMES,
    SPECVERSION_NAME,
    CloudEvent,
)
from models.events.field_names import refuse_near_misses
from models.events.messages import IDS_RULE, check_nfc, check_storable
from models.events.refusal import Refusal
from models.platform.input_problems import describe_problems, quote
from models.platform.timestamps import TIMESTAMP_RULE, parse_timestamp
from models.vocabulary import Reason

_CLOUD_EVENT: Final = TypeAdapter(CloudEvent)
_URI_RULE: Final = "must be a URI reference of at most 2048 characters"
_RULES: Final = {
    SPECVERSION_NAME: "must be the text 1.0: other versions are not read",
    "id": IDS_RULE,
    "source": _URI_RULE,
    "dataschema": _URI_RULE,
    "subject": f"{IDS_RULE}: it is the ticket's id",
    "time": TIMESTAMP_RULE,
    "datacontenttype": "must be application/json in UTF-8",
    "sequence": "must be a whole number: 1, 2, 3 ... per ticket, without gaps",
    "data": "must be an object",
}
_UNSUPPORTED: Final = {
    "data_base64": "is not supported; send the facts as a JSON object in `data`",
    "expirytime": "is not supported: what has happened does not expire; leave it out",
}


def is_cloud_event(document: object) -> TypeGuard[dict[str, object]]:
    """Return whether this JSON is meant as a CloudEvent, by its `specversion`."""
    return isinstance(document, dict) and document.get(SPECVERSION_NAME) is not None


def time_name(raw: bytes) -> str:
    """Return what the event in the JSON text *raw* calls the time when it happened."""
    return "time" if is_cloud_event(from_json(raw)) else "occurred_at"


def to_published(document: Mapping[str, object]) -> dict[str, object]:
    """Return the event in our own format that a CloudEvent states. Raises Refusal.

    What its `data` hold is for the caller to validate.
    """
    check_cloud_event_names(document)
    for name, why in _UNSUPPORTED.items():
        if document.get(name) is not None:
            raise Refusal(Reason.INVALID_EVENT, f"{name}: {why}")
    try:
        event = _CLOUD_EVENT.validate_python(document)
    except ValidationError as error:
        raise _refusal(error) from None
    _check_values(event)
    sequence = event.get("sequence")
    return {
        "event_id": event["id"],
        "occurred_at": event.get("time"),
        "action": event["type"].rpartition(".")[2],
        "sequence": int(sequence) if isinstance(sequence, str) else sequence,
        "traceparent": event.get("traceparent"),
        "data": _facts(event["data"], event.get("subject")),
    }


def check_cloud_event_names(document: Mapping[str, object]) -> None:
    """Raise Refusal if the name of an attribute, or of a fact, is nearly a known one."""
    near_misses = CLOUD_EVENT_NAMES.near_misses(document)
    data = document.get("data")
    if isinstance(data, Mapping):
        in_data = CLOUD_EVENT_DATA_NAMES.near_misses(data)
        near_misses |= {f"data.{name}": meant for name, meant in in_data.items()}
    refuse_near_misses(near_misses)


def cloud_event_ids(document: Mapping[str, object]) -> dict[str, object]:
    """Return the ids that a CloudEvent seems to hold, for searches."""
    data = document.get("data")
    facts = data if isinstance(data, dict) else {}
    return {"ticket_id": document.get("subject")} | facts | {"event_id": document.get("id")}


def _refusal(error: ValidationError) -> Refusal:
    problems = error.errors(include_url=False, include_context=False)
    for problem in problems:
        if problem["loc"] == ("type",) and isinstance(problem["input"], str):
            return Refusal(Reason.UNKNOWN_ACTION, f"type: {unknown_action(problem['input'])}")
    return Refusal(Reason.INVALID_EVENT, describe_problems(problems, place=_place, rules=_RULES))


def _place(loc: tuple[int | str, ...]) -> str:
    return str(loc[0]) if loc else "the event"  # what follows names a type of a union


def _check_values(event: CloudEvent) -> None:
    """Refuse what the types cannot express. Unknown attributes may hold what ours may."""
    check_nfc({"id": event["id"], "subject": event.get("subject")})
    time = event.get("time")
    if time is not None:
        try:
            parse_timestamp(time)
        except ValueError as problem:
            why = f"time: {problem} (was {quote(time)})"
            raise Refusal(Reason.INVALID_EVENT, why) from None
    for name in event.keys() - CLOUD_EVENT_NAMES.known:
        check_storable(name, "the event")
        check_storable(event[name], name[:200])  # type: ignore[literal-required]  # not of the type


def _facts(data: dict[str, Any], subject: str | None) -> dict[str, Any]:
    """Return *data* with the ticket's id, which may be in *subject* alone."""
    if subject is None or data.get("ticket_id") == subject:
        return data
    if "ticket_id" in data:
        raise Refusal(
            Reason.INVALID_EVENT,
            f"subject: is another ticket's id than data.ticket_id: {quote(subject)} is not"
            f" {quote(data['ticket_id'])}; send one of them, or the same in both",
        )
    return data | {"ticket_id": subject}
