"""The form of a CloudEvent 1.0 whose `data` are the facts of an event on a ticket.

It is one in JSON, or in headers, which hold its attributes as text.
"""

from typing import Annotated, Any, Final, Literal, NotRequired

from pydantic import ConfigDict, StringConstraints
from typing_extensions import TypedDict  # Pydantic reads the standard one only from 3.12 on

from models.events.field_names import KnownNames
from models.events.format import (
    DATA_NAMES,
    EVENT_NAMES,
    LENIENT_NAMES,
    Id,
    Number,
    Timestamp,
    Traceparent,
)
from models.vocabulary import INBOUND


def _any_case(word: str) -> str:
    """Return a pattern for *word* that every kind of regular expression understands."""
    return "".join(f"[{letter}{letter.upper()}]" for letter in word)


SPECVERSION_NAME: Final = "specversion"  # a JSON object that has it is a CloudEvent
# The action, alone or behind a name in reverse DNS, as CloudEvents recommends: no action has a dot.
_TYPE: Final = rf"^(?:[A-Za-z0-9-]+[.])*(?:{'|'.join(INBOUND)})$"
_UTF_8: Final = f"{_any_case('utf')}-?8"
_JSON: Final = (
    f"^{_any_case('application')}/{_any_case('json')}"
    f'(?: *; *{_any_case("charset")}=(?:{_UTF_8}|"{_UTF_8}"))? *$'
)
_DIGITS: Final = "^0{0,9}[1-9][0-9]{0,8}$"
_URI: Final = r"^[^\p{C}\p{Z}]+$"

Uri = Annotated[str, StringConstraints(max_length=2048, pattern=_URI)]
MediaType = Annotated[str, StringConstraints(pattern=_JSON)]
EventType = Annotated[str, StringConstraints(pattern=_TYPE)]
# Headers know only text, and CloudEvents' own extension `sequence` is one.
Digits = Annotated[str, StringConstraints(pattern=_DIGITS)]


class CloudEvent(TypedDict):
    """One CloudEvent; an attribute that is null is absent. Others than these are not read."""

    __pydantic_config__ = ConfigDict(strict=True, extra="allow")  # type: ignore[misc]  # Pydantic's documented place for a TypedDict's settings

    specversion: Literal["1.0"]
    id: Id
    source: Uri
    type: EventType
    subject: NotRequired[Id | None]
    time: NotRequired[Timestamp | None]
    datacontenttype: NotRequired[MediaType | None]
    dataschema: NotRequired[Uri | None]
    sequence: NotRequired[Number | Digits | None]
    traceparent: NotRequired[Traceparent]  # the extension "distributed tracing"
    data_base64: NotRequired[None]
    expirytime: NotRequired[None]
    data: dict[str, Any]


_SAME_BY_OTHER_NAMES: Final = {"event_id": "id", "occurred_at": "time", "action": "type"}
CLOUD_EVENT_NAMES: Final = KnownNames.of(
    (CloudEvent.__required_keys__ | CloudEvent.__optional_keys__) - LENIENT_NAMES,
    elsewhere={name: f"data.{name}" for name in DATA_NAMES.known} | _SAME_BY_OTHER_NAMES,
    lenient=LENIENT_NAMES,
)
CLOUD_EVENT_DATA_NAMES: Final = KnownNames.of(
    DATA_NAMES.known,
    elsewhere={
        name: f"{_SAME_BY_OTHER_NAMES.get(name, name)}, beside data"
        for name in EVENT_NAMES.known - LENIENT_NAMES
    },
)
