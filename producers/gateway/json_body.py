"""Publishes a JSON body, one event or an array of them, CloudEvents too: all or none."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import anyio
from fastapi import Request
from pydantic_core import from_json, to_json
from sqlalchemy import Connection

from models.events.duplicate_keys import (
    duplicate_key_problem,
    find_duplicate_keys,
    has_surely_no_duplicates,
)
from models.events.encoding import without_byte_order_mark
from models.events.stream_contract import EVENT_FIELD
from models.publishers.keys import KeyHolder
from models.tracing.traceparent import trace_id_of
from producers.gateway.bodies import read_parts, reject_compressed, too_large, too_slow
from producers.gateway.cloud_events import BodyForm
from producers.gateway.errors import ErrorDetail, RequestRefused, invalid_request
from producers.gateway.event_validation import (
    InvalidEvent,
    Now,
    ValidEvent,
    running_clock,
    unusable_operators,
    validate_event,
)
from producers.gateway.gateway import Gateway
from producers.gateway.limits import Limits
from producers.gateway.responses import EventIdentity, PublishResult
from producers.gateway.traces import traceparent_of

_FORBIDDEN: Final = 403
_TOO_LARGE: Final = 413


async def publish_json(
    request: Request, form: BodyForm, gateway: Gateway, holder: KeyHolder, *, dry_run: bool
) -> PublishResult:
    """Publish the JSON body. If it raises RequestRefused, nothing was published."""
    now = running_clock(holder.now)
    with ExitStack() as holding:
        body = await _read(request, form, gateway, holder, holding)
        publication = _Publication(now, traceparent_of(request), dry_run=dry_run)
        return await gateway.threads.run(lambda: _publish(body, form, gateway, holder, publication))


@dataclass(frozen=True, slots=True)
class _Publication:
    """How one body is published: by which clock, as part of which trace, and whether at all."""

    now: Now
    traceparent: str | None
    dry_run: bool


def _publish(
    body: bytes, form: BodyForm, gateway: Gateway, holder: KeyHolder, how: _Publication
) -> PublishResult:
    several = _is_array(body) if form.array is None else form.array
    parts = _elements(body, gateway.limits) if several else [body]
    events = [part if isinstance(part, InvalidEvent) else form.to_event(part) for part in parts]
    valid = _validated(events, several=several, now=how.now, age_max=gateway.settings.event_age_max)
    with gateway.engine.begin() as connection:
        _check_operators(connection, holder, valid, several=several)
    trace = how.traceparent
    if not how.dry_run:
        entries = [{EVENT_FIELD: event.line} for event in valid]
        trace = gateway.stream.add(entries, traceparent=trace)
    identities = [
        EventIdentity(
            event_id=event.event_id,
            occurred_at=event.occurred_at,
            trace_id=trace_id_of(event.traceparent or trace),
        )
        for event in valid
    ]
    return PublishResult(accepted=len(valid), events=identities)


def _elements(body: bytes, limits: Limits) -> list[bytes | InvalidEvent]:
    """Return the text of each event, or an InvalidEvent where a key appears twice."""
    try:
        elements = from_json(body)
    except ValueError as error:
        raise invalid_request(
            "the body is not JSON", [ErrorDetail(at=["body"], message=str(error))]
        ) from None
    if not isinstance(elements, list):
        no_array = ErrorDetail(at=["body"], message="must be a JSON array of events")
        raise invalid_request("the body is no batch", [no_array])
    if not elements:
        empty = ErrorDetail(at=["body"], message="the array is empty")
        raise invalid_request("the body holds no event", [empty])
    if len(elements) > limits.array_events:
        message = f"an array holds at most {limits.array_events:,} events; send NDJSON for more"
        raise RequestRefused(_TOO_LARGE, message)
    texts: list[bytes | InvalidEvent] = [to_json(element) for element in elements]
    if not has_surely_no_duplicates(body, elements):
        for (index, *path), key in find_duplicate_keys(body):
            assert isinstance(index, int), "its index in the array"
            texts[index] = InvalidEvent(duplicate_key_problem(path, key))
    return texts


def _validated(
    events: Sequence[bytes | InvalidEvent], *, several: bool, now: Now, age_max: timedelta
) -> list[ValidEvent]:
    valid: list[ValidEvent] = []
    errors: list[ErrorDetail] = []
    large = False
    for index, raw in enumerate(events):
        event = (
            raw if isinstance(raw, InvalidEvent) else validate_event(raw, now=now, age_max=age_max)
        )
        if isinstance(event, InvalidEvent):
            errors.append(ErrorDetail(at=_location(index, several=several), message=event.message))
            large = large or event.too_large
        else:
            valid.append(event)
    if large and len(errors) == 1:
        raise RequestRefused(_TOO_LARGE, errors[0].message)
    if errors:
        raise invalid_request(f"{_summary(errors, events)}; nothing was published", errors)
    return valid


def _check_operators(
    connection: Connection, holder: KeyHolder, valid: Sequence[ValidEvent], *, several: bool
) -> None:
    unusable = unusable_operators(connection, holder, (event.operator for event in valid))
    for operator in unusable.values():
        if operator.forbidden:
            raise RequestRefused(_FORBIDDEN, f"{operator.message}; nothing was published")
    errors = [
        ErrorDetail(at=_location(index, several=several), message=unusable[event.operator].message)
        for index, event in enumerate(valid)
        if event.operator in unusable
    ]
    if errors:
        raise invalid_request(f"{_summary(errors, valid)}; nothing was published", errors)


def _is_array(body: bytes | bytearray) -> bool:
    return without_byte_order_mark(bytes(body)).lstrip()[:1] == b"["


def _summary(errors: Sequence[ErrorDetail], events: Sequence[object]) -> str:
    if len(events) == 1:
        return "the event is invalid"
    return f"{len(errors)} of {len(events)} events are invalid"


def _location(index: int, *, several: bool) -> list[str | int]:
    return ["body", index] if several else ["body"]


async def _read(
    request: Request, form: BodyForm, gateway: Gateway, holder: KeyHolder, holding: ExitStack
) -> bytes:
    """Read the body: up to the size of one event, or of an array while *holding* an upload slot."""
    reject_compressed(request)
    limits = gateway.limits
    timeout = limits.body_time.total_seconds()
    body, most = bytearray(), limits.event_bytes
    with anyio.move_on_after(timeout):
        async for part in read_parts(request, interval=timeout):
            body += part
            is_over = len(body) > most == limits.event_bytes
            if is_over and form.array is not False and _is_array(body):
                holding.enter_context(gateway.upload(holder))
                most = limits.array_bytes
            if len(body) > most:
                raise too_large(most)
        return without_byte_order_mark(bytes(body))
    raise too_slow(f"the body did not arrive within {timeout:g} s")
