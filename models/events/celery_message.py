"""A Celery or kombu message as an event (design.md 4): the task's name is the action.

The envelope is kombu's: what it looks like, and what can be wrong with one, was measured
(celery-on-redis.md 5). Both versions of Celery's message protocol are read, for clients in other
languages write the older one; a message that is no task is the event itself.
"""

import binascii
from base64 import b64decode
from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from models.events.duplicate_keys import refuse_duplicate_keys
from models.events.envelope import Envelope
from models.events.event import Entry, Event
from models.events.field_names import KnownNames, refuse_near_misses
from models.events.format import DATA_NAMES
from models.events.messages import describe_problems, not_json, quote
from models.events.published import event_field, validate_event
from models.events.refusal import Refusal
from models.events.stream_contract import ADD_COMMAND, CELERY_MESSAGE_BYTES_MAX, EVENT_BYTES_MAX
from models.vocabulary import Reason

_ENVELOPE: Final = TypeAdapter(Envelope)
_JSON: Final = "application/json"
_TEXTS: Final = frozenset({"utf-8", "utf8", "us-ascii", "ascii", "binary", ""})
_TASK: Final = ("args", "kwargs", "embed")
_FOLLOWERS: Final = ("callbacks", "errbacks", "chain", "chord")
_BESIDE_DATA: Final = ("occurred_at", "sequence")
_ARGUMENTS: Final = KnownNames.of(
    [*DATA_NAMES.known, *_BESIDE_DATA],
    elsewhere={
        "event_id": "the task's id (`task_id=`)",
        "action": "the task's name",
        "data": "its fields, each as an argument",
    },
)
_HEADERS: Final = KnownNames.of(("eta", "expires"))  # an application may send others of its own
_PROPERTIES: Final = KnownNames.of(("expiration",))
_CALL: Final = KnownNames.of(("task", "id", "args", "kwargs", "eta", "expires", *_FOLLOWERS))
_THE_TIME_IS_OURS: Final = "send it when it has happened, without eta, countdown or expires"


@dataclass(frozen=True, slots=True)
class _Task:
    """A call as the message words it; nothing in it is checked yet."""

    name: object
    id: object
    args: object
    kwargs: object
    times: dict[str, object]  # what would delay or end it
    followers: dict[str, object]  # what should run after it


def read_celery_message(entry: Entry) -> Event:
    """The event in a message that was moved from a Celery queue. Raises Refusal."""
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
        return validate_event(_with_plain_time(content), entry)
    _refuse_times({**task.times, "expiration": expiration})
    return validate_event(_document(task), entry)


def ids_in(raw: bytes) -> dict[str, object]:
    """What a message seems to say of whose it is, for those who search; raises ValueError."""
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
    if not isinstance(content, dict):
        return {}
    data = content.get("data")
    return (data if isinstance(data, dict) else {}) | {"event_id": content.get("event_id")}


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
    """The bytes that were sent, which must be JSON as it is."""
    kind = envelope["content-type"].partition(";")[0].strip().lower()
    if kind != _JSON:
        raise _unfit(f"content-type is {quote(kind)}; only {_JSON} is taken")
    written = envelope.get("content-encoding")
    if (written or "").lower() not in _TEXTS:
        raise _unfit(f"content-encoding is {quote(written)}; only utf-8 is taken")
    if envelope["headers"].get("compression") is not None:
        raise _unfit("body is compressed; send it as it is")
    coded = envelope["properties"].get("body_encoding")
    text: str = envelope["body"]
    if coded is None:
        return text.encode()
    if coded != "base64":
        raise _unfit(f"properties.body_encoding is {quote(coded)}; base64 or none is taken")
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _unfit(f"body is not base64, as its properties announce: {error}") from None


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
    """The call in the message; None: it is a message without one, and so the event itself."""
    if headers.get("task") is not None:  # protocol 2: the body is [args, kwargs, embed]
        parts = content if isinstance(content, list) and len(content) == len(_TASK) else None
        if parts is None:
            raise _unfit("body must be [args, kwargs, embed], as Celery writes it")
        args, kwargs, embed = parts
        return _Task(
            headers["task"],
            headers.get("id"),
            args,
            kwargs,
            {name: headers.get(name) for name in ("eta", "expires")},
            embed if isinstance(embed, dict) else {},
        )
    if isinstance(content, dict) and "task" in content and "action" not in content:  # protocol 1
        return _Task(
            content["task"],
            content.get("id"),
            content.get("args", []),
            content.get("kwargs", {}),
            {name: content.get(name) for name in ("eta", "expires")},
            content,
        )
    if isinstance(content, list):
        raise _unfit("headers name no task, which is the action; and its body is no event")
    return None


def _check_names(envelope: dict[str, Any], content: object) -> None:
    """Refuse what is nearly called like a word that delays or ends a call, or makes it up."""
    refuse_near_misses(_HEADERS.near_misses(envelope["headers"]), within="the message's headers.")
    refuse_near_misses(
        _PROPERTIES.near_misses(envelope["properties"]), within="the message's properties."
    )
    if isinstance(content, dict):  # protocol 1
        refuse_near_misses(_CALL.near_misses(content), within="the message's body: ")


def _document(task: _Task) -> object:
    """The event that *task* stands for, in the plain format."""
    if not isinstance(task.name, str):
        raise _unfit(f"task must be the name of an action (was {quote(task.name)})")
    if not isinstance(task.id, str) or not task.id:
        raise _unfit("id is missing; a task's id is the event's")
    followers = [name for name in _FOLLOWERS if task.followers.get(name)]
    if followers:
        raise _unfit(f"{followers[0]} would never run: no worker executes this task")
    facts = _arguments(task)
    if "event_id" in facts:
        raise _unfit("arguments name an event_id; give it as the task's id (`task_id=`)")
    refuse_near_misses(_ARGUMENTS.near_misses(facts), within="the message's arguments: ")
    document: dict[str, object] = {"event_id": task.id, "action": task.name, "data": facts}
    for name in _BESIDE_DATA:
        if name in facts:
            document[name] = facts.pop(name)
    return _with_plain_time(document)


def _arguments(task: _Task) -> dict[str, object]:
    """The event's data: keywords, or one object, or both where they don't say the same thing."""
    keywords = task.kwargs
    if not isinstance(keywords, dict):
        raise _unfit(f"kwargs must be an object (was {quote(keywords)})")
    given: dict[str, object] = {}
    match task.args:
        case None | []:
            pass
        case [dict() as only]:
            given = only
        case _:
            raise _unfit(
                "args must be empty or one object with the event's data "
                f"(was {quote(task.args)}); better: kwargs"
            )
    twice = sorted(given.keys() & keywords.keys())
    if twice:
        raise _unfit(f"arguments give {twice[0]} twice")
    return given | keywords


def _with_plain_time(content: object) -> object:
    """A datetime, which kombu writes as an object that names its type, becomes its text."""
    match content:
        case dict() as event if isinstance(event.get("occurred_at"), dict):
            return event | {"occurred_at": _text_of(event["occurred_at"])}
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
            Reason.TIMED, f"Slipway keeps the time: {_THE_TIME_IS_OURS} (it has {given[0]})"
        )


def _unfit(complaint: str) -> Refusal:
    return Refusal(Reason.INVALID_EVENT, f"the message's {complaint}")


def _place(loc: tuple[int | str, ...]) -> str:
    return ".".join(map(str, loc))
