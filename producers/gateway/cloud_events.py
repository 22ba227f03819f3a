"""CloudEvents 1.0 over HTTP: what a JSON body is, and in binary mode the attributes in the headers.

Each becomes one JSON object, a CloudEvent in structured mode, and is judged as the intake does.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from email.message import Message
from typing import Final
from urllib.parse import unquote_to_bytes

from pydantic_core import from_json, to_json
from starlette.datastructures import Headers

from models.events.cloud_event import is_cloud_event
from models.events.messages import not_json
from models.platform.input_problems import quote
from producers.gateway.errors import ErrorDetail, RequestRefused, invalid_request
from producers.gateway.event_validation import InvalidEvent

JSON: Final = "application/json"
STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
_PREFIX: Final = "ce-"
_CONTENT_TYPE: Final = "datacontenttype"
_NO_ATTRIBUTES: Final = {
    _CONTENT_TYPE: "is no header of binary mode; Content-Type says it",
    "data": "is no attribute; the data are the body",
    "": "has no name behind `ce-`",
}
_UTF_8: Final = frozenset({None, "utf-8", "utf8"})
_UNSUPPORTED_MEDIA_TYPE: Final = 415

_PRINTABLE: Final = re.compile(r"[\x20-\x7e]*")
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPED: Final = re.compile(r"\\(.)")
_STRAY_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class BodyForm:
    """How a JSON body is read. *array*: it must be one; None: it may be one.

    *to_event* returns the JSON text of the event in the body, or in an element of the array.
    """

    array: bool | None
    to_event: Callable[[bytes], bytes | InvalidEvent]


def body_form(headers: Headers) -> BodyForm | None:
    """Return how a body that comes with *headers* is read; None if it is not JSON.

    Raises RequestRefused: 415 or 422.
    """
    content_type = headers.get("content-type", "")
    kind = media_type(content_type)
    in_headers = [(name, value) for name, value in headers.raw if name.startswith(b"ce-")]
    if kind in (STRUCTURED, BATCH):
        _refuse_other_charsets(content_type)
        if kind == BATCH:
            _refuse_headers_of_a_batch(name.decode("latin-1") for name, _ in in_headers)
            return BodyForm(array=True, to_event=_cloud_event)
        repeated = binary_attributes(in_headers)
        return BodyForm(array=False, to_event=lambda body: _structured_event(repeated, body))
    if not in_headers:
        return BodyForm(None, _any_event) if kind == JSON else None
    if kind not in (JSON, ""):
        raise RequestRefused(
            _UNSUPPORTED_MEDIA_TYPE,
            "with headers `ce-...` the body is the data of one CloudEvent: Content-Type must be"
            f" {JSON}; it is {kind[:100]}",
        )
    _refuse_other_charsets(content_type)
    attributes = binary_attributes(in_headers)
    if content_type:
        attributes[_CONTENT_TYPE] = content_type
    return BodyForm(array=False, to_event=lambda body: _binary_event(attributes, body))


def media_type(content_type: str) -> str:
    """Return the media type in the header `Content-Type`, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def binary_attributes(headers: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the attributes in headers `ce-...`. Raises RequestRefused (422), which names all bad.

    Values are read as the HTTP binding says: first a double-quoted string, then one round of
    percent-decoding, which must lead to UTF-8.
    """
    attributes: dict[str, str] = {}
    errors: list[ErrorDetail] = []
    for header, raw in headers:
        shown = header.decode("latin-1")
        name = shown.removeprefix(_PREFIX)
        value = _decoded(raw)
        problem = _NO_ATTRIBUTES.get(name)
        if name in attributes:
            problem = "appears twice; send it once"
        if problem or value is None:
            errors.append(ErrorDetail(at=["header", shown], message=problem or _why_not(raw)))
        attributes[name] = value or ""
    if errors:
        raise invalid_request("the headers hold no CloudEvent; nothing was published", errors)
    return attributes


def _refuse_other_charsets(content_type: str) -> None:
    parsed = Message()
    parsed["content-type"] = content_type
    charset = parsed.get_content_charset()
    if charset not in _UTF_8:
        raise RequestRefused(
            _UNSUPPORTED_MEDIA_TYPE,
            f"a CloudEvent is sent in UTF-8; the charset of the Content-Type is {quote(charset)}",
        )


def _refuse_headers_of_a_batch(names: Iterable[str]) -> None:
    errors = [
        ErrorDetail(
            at=["header", name],
            message="each event of a batch has its own attributes; leave the header out",
        )
        for name in names
    ]
    if errors:
        raise invalid_request("attributes of a batch are in headers", errors)


def _decoded(raw: bytes) -> str | None:
    """Return the attribute's value, or None if the header is not in the binding's form."""
    text = raw.decode("latin-1")
    if not _PRINTABLE.fullmatch(text):
        return None
    if text.startswith('"'):
        quoted = _QUOTED.fullmatch(text)
        if quoted is None:
            return None
        text = _ESCAPED.sub(r"\1", quoted[1])
    if _STRAY_PERCENT.search(text):
        return None
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        return None


def _why_not(raw: bytes) -> str:
    given = quote(raw.decode("latin-1"))
    return (
        "must be printable ASCII with all else percent-encoded as UTF-8: a space is %20, a double"
        f" quote %22, a percent sign %25 (was {given})"
    )


def _any_event(raw: bytes) -> bytes:
    return raw


def _cloud_event(raw: bytes) -> bytes | InvalidEvent:
    """Return *raw* unless it is JSON that is no CloudEvent."""
    try:
        document = from_json(raw)
    except ValueError:
        return raw  # validation says why it is not JSON
    if isinstance(document, list):
        return InvalidEvent(f"is an array; send a batch as {BATCH}")
    if isinstance(document, dict) and not is_cloud_event(document):
        return InvalidEvent(
            f"specversion: is missing; send an event in Slipway's own format as {JSON}"
        )
    return raw


def _structured_event(repeated: dict[str, str], body: bytes) -> bytes | InvalidEvent:
    """Return *body* unless an attribute that a header repeats says something else in it.

    The HTTP binding allows a sender to repeat attributes in headers, for routing.
    """
    event = _cloud_event(body)
    if not repeated or isinstance(event, InvalidEvent):
        return event
    try:
        document = from_json(event)
    except ValueError:
        return event  # validation says why it is not JSON
    if not isinstance(document, dict):
        return event  # and that it is no object
    for name, value in repeated.items():
        in_body = document.get(name)
        text = in_body if isinstance(in_body, str) else to_json(in_body).decode()
        if name not in document or text != value:
            stated = "is missing in the body" if name not in document else f"is {quote(text)} there"
            return InvalidEvent(f"{name}: {stated}; the header {_PREFIX}{name} says {quote(value)}")
    return event


def _binary_event(attributes: dict[str, str], body: bytes) -> bytes | InvalidEvent:
    """Return the CloudEvent with these attributes whose data are *body*, byte for byte."""
    head = to_json(attributes)
    if not body.strip():
        return _cloud_event(head)
    try:
        from_json(body)  # else it could end `data` and go on with attributes
    except ValueError as error:
        return InvalidEvent(str(not_json(body, str(error), what="the body")))
    return _cloud_event(head[:-1] + b',"data":' + body + b"}")
