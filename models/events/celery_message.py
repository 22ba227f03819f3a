"""Turns a Celery or kombu message into an event: the task's name is the action.

The envelope is the one in which kombu puts a message on a Redis list; its form, and what can be
wrong with it, was observed with real clients. Both versions of Celery's message protocol are read,
for clients in other languages write the older one; a message that is no task is the event itself,
in our own format or as a CloudEvent.
"""

import binascii
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, NotRequired, TypeGuard

from pydantic import ConfigDict, StringConstraints, TypeAdapter, ValidationError, with_config
from pydantic_core import from_json
from typing_extensions import TypedDict  # Pydantic reads the standard one only from 3.12 on

from models.events.cloud_event import is_cloud_event
from models.events.duplicate_keys import refuse_duplicate_keys
from models.events.event import Entry, Event
from models.events.field_names import KnownNames, refuse_near_misses
from models.events.format import DATA_NAMES
from models.events.messages import not_json
from models.events.published import event_field, event_ids, validate_event
from models.events.refusal import Refusal
from models.events.stream_contract import ADD_COMMAND, CELERY_MESSAGE_BYTES_MAX, EVENT_BYTES_MAX
from models.platform.input_problems import describe_problems, quote
from models.tracing.traceparent import TRACEPARENT_NAME, read_traceparent
from models.vocabulary import Reason

_Tag = Annotated[str, StringConstraints(min_length=1)]
_STRICT = ConfigDict(strict=True, extra="allow")


@with_config(_STRICT)
class _DeliveryInfo(TypedDict):
    """Where kombu sent it; a Celery worker could not return a message without it."""

    exchange: str
    routing_key: str


@with_config(_STRICT)
class _Properties(TypedDict):
    """What kombu itself needs in a message."""

    delivery_tag: _Tag
    delivery_info: _DeliveryInfo


# Written as a call, for the hyphens in its names.
_Envelope = TypedDict(
    "_Envelope",
    {
        "body": str,
        "content-type": str,
        "content-encoding": NotRequired[str | None],
        "headers": dict[str, Any],
        "properties": _Properties,
    },
)
with_config(_STRICT)(_Envelope)

_ENVELOPE: Final = TypeAdapter(_Envelope)
_JSON: Final = "application/json"
_TEXT_ENCODINGS: Final = frozenset({"utf-8", "utf8", "us-ascii", "ascii", "binary", ""})
_BODY_PARTS: Final = ("args", "kwargs", "embed")
_FOLLOW_UPS: Final = ("callbacks", "errbacks", "chain", "chord")
_BESIDE_DATA: Final = ("occurred_at", "sequence")
_ARGUMENTS: Final = KnownNames.of(
    [*DATA_NAMES.known, *_BESIDE_DATA],
    elsewhere={
        "event_id": "the task's id (`task_id=`)",
        "action": "the task's name",
        "data": "its fields, each as an argument",
    },
)
_HEADERS: Final = KnownNames.of(("eta", "expires"))  # applications may send others
_PROPERTIES: Final = KnownNames.of(("expiration",))
_CALL: Final = KnownNames.of(("task", "id", "args", "kwargs", "eta", "expires", *_FOLLOW_UPS))


@dataclass(frozen=True, slots=True)
class _Task:
    """A task as the message has it; nothing in it is validated yet."""

    name: object
    id: object
    args: object
    kwargs: object
    times: dict[str, object]  # what would delay or expire it
    follow_ups: dict[str, object]  # what should run after it


def read_celery_message(entry: Entry) -> Event:
    """Return the event in a message that was moved from a Celery queue. Raises Refusal."""
    raw = event_field(entry)
    if len(raw) > CELERY_MESSAGE_BYTES_MAX:
        raise Refusal(
            Reason.TOO_LARGE,
            f"the message has {len(raw)} bytes; at most {CELERY_MESSAGE_BYTES_MAX} are taken",
        )
    envelope = _envelope(raw)
    body = _body(envelope)
    content = _content(body)
    task = _task(envelope["headers"], content)
    _check_names(envelope, content if task is not None else None)
    expiration = envelope["properties"].get("expiration")
    if task is None:
        _refuse_times({"expiration": expiration})
        event = validate_event(_with_text_time(content), entry)
    else:
        _refuse_times({**task.times, "expiration": expiration})
        event = validate_event(_document(task), entry)
    in_headers = envelope["headers"].get(TRACEPARENT_NAME)
    if in_headers is None or event.traceparent is not None:
        return event
    return event._replace(traceparent=read_traceparent(in_headers))


def ids_in(raw: bytes) -> Mapping[str, object]:
    """Return the ids that a message seems to hold, for searches. Raises ValueError."""
    document = from_json(raw)
    if not isinstance(document, dict):
        return {}
    headers = document.get("headers")
    body = document.get("body")
    if not isinstance(body, str):
        return {}
    content = from_json(b64decode(body) if not body.lstrip().startswith(("{", "[")) else body)
    task = _task(headers if isinstance(headers, dict) else {}, content)
    if task is not None:
        given = task.args[0] if isinstance(task.args, list) and task.args else {}
        facts = [part for part in (given, task.kwargs) if isinstance(part, dict)]
        return {name: fact for part in facts for name, fact in part.items()} | {"event_id": task.id}
    return event_ids(content)


def _envelope(raw: bytes) -> dict[str, Any]:
    try:
        envelope = from_json(raw)
    except ValueError as error:
        raise not_json(raw, str(error), what="the message") from None
    if not isinstance(envelope, dict):
        raise Refusal(Reason.INVALID_EVENT, "the message is not a JSON object")
    refuse_duplicate_keys(raw, what="the message's ")
    if "body" not in envelope and "action" in envelope:
        raise Refusal(
            Reason.INVALID_EVENT,
            "this is an event, not a message of Celery or kombu: publish it with one of them, "
            f"or add it to the stream: {ADD_COMMAND}",
        )
    try:
        _ENVELOPE.validate_python(envelope)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False)
        raise Refusal(
            Reason.INVALID_EVENT,
            f"the message's {describe_problems(problems, place=_place, rules={})}",
        ) from None
    return envelope


def _body(envelope: dict[str, Any]) -> bytes:
    """Return the bytes that were sent, which must be uncompressed JSON."""
    content_type = envelope["content-type"].partition(";")[0].strip().lower()
    if content_type != _JSON:
        raise _invalid(f"content-type is {quote(content_type)}; only {_JSON} is taken")
    encoding = envelope.get("content-encoding")
    if (encoding or "").lower() not in _TEXT_ENCODINGS:
        raise _invalid(f"content-encoding is {quote(encoding)}; only utf-8 is taken")
    if envelope["headers"].get("compression") is not None:
        raise _invalid("body is compressed; send it as it is")
    body_encoding = envelope["properties"].get("body_encoding")
    text: str = envelope["body"]
    if body_encoding is None:
        return text.encode()
    if body_encoding != "base64":
        raise _invalid(
            f"properties.body_encoding is {quote(body_encoding)}; base64 or none is taken"
        )
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _invalid(f"body is not base64, as its properties announce: {error}") from None


def _content(body: bytes) -> object:
    if len(body) > EVENT_BYTES_MAX:
        raise Refusal(
            Reason.TOO_LARGE,
            f"the event has {len(body)} bytes; at most {EVENT_BYTES_MAX} are taken",
        )
    try:
        content: object = from_json(body)
    except ValueError as error:
        raise not_json(body, str(error), what="the message's body") from None
    refuse_duplicate_keys(body, what="the message's body: ")
    return content


def _task(headers: dict[str, Any], content: object) -> _Task | None:
    """Return the task in the message, or None if there is none: then it is the event itself."""
    if headers.get("task") is not None:  # protocol 2: the body is [args, kwargs, embed]
        parts = content if isinstance(content, list) and len(content) == len(_BODY_PARTS) else None
        if parts is None:
            raise _invalid("body must be [args, kwargs, embed], as Celery writes it")
        args, kwargs, embed = parts
        return _Task(
            headers["task"],
            headers.get("id"),
            args,
            kwargs,
            {name: headers.get(name) for name in ("eta", "expires")},
            embed if isinstance(embed, dict) else {},
        )
    if _is_task_of_protocol_1(content):
        return _Task(
            content["task"],
            content.get("id"),
            content.get("args", []),
            content.get("kwargs", {}),
            {name: content.get(name) for name in ("eta", "expires")},
            content,
        )
    if isinstance(content, list):
        raise _invalid("headers name no task, which is the action; and its body is no event")
    return None


def _is_task_of_protocol_1(content: object) -> TypeGuard[dict[str, object]]:
    if not isinstance(content, dict) or is_cloud_event(content):
        return False
    return "task" in content and "action" not in content


def _check_names(envelope: dict[str, Any], content: object) -> None:
    """Refuse near misses of the fields that delay, expire or define a task."""
    refuse_near_misses(_HEADERS.near_misses(envelope["headers"]), within="the message's headers.")
    refuse_near_misses(
        _PROPERTIES.near_misses(envelope["properties"]), within="the message's properties."
    )
    if isinstance(content, dict):  # protocol 1
        refuse_near_misses(_CALL.near_misses(content), within="the message's body: ")


def _document(task: _Task) -> object:
    """Return the event that *task* stands for, in the stream's own format."""
    if not isinstance(task.name, str):
        raise _invalid(f"task must be the name of an action (was {quote(task.name)})")
    if not isinstance(task.id, str) or not task.id:
        raise _invalid("id is missing; a task's id is the event's")
    follow_ups = [name for name in _FOLLOW_UPS if task.follow_ups.get(name)]
    if follow_ups:
        raise _invalid(f"{follow_ups[0]} would never run: no worker executes this task")
    facts = _arguments(task)
    if "event_id" in facts:
        raise _invalid("arguments name an event_id; give it as the task's id (`task_id=`)")
    refuse_near_misses(_ARGUMENTS.near_misses(facts), within="the message's arguments: ")
    document: dict[str, object] = {"event_id": task.id, "action": task.name, "data": facts}
    for name in _BESIDE_DATA:
        if name in facts:
            document[name] = facts.pop(name)
    return _with_text_time(document)


def _arguments(task: _Task) -> dict[str, object]:
    """Return the event's data: keywords, or one object, or both without a field in common."""
    keywords = task.kwargs
    if not isinstance(keywords, dict):
        raise _invalid(f"kwargs must be an object (was {quote(keywords)})")
    given: dict[str, object] = {}
    match task.args:
        case None | []:
            pass
        case [dict() as only]:
            given = only
        case _:
            raise _invalid(
                "args must be empty or one object with the event's data "
                f"(was {quote(task.args)}); better: kwargs"
            )
    twice = sorted(given.keys() & keywords.keys())
    if twice:
        raise _invalid(f"arguments give {twice[0]} twice")
    return given | keywords


def _with_text_time(content: object) -> object:
    """Replace a datetime, which kombu writes as an object with its type, by its text."""
    name = "time" if is_cloud_event(content) else "occurred_at"
    match content:
        case dict() as event if isinstance(event.get(name), dict):
            return event | {name: _text_of(event[name])}
        case _:
            return content


def _text_of(wrapped: dict[str, object]) -> object:
    match wrapped:
        case {"__type__": "datetime", "__value__": text}:
            return text
        case _:
            return wrapped


def _refuse_times(times: dict[str, object]) -> None:
    given = [f"{name} {quote(value)}" for name, value in times.items() if value is not None]
    if given:
        raise Refusal(
            Reason.TIMED,
            "eta, countdown and expires are not supported: publish the event when it has happened"
            f" (it has {given[0]})",
        )


def _invalid(complaint: str) -> Refusal:
    return Refusal(Reason.INVALID_EVENT, f"the message's {complaint}")


def _place(loc: tuple[int | str, ...]) -> str:
    return ".".join(map(str, loc))
