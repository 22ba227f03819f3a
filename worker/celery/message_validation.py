"""Accepts only the task messages that Slipway itself sends: wakeups.

Celery validates next to nothing. An id that is a list, a time limit that is text or a missing
content type ends the worker, is redelivered, and ends the next one. So everything that Celery or
kombu reads is validated here first.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from kombu.utils import json
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json, to_json

from models.platform.input_problems import describe_problems

WAKEUP_BYTES_MAX: Final = 64 * 1024  # a wakeup has no arguments: one of ours has about 1,000
Name = Annotated[str, Field(min_length=1, max_length=255)]


def _iso(text: str) -> str:
    datetime.fromisoformat(text)
    return text


class _MessagePart(BaseModel):
    """Other fields are ignored: newer versions may add some."""

    model_config = ConfigDict(strict=True, extra="ignore")


class _MessageDeliveryInfo(_MessagePart):
    exchange: str
    routing_key: Name


class _MessageProperties(_MessagePart):
    delivery_tag: Name  # the key under which a taken message is stored
    delivery_info: _MessageDeliveryInfo
    delivery_mode: int | None = None
    priority: int | None = None
    body_encoding: Literal["base64"] | None = None
    correlation_id: str | None = None
    reply_to: str | None = None


class _MessageHeaders(_MessagePart):
    task: Literal["deliver", "sweep"]
    id: Name
    lang: str | None = None
    shadow: str | None = None
    eta: None = None  # a worker would keep it in memory until then; the schedule repeats wakeups
    expires: Annotated[str, AfterValidator(_iso)] | None = None
    compression: None = None
    retries: int | None = None
    timelimit: Annotated[list[int | float | None], Field(min_length=2, max_length=2)] | None = None
    group: str | None = None
    group_index: int | None = None
    root_id: str | None = None
    parent_id: str | None = None
    argsrepr: str | None = None
    kwargsrepr: str | None = None
    origin: str | None = None
    ignore_result: bool | None = None
    replaced_task_nesting: int | None = None
    stamped_headers: list[str] | None = None
    stamps: dict[str, Any] | None = None


class _WakeupMessage(_MessagePart):
    body: str
    content_type: Literal["application/json"] = Field(alias="content-type")
    content_encoding: Literal["utf-8", "us-ascii"] = Field(alias="content-encoding")
    headers: _MessageHeaders
    properties: _MessageProperties


class _MessageEmbed(_MessagePart):
    """Nothing follows a wakeup: a callback here could run any task."""

    callbacks: None = None
    errbacks: None = None
    chain: None = None
    chord: None = None


def validate(item: bytes) -> dict[str, Any]:
    """Return the envelope in *item*, without arguments. Raises ValueError if it is not a wakeup.

    Arguments that another program added by mistake would be shown by Flower and in logs.
    """
    if len(item) > WAKEUP_BYTES_MAX:
        raise ValueError(f"{len(item):,} bytes; a wakeup has no more than {WAKEUP_BYTES_MAX:,}")
    envelope: Any = from_json(item)  # unlike `json`, it rejects lone surrogates and any depth
    try:
        wakeup = _WakeupMessage.model_validate(envelope)
        embed = _embed_of(_call(wakeup))
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False)
        raise ValueError(describe_problems(problems, place=_place, rules={})) from None
    valid: dict[str, Any] = envelope
    valid["headers"] |= {"argsrepr": "()", "kwargsrepr": "{}"}
    valid["properties"]["body_encoding"] = "base64"
    valid["body"] = b64encode(to_json([[], {}, embed])).decode()
    return valid


def _call(wakeup: _WakeupMessage) -> object:
    """Return the arguments, parsed as kombu parses them."""
    encoded = wakeup.properties.body_encoding == "base64"
    raw = b64decode(wakeup.body, validate=True) if encoded else wakeup.body.encode()
    call: object = from_json(raw)
    json.loads(raw.decode())  # type: ignore[no-untyped-call]  # kombu's own makes objects of some
    return call


def _embed_of(call: object) -> Mapping[str, object] | None:
    match call:
        case [[], dict(), None]:
            return None
        case [[], dict(), Mapping() as embed]:
            _MessageEmbed.model_validate(embed)
            return embed
        case _:
            raise ValueError("the body must be [[], {...}, embed]: a wakeup has no arguments")


def _place(loc: tuple[int | str, ...]) -> str:
    return ".".join(map(str, loc[:3])) or "the message"
